"""`task=quickstart`: train, evaluate beside baselines on held-out seeds, plot, and say whether it learned."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from daf.comparison import incomplete_notes, paired_scores, weights_notes
from daf.config.schemas import DAFConfig
from daf.evaluation import EvaluationResult, daf_evaluate
from daf.results import ResultTable, TaskResult
from daf.tasks import Task
from daf.tracking.tracker import Tracker
from daf.training import TRAIN, TrainingResult, daf_train
from daf.visualization import daf_plot_training_curves
from daf.visualization.comparison_plots import plot_scores
from daf.visualization.comparison_tables import versus_table

if TYPE_CHECKING:
    from daf.statistics import PairedScores


@dataclass(frozen=True, kw_only=True)
class QuickstartResult(TaskResult):
    """A training and the evaluation of what it produced."""

    training: TrainingResult
    evaluation: EvaluationResult


def daf_quickstart(config: DAFConfig, tracker: Tracker) -> QuickstartResult:
    """Trains the policy, evaluates it beside `evaluation.policies` and `evaluation.baselines`, and compares them.

    They are compared on the seeds that they all finished, over all missions. A policy that shares no such seed is left
    out, and a note says so.
    """
    training = daf_train(config, tracker)
    asked = _with_trained(config, training)
    evaluation = daf_evaluate(asked, tracker)
    scores = comparable_scores(evaluation)
    _plot_curve(evaluation.policies[0], training, _held_out(scores, config.mission.name), tracker)
    compared = [_compare(scores, config.level, tracker)] if scores else []
    weights = weights_notes(policy.spec() for policy in asked.evaluation.policies)
    return QuickstartResult(
        objective=evaluation.objective,
        tables=(*training.tables, *evaluation.tables, *compared),
        notes=(*evaluation.notes, *_left_out_notes(evaluation, scores), *weights, *training.notes),
        training=training,
        evaluation=evaluation,
    )


def _with_trained(config: DAFConfig, training: TrainingResult) -> DAFConfig:
    """The config whose first policy to evaluate is the trained one."""
    trained = config.policy.model_copy(update={"weights": str(training.checkpoint_dir)})
    options = config.evaluation.model_copy(update={"policies": (trained, *config.evaluation.policies)})
    return config.model_copy(update={"evaluation": options})


def comparable_scores(evaluation: EvaluationResult) -> "PairedScores | None":
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


def _compare(scores: "PairedScores", level: float, tracker: Tracker) -> ResultTable:
    """Compares and plots all policies, missions weighing equally."""
    from daf.statistics import compare

    rng = np.random.default_rng(0)
    comparison = compare(scores.values, scores.policies, scores.missions, level=level, rng=rng)
    plot = plot_scores(comparison, scores, tracker.output_dir / "plots" / "policy_comparison.png")
    tracker.log_file(plot, "plots")
    return versus_table(comparison)


def _left_out_notes(evaluation: EvaluationResult, scores: "PairedScores | None") -> Iterator[str]:
    """Sentences about what was not compared; why episodes failed stands in the evaluation's notes."""
    trained, *others = evaluation.policies
    compared = scores.policies if scores else ()
    if absent := [other for other in others if other not in compared]:
        yield f"Not compared, for want of a seed that {trained} finished too on every mission: {', '.join(absent)}."
    if scores:
        yield from incomplete_notes(scores)


def _held_out(scores: "PairedScores | None", mission: str) -> dict[str, float]:
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


QUICKSTART = Task(
    name="quickstart", run=daf_quickstart, trains=TRAIN.trains, decided_by=TRAIN.decided_by, scored_by_sweeps=True
)
