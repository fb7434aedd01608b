"""Which trial is really best: the top ones and the baseline once more, on seeds that no trial has seen.

Each training plays evaluation seeds of its own, the same ones in every config. So the trainings of a config are
independent draws, their scores need no correction for seeds that they share, and a seed's luck still cancels out of the
difference between two configs. What a winner is worth is measured once more on seeds that had no part in choosing it.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Literal

from daf.config.schemas import DAFConfig
from daf.sweeps.facts import EpisodeScore, PolicyScores
from daf.sweeps.jobs import Scores, TrialJob, TrialOutcome, seeds_from
from daf.sweeps.judge import Candidate, Confirmation, judge, measured_again
from daf.sweeps.mlflow_runs import last_line
from daf.sweeps.request import SweepRequest
from daf.sweeps.seeds import END, with_evaluation
from daf.sweeps.status import in_state, name_of
from daf.sweeps.study import StudyTrial, StudyView
from daf.tasks import find_task
from daf.tracking.names import KIND

log = logging.getLogger(__name__)

#: Takes a job's index and its outcome.
OnDone = Callable[[int, TrialOutcome], None]
#: Runs jobs; returns the tracebacks of those that failed.
RunJobs = Callable[[Sequence[TrialJob], OnDone], list[str]]
#: What is tested: configs, the weights that their trainings gave, or policies that nothing trains.
Subject = Literal["configs", "weights", "policies"]
#: What a verdict is about.
ABOUT: dict[Subject, str] = {
    "configs": "Each config was trained anew {trainings} times; a test compares trainings.",
    "weights": "Their weights played fresh seeds: this is about these weights, not about the configs that they were"
    " trained with. sweep.confirm=retrain tests configs.",
    "policies": "Each policy played fresh seeds.",
}


def confirm(study: StudyView, request: SweepRequest, run_jobs: RunJobs) -> Confirmation | None:
    """Confirms the top trials and the baseline; None where there is nothing to confirm, or it is not asked for.

    A score that the study already holds is not played again, so an interrupted confirmation goes on.
    """
    config = request.config
    chosen, subject = candidates(study, config), _subject(config)
    if not chosen or not _is_confirmed(study, config, subject):
        return None
    confirming = _Confirming(study, request, run_jobs, subject)
    found = confirming.scored(chosen)
    if not found:
        log.warning("The confirmation failed: %s", last_line((*confirming.failures, "no trial has scores")[0]))
        return None
    baseline, maximize = _baseline(study), study.directions == ("maximize",)
    result = judge(
        found,
        baseline.number if baseline else None,
        named_before=chosen[0].number,
        maximize=maximize,
        level=config.level,
    )
    if result.winner is not None:
        again = confirming.scored([study.trials()[result.winner]], again=True)
        result = measured_again(result, again[0] if again else None, config.level)
        if subject == "weights":
            result = replace(result, weights=study.trials()[result.best].facts.checkpoints)
    lost = f" {len(confirming.failures)} runs of the confirmation failed." if confirming.failures else ""
    about = ABOUT[subject].format(trainings=config.sweep.confirm_seeds)
    return replace(result, verdict=f"{result.verdict} {about}{lost}")


def _subject(config: DAFConfig) -> Subject:
    if not find_task(config.task).trains(config):
        return "policies"
    return "configs" if config.sweep.confirm == "retrain" else "weights"


def _is_confirmed(study: StudyView, config: DAFConfig, subject: Subject) -> bool:
    """Whether it is asked for and possible."""
    if config.sweep.confirm == "off" or len(study.directions) > 1 or not find_task(config.task).scored_by_sweeps:
        return False
    if subject != "configs" and config.objective.metric[0].startswith("train/"):
        log.warning("Nothing is confirmed: %s needs sweep.confirm=retrain", config.objective.metric[0])
        return False
    return True


def candidates(study: StudyView, config: DAFConfig) -> list[StudyTrial]:
    """The best trials with different configs, best first, and the baseline if it is not among them."""
    baseline, retrains = _baseline(study), _subject(config) == "configs"
    best_first = study.best_trials(len(study.trials()))
    different: dict[str, StudyTrial] = {}
    for trial in [*([baseline] if baseline else []), *best_first]:
        different.setdefault(_confirmed_as(trial, retrains), trial)
    ranked = dict.fromkeys(_confirmed_as(trial, retrains) for trial in best_first)
    chosen = [different[what] for what in ranked][: config.sweep.confirm_top_k]
    known = baseline is None or baseline.number in {trial.number for trial in chosen}
    return chosen if known or baseline is None else [*chosen, baseline]


def _confirmed_as(trial: StudyTrial, retrains: bool) -> str:
    """What is the same for trials whose confirmation would be the same: trained anew, all get the same fresh seeds."""
    ignored = ("seed",) if retrains else ()
    return repr(sorted((key, value) for key, value in trial.params.items() if key not in ignored))


def _baseline(study: StudyView) -> StudyTrial | None:
    """The first enqueued trial, if it came to an end."""
    return next((trial for trial in in_state(study.trials(), "COMPLETE") if trial.facts.baseline), None)


class _Confirming:
    """Gets scores on fresh seeds for trials of a study.

    Attributes:
        failures: tracebacks of the jobs that failed so far.
    """

    def __init__(self, study: StudyView, request: SweepRequest, run_jobs: RunJobs, subject: Subject) -> None:
        self.failures: list[str] = []
        self._study = study
        self._request = request
        self._run_jobs = run_jobs
        self._subject = subject
        self._retrains = subject == "configs"

    def scored(self, chosen: Sequence[StudyTrial], *, again: bool = False) -> list[Candidate]:
        """The trials all of whose jobs have scores.

        Args:
            again: on seeds that lie behind those of the first time.
        """
        jobs = {trial.number: list(self._jobs(trial, again)) for trial in chosen}
        self._run_missing([job for of_trial in jobs.values() for job in of_trial])
        known = self._study.confirmed_scores()
        of_jobs = {trial.number: [known.get(_key(job)) for job in jobs[trial.number]] for trial in chosen}
        return [self._candidate(trial, of_jobs[trial.number]) for trial in chosen if all(of_jobs[trial.number])]

    def _candidate(self, trial: StudyTrial, of_jobs: Sequence[tuple[PolicyScores, ...] | None]) -> Candidate:
        policies = [policy for of_job in of_jobs for policy in of_job or ()]
        samples = _retrained_samples(policies) if self._retrains else _replayed_samples(policies)
        weights_only = self._subject == "weights"
        return Candidate(number=trial.number, name=name_of(trial), samples=samples, weights_only=weights_only)

    def _jobs(self, trial: StudyTrial, again: bool) -> Iterator[TrialJob]:
        """One job for each training seed; where nothing is retrained, one that plays the policies that there are."""
        sweep, seeds = self._request.config.sweep, self._study.seeds
        job = self._replay(trial)
        blocks = sweep.confirm_seeds if self._retrains else 1
        for block in range(blocks, 2 * blocks) if again else range(blocks):
            first = (job.config.evaluation.seed + seeds.confirmation + block * sweep.confirm_episodes) % END
            config = with_evaluation(job.config, seed=first, episodes=sweep.confirm_episodes)
            fresh = replace(job, config=config)
            seed = (self._request.config.seed + seeds.training + block) % END
            yield self._retraining(fresh, seed) if self._retrains else fresh

    def _replay(self, trial: StudyTrial) -> TrialJob:
        """The job that plays a trial's policies."""
        facts, config = trial.facts, self._request.compose(trial.facts.assignments)
        return TrialJob(
            config=config.model_copy(update={"output_dir": str(self._folder / str(trial.number))}),
            trial=trial.number,
            assignments=facts.assignments,
            name=f"confirm {name_of(trial)}",
            # Below the trial that is confirmed, so that the sweep's own children are its trials and nothing else.
            parent_run_id=facts.run_id,
            tags={KIND: "confirmation", "daf.trial.number": str(trial.number), "daf.trial.confirms": "true"},
            training_seeds=seeds_from(config.seed, self._request.config.sweep.seeds_per_trial),
            weights=facts.checkpoints or None,
        )

    def _retraining(self, job: TrialJob, seed: int) -> TrialJob:
        """The job that trains a trial's config with a fresh seed."""
        output_dir = str(self._folder / f"{job.trial}-seed-{seed}")
        return replace(
            job,
            config=job.config.model_copy(update={"seed": seed, "output_dir": output_dir}),
            name=f"{job.name} seed={seed}",
            training_seeds=(seed,),
            weights=None,
        )

    @property
    def _folder(self) -> Path:
        return self._request.output_dir / "confirmation"

    def _run_missing(self, jobs: Sequence[TrialJob]) -> None:
        """Runs the jobs whose scores the study does not hold, and keeps those."""
        known = self._study.confirmed_scores()
        missing = [job for job in jobs if _key(job) not in known]
        if missing and self._retrains:
            log.info("The confirmation trains %d policies anew (sweep.confirm=off leaves it out).", len(missing))

        def keep(index: int, outcome: TrialOutcome) -> None:
            self._study.keep_scores(_key(missing[index]), tuple(_policy_scores(scores) for scores in outcome.scores))

        self.failures += self._run_jobs(missing, keep)


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
