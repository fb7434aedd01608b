"""`task=compare`: every policy alone on the same missions, seeds and maps; then who differs, and by how much."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from daf.comparison.algorithms import AlgorithmComparisonResult, compare_trained
from daf.comparison.checkpoints import weights_notes
from daf.comparison.early_stopping import with_sequential_decisions
from daf.comparison.metric_advice import flat_metric
from daf.comparison.paired import incomplete_notes, paired_scores, score_range
from daf.comparison.publish import daf_publish_comparison
from daf.comparison.setup import report_setup
from daf.comparison.winners import packing_command, standing_facts
from daf.config.commands import OF_COMPARISON, command_for
from daf.config.missions import mission_specs
from daf.config.schemas import DAFComparisonConfig, DAFConfig, DAFPolicyConfig
from daf.episodes.kept import RECORDS
from daf.episodes.outcomes import EpisodeFailure
from daf.episodes.plans import plan_episodes, unique_names, warn_about_untrained
from daf.episodes.played import failure_notes, log_episodes, play_with_progress, timeout_notes
from daf.errors import DAFConfigError, Problem
from daf.execution.loading import offers_network
from daf.records import EpisodeRecord
from daf.results import TaskResult
from daf.tasks import KeyedPolicy, Task, keyed
from daf.tracking.tracker import Tracker
from daf.visualization.comparison_files import ComparisonReport
from daf.visualization.comparison_tables import pairs_table, summary_table
from daf.visualization.findings import ComparisonFindings, ReportSetup
from daf.visualization.groups import SHARED_LETTERS, policy_groups
from daf.visualization.replays.recording import daf_record_replays
from daf.visualization.text import known_direction
from daf.visualization.verdict import verdict

if TYPE_CHECKING:
    from daf.statistics import Comparison, PairedScores, SequentialComparison


@dataclass(frozen=True, kw_only=True)
class PolicyComparisonResult(TaskResult):
    """A comparison and the episodes behind it.

    Attributes:
        objective: mean of the first policy over all missions, in the compared metric.
        sequential: the state in which the rounds stopped, or None for a fixed number of episodes.
        failures: episodes that could not be played; their seeds are left out for every policy.
        report: where every table, plot and the HTML report lie.
    """

    comparison: "Comparison"
    sequential: "SequentialComparison | None"
    scores: "PairedScores"
    records: tuple[EpisodeRecord, ...]
    failures: tuple[EpisodeFailure, ...]
    report: ComparisonReport


@dataclass(frozen=True)
class Played:
    """The episodes of a comparison, their scores, and where the rounds stopped if there were any."""

    records: list[EpisodeRecord]
    failures: list[EpisodeFailure]
    scores: "PairedScores"
    sequential: "SequentialComparison | None"


def daf_compare_policies(config: DAFConfig, tracker: Tracker) -> PolicyComparisonResult | AlgorithmComparisonResult:
    """Lets `comparison.policies` play the same episodes, compares them and logs tables, plots and a report.

    Each policy plays alone, so that its reward is its own. With `comparison.stopping=sequential` they play in rounds
    until every pair is decided or `comparison.max_episodes` is reached. With `comparison.trainings` algorithms are
    trained first, so many times each, and compared as such.

    Raises:
        DAFConfigError: fewer than two policies.
        DAFError: there is no seed that every policy finished.
    """
    if entrants(config) < 2:
        raise DAFConfigError([TOO_FEW_POLICIES])
    if config.comparison.trainings:
        return compare_trained(config, tracker)
    played = play_policies(config, tracker, "comparison")
    result = conclude(config.comparison, played, tracker, _setup(config, played, tracker))
    return replace(result, next=_next(config, result.facts.get("winner")))


def _setup(config: DAFConfig, played: Played, tracker: Tracker) -> ReportSetup:
    """What the report says about this run; with `evaluation.replays` episodes are recorded for it."""
    missions = mission_specs(config)
    policies = unique_names([policy.spec() for policy in config.comparison.policies])
    replays = (
        daf_record_replays(config, played.records, policies, missions, tracker) if config.evaluation.replays else ()
    )
    return report_setup(config, tracker, missions, policies, played.records, replays)


def conclude(
    options: DAFComparisonConfig, played: Played, tracker: Tracker, setup: ReportSetup | None = None
) -> PolicyComparisonResult:
    """Everything after the last episode: statistics, verdict, tables, plots, report.

    Args:
        setup: where the episodes come from, for the report.
    """
    findings = replace(comparison_findings(options, played), setup=setup or ReportSetup())
    comparison, scores = findings.comparison, findings.scores
    report = daf_publish_comparison(findings, tracker)
    means = {policy: comparison.summary(policy).mean.value for policy in scores.policies}
    overall = [pair for pair in comparison.pairs if pair.mission is None]
    return PolicyComparisonResult(
        objective=comparison.summary(scores.policies[0]).mean.value,
        tables=(summary_table(comparison, scores.metric, findings.direction), pairs_table(comparison)),
        notes=(*findings.notes, *_where(findings.setup, report)),
        failed=len(played.failures),
        facts={"verdict": findings.notes[0], **standing_facts(means, overall, findings.direction)},
        files={
            **({"report": report.html} if report.html else {}),
            "data": report.json,
            "records": report.folder / RECORDS,
        },
        comparison=comparison,
        sequential=played.sequential,
        scores=scores,
        records=tuple(played.records),
        failures=tuple(played.failures),
        report=report,
    )


def _next(config: DAFConfig, winner: str | None) -> str | None:
    """How the winner is packed; where nobody has won, how many episodes would tell."""
    from daf.statistics.estimates import MIN_EPISODES

    if winner is None:
        episodes = max(config.evaluation.episodes, MIN_EPISODES)  # fewer are no pilot
        evaluation = config.evaluation.model_copy(update={"episodes": episodes})
        return command_for(config.model_copy(update={"evaluation": evaluation}), "power", OF_COMPARISON)
    specs = unique_names([policy.spec() for policy in config.comparison.policies])
    return packing_command(config, config.comparison.policies[[spec.name for spec in specs].index(winner)])


def _where(setup: ReportSetup, report: ComparisonReport) -> Iterator[str]:
    """Where the report and the replays can be seen."""
    if report.html:
        yield f"Report: {report.html}"
    yield from (f"Replays: {(report.folder / link.href).resolve()}" for link in setup.replays)


def comparison_findings(options: DAFComparisonConfig, played: Played) -> ComparisonFindings:
    """What the statistics say of the episodes, and the sentences about it."""
    from daf.statistics import compare, score_profiles

    scores = played.scores
    rng = np.random.default_rng(0)
    ends = score_range(scores.metric, options.range, scores.values, played.records)
    comparison = compare(
        scores.values, scores.policies, scores.missions, level=options.level, rng=rng, score_range=ends
    )
    if played.sequential:
        comparison = with_sequential_decisions(comparison, played.sequential)
    direction = known_direction(options.metric, options.direction)
    return ComparisonFindings(
        comparison=comparison,
        direction=direction,
        scores=scores,
        profiles=score_profiles(scores, level=comparison.level),
        sequential=played.sequential,
        notes=(
            *verdict(comparison, scores.metric, flat_metric(scores, played.records), direction),
            *weights_notes(unique_names([policy.spec() for policy in options.policies])),
            *([SHARED_LETTERS] if policy_groups(comparison, direction) else []),
            *_rounds_note(played.sequential, options.max_episodes),
            _length_note(played.records),
            *incomplete_notes(scores),
            *failure_notes(played.failures, "comparison"),
            *timeout_notes(played.records),
            *_warnings(comparison),
        ),
    )


def play_policies(config: DAFConfig, tracker: Tracker, folder: str) -> Played:
    """Plays the fixed number of episodes, or rounds until the statistics say stop; all plans of a round in one call.

    Args:
        folder: where the episodes are kept, below the output folder and with the run.

    Raises:
        DAFError: there is no seed that every policy finished.
    """
    options, missions = config.comparison, mission_specs(config)
    policies = unique_names([policy.spec() for policy in options.policies])
    warn_about_untrained(policies, tracker)
    names, mission_names = [p.name for p in policies], [m.name for m in missions]
    records: list[EpisodeRecord] = []
    failures: list[EpisodeFailure] = []
    for first, count in _rounds(config):
        evaluation = config.evaluation.model_copy(update={"seed": config.evaluation.seed + first, "episodes": count})
        part = config.model_copy(update={"evaluation": evaluation})
        plans = [plan for policy in policies for mission in missions for plan in plan_episodes(part, mission, policy)]
        played = play_with_progress(part, plans, folder)
        records += played.records
        failures += played.failures
        # Before anything is computed: what was played is kept, whatever happens later.
        log_episodes(tracker, folder, records, failures)
        scores = paired_scores(records, failures, names, mission_names, options.metric)
        state = where_rounds_stand(options, scores, records)
        if state is None:
            return Played(records, failures, scores, None)
        undecided = sum(pair.decision == "undecided" for pair in state.pairs)
        tracker.log_metrics({"comparison/undecided_pairs": undecided}, step=first + count)
        if state.finished:
            break
    return Played(records, failures, scores, state)


def where_rounds_stand(
    options: DAFComparisonConfig, scores: "PairedScores", records: Sequence[EpisodeRecord]
) -> "SequentialComparison | None":
    """What the rounds have decided so far; None for a fixed number of episodes."""
    from daf.statistics import sequential_comparison

    if options.margin is None or options.stopping == "fixed":
        return None
    ends = score_range(options.metric, options.range, scores.values, records)
    return sequential_comparison(
        scores.values, scores.policies, margin=options.margin, level=options.level, score_range=ends
    )


def _rounds(config: DAFConfig) -> Iterator[tuple[int, int]]:
    """Number of the first episode and of all episodes of each round."""
    options = config.comparison
    if options.stopping == "fixed":
        yield 0, config.evaluation.episodes
        return
    for first in range(0, options.max_episodes, options.round_episodes):
        yield first, min(options.round_episodes, options.max_episodes - first)


def _rounds_note(state: "SequentialComparison | None", most: int) -> Iterator[str]:
    if state is None:
        return
    reached = "every pair is decided" if state.finished else "comparison.max_episodes is reached"
    yield f"Stopped after {state.episodes_per_mission} of at most {most} episodes per mission: {reached}. {state.note}"


def _length_note(records: Sequence[EpisodeRecord]) -> str:
    lengths = sorted({record.max_steps for record in records})
    steps = " or ".join(map(str, lengths))
    return f"Episodes of {steps} steps (mission.max_steps); what holds for these may not hold for longer ones."


def _warnings(comparison: "Comparison") -> Iterator[str]:
    """Every warning once, with the policies whom it concerns unless those are all."""
    for warning in comparison.warnings:
        concerned = [policy for policy in comparison.policies if warning in comparison.summary(policy).warnings]
        names = f"{', '.join(concerned)}: " if len(concerned) < len(comparison.policies) and concerned else ""
        yield f"Note: {names}{warning}."


TOO_FEW_POLICIES = Problem(
    "comparison.policies", "holds fewer than two policies.", "For example: comparison.policies=[starter,random,noop]."
)


def entrants(config: DAFConfig) -> int:
    """How many policies and algorithms are compared."""
    return len(config.comparison.algorithms) + len(config.comparison.policies)


def compared_policies(config: DAFConfig) -> list[KeyedPolicy]:
    """`comparison.policies`, and `policy` where algorithms are made from it."""
    trained = [("policy", config.policy)] if config.comparison.algorithms else []
    return [*trained, *keyed("comparison.policies", config.comparison.policies)]


def listed_policies(config: DAFConfig) -> tuple[DAFPolicyConfig, ...]:
    """`comparison.policies`."""
    return config.comparison.policies


def _problems(config: DAFConfig) -> list[Problem]:
    return [] if entrants(config) > 1 else [TOO_FEW_POLICIES]


def trains_algorithms(config: DAFConfig) -> bool:
    """Algorithms, and listed networks without weights where there are trainings."""
    options = config.comparison
    return bool(options.algorithms) or (options.trainings > 0 and any(map(_is_untrained, options.policies)))


def _is_untrained(policy: DAFPolicyConfig) -> bool:
    try:
        return policy.weights is None and offers_network(policy.spec())
    except Exception:  # a policy is anybody's code; the check of the policies says what is wrong
        return False


COMPARE = Task(
    name="compare",
    run=daf_compare_policies,
    policies=compared_policies,
    named_after=listed_policies,
    problems=_problems,
    trains=trains_algorithms,
    gives=frozenset({"data", "records"}),
)
