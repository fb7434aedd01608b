"""From the pipeline's config to a stage's: the same, with another task and the stage's overrides on top."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from daf.config.compose import override_config
from daf.config.override_syntax import split_overrides
from daf.config.schemas import DAFConfig
from daf.config.sections import EXPERIMENT
from daf.errors import DAFConfigError, DAFError, Problem
from daf.orchestrators.plan import Stage
from daf.orchestrators.references import (
    UnknownValueError,
    config_value,
    references,
    resolved,
    stage_and_key,
    stage_value,
)
from daf.orchestrators.results import StageResult
from daf.sweeps import daf_sweep_best_config
from daf.sweeps.hydra_sweep import with_space

NO_PIPELINE: dict[str, Any] = {"name": "none", "stages": {}, "on_failure": "stop", "workers": 1}


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A stage's config, and what it was made with.

    Attributes:
        overrides: with every reference resolved.
        open_keys: keys whose values, or parts of them, are not there yet.
    """

    config: DAFConfig
    overrides: tuple[str, ...]
    open_keys: tuple[str, ...] = ()


def stage_config(config: DAFConfig, stage: Stage, results: Mapping[str, StageResult]) -> Composed:
    """A stage's config, with what other stages have given so far.

    Raises:
        DAFConfigError: it is not valid, or a result that it refers to is not there.
    """
    data = config.model_dump(mode="json")
    texts: list[str] = []
    open_keys: list[str] = []
    problems: list[Problem] = []
    for text in stage.config.overrides:
        try:
            part, is_open = _resolved(text, data, results)
        except KeyError as error:
            problems.append(Problem(text, f"{error.args[0]} is not there."))
            continue
        except HydraException:
            part, is_open = text, False  # told where it is composed
        texts += [part] if part is not None else []
        open_keys += [_key(text)] if is_open else []
    if problems:
        raise DAFConfigError(problems)
    base = _with_winner(config, stage, results)
    return Composed(config=_laid_on(base, stage, texts, open_keys), overrides=tuple(texts), open_keys=tuple(open_keys))


def _resolved(text: str, data: Mapping[str, Any], results: Mapping[str, StageResult]) -> tuple[str | None, bool]:
    """An override with what is known of its value, or None; and whether something is not."""

    def lookup(reference: str) -> Any:
        meant = stage_and_key(reference)
        if meant is None:
            return config_value(data, reference)
        name, key = meant
        if name not in results:
            raise UnknownValueError
        try:
            return stage_value(results[name], key)
        except KeyError as error:
            raise KeyError(f"{key} of the stage {name}") from error

    meant = filter(None, map(stage_and_key, references(text)))
    is_open = any(name not in results for name, _ in meant)
    try:
        return resolved(text, lookup), is_open
    except UnknownValueError:
        return None, is_open


def _key(text: str) -> str:
    return str(OverridesParser.create().parse_override(text).get_key_element())


def _laid_on(base: DAFConfig, stage: Stage, texts: list[str], open_keys: list[str]) -> DAFConfig:
    fixed, swept = split_overrides(texts) if stage.config.sweep else (texts, {})
    config = override_config(base, [f"task={stage.config.task}", *fixed], open_keys=open_keys)
    config = config.model_copy(update={"output_dir": str(Path(base.output_dir).absolute() / stage.name)})
    if not stage.config.sweep:
        return config
    return with_space(config, swept)


def _with_winner(config: DAFConfig, stage: Stage, results: Mapping[str, StageResult]) -> DAFConfig:
    """The config that a stage begins with: without stages, and with what a sweep found best where that is asked for."""
    none = type(config.pipeline).model_validate(NO_PIPELINE)
    plain = config.model_copy(update={"pipeline": none})
    winner_of = stage.config.winner_of
    if winner_of is None or winner_of not in results:
        return plain
    given = config.pipeline.stages[winner_of]
    swept = stage_config(config, Stage(name=winner_of, config=given, needs=()), results).config
    try:
        best = daf_sweep_best_config(swept)
    except DAFError as error:
        raise DAFConfigError([Problem("winner_of", f"{error}.")]) from error
    return plain.model_copy(update={name: getattr(best, name) for name in EXPERIMENT})
