"""`task=quickstart`: train, evaluate beside baselines on held-out seeds, plot, and say whether it learned."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from daf.config.schemas import DAFConfig
from daf.evaluation import LEVEL, EvaluationResult, daf_evaluate
from daf.results import ResultTable, TaskResult
from daf.tracking import Tracker
from daf.training import TrainingResult, daf_train
from daf.visualization import daf_plot_policy_comparison, daf_plot_training_curves

if TYPE_CHECKING:
    from daf.statistics import Comparison, PairResult


@dataclass(frozen=True, kw_only=True)
class QuickstartResult(TaskResult):
    """A training and the evaluation of what it produced."""

    training: TrainingResult
    evaluation: EvaluationResult


def daf_quickstart(config: DAFConfig, tracker: Tracker) -> QuickstartResult:
    """Trains the policy, evaluates it beside `evaluation.baselines`, and compares them, paired by seed."""
    training = daf_train(config, tracker)
    trained = config.policy.model_copy(
        update={"name": f"{config.policy.spec().name} (trained)", "weights": str(training.checkpoint_dir)}
    )
    evaluation = daf_evaluate(config.model_copy(update={"policy": trained}), tracker)
    comparison = compare_evaluated(evaluation)
    table = comparison_table(evaluation, comparison)
    _plot(training, evaluation, comparison, tracker)
    return QuickstartResult(
        objective=evaluation.objective,
        tables=(*training.tables, *evaluation.tables, table),
        notes=(*evaluation.notes, *training.notes),
        training=replace(training, tables=(), notes=()),
        evaluation=replace(evaluation, tables=(), notes=()),
    )


def comparison_table(evaluation: EvaluationResult, comparison: "Comparison") -> ResultTable:
    """The first policy against every other, paired by seed; p-values are corrected for all pairs."""
    candidate, *others = evaluation.policies
    rows = tuple(_row(other, comparison.pair(candidate, other)) for other in others)
    columns = ("against", "episodes", "difference", f"{LEVEL:.0%} interval", "p (corrected)", "verdict")
    return ResultTable(f"{candidate}, paired by seed", columns, rows)


def compare_evaluated(evaluation: EvaluationResult) -> "Comparison":
    """Compares all policies on the seeds that every one of them finished."""
    from daf.statistics import compare

    mission = evaluation.missions[0]
    rewards = [evaluation.rewards(policy, mission) for policy in evaluation.policies]
    seeds = sorted(set.intersection(*(set(own) for own in rewards)))
    scores = np.array([[[own[seed] for seed in seeds]] for own in rewards])
    return compare(scores, evaluation.policies, [mission], level=LEVEL, rng=np.random.default_rng(0))


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


def _plot(training: TrainingResult, evaluation: EvaluationResult, comparison: "Comparison", tracker: Tracker) -> None:
    """The learning curve with the baselines' held-out rewards, and all policies' episodes with intervals."""
    mission = evaluation.missions[0]
    samples = {policy: list(evaluation.rewards(policy, mission).values()) for policy in evaluation.policies}
    means = {policy: comparison.summary(policy).mean for policy in evaluation.policies}
    candidate, *others = evaluation.policies
    curve = daf_plot_training_curves(
        {candidate: training.curve},
        tracker.output_dir / "plots" / "learning_curve.png",
        references={policy: means[policy].value for policy in others},
        metric="mean episode reward per agent",
        window=3,
    )
    bars = daf_plot_policy_comparison(
        samples,
        tracker.output_dir / "plots" / "policy_comparison.png",
        intervals={name: (m.interval.low, m.interval.high) for name, m in means.items() if m.interval},
        level=LEVEL,
        title=evaluation.records[0].mission,
    )
    for plot in (curve, bars):
        tracker.log_file(plot, "plots")
