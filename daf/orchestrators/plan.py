"""Which stages a pipeline has, what each needs of the others, and what is wrong with that."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from daf.config.schemas import DAFConfig, DAFStageConfig
from daf.config.suggestions import nearest
from daf.errors import Problem
from daf.orchestrators.references import ALWAYS, KINDS, config_value, references, stage_and_key


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage, and the stages that must be done before it begins."""

    name: str
    config: DAFStageConfig
    needs: tuple[str, ...]

    @property
    def refers(self) -> bool:
        """Whether it uses results that are only there once other stages are done."""
        return self.config.winner_of is not None or any(_stage_references(self.config))


def stages_of(config: DAFConfig) -> list[Stage]:
    """Every stage of a config's pipeline, in an order in which each comes after those that it needs.

    Raises:
        ValueError: there is no such order, or a stage that is needed; `plan_problems` says so in words.
    """
    stages = {
        name: Stage(name=name, config=given, needs=_needs(given)) for name, given in config.pipeline.stages.items()
    }
    graph = TopologicalSorter({name: stage.needs for name, stage in stages.items()})
    try:
        return [stages[name] for name in graph.static_order()]
    except (CycleError, KeyError) as error:
        raise ValueError(str(error)) from error


def plan_problems(config: DAFConfig) -> list[Problem]:
    """What is wrong with the stages as they stand, before anything is composed."""
    stages = config.pipeline.stages
    if not stages:
        hint = "Choose one with pipeline=..., such as pipeline=full."
        return [Problem("pipeline.stages", "holds no stage.", hint)]
    found = [problem for name, stage in stages.items() for problem in _stage_problems(name, stage, config)]
    return found or _circles(stages)


def _stage_references(stage: DAFStageConfig) -> Iterator[tuple[str, str]]:
    for override in stage.overrides:
        yield from filter(None, map(stage_and_key, references(override)))


def _needs(stage: DAFStageConfig) -> tuple[str, ...]:
    winner = [stage.winner_of] if stage.winner_of else []
    return tuple(dict.fromkeys((*stage.needs, *winner, *(name for name, _ in _stage_references(stage)))))


def _stage_problems(name: str, stage: DAFStageConfig, config: DAFConfig) -> Iterator[Problem]:
    stages, where = config.pipeline.stages, f"pipeline.stages.{name}"
    for needed in _needs(stage):
        if needed not in stages:
            yield Problem(where, f"needs the stage {needed!r}, which is not there.", nearest(needed, list(stages)))
    if stage.winner_of in stages and not stages[stage.winner_of].sweep:
        what = f"begins with the winner of {stage.winner_of!r}, which is no sweep."
        yield Problem(f"{where}.winner_of", what, f"Set {f'pipeline.stages.{stage.winner_of}'}.sweep=true.")
    data = config.model_dump(mode="json")
    for reference in (found for override in stage.overrides for found in references(override)):
        if stage_and_key(reference) is None and not _is_there(data, reference):
            yield Problem(where, f"refers to {reference}, and there is no such key.", nearest(reference, list(data)))


def _is_there(data: Mapping[str, object], reference: str) -> bool:
    try:
        config_value(data, reference)
    except KeyError:
        return False
    return True


def unknown_results(name: str, stage: DAFStageConfig, gives: Mapping[str, frozenset[str]]) -> Iterator[Problem]:
    """References to results that stages do not give.

    Args:
        gives: stage to the names of the files that its task always gives.
    """
    for needed, key in _stage_references(stage):
        kind, dot, _ = key.partition(".")
        known = [*ALWAYS, *sorted(gives[needed])]
        if key not in known and not (dot and kind in KINDS):
            what = f"refers to {key or 'nothing'} of the stage {needed}, which gives {', '.join(known)}"
            yield Problem(f"pipeline.stages.{name}", f"{what} and {', '.join(f'{kind}.<name>' for kind in KINDS)}.")


def _circles(stages: Mapping[str, DAFStageConfig]) -> list[Problem]:
    try:
        TopologicalSorter({name: _needs(stage) for name, stage in stages.items()}).prepare()
    except CycleError as error:
        way = " needs ".join(reversed(error.args[1]))
        return [Problem("pipeline.stages", f"stages need each other in a circle: {way}.")]
    return []
