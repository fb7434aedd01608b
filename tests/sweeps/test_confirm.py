"""The confirmation without workers: which jobs it asks for, under which keys it keeps scores, and what is compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daf.config import DAFConfig
from daf.sweeps import confirm as confirm_module
from daf.sweeps.api import with_sweep
from daf.sweeps.confirm import OnDone, candidates, confirm
from daf.sweeps.jobs import Scores, TrialJob, TrialOutcome
from daf.sweeps.judge import Candidate, Confirmation, judge
from daf.sweeps.seeds import SHARED, study_seeds
from daf.sweeps.study import StoredStudy
from daf.tracking.tracker import Tracker
from tests.sweeps.support import make_request, open_study

Load = Callable[..., DAFConfig]
#: Mission and offset of the seed to what is added to a policy's score, in the order of no mission and no seed.
EPISODES = {("b", 0): 0.4, ("a", 1): 0.2, ("b", 1): 0.9, ("a", 0): 0.1}


def _first_training(stored: StoredStudy) -> int:
    return stored.config.seed + stored.seeds.training


def _first_episode(stored: StoredStudy) -> int:
    return stored.config.evaluation.seed + stored.seeds.confirmation


class Worker:
    """Scores every job at once; the last ones first, as workers may.

    `noise`: trials that all score the same but for this; then a seed's luck hides it.
    """

    def __init__(self, fails: Sequence[str] = (), episodes: int = 2, noise: Mapping[int, float] | None = None) -> None:
        self.jobs: list[TrialJob] = []
        self._fails = fails
        self._episodes = episodes
        self._noise = noise

    def __call__(self, jobs: Sequence[TrialJob], on_done: OnDone) -> list[str]:
        self.jobs += jobs
        for index in reversed(range(len(jobs))):
            if jobs[index].name not in self._fails:
                scores = tuple(self._scores(jobs[index], seed) for seed in jobs[index].training_seeds)
                on_done(index, TrialOutcome(state="complete", run_id="new", values=(0.0,), scores=scores))
        return ["Traceback:\nRuntimeError: no luck" for job in jobs if job.name in self._fails]

    def _scores(self, job: TrialJob, seed: int) -> Scores:
        if self._noise is not None:
            luck = 3 * job.trial * (-1) ** seed
            return {("a", job.config.evaluation.seed): (self._noise[job.trial] + luck,)}
        first = job.config.evaluation.seed
        return {
            (mission, first + offset + 2 * more): (_policy(job.trial, seed) + luck + job.trial * (more % 2) / 10,)
            for (mission, offset), luck in EPISODES.items()
            for more in range(self._episodes // 2)
        }


def _policy(trial: int, seed: int) -> float:
    return 100.0 * trial + seed % 1000 + (trial * seed) % 3 / 10  # differences that vary a little


def _sweep(tiny: Load, *overrides: str, **settings: Any) -> DAFConfig:
    config = tiny("sweep.confirm_seeds=2", "sweep.confirm_episodes=2", "sweep.confirm_top_k=2", *overrides)
    return with_sweep(config, space={"optimizer.lr": [1e-4, 1e-3, 1e-2]}, sampler="grid", **settings)


def _finished(config: DAFConfig) -> StoredStudy:
    """A study of three trials, each better than the one before it."""
    stored = open_study(config)
    while trial := stored.next_trial():
        lr = (1e-4, 1e-3, 1e-2)[trial.number]
        seeds = range(config.seed, config.seed + config.sweep.seeds_per_trial)
        checkpoints = tuple(f"/trials/{trial.number}/{seed}" for seed in seeds)
        trial.record(assignments={"optimizer.lr": lr}, run_id=f"run{trial.number}", checkpoints=checkpoints)
        trial.suggest(make_request(config, None).space, lambda assignments: config)  # type: ignore[arg-type]
        trial.complete([float(trial.number)])
    return stored


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Candidate]:
    """The candidates of the last confirmation."""
    seen: list[Candidate] = []

    def noted(found: Sequence[Candidate], *arguments: Any, **others: Any) -> Confirmation:
        seen[:] = found
        return judge(found, *arguments, **others)

    monkeypatch.setattr(confirm_module, "judge", noted)
    return seen


def test_retraining_scores_every_training_once(tiny: Load, tracker: Tracker, judged: list[Candidate]) -> None:
    config = _sweep(tiny, confirm="retrain")
    stored = _finished(config)
    result = confirm(stored, make_request(config, tracker), Worker())
    assert result is not None
    luck, first = (0.15 + 0.65) / 2, _first_training(stored)
    assert [candidate.number for candidate in judged] == [2, 1]
    for candidate in judged:
        expected = [pytest.approx(_policy(candidate.number, seed) + luck) for seed in (first, first + 1)]
        assert [list(stratum) for stratum in candidate.samples] == [expected]
    assert "trained anew 2 times" in result.verdict


def test_a_reevaluation_scores_every_episode(tiny: Load, tracker: Tracker, judged: list[Candidate]) -> None:
    config = _sweep(tiny, "sweep.seeds_per_trial=2", confirm="reevaluate")
    result = confirm(_finished(config), make_request(config, tracker), Worker())
    assert result is not None
    assert [candidate.number for candidate in judged] == [2, 1]
    for candidate in judged:
        first, second = (_policy(candidate.number, seed) for seed in (42, 43))
        # Strata are training seeds and, within them, missions; episodes stand in the order of their seeds.
        assert candidate.samples == (
            (first + 0.1, first + 0.2),
            (first + 0.4, first + 0.9),
            (second + 0.1, second + 0.2),
            (second + 0.4, second + 0.9),
        )
    assert "this is about these weights, not about the configs" in result.verdict


def test_retraining_asks_for_a_training_of_each_fresh_seed(tiny: Load, tracker: Tracker) -> None:
    config, worker = _sweep(tiny, confirm="retrain", confirm_top_k=1), Worker()
    stored = _finished(config)
    confirm(stored, make_request(config, tracker), worker)
    folder, seeds = Path(config.output_dir) / "confirmation", [_first_training(stored), _first_training(stored) + 1]
    assert [(job.training_seeds, job.config.seed, job.weights) for job in worker.jobs] == [
        ((seed,), seed, None) for seed in seeds
    ]
    assert [job.name for job in worker.jobs] == [f"confirm lr=0.01 seed={seed}" for seed in seeds]
    assert [Path(job.config.output_dir) for job in worker.jobs] == [folder / f"2-seed-{seed}" for seed in seeds]
    assert {job.parent_run_id for job in worker.jobs} == {"run2"}
    assert {(job.config.optimizer.lr, job.config.evaluation.episodes) for job in worker.jobs} == {(1e-2, 2)}
    # Evaluation seeds of its own for each training: shared ones would make their scores depend on each other.
    first = _first_episode(stored)
    assert sorted(stored.confirmed_scores()) == [
        f"2 retrain {seeds[0]} {first}+2",
        f"2 retrain {seeds[1]} {first + 2}+2",
    ]


def test_a_reevaluation_asks_for_one_job_with_the_trials_policies(tiny: Load, tracker: Tracker) -> None:
    config, worker = _sweep(tiny, "sweep.seeds_per_trial=2", confirm="reevaluate", confirm_top_k=1), Worker()
    stored = _finished(config)
    confirm(stored, make_request(config, tracker), worker)
    (job,) = worker.jobs
    assert (job.training_seeds, job.weights) == ((42, 43), ("/trials/2/42", "/trials/2/43"))
    assert job.config.evaluation.seed == _first_episode(stored)
    assert list(stored.confirmed_scores()) == [f"2 reevaluate 42,43 {_first_episode(stored)}+2"]


@pytest.mark.parametrize("how", ["retrain", "reevaluate"])
def test_a_score_that_the_study_holds_is_not_played_again(tiny: Load, tracker: Tracker, how: str) -> None:
    config, first, again = _sweep(tiny, confirm=how), Worker(), Worker()
    stored = _finished(config)
    before = confirm(stored, make_request(config, tracker), first)
    assert len(first.jobs) == {"retrain": 4, "reevaluate": 2}[how]
    assert confirm(open_study(config), make_request(config, tracker), again) == before
    assert again.jobs == []
    more = config.model_copy(update={"sweep": config.sweep.model_copy(update={"confirm_episodes": 3})})
    confirm(stored, make_request(more, tracker), again)
    assert len(again.jobs) == len(first.jobs), "other episodes are other scores"


def test_what_failed_is_left_out_and_run_the_next_time(tiny: Load, tracker: Tracker, judged: list[Candidate]) -> None:
    config = _sweep(tiny, confirm="retrain")
    stored, request = _finished(config), make_request(config, tracker)
    lost = f"confirm lr=0.01 seed={_first_training(stored) + 1}"
    half = confirm(stored, request, Worker(fails=[lost]))
    assert half is not None
    assert [candidate.number for candidate in judged] == [1]
    assert half.verdict.endswith("1 runs of the confirmation failed.")
    rest = Worker()
    confirm(stored, request, rest)
    assert [job.name for job in rest.jobs] == [lost]
    assert [candidate.number for candidate in judged] == [2, 1]


def test_a_winner_is_measured_on_seeds_that_had_no_part_in_choosing_it(tiny: Load, tracker: Tracker) -> None:
    config, worker = _sweep(tiny, "sweep.confirm_seeds=6", confirm="retrain"), Worker()
    stored = _finished(config)
    result = confirm(stored, make_request(config, tracker), worker)
    assert result is not None
    assert (result.winner, result.measured, result.weights) == (2, 2, ())
    *choosing, last = [worker.jobs[start : start + 6] for start in range(0, 18, 6)]
    assert {job.trial for job in last} == {2}
    before = [job for jobs in choosing for job in jobs]
    assert not {job.training_seeds for job in last} & {job.training_seeds for job in before}
    assert not {job.config.evaluation.seed for job in last} & {job.config.evaluation.seed for job in before}
    first = _first_training(stored)
    assert result.mean == pytest.approx(0.4 + np.mean([_policy(2, first + index) for index in range(6, 12)]))
    assert confirm(stored, make_request(config, tracker), Worker()) == result


def test_weights_that_win_are_named_as_what_won(tiny: Load, tracker: Tracker) -> None:
    config = _sweep(tiny, "sweep.confirm_episodes=6", "sweep.seeds_per_trial=2", confirm="reevaluate")
    result = confirm(_finished(config), make_request(config, tracker), Worker(episodes=6))
    assert result is not None
    assert result.weights == ("/trials/2/42", "/trials/2/43")
    assert result.verdict.startswith("The winner is the weights of trial 2 (lr=0.01).")


def test_without_a_winner_the_mean_is_that_of_the_trial_that_was_first_before(tiny: Load, tracker: Tracker) -> None:
    """The highest of several confirmed means is too high; the sweep's first was chosen by other scores."""
    config = _sweep(tiny, "sweep.confirm_seeds=5", confirm="retrain")
    luck = {2: -1.0, 1: 1.0}
    result = confirm(_finished(config), make_request(config, tracker), Worker(noise=luck))
    assert result is not None
    assert (result.winner, result.best, result.measured) == (None, 1, 2)
    assert "First in the sweep was trial 2" in result.verdict


def test_a_config_that_ran_twice_is_confirmed_once(tiny: Load) -> None:
    config = _sweep(tiny)
    stored = _finished(config)
    for lr, value in ((1e-2, 9.0), (1e-3, 8.0)):
        stored.study.enqueue_trial({"optimizer.lr": lr})
        trial = stored.study.ask()
        make_request(config, None).space.suggest(trial, lambda assignments: config)  # type: ignore[arg-type]
        stored.study.tell(trial, value)
    assert [trial.params["optimizer.lr"] for trial in candidates(stored, config)] == [1e-2, 1e-3]


def test_trials_that_differ_in_their_training_seed_are_one_config(tiny: Load, tracker: Tracker) -> None:
    """Trained anew on the same fresh seeds, they would be the same trainings."""
    config = with_sweep(tiny("sweep.confirm_seeds=2"), space={"seed": [1, 2, 3]}, sampler="grid")
    stored = open_study(config)
    while trial := stored.next_trial():
        trial.suggest(make_request(config, tracker).space, lambda assignments: config)
        trial.complete([float(trial.number)])
    assert [trial.number for trial in candidates(stored, config)] == [2]
    weights = config.model_copy(update={"sweep": config.sweep.model_copy(update={"confirm": "reevaluate"})})
    assert [trial.number for trial in candidates(stored, weights)] == [2, 1, 0]


def test_equal_names_have_equal_seeds_and_other_names_others() -> None:
    assert study_seeds("mine") == study_seeds("mine")
    drawn = [study_seeds(f"study {number}") for number in range(200)]
    for of_all in zip(*map(astuple, drawn), strict=True):
        assert len(set(of_all)) == 200
    assert max(seeds.evaluation for seeds in drawn) < min(seeds.confirmation for seeds in drawn)


def test_a_study_from_before_keeps_its_seeds(tiny: Load) -> None:
    config = _sweep(tiny)
    stored = open_study(config)
    assert stored.seeds == study_seeds(stored.name)
    stored.study.set_user_attr("seeds", None)
    assert open_study(config).seeds == SHARED


def test_a_baseline_is_confirmed_beside_the_best(tiny: Load) -> None:
    config = _sweep(tiny, enqueue=[{"optimizer.lr": 1e-4}])
    assert [trial.number for trial in candidates(_finished(config), config)] == [2, 1, 0]


@pytest.mark.parametrize(
    "overrides", [("sweep.confirm=off",), ("objective.metric=train/reward", "sweep.confirm=reevaluate")]
)
def test_nothing_is_confirmed(tiny: Load, tracker: Tracker, overrides: tuple[str, ...]) -> None:
    config, worker = _sweep(tiny, *overrides), Worker()
    assert confirm(_finished(config), make_request(config, tracker), worker) is None
    assert worker.jobs == []


def test_a_confirmation_that_fails_altogether_says_why(
    tiny: Load, tracker: Tracker, caplog: pytest.LogCaptureFixture
) -> None:
    config = _sweep(tiny, confirm="reevaluate", confirm_top_k=1)
    assert confirm(_finished(config), make_request(config, tracker), Worker(fails=["confirm lr=0.01"])) is None
    assert "The confirmation failed: RuntimeError: no luck" in caplog.text
