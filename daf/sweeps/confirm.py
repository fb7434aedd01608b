"""Which trial is really best: the top ones and the baseline once more, on seeds that no trial has seen."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from daf.config.schemas import DAFConfig
from daf.results import ResultTable
from daf.sweeps.bookkeeping import last_line
from daf.sweeps.space import Assignments, Compose
from daf.sweeps.state import best_trials, in_state, name_of
from daf.sweeps.trial import TrialJob, TrialOutcome, seeds_from
from daf.tasks import find_task

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from daf.statistics import Comparison, PairResult
    from daf.sweeps.scores import Scores

log = logging.getLogger(__name__)

LEVEL = 0.95
#: Characters of what a trial varied that a sentence can hold.
LONGEST_NAME = 60
#: How far fresh seeds lie from those of the trials.
FRESH_TRAINING, FRESH_EVALUATION = 100_000, 10_000_000
RunJobs = Callable[[Sequence[TrialJob], Callable[[int, TrialOutcome], None]], list[str]]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A trial that is confirmed.

    Attributes:
        number: of the trial.
        name: what it varied.
        samples: its confirmed scores in an order shared by all candidates: strata (training seeds and missions of a
            re-evaluation, one for a retraining), each with a score for every episode (or every training).
    """

    number: int
    name: str
    samples: tuple[tuple[float, ...], ...]

    @property
    def label(self) -> str:
        """How sentences call it; where much varied, the table says what."""
        return f"trial {self.number} ({self.name})" if len(self.name) <= LONGEST_NAME else f"trial {self.number}"


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What fresh seeds say.

    Attributes:
        best: number of the trial with the best confirmed mean.
        winner: the same number if it is significantly better than the baseline (or, without one, than the runner-up),
            else None.
        verdict: the finding, in sentences.
        table: every candidate with mean, interval and its tests against the best.
        mean: the best one's confirmed mean.
        interval: its interval, or None where there are too few scores.
    """

    best: int
    winner: int | None
    verdict: str
    table: ResultTable
    mean: float
    interval: tuple[float, float] | None


def confirm(
    study: "optuna.Study", config: DAFConfig, compose: Compose, output_dir: Path, run_jobs: RunJobs
) -> Confirmation | None:
    """Confirms the top trials and the baseline; None where there is nothing to confirm, or it is not asked for.

    A score that the study already holds is not played again, so an interrupted confirmation goes on.
    """
    sweep = config.sweep
    chosen = [] if sweep.confirm == "off" or len(study.directions) > 1 else candidates(study, config)
    task = find_task(config.task)
    retrain = sweep.confirm == "retrain" and task.trains(config)
    if not chosen or not task.scored_by_sweeps:
        return None
    if not retrain and config.objective.metric[0].startswith("train/"):
        log.warning("Nothing is confirmed: %s needs sweep.confirm=retrain", config.objective.metric[0])
        return None
    jobs = [
        (trial, job)
        for trial in chosen
        for job in _jobs(trial, config, compose, output_dir / "confirmation", retrain=retrain)
    ]
    missing = [(trial, job) for trial, job in jobs if _key(trial, job) not in study.user_attrs]

    def keep(index: int, outcome: TrialOutcome) -> None:
        trial, job = missing[index]
        study.set_user_attr(_key(trial, job), [_plain(scores) for scores in outcome.scores])

    failures = run_jobs([job for _, job in missing], keep)
    attrs = study.user_attrs
    kept = [trial for trial in chosen if all(_key(own, job) in attrs for own, job in jobs if own is trial)]
    samples = {
        trial.number: _samples([attrs[_key(own, job)] for own, job in jobs if own is trial], retrain) for trial in kept
    }
    found = [Candidate(number=t.number, name=name_of(t), samples=samples[t.number]) for t in kept]
    if not found:
        log.warning("The confirmation failed: %s", last_line(failures[0]) if failures else "no trial has scores")
        return None
    baseline = _baseline(study)
    result = judge(found, None if baseline is None else baseline.number, study.direction.name == "MAXIMIZE")
    about = (
        f"Each config was trained anew {sweep.confirm_seeds} times; a test compares trainings."
        if retrain
        else "The trained policies played fresh seeds: this is about them. sweep.confirm=retrain tests the configs."
    )
    lost = f" {len(failures)} runs of the confirmation failed." if failures else ""
    return replace(result, verdict=f"{result.verdict} {about}{lost}")


def candidates(study: "optuna.Study", config: DAFConfig) -> "list[FrozenTrial]":
    """The best trials, and the baseline if it is not among them."""
    chosen = best_trials(study, config.sweep.confirm_top_k)
    baseline = _baseline(study)
    return chosen if baseline is None or baseline in chosen else [*chosen, baseline]


def _baseline(study: "optuna.Study") -> "FrozenTrial | None":
    """The first enqueued trial, if it came to an end."""
    complete = in_state(study.get_trials(deepcopy=False), "COMPLETE")
    return next((trial for trial in complete if trial.user_attrs.get("baseline")), None)


def _jobs(trial: "FrozenTrial", config: DAFConfig, compose: Compose, folder: Path, *, retrain: bool) -> list[TrialJob]:
    """Retraining: one job for each training seed. Otherwise one job that plays the policies that there are."""
    assignments: Assignments = trial.user_attrs["assignments"]
    sweep, own = config.sweep, compose(assignments)
    evaluation = own.evaluation.model_copy(
        update={"seed": own.evaluation.seed + FRESH_EVALUATION, "episodes": sweep.confirm_episodes}
    )
    own = own.model_copy(update={"evaluation": evaluation})
    job = TrialJob(
        config=own.model_copy(update={"output_dir": str(folder / str(trial.number))}),
        name=f"confirm {name_of(trial)}",
        # Below the trial that is confirmed, so that the sweep's own children are its trials and nothing else.
        parent_run_id=trial.user_attrs["run_id"],
        tags={"daf.trial.number": str(trial.number), "daf.trial.confirms": "true"},
        training_seeds=seeds_from(own.seed, sweep.seeds_per_trial),
        weights=tuple(trial.user_attrs.get("checkpoints", ())) or None,
    )
    if not retrain:
        return [job]
    seeds = seeds_from((config.seed + FRESH_TRAINING) % 2**31, sweep.confirm_seeds)
    return [
        replace(
            job,
            config=own.model_copy(update={"seed": seed, "output_dir": str(folder / f"{trial.number}-seed-{seed}")}),
            name=f"{job.name} seed={seed}",
            training_seeds=(seed,),
            weights=None,
        )
        for seed in seeds
    ]


def _key(trial: "FrozenTrial", job: TrialJob) -> str:
    """Under which the study keeps a job's scores: everything that decides them."""
    evaluation = job.config.evaluation
    what = "retrain" if job.weights is None else "reevaluate"
    seeds = ",".join(map(str, job.training_seeds))
    return f"confirm {trial.number} {what} {seeds} {evaluation.seed}+{evaluation.episodes}"


def _plain(scores: "Scores") -> list[list[Any]]:
    return [[mission, seed, values[0]] for (mission, seed), values in sorted(scores.items())]


def _samples(results: Sequence[Sequence[Sequence[Sequence[Any]]]], retrain: bool) -> tuple[tuple[float, ...], ...]:
    """The scores of one candidate, arranged for the comparison.

    Trained anew, a config has one score for each training: the episodes of one training are not independent of each
    other. Evaluated again, a policy has one for each episode, and training seeds and missions are strata.
    """
    policies = [scores for result in results for scores in result]
    if retrain:
        return (tuple(_mean_over_missions(scores) for scores in policies),)
    return tuple(
        tuple(value for own, _, value in scores if own == mission)
        for scores in policies
        for mission in sorted({own for own, _, _ in scores})
    )


def _mean_over_missions(scores: Sequence[Sequence[Any]]) -> float:
    missions = sorted({mission for mission, _, _ in scores})
    return fmean(fmean(value for own, _, value in scores if own == mission) for mission in missions)


def judge(found: Sequence[Candidate], baseline: int | None, maximize: bool) -> Confirmation:
    """Decides between candidates with a paired test on the same fresh seeds, corrected for all pairs.

    Args:
        baseline: number of the trial to beat, or None.
        maximize: whether more is better.
    """
    from daf.statistics import compare

    sign = 1.0 if maximize else -1.0
    ordered = sorted(found, key=lambda own: -sign * fmean(fmean(stratum) for stratum in own.samples))
    scores = np.array([own.samples for own in ordered], dtype=float)
    strata = [f"stratum {index}" for index in range(scores.shape[1])]
    comparison = compare(scores, [own.label for own in ordered], strata, level=LEVEL, rng=np.random.default_rng(0))
    best, *others = ordered
    pairs = {other.number: comparison.pair(best.label, other.label) for other in others}
    runner_up = next((other for other in others if other.number != baseline), None)
    rival = next((other for other in others if other.number == baseline), None) if baseline is not None else runner_up
    won = rival is not None and pairs[rival.number].significant
    estimate = comparison.summary(best.label).mean
    return Confirmation(
        best=best.number,
        winner=best.number if won else None,
        verdict=_verdict(best, runner_up, baseline, pairs, won),
        table=_table(ordered, comparison, pairs, baseline),
        mean=estimate.value,
        interval=(estimate.interval.low, estimate.interval.high) if estimate.interval else None,
    )


def _verdict(
    best: Candidate, runner_up: Candidate | None, baseline: int | None, pairs: "Mapping[int, PairResult]", won: bool
) -> str:
    if not pairs:
        return f"Only {best.label} was confirmed, so there is nothing to compare it with."
    parts = [
        f"{best.label} is the winner." if won else f"No winner: no significant difference in favour of {best.label}."
    ]
    if baseline == best.number:
        parts = [f"No winner: nothing beats the baseline, {best.label}."]
    elif baseline is not None and baseline in pairs:
        parts.append(f"Against the baseline: {pairs[baseline].decision}.")
    if runner_up is not None:
        parts.append(f"Against the runner-up: {pairs[runner_up.number].decision}.")
    return " ".join(parts)


def _table(
    ordered: Sequence[Candidate],
    comparison: "Comparison",
    pairs: "Mapping[int, PairResult]",
    baseline: int | None,
) -> ResultTable:
    columns = ("trial", "what varied", "confirmed mean", f"{LEVEL:.0%} interval", "n", "p, against the best")
    rows = []
    for own in ordered:
        summary = comparison.summary(own.label)
        interval, pair = summary.mean.interval, pairs.get(own.number)
        rows.append(
            (
                f"{own.number}{' (baseline)' if own.number == baseline else ''}",
                own.name,
                f"{summary.mean.value:.4f}",
                f"{interval.low:.4f} to {interval.high:.4f}" if interval else "-",
                str(summary.episodes),
                "-" if pair is None or pair.p_value is None else f"{pair.p_value:.2g}",
            )
        )
    return ResultTable("Confirmed on fresh seeds (p corrected for all pairs)", columns, tuple(rows))


def confirmation_json(confirmation: Confirmation) -> str:
    """The finding as JSON, for a file beside the plots."""
    content = {
        "best": confirmation.best,
        "winner": confirmation.winner,
        "verdict": confirmation.verdict,
        "mean": confirmation.mean,
        "interval": confirmation.interval,
    }
    return json.dumps(content, indent=2) + "\n"
