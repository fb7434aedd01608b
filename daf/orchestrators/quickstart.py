"""`task=quickstart`: train, evaluate beside baselines on held-out seeds, plot, and say whether it learned."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from daf.comparison.scores import PairedScores, paired_scores, tell_incomplete
from daf.config.schemas import DAFConfig
from daf.evaluation.task import LEVEL, EvaluationResult, daf_evaluate
from daf.results import ResultTable, TaskResult
from daf.tasks import Task
from daf.tracking.tracker import Tracker
from daf.training.task import TRAIN, TrainingResult, daf_train
from daf.visualization import daf_plot_policy_comparison, daf_plot_training_curves
from daf.visualization.text import ALL_MISSIONS, level_text

if TYPE_CHECKING:
    from daf.statistics import Comparison, PairResult


@dataclass(frozen=True, kw_only=True)
class QuickstartResult(TaskResult):
    """A training and the evaluation of what it produced."""

    training: TrainingResult
    evaluation: EvaluationResult


def daf_quickstart(config: DAFConfig, tracker: Tracker) -> QuickstartResult:
    """Trains the policy, evaluates it beside `evaluation.policies` and `evaluation.baselines`, and compares them.

    They are compared on the seeds that they all finished, over all missions. A policy that shares no such seed is left
    out, and told.
    """
    training = daf_train(config, tracker)
    trained = config.policy.model_copy(
        update={"name": f"{config.policy.spec().name} (trained)", "weights": str(training.checkpoint_dir)}
    )
    options = config.evaluation.model_copy(update={"policies": (trained, *config.evaluation.policies)})
    evaluation = daf_evaluate(config.model_copy(update={"evaluation": options}), tracker)
    scores = comparable_scores(evaluation)
    _plot_curve(evaluation.policies[0], training, _held_out(scores, config.mission.name), tracker)
    compared = [_compare(scores, tracker)] if scores else []
    return QuickstartResult(
        objective=evaluation.objective,
        tables=(*training.tables, *evaluation.tables, *compared),
        notes=(*evaluation.notes, *_tell_left_out(evaluation, scores), *training.notes),
        training=replace(training, tables=(), notes=()),
        evaluation=replace(evaluation, tables=(), notes=()),
    )


def comparable_scores(evaluation: EvaluationResult) -> PairedScores | None:
    """Rewards on the seeds that all policies finished on every mission; None where nothing can be compared.

    A policy without such a seed in common with the trained one and those between is left out.
    """

    def finished(policy: str) -> set[int]:
        return set.intersection(*(set(evaluation.rewards(policy, mission)) for mission in evaluation.missions))

    trained, *others = evaluation.policies
    compared, common = [trained], finished(trained)
    for other in others:
        if shared := common & finished(other):
            compared.append(other)
            common = shared
    if len(compared) < 2:
        return None
    return paired_scores(evaluation.records, evaluation.failures, compared, evaluation.missions, "reward")


def _compare(scores: PairedScores, tracker: Tracker) -> ResultTable:
    """Compares and plots all policies, missions weighing equally."""
    from daf.statistics import compare

    rng = np.random.default_rng(0)
    comparison = compare(scores.values, scores.policies, scores.missions, level=LEVEL, rng=rng)
    _plot_policies(scores, comparison, tracker)
    return comparison_table(comparison)


def comparison_table(comparison: "Comparison") -> ResultTable:
    """The first policy against every other, paired by seed; p-values are corrected for all pairs."""
    trained, *others = comparison.policies
    rows = tuple(_row(other, comparison.pair(trained, other)) for other in others)
    columns = ("against", "episodes", "difference", f"{level_text(LEVEL)} interval", "p (corrected)", "verdict")
    return ResultTable(f"{trained} on {_missions(comparison)}, paired by seed", columns, rows)


def _missions(comparison: "Comparison") -> str:
    return ALL_MISSIONS if len(comparison.missions) > 1 else comparison.missions[0]


def _tell_left_out(evaluation: EvaluationResult, scores: PairedScores | None) -> Iterator[str]:
    """Sentences about what was not compared; why episodes failed stands in the evaluation's own notes."""
    trained, *others = evaluation.policies
    compared = scores.policies if scores else ()
    if absent := [other for other in others if other not in compared]:
        yield f"Not compared, for want of a seed that {trained} finished too on every mission: {', '.join(absent)}."
    if scores:
        yield from tell_incomplete(scores)


def _row(other: str, pair: "PairResult") -> tuple[str, ...]:
    interval = pair.difference.interval
    return (
        other,
        str(pair.episodes),
        f"{pair.difference.value:+.4f}",
        f"{interval.low:+.4f} to {interval.high:+.4f}" if interval else "-",
        "-" if pair.p_value is None else f"{pair.p_value:.2g}",
        _verdict(pair),
    )


def _verdict(pair: "PairResult") -> str:
    if pair.p_value is None:
        return pair.decision
    if not pair.significant:
        return "no significant difference"
    return "higher" if pair.difference.value > 0 else "lower"


def _held_out(scores: PairedScores | None, mission: str) -> dict[str, float]:
    """What the policies beside the trained one earn on a mission; nothing where they were not compared on it."""
    if scores is None or mission not in scores.missions:
        return {}
    means = scores.values[:, scores.missions.index(mission)].mean(axis=1).tolist()
    return dict(zip(scores.policies[1:], means[1:], strict=True))


def _plot_curve(name: str, training: TrainingResult, references: Mapping[str, float], tracker: Tracker) -> None:
    """The learning curve, with the rewards of other policies as lines."""
    plot = daf_plot_training_curves(
        {name: training.curve},
        tracker.output_dir / "plots" / "learning_curve.png",
        references=references,
        metric="mean episode reward per agent",
        window=3,
    )
    tracker.log_file(plot, "plots")


def _plot_policies(scores: PairedScores, comparison: "Comparison", tracker: Tracker) -> None:
    """The compared episodes of all policies, with intervals."""
    means = {policy: comparison.summary(policy).mean for policy in scores.policies}
    plot = daf_plot_policy_comparison(
        {policy: scores.sample(number, None).tolist() for number, policy in enumerate(scores.policies)},
        tracker.output_dir / "plots" / "policy_comparison.png",
        intervals={name: (m.interval.low, m.interval.high) for name, m in means.items() if m.interval},
        level=LEVEL,
        title=_missions(comparison),
    )
    tracker.log_file(plot, "plots")


QUICKSTART = Task(
    name="quickstart", run=daf_quickstart, trains=TRAIN.trains, decided_by=TRAIN.decided_by, scored_by_sweeps=True
)
