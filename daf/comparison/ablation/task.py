"""`task=ablation`: what each part of a policy, a mission or a reward contributes, by switching it off.

A part's contribution is the metric with everything on, less the metric without the part, on the same seed. Two parts
interact by as much as their joint contribution differs from the sum of the two.

Either a policy plays with a part off: then seeds are those of episodes. Or it is trained with the part off, and plays
with everything on: then seeds are those of trainings.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daf.comparison.ablation.conditions import Condition, Parts, build_conditions, label
from daf.comparison.ablation.contribution_tables import contribution_note, contribution_tables
from daf.comparison.ablation.contributions import Array, Contributions, contributions, metric_by_condition
from daf.comparison.trainings import trained_policies
from daf.config.schemas import DAFConfig
from daf.episodes.kept import RECORDS
from daf.episodes.plans import plan_episodes, warn_about_untrained
from daf.episodes.played import Played, log_episodes, play_matches, timeout_notes
from daf.errors import DAFError, Problem
from daf.records import EpisodeRecord, MissionSpec
from daf.results import TaskResult
from daf.tasks import Task
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization import daf_plot_policy_comparison
from daf.visualization.drawing import draw_files

if TYPE_CHECKING:
    from daf.statistics import Effect, Estimate


@dataclass(frozen=True, kw_only=True)
class AblationResult(TaskResult):
    """What each part contributes.

    Attributes:
        parts: one effect a part, the largest contribution first; positive where the part raises the metric.
        interactions: one effect for every two parts (``a + b``), the strongest first, as in `Contributions`.
        means: parts that are off to the mean of the metric, missions weighing equally; ``()`` is the baseline.
        records: every finished episode.
    """

    parts: "tuple[Effect, ...]"
    interactions: "tuple[Effect, ...]"
    means: "dict[Parts, Estimate]"
    records: tuple[EpisodeRecord, ...]


def daf_policy_ablation(config: DAFConfig, tracker: Tracker) -> AblationResult:
    """Measures the configured policy as it is, without each part, and without every two of them; ranks what they give.

    All conditions share their seeds, missions are blocks, and the p-values of all contributions and interactions are
    corrected together. With `ablation.trainings`, every condition is trained so many times, each time in a run of its
    own, and the unit is the training. Run again in the same output folder, it trains only what is missing there.

    Raises:
        DAFConfigError: parts that cannot be switched off, all of them named, before anything is trained or played.
        DAFError: no seed that could be finished in every condition.
    """
    from daf.statistics import reliability

    ablation = config.ablation
    conditions = build_conditions(config, tracker)
    if ablation.trainings:
        conditions = [_trained(condition, conditions[0].missions, tracker) for condition in conditions]
    warn_about_untrained(conditions[0].policies, tracker)
    played = _play(conditions, config, tracker)
    values = metric_by_condition(played.records, conditions, played.seeds, ablation.metric)
    found = contributions(values, list(ablation.parts), level=ablation.level, metric=ablation.metric)
    _log(found, tracker)
    draw_files(tracker, "plots", {"ablation.png": partial(_plot, found, values, config)})
    folder = tracker.output_dir / "ablation"
    return AblationResult(
        objective=found.means[()].value,
        tables=contribution_tables(found),
        notes=(
            *played.notes("ablation"),
            *timeout_notes(played.records),
            contribution_note(found),
            *reliability(values[()].shape[1], "trainings" if ablation.trainings else "seeds a mission"),
        ),
        facts={"largest": found.parts[0].name},
        files={"data": folder / "ablation.json", "records": folder / RECORDS},
        parts=found.parts,
        interactions=found.interactions,
        means=found.means,
        records=played.records,
    )


def _trained(condition: Condition, missions: tuple[MissionSpec, ...], tracker: Tracker) -> Condition:
    """The condition's policies after `ablation.trainings` trainings, ready to play on missions with everything on."""
    trainings = condition.config.ablation.trainings
    policies = trained_policies(condition.config, condition.policies[0], trainings, tracker)
    return replace(condition, missions=missions, policies=policies)


def _play(conditions: Sequence[Condition], config: DAFConfig, tracker: Tracker) -> Played:
    """Plays and keeps every condition's episodes. DAFError if no seed was finished in all of them."""
    plans = [
        plan
        for condition in conditions
        for mission in condition.missions
        for policy in condition.policies
        for plan in plan_episodes(config, mission, policy)
    ]
    played = play_matches(config, plans, "ablation")
    log_episodes(tracker, "ablation", played.records, played.failures)
    if not played.seeds:
        reasons = dict.fromkeys(f"{failure.plan.policies[0].name}: {failure.reason}" for failure in played.failures)
        raise DAFError("no seed was finished in every condition:" + "".join(f"\n  - {reason}" for reason in reasons))
    return played


def _log(found: Contributions, tracker: Tracker) -> None:
    metrics = {metric_name("ablation/contribution", effect.name): effect.value.value for effect in found.parts}
    metrics |= {metric_name("ablation/interaction", e.name): e.value.value for e in found.interactions}
    metrics |= {metric_name("ablation/mean", label(off)): mean.value for off, mean in found.means.items()}
    tracker.log_metrics(metrics)
    data = {
        "metric": found.metric,
        "means": {label(off): asdict(mean) for off, mean in found.means.items()},
        "parts": [asdict(effect) for effect in found.parts],
        "interactions": [asdict(effect) for effect in found.interactions],
    }
    tracker.log_text(json.dumps(data, indent=1) + "\n", "ablation/ablation.json")


def _plot(found: Contributions, values: Mapping[Parts, Array], config: DAFConfig, path: Path) -> Path:
    """Every part's contribution on each seed, missions weighing equally."""
    estimates = {effect.name: effect.value for effect in found.parts}
    return daf_plot_policy_comparison(
        {name: (values[()] - values[name,]).mean(axis=0).tolist() for name in estimates},
        path,
        intervals={name: (e.interval.low, e.interval.high) for name, e in estimates.items() if e.interval},
        level=found.level,
        metric=f"contribution to {found.metric}",
        units="seeds",
        title=config.policy.spec().name,
    )


def _problems(config: DAFConfig) -> list[Problem]:
    if config.ablation.parts:
        return []
    hint = "For example: +ablation.parts.memory.zero=[_rnn]."
    return [Problem("ablation.parts", "names nothing to switch off.", hint)]


def _trains(config: DAFConfig) -> bool:
    return config.ablation.trainings > 0


ABLATION = Task(
    name="ablation",
    run=daf_policy_ablation,
    problems=_problems,
    trains=_trains,
    gives=frozenset({"data", "records"}),
)
