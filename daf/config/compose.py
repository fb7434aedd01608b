"""From `conf/` and overrides to a `DAFConfig`. All that knows Hydra's composition is here."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from daf.config.explain import explain_validation
from daf.config.schemas import DAFConfig
from daf.config.sections import VALUE_KEYS
from daf.config.suggestions import nearest
from daf.errors import DAFConfigError, Problem

_PACKAGED = Path(__file__).parents[1] / "conf"
#: The folder of the shipped config: inside the installed package, or beside it in a checkout.
CONF_DIR = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "conf"


@contextmanager
def _hydra(config_dir: Path) -> Iterator[None]:
    """Hydra's global state, set aside for a composition and put back."""
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir.resolve()), version_base="1.3"):
            yield
    finally:
        # Asked for again: initialize_config_dir puts another instance in place on its way out.
        GlobalHydra.instance().hydra = outer


def daf_load_config(
    path: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    config_dir: Path = CONF_DIR,
    config_name: str = "config",
) -> DAFConfig:
    """Composes and validates a config, exactly as the command line does.

    Args:
        path: a YAML or JSON file whose keys replace the defaults; a file written by `daf_save_config` gives the saved
            config back.
        overrides: Hydra overrides, applied last (``["policy=puffer", "optimizer.lr=1e-4"]``).

    Raises:
        DAFConfigError: naming every problem at once.
    """
    composed = compose_unchecked(overrides, config_dir=config_dir, config_name=config_name)
    if path is not None:
        composed = _merge_file(composed, Path(path), overrides)
    return validate(composed)


def compose_unchecked(overrides: Sequence[str], *, config_dir: Path, config_name: str) -> DictConfig:
    """What Hydra composes, before interpolations are resolved and values are validated.

    Raises:
        DAFConfigError: an override cannot be composed.
    """
    with _hydra(config_dir):
        return _compose(overrides, config_name)


def sweeper_class(overrides: Sequence[str], *, config_dir: Path, config_name: str) -> str:
    """Class path of the sweeper that Hydra would use."""
    with _hydra(config_dir):
        return str(compose(config_name, list(overrides), return_hydra_config=True).hydra.sweeper._target_)


def daf_save_config(config: DAFConfig, path: str | Path) -> Path:
    """Writes a config as YAML or JSON (by suffix) for `daf_load_config`."""
    path = Path(path)
    data = config.model_dump(mode="json")
    if path.suffix == ".json":
        path.write_text(json.dumps(data, indent=2) + "\n")
    elif path.suffix in {".yaml", ".yml"}:
        path.write_text(OmegaConf.to_yaml(OmegaConf.create(data)))
    else:
        raise ValueError(f"{path}: a config is saved as .yaml or .json")
    return path


def validate(composed: DictConfig) -> DAFConfig:
    """Checks a composed config against the schemas.

    Raises:
        DAFConfigError: naming every problem at once.
    """
    try:
        data = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise DAFConfigError([Problem(str(error.full_key or "config"), str(error).splitlines()[0])]) from error
    try:
        return DAFConfig.model_validate(data)
    except ValidationError as error:
        raise DAFConfigError(explain_validation(error)) from error


def _merge_file(composed: DictConfig, path: Path, overrides: Sequence[str]) -> DictConfig:
    if not path.is_file():
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
    # An option replaces its whole section, then values are set.
    for override in sorted(OverridesParser.create().parse_overrides(list(overrides)), key=_is_value):
        key = override.key_or_group
        if _is_value(override):
            OmegaConf.update(merged, key, override.value())
        elif key in composed:
            merged[key] = composed[key]
        else:
            raise DAFConfigError([Problem(key, f"cannot be laid over {path}.", "Override single keys.")])
    return merged


def _is_value(override: Override) -> bool:
    return "." in override.key_or_group or override.key_or_group in VALUE_KEYS


def _compose(overrides: Sequence[str], config_name: str) -> DictConfig:
    try:
        return compose(config_name, list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise DAFConfigError(_blame(overrides, config_name) or [Problem("config", _first_line(error))]) from error


def _blame(overrides: Sequence[str], config_name: str) -> list[Problem]:
    """Finds the overrides that cannot be composed by trying each one beside the groups that can.

    What remains is validated too, so that the user sees all that is wrong at once.
    """
    good: list[str] = []
    bad: list[tuple[str, Exception]] = []
    for override in sorted(overrides, key=lambda text: "." in text.partition("=")[0]):
        try:
            remaining = compose(config_name, [*good, override])
        except (HydraException, OmegaConfBaseException) as error:
            bad.append((override, error))
        else:
            good.append(override)
    if not good:
        remaining = compose(config_name)
    keys = list(_flatten(OmegaConf.to_container(remaining, resolve=False)))
    problems = [_explain_override(override, error, keys) for override, error in bad]
    try:
        validate(remaining)
    except DAFConfigError as error:
        problems.extend(error.problems)
    return problems


def _explain_override(text: str, error: Exception, known_keys: Sequence[str]) -> Problem:
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        return Problem(text, f"cannot be read: {_first_line(error)}.", "Use key=value; quote values with commas.")
    key = override.key_or_group
    options = GlobalHydra.instance().config_loader().get_group_options(key)
    if options:
        return Problem(key, f"there is no option {override.value()!r}.", nearest(str(override.value()), options))
    if key.startswith("policy.init_kwargs"):
        return Problem(key, "a new argument is added with a plus sign.", f"Write +{text}")
    if override.is_delete() or key in known_keys:
        return Problem(key, _first_line(error))
    return Problem(key, "there is no such key.", nearest(key, known_keys))


def _flatten(node: Any, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
