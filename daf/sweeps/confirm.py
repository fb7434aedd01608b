"""Which trial is really best: the top ones and the baseline once more, on seeds that no trial has seen."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from daf.config.schemas import DAFConfig
from daf.sweeps.facts import EpisodeScore, PolicyScores
from daf.sweeps.jobs import Scores, TrialJob, TrialOutcome, seeds_from
from daf.sweeps.judge import Candidate, Confirmation, judge
from daf.sweeps.mlflow_runs import last_line
from daf.sweeps.request import SweepRequest
from daf.sweeps.space import Compose
from daf.sweeps.status import in_state, name_of
from daf.sweeps.study import StudyTrial, StudyView
from daf.tasks import find_task

log = logging.getLogger(__name__)

#: How far fresh seeds lie from those of the trials.
FRESH_TRAINING, FRESH_EVALUATION = 100_000, 10_000_000
#: Takes a job's index and its outcome.
OnDone = Callable[[int, TrialOutcome], None]
#: Runs jobs; returns the tracebacks of those that failed.
RunJobs = Callable[[Sequence[TrialJob], OnDone], list[str]]


def confirm(study: StudyView, request: SweepRequest, run_jobs: RunJobs) -> Confirmation | None:
    """Confirms the top trials and the baseline; None where there is nothing to confirm, or it is not asked for.

    A score that the study already holds is not played again, so an interrupted confirmation goes on.
    """
    config = request.config
    chosen, retrain = candidates(study, config), _retrains(config)
    if not chosen or not _is_confirmed(study, config, retrain):
        return None
    folder = request.output_dir / "confirmation"
    jobs = {trial.number: _jobs(trial, config, request.compose, folder, retrain=retrain) for trial in chosen}
    failures = _run_missing(study, [job for of_trial in jobs.values() for job in of_trial], run_jobs)
    found = _scored(study, chosen, jobs, retrain)
    if not found:
        log.warning("The confirmation failed: %s", last_line(failures[0]) if failures else "no trial has scores")
        return None
    baseline, maximize = _baseline(study), study.directions == ("maximize",)
    result = judge(found, baseline.number if baseline else None, maximize=maximize, level=config.level)
    about = (
        f"Each config was trained anew {config.sweep.confirm_seeds} times; a test compares trainings."
        if retrain
        else "The trained policies played fresh seeds: this is about them. sweep.confirm=retrain tests the configs."
    )
    lost = f" {len(failures)} runs of the confirmation failed." if failures else ""
    return replace(result, verdict=f"{result.verdict} {about}{lost}")


def _retrains(config: DAFConfig) -> bool:
    return config.sweep.confirm == "retrain" and find_task(config.task).trains(config)


def _is_confirmed(study: StudyView, config: DAFConfig, retrain: bool) -> bool:
    """Whether it is asked for and possible."""
    if config.sweep.confirm == "off" or len(study.directions) > 1 or not find_task(config.task).scored_by_sweeps:
        return False
    if not retrain and config.objective.metric[0].startswith("train/"):
        log.warning("Nothing is confirmed: %s needs sweep.confirm=retrain", config.objective.metric[0])
        return False
    return True


def candidates(study: StudyView, config: DAFConfig) -> list[StudyTrial]:
    """The best trials, and the baseline if it is not among them."""
    chosen = study.best_trials(config.sweep.confirm_top_k)
    baseline = _baseline(study)
    known = baseline is None or baseline.number in {trial.number for trial in chosen}
    return chosen if known or baseline is None else [*chosen, baseline]


def _baseline(study: StudyView) -> StudyTrial | None:
    """The first enqueued trial, if it came to an end."""
    return next((trial for trial in in_state(study.trials(), "COMPLETE") if trial.facts.baseline), None)


def _jobs(trial: StudyTrial, config: DAFConfig, compose: Compose, folder: Path, *, retrain: bool) -> list[TrialJob]:
    """Retraining: one job for each training seed. Otherwise one job that plays the policies that there are."""
    facts, sweep = trial.facts, config.sweep
    of_trial = compose(facts.assignments)
    fresh = {"seed": of_trial.evaluation.seed + FRESH_EVALUATION, "episodes": sweep.confirm_episodes}
    of_trial = of_trial.model_copy(update={"evaluation": of_trial.evaluation.model_copy(update=fresh)})
    job = TrialJob(
        config=of_trial.model_copy(update={"output_dir": str(folder / str(trial.number))}),
        trial=trial.number,
        assignments=facts.assignments,
        name=f"confirm {name_of(trial)}",
        # Below the trial that is confirmed, so that the sweep's own children are its trials and nothing else.
        parent_run_id=facts.run_id,
        tags={"daf.trial.number": str(trial.number), "daf.trial.confirms": "true"},
        training_seeds=seeds_from(of_trial.seed, sweep.seeds_per_trial),
        weights=facts.checkpoints or None,
    )
    if not retrain:
        return [job]
    seeds = seeds_from((config.seed + FRESH_TRAINING) % 2**31, sweep.confirm_seeds)
    return [_retraining(job, seed, folder) for seed in seeds]


def _retraining(job: TrialJob, seed: int, folder: Path) -> TrialJob:
    """The job that trains a trial's config with a fresh seed."""
    output_dir = str(folder / f"{job.trial}-seed-{seed}")
    return replace(
        job,
        config=job.config.model_copy(update={"seed": seed, "output_dir": output_dir}),
        name=f"{job.name} seed={seed}",
        training_seeds=(seed,),
        weights=None,
    )


def _run_missing(study: StudyView, jobs: Sequence[TrialJob], run_jobs: RunJobs) -> list[str]:
    """Runs the jobs whose scores the study does not hold; returns the tracebacks of those that failed."""
    known = study.confirmed_scores()
    missing = [job for job in jobs if _key(job) not in known]

    def keep(index: int, outcome: TrialOutcome) -> None:
        study.keep_scores(_key(missing[index]), tuple(_policy_scores(scores) for scores in outcome.scores))

    return run_jobs(missing, keep)


def _scored(
    study: StudyView, chosen: Sequence[StudyTrial], jobs: Mapping[int, Sequence[TrialJob]], retrain: bool
) -> list[Candidate]:
    """The trials all of whose jobs have scores."""
    known, found = study.confirmed_scores(), []
    for trial in chosen:
        keys = [_key(job) for job in jobs[trial.number]]
        if all(key in known for key in keys):
            policies = [policy for key in keys for policy in known[key]]
            samples = _retrained_samples(policies) if retrain else _replayed_samples(policies)
            found.append(Candidate(number=trial.number, name=name_of(trial), samples=samples))
    return found


def _key(job: TrialJob) -> str:
    """Under which the study keeps a job's scores: everything that decides them."""
    evaluation = job.config.evaluation
    what = "retrain" if job.weights is None else "reevaluate"
    seeds = ",".join(map(str, job.training_seeds))
    return f"{job.trial} {what} {seeds} {evaluation.seed}+{evaluation.episodes}"


def _policy_scores(scores: Scores) -> PolicyScores:
    """What the first metric says of every episode."""
    return tuple(
        EpisodeScore(mission=mission, seed=seed, value=values[0]) for (mission, seed), values in sorted(scores.items())
    )


def _retrained_samples(policies: Sequence[PolicyScores]) -> tuple[tuple[float, ...], ...]:
    """One score for each training: the episodes of one training are not independent of each other."""
    return (tuple(fmean(map(fmean, _by_mission(policy))) for policy in policies),)


def _replayed_samples(policies: Sequence[PolicyScores]) -> tuple[tuple[float, ...], ...]:
    """One score for each episode; the strata are training seeds and missions."""
    return tuple(values for policy in policies for values in _by_mission(policy))


def _by_mission(policy: PolicyScores) -> list[tuple[float, ...]]:
    """A policy's scores for each mission, in the order of their names."""
    missions = sorted({score.mission for score in policy})
    return [tuple(score.value for score in policy if score.mission == mission) for mission in missions]
