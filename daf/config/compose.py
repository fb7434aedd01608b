"""From `conf/` and overrides to a `DAFConfig`. All that knows Hydra's composition is here."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, get_origin

from hydra import compose, version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from daf.config.brought_along import with_game
from daf.config.explain import explain_validation
from daf.config.paths import CONF_DIR
from daf.config.plugins import HYDRA_PLUGINS
from daf.config.references import Stores
from daf.config.refusals import ALSO, SEARCH_PATH, is_sweep, refused_overrides, shortened
from daf.config.schemas import DAFConfig
from daf.config.sections import VALUE_KEYS
from daf.config.suggestions import nearest
from daf.errors import DAFConfigError, Problem, first_line, needs_package
from daf.files import is_file, write_whole
from daf.redaction import HIDDEN, redactor

#: Hydra's global state is one for all threads.
_composing = threading.RLock()


@contextmanager
def hydra_on(config_dir: Path, extra_dir: Path | None = None) -> Iterator[Hydra]:
    """Hydra on a config folder, and on one more that goes before it; its global state is set aside and put back.

    One thread at a time has it.
    """
    with _composing:
        outer = GlobalHydra.instance().hydra
        GlobalHydra.instance().clear()
        version.setbase("1.3")
        search_path = create_config_search_path(str(config_dir.resolve()))
        if extra_dir is not None:
            source = f"file://{extra_dir.absolute()}"
            search_path.prepend(provider="command-line", path=source, anchor=SearchPathQuery(provider="schema"))
        try:
            yield Hydra.create_main_hydra2("daf", search_path)
        finally:
            GlobalHydra.instance().hydra = outer


def daf_load_config(
    path: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    config_dir: Path = CONF_DIR,
    config_name: str = "config",
    extra_dir: Path | None = None,
) -> DAFConfig:
    """Composes and validates a config, exactly as the command line does.

    Args:
        path: a YAML or JSON file whose keys replace the defaults; a file written by `daf_save_config` gives the saved
            config back.
        overrides: Hydra overrides, applied last (``["policy=puffer", "optimizer.lr=1e-4"]``).
        config_dir: folder of the primary config.
        config_name: the primary config.
        extra_dir: a folder whose configs go before those of `config_dir`, as ``--config-dir`` does.

    Raises:
        DAFConfigError: naming every problem at once.
    """
    composed = compose_unchecked(overrides, config_dir=config_dir, config_name=config_name, extra_dir=extra_dir)
    if path is not None:
        composed = _merge_file(composed, Path(path), overrides)
    return validate(composed)


def override_config(base: DAFConfig, overrides: Sequence[str], *, open_keys: Sequence[str] = ()) -> DAFConfig:
    """A config with overrides on top: an option of a group replaces that whole section, and nothing else.

    Args:
        overrides: as on the command line.
        open_keys: keys that must exist, and whose values are not known yet: they stay as they are.

    Raises:
        DAFConfigError: naming every problem at once.
    """
    composed = _composed_once((*overrides, *(f"{key}=null" for key in open_keys)))
    whole = OmegaConf.create(_as_it_stands(base.model_dump(mode="json")))
    return validate(_laid_over(whole, composed, overrides, "a config that is there already"))


@lru_cache(maxsize=64)
def _composed_once(overrides: tuple[str, ...]) -> DictConfig:
    return compose_unchecked(overrides, config_dir=CONF_DIR, config_name="config")


def compose_unchecked(
    overrides: Sequence[str], *, config_dir: Path, config_name: str, extra_dir: Path | None = None
) -> DictConfig:
    """What Hydra composes, before interpolations are resolved and values are validated.

    Raises:
        DAFConfigError: an override cannot be composed.
    """
    folders: Any = {"config_dir": config_dir, "config_name": config_name, "extra_dir": extra_dir}
    overrides = with_policys_game(overrides, **folders)
    with hydra_on(config_dir, extra_dir), _explained(overrides, config_name):
        return compose(config_name, list(overrides))


def with_policys_game(
    overrides: Sequence[str], *, config_dir: Path, config_name: str, extra_dir: Path | None
) -> Sequence[str]:
    """The overrides with what a policy that is named by where it is kept brings along.

    Raises:
        DAFConfigError: it names nothing that is kept, or the tracking store to look in cannot be composed.
    """

    def stores(others: Sequence[str]) -> Stores:
        fixed = [text for text in others if not is_sweep(text)]
        with hydra_on(config_dir, extra_dir), _explained(fixed, config_name):
            composed = compose(config_name, fixed)
        tracking, server = (OmegaConf.select(composed, key) for key in ("tracking.uri", "deployment.url"))
        return Stores(tracking, server)

    return with_game(overrides, stores)


def compose_job(hydra: Hydra, overrides: Sequence[str], config_name: str) -> DictConfig:
    """What Hydra composes for a single job, its own section `hydra` included.

    Raises:
        DAFConfigError: an override cannot be composed.
    """
    with _explained(overrides, config_name):
        return hydra.compose_config(config_name, list(overrides), RunMode.RUN, from_shell=False)


def compose_sweep(overrides: Sequence[str], config_dir: Path, config_name: str, extra_dir: Path | None) -> DictConfig:
    """What Hydra composes for a sweep, its own section `hydra` included; keys that are swept are as without.

    Raises:
        DAFConfigError: an override cannot be composed, or swept.
    """
    with hydra_on(config_dir, extra_dir) as hydra, _explained(overrides, config_name, sweeps=True):
        return hydra.compose_config(config_name, list(overrides), RunMode.MULTIRUN, from_shell=False)


def daf_save_config(config: DAFConfig, path: str | Path) -> Path:
    """Writes a config as YAML or JSON (by suffix) for `daf_load_config`, secrets blanked: those are to be given again.

    Raises:
        ValueError: another suffix.
    """
    path = Path(path)
    data = redactor().tree(config.model_dump(mode="json"))
    if path.suffix == ".json":
        write_whole(path, json.dumps(data, indent=2) + "\n")
    elif path.suffix in {".yaml", ".yml"}:
        write_whole(path, OmegaConf.to_yaml(OmegaConf.create(data)))
    else:
        raise ValueError(f"{path}: a config is saved as .yaml or .json")
    return path


def validate(composed: DictConfig) -> DAFConfig:
    """Checks a composed config, its section `hydra` aside, against the schemas.

    Raises:
        DAFConfigError: naming every problem at once.
    """
    try:
        data = {str(key): _section(str(key), value) for key, value in composed.items() if key != "hydra"}
    except OmegaConfBaseException as error:
        where = error.full_key or "config"
        raise DAFConfigError([Problem(shortened(where), shortened(first_line(error)))]) from error
    except RecursionError as error:
        raise DAFConfigError([Problem("config", "an interpolation leads back to itself.")]) from error
    if blanked := list(_blanked(data)):
        raise DAFConfigError(blanked)
    try:
        return DAFConfig.model_validate(data)
    except ValidationError as error:
        raise DAFConfigError(explain_validation(error)) from error


def _blanked(node: Any, key: str = "") -> Iterator[Problem]:
    """A problem for every value that was blanked when the config was written."""
    if isinstance(node, str) and HIDDEN in node:
        yield Problem(key, "was blanked when this was written down, for it holds a secret.", "Give it again.")
    elif isinstance(node, dict | list):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _blanked(value, f"{key}.{name}".lstrip("."))


def _section(name: str, value: Any) -> Any:
    """A section with its interpolations resolved, but for stages' overrides: a pipeline does that when they begin."""
    stages: Any = value.get("stages") if name == "pipeline" and OmegaConf.is_dict(value) else None
    if not OmegaConf.is_dict(stages):
        return _resolved(value)
    rest = {key: _resolved(item) for key, item in value.items() if key != "stages"}
    return {**rest, "stages": {stage: _stage(given) for stage, given in stages.items()}}


def _stage(given: Any) -> Any:
    if not OmegaConf.is_dict(given):
        return _resolved(given)
    rest = {key: _resolved(item) for key, item in given.items() if key != "overrides"}
    written = OmegaConf.to_container(given, resolve=False)
    assert isinstance(written, dict)
    return {**rest, **({"overrides": written["overrides"]} if "overrides" in written else {})}


def _resolved(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _merge_file(composed: DictConfig, path: Path, overrides: Sequence[str]) -> DictConfig:
    if not is_file(path):
        raise DAFConfigError([Problem(str(path), "there is no such config file.")])
    try:
        loaded = OmegaConf.load(path)
    except Exception as error:  # yaml's and json's errors have no common base
        raise DAFConfigError([Problem(str(path), f"cannot be read: {error}")]) from error
    if not isinstance(loaded, DictConfig):
        raise DAFConfigError([Problem(str(path), "holds no mapping of config keys.")])
    OmegaConf.set_struct(composed, False)
    merged = OmegaConf.merge(composed, loaded)
    assert isinstance(merged, DictConfig)
    for key in _mappings_of_any_keys(DAFConfig):
        # Merged, the file would keep names of the defaults that it leaves out: a stage, a swept key.
        if OmegaConf.select(loaded, key, throw_on_missing=False) is not None:
            OmegaConf.update(merged, key, OmegaConf.select(loaded, key), merge=False)
    return _laid_over(merged, composed, overrides, str(path))


def _mappings_of_any_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted keys of a schema whose value is a mapping with names of the user's."""
    for name, field in model.model_fields.items():
        if get_origin(field.annotation) is dict:
            yield f"{prefix}{name}"
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _mappings_of_any_keys(field.annotation, f"{prefix}{name}.")


def _laid_over(merged: DictConfig, composed: DictConfig, overrides: Sequence[str], under: str) -> DictConfig:
    """A config with overrides on top: an option replaces its whole section, then values are set.

    Args:
        composed: from the overrides.
        under: what the config is called.
    """
    for override in sorted(OverridesParser.create().parse_overrides(list(overrides)), key=_is_value):
        key = override.key_or_group
        if _is_value(override):
            OmegaConf.update(merged, key, override.value())
        elif key in composed:
            merged[key] = composed[key]
        else:
            raise DAFConfigError([Problem(key, f"cannot be laid over {under}.", "Override single keys.")])
    return merged


def _as_it_stands(node: Any) -> Any:
    """Plain data in which no text is taken for an interpolation."""
    if isinstance(node, str):
        return node.replace("${", "\\${")
    if isinstance(node, dict):
        return {key: _as_it_stands(value) for key, value in node.items()}
    return [_as_it_stands(item) for item in node] if isinstance(node, list) else node


def _is_value(override: Override) -> bool:
    return "." in override.key_or_group or override.key_or_group in VALUE_KEYS


def is_multirun(overrides: Sequence[str], config_dir: Path, config_name: str, extra_dir: Path | None) -> bool:
    """Whether a config file of the user's asks for a sweep; False where it cannot be composed."""
    with hydra_on(config_dir, extra_dir) as hydra:
        try:
            return bool(hydra.get_mode(config_name, list(overrides)) is RunMode.MULTIRUN)
        except Exception:  # told where the config is composed
            return False


@contextmanager
def _explained(overrides: Sequence[str], config_name: str, *, sweeps: bool = False) -> Iterator[None]:
    """Turns what is wrong with overrides, and the error of their composition, into problems."""
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, ConfigLoaderImpl), "Hydra has no other"
    refused = refused_overrides(loader, config_name, overrides, sweeps=sweeps)
    if refused:
        rest = [override for override in overrides if override not in refused]
        raise DAFConfigError([*refused.values(), *_blame(rest, config_name, None)])
    try:
        yield
    except DAFConfigError:
        raise
    except Exception as error:  # of Hydra's, of YAML's, of the file system: what is composed is the user's
        raise DAFConfigError(
            _blame(overrides, config_name, error) or [Problem("config", shortened(first_line(error)))]
        ) from error


def _blame(overrides: Sequence[str], config_name: str, error: Exception | None) -> list[Problem]:
    """Finds the overrides that cannot be composed by trying each one beside the groups that can.

    What remains is validated too, so that the user sees all that is wrong at once.

    Args:
        error: of their composition, where it was tried.
    """
    try:
        bad, remaining = _bad_overrides(overrides, config_name, error)
    except Exception as broken:  # the primary config itself
        return [Problem(config_name, shortened(first_line(broken)))]
    keys = list(_flatten(OmegaConf.to_container(remaining, resolve=False)))
    problems = [_explain_override(override, error, keys) for override, error in bad]
    try:
        validate(remaining)
    except DAFConfigError as invalid:
        problems.extend(invalid.problems)
    return problems


def _bad_overrides(
    overrides: Sequence[str], config_name: str, error: Exception | None
) -> tuple[list[tuple[str, Exception]], DictConfig]:
    """The overrides that cannot be composed with their errors, and what is composed of the others."""
    # Without the folders that hold them, the groups of one's own are blamed as well.
    good = [override for override in overrides if override.lstrip("+").startswith(SEARCH_PATH)]
    tried = [override for override in overrides if override not in good and not is_sweep(override)]
    remaining = compose(config_name, good)
    if error and len(tried) == 1:  # by far the most frequent, and known already
        return [(tried[0], error)], remaining
    bad: list[tuple[str, Exception]] = []
    for override in sorted(tried, key=lambda text: "." in text.partition("=")[0]):
        try:
            remaining = compose(config_name, [*good, override])
        except Exception as failed:
            bad.append((override, failed))
        else:
            good.append(override)
    return bad, remaining


def _explain_override(text: str, error: Exception, known_keys: Sequence[str]) -> Problem:
    override = OverridesParser.create().parse_override(text)
    key, what = override.key_or_group, shortened(first_line(error))
    options = GlobalHydra.instance().config_loader().get_group_options(key)
    if options and not override.is_delete():
        value = override.value()
        if plugin := HYDRA_PLUGINS.get(f"{key}={value}"):
            return Problem(key, f"{needs_package(repr(value), plugin[0])}.")
        return Problem(
            key, f"there is no option {shortened(repr(value))}.", nearest(str(value), options) + ALSO.get(key, "")
        )
    if key.startswith("policy.init_kwargs"):
        return Problem(key, "a new argument is added with a plus sign.", f"Write +{shortened(text)}")
    if override.is_delete() or key in known_keys or key.startswith("hydra"):
        return Problem(key, what, f"Write +{shortened(text)}" if "To append to your config" in str(error) else "")
    return Problem(shortened(key), "there is no such key.", nearest(key, known_keys))


def _flatten(node: Any, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
