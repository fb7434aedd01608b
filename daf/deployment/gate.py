"""`task=gate`: is the new policy at least as good as the champion, and does it keep every bound?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from daf.comparison import paired_scores, score_range
from daf.config.commands import deploying
from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig
from daf.deployment.choice import open_target
from daf.deployment.deploy import target_problems
from daf.deployment.guard_rails import Checked, check_guard_rails, guard_rail_problems
from daf.deployment.package import packed_policy
from daf.deployment.rollback import deployed_name, fetched_policy
from daf.deployment.watching import ENOUGH_ALIKE, Ends, is_constant, watched_difference
from daf.episodes.kept import RECORDS
from daf.episodes.outcomes import EpisodeFailure
from daf.episodes.plans import plan_episodes, unique_names, warn_about_untrained
from daf.episodes.played import failure_notes, log_episodes, play_with_progress, timeout_notes
from daf.errors import DAFConfigError, DAFError, Problem
from daf.records import EpisodeRecord, PolicySpec
from daf.results import ResultTable, TaskResult
from daf.tasks import KeyedPolicy, Task
from daf.tracking.tracker import Tracker
from daf.visualization.text import estimate_cells, interval_heading, interval_text, number_text

if TYPE_CHECKING:
    from daf.statistics import Estimate


@dataclass(frozen=True, kw_only=True)
class GateResult(TaskResult):
    """Whether the new policy takes the champion's place.

    Attributes:
        promoted: whether it does.
        difference: new minus champion in `comparison.metric`, with an interval that holds whenever play stopped; None
            without a champion.
        guard_rails: what became of each bound of `deployment.require`.
        records: all played episodes.
    """

    promoted: bool
    difference: "Estimate | None"
    guard_rails: tuple[Checked, ...]
    records: tuple[EpisodeRecord, ...]


@dataclass(frozen=True)
class Judgement:
    """What the sequential test says of the new policy and the champion.

    Attributes:
        decision: ``as good``, ``worse`` or ``undecided``.
        difference: new minus champion, with its confidence sequence at this moment.
    """

    decision: str
    difference: "Estimate"


@dataclass
class _Played:
    records: list[EpisodeRecord]
    failures: list[EpisodeFailure]


def daf_gate_policy(config: DAFConfig, tracker: Tracker) -> GateResult:
    """Holds `deployment.bundle` or `deployment.policy` (or `policy`) against the champion, and moves nothing.

    The champion is `deployment.champion`, or what `deployment.alias` stands for. Both play the same seeds in rounds of
    `comparison.round_episodes` until the test decides, or `comparison.max_episodes` is reached, which keeps the
    champion. The chance of promoting a policy whose mean is lower by more than `deployment.margin` is at most 1 -
    `comparison.level`, however often the test looks. Bounds are held against the new policy's means. Without a champion
    they alone decide, over `evaluation.episodes`.

    Raises:
        DAFError: there is no seed that both finished.
    """
    new, champion = _new_policy(config), _champion(config, tracker)
    policies = unique_names([new, champion] if champion else [new])
    warn_about_untrained(policies, tracker)
    played = _Played([], [])
    judgement = _play(config, policies, played, tracker)
    own = [record for record in played.records if record.policies == (policies[0].name,)]
    if not own:
        raise DAFError(f"no episode could be played by {policies[0].name}: {played.failures[0].reason}")
    rails = check_guard_rails(config.deployment.require, own)
    reasons = [*_reasons(config, judgement, policies), *(rail.why for rail in rails if rail.why)]
    if any(failure.plan.policies[0].name == policies[0].name for failure in played.failures):
        reasons.append(f"{policies[0].name} did not finish every episode")
    tracker.set_tags({"daf.gate": "keep" if reasons else "promote"})
    kept = "the champion stays" if champion else "it is not promoted"
    return GateResult(
        objective=None,
        tables=tuple(_tables(judgement, rails, policies, config)),
        notes=(*_notes(config, judgement, policies, promoted=not reasons), *_trouble(played)),
        refused="; ".join([kept, *reasons]) if reasons else None,
        metrics={"gate/difference": judgement.difference.value} if judgement else {},
        facts=_facts(policies, promoted=not reasons),
        files={"records": tracker.output_dir / "gate" / RECORDS},
        next=None if reasons else _next(config),
        promoted=not reasons,
        difference=judgement.difference if judgement else None,
        guard_rails=tuple(rails),
        records=tuple(played.records),
    )


def _facts(policies: Sequence[PolicySpec], *, promoted: bool) -> dict[str, str]:
    new, *champion = (policy.name for policy in policies)
    facts = {"verdict": "promote" if promoted else "keep", "policy": new}
    return {**facts, "champion": champion[0]} if champion else facts


def _next(config: DAFConfig) -> str:
    """A bundle is deployed; a policy is packed and deployed as well."""
    asked = config.deployment.bundle
    return deploying(config, "deploy", Path(asked).expanduser().absolute() if asked else None)


def judge(
    new: ArrayLike, champion: ArrayLike, *, margin: float, level: float, last: bool = False, ends: Ends = None
) -> Judgement:
    """Whether the new policy's mean is lower by at most `margin`, on what was played so far; (M, E) scores each.

    It may be asked after every round: the chance of ever calling a policy ``as good`` whose mean is lower by more, or
    ``worse`` whose mean is not, is at most 1 - `level`. A difference that has not varied at all decides when the `last`
    round is played, if that was the same in `ENOUGH_ALIKE` episodes and nobody knows the `ends` of scores.
    """
    difference = watched_difference(new, champion, level=level, ends=ends)
    apart = np.asarray(new, dtype=float) - np.asarray(champion, dtype=float)
    low, high = (difference.interval.low, difference.interval.high) if difference.interval else (-np.inf, np.inf)
    if last and ends is None and apart.shape[1] >= ENOUGH_ALIKE and is_constant(apart):
        low = high = difference.value
    if low >= -margin:
        return Judgement("as good", difference)
    return Judgement("worse" if high < -margin else "undecided", difference)


def _play(
    config: DAFConfig,
    policies: Sequence[PolicySpec],
    played: _Played,
    tracker: Tracker,
) -> Judgement | None:
    """Plays rounds until the test decides; without a champion one round."""
    judgement, missions = None, mission_specs(config)
    for first, count in _rounds(config, len(policies)):
        evaluation = config.evaluation.model_copy(update={"seed": config.evaluation.seed + first, "episodes": count})
        part = config.model_copy(update={"evaluation": evaluation})
        plans = [plan for policy in policies for mission in missions for plan in plan_episodes(part, mission, policy)]
        now = play_with_progress(part, plans, "gate")
        played.records += now.records
        played.failures += now.failures
        log_episodes(tracker, "gate", played.records, played.failures)
        if len(policies) == 1:
            return None
        names, mission_names = [policy.name for policy in policies], [mission.name for mission in missions]
        scores = paired_scores(played.records, played.failures, names, mission_names, config.comparison.metric)
        new, champion = scores.values
        last = first + count == config.comparison.max_episodes
        margin, level = config.deployment.margin, config.comparison.level
        ends = score_range(config.comparison.metric, config.comparison.range, scores.values, played.records)
        judgement = judge(new, champion, margin=margin, level=level, last=last, ends=ends)
        tracker.log_metrics({"gate/difference": judgement.difference.value}, step=first + count)
        if judgement.decision != "undecided" or played.failures:
            break
    return judgement


def _rounds(config: DAFConfig, policies: int) -> Iterator[tuple[int, int]]:
    """Number of the first episode, and of episodes, of each round."""
    options = config.comparison
    if policies == 1:
        yield 0, config.evaluation.episodes
        return
    for first in range(0, options.max_episodes, options.round_episodes):
        yield first, min(options.round_episodes, options.max_episodes - first)


def _new_policy(config: DAFConfig) -> PolicySpec:
    asked = config.deployment.bundle
    if asked is None:
        return packed_policy(config)[1].spec()
    bundle = Path(asked).expanduser()
    if not bundle.is_file():
        raise DAFConfigError([Problem("deployment.bundle", f"there is nothing at {asked!r}.")])
    return fetched_policy(config, bundle, bundle.name)


def _champion(config: DAFConfig, tracker: Tracker) -> PolicySpec | None:
    asked = config.deployment.champion
    if asked is not None:
        return asked.spec()
    target = open_target(config, deployed_name(config), tracker)
    version = target.use().version
    if version is None:
        return None
    bundle = target.fetch(version, tracker.output_dir / "champion")
    return fetched_policy(config, bundle, f"{target.name} {version}")


def _trouble(played: _Played) -> list[str]:
    return [*failure_notes(played.failures, "gate"), *timeout_notes(played.records)]


def _reasons(config: DAFConfig, judgement: Judgement | None, policies: Sequence[PolicySpec]) -> Iterator[str]:
    """Why the champion stays, as far as the scores say so."""
    if judgement is None or judgement.decision == "as good":
        return
    new, champion = (policy.name for policy in policies)
    metric, margin = config.comparison.metric, number_text(config.deployment.margin)
    difference = _difference(judgement)
    if judgement.decision == "worse":
        yield f"{new} is worse than {champion} by more than {margin} in {metric}: {difference}"
    else:
        yield (
            f"it is not shown that {new} is at most {margin} worse than {champion} in {metric}: {difference} when play "
            "ended; more episodes (comparison.max_episodes) or a larger deployment.margin may show it"
        )


def _notes(
    config: DAFConfig, judgement: Judgement | None, policies: Sequence[PolicySpec], *, promoted: bool
) -> Iterator[str]:
    """What a promotion rests on."""
    if not promoted:
        return
    name, bounds = policies[0].name, "every bound of deployment.require holds"
    if judgement is None:
        yield f"{name} may be promoted: there is no champion, and {bounds}. task=deploy does it."
    else:
        margin = number_text(config.deployment.margin)
        yield (
            f"{name} may be promoted: at most {margin} worse than {policies[1].name} in {config.comparison.metric}, "
            f"{_difference(judgement)}, and {bounds}. task=deploy does it."
        )


def _difference(judgement: Judgement) -> str:
    difference = judgement.difference
    return f"{number_text(difference.value, '+')} (interval {interval_text(difference, '+')})"


def _tables(
    judgement: Judgement | None, rails: Sequence[Checked], policies: Sequence[PolicySpec], config: DAFConfig
) -> Iterator[ResultTable]:
    if judgement:
        title = f"{policies[0].name} against {policies[1].name}"
        columns = ("metric", "difference", interval_heading(config.comparison.level), "margin", "verdict")
        cells, margin = estimate_cells(judgement.difference, "+"), number_text(config.deployment.margin)
        row = (config.comparison.metric, *cells, margin, judgement.decision)
        yield ResultTable(title, columns, (row,))
    if rails:
        rows = tuple((str(each.rail), number_text(each.mean), "no" if each.why else "yes") for each in rails)
        yield ResultTable("Bounds", ("required", "mean", "holds"), rows)


def _policies(config: DAFConfig) -> list[KeyedPolicy]:
    new = [] if config.deployment.bundle else [packed_policy(config)]
    champion = config.deployment.champion
    return [*new, *([("deployment.champion", champion)] if champion else [])]


def _problems(config: DAFConfig) -> list[Problem]:
    target = [] if config.deployment.champion else target_problems(config)
    return [*target, *guard_rail_problems(config.deployment.require)]


GATE = Task(
    name="gate",
    run=daf_gate_policy,
    policies=_policies,
    named_after=lambda config: [packed_policy(config)[1]],
    problems=_problems,
    gives=frozenset({"records"}),
)
