"""The stored study: the only module that knows how Optuna stores one.

Everybody else reads `StudyTrial`s and `StudyFacts`, and works on a `RunningTrial`.
"""

import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, DAFError, Problem
from daf.redaction import redactor
from daf.sweeps.facts import CONFIRMED, PolicyScores, StudyFacts, TrialFacts, confirmed_scores, stored_scores
from daf.sweeps.identity import default_storage, differences, identity, study_name
from daf.sweeps.owners import end_owner, is_dead, new_owner
from daf.sweeps.space import Assignments, Compose, Space
from daf.sweeps.strategies import make_pruner, make_sampler

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.storages.journal import BaseJournalFileLock
    from optuna.trial import FrozenTrial

Direction = Literal["maximize", "minimize"]
#: Trials where `sweep.n_trials` is null and the space has no end.
DEFAULT_TRIALS = 20
#: Seconds between two heartbeats.
HEARTBEAT_EVERY_S = 30.0


def quiet_optuna() -> None:
    """Keeps Optuna from reporting every trial on the terminal, and from warning of what is experimental in it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    logging.getLogger("optuna").propagate = True


def open_storage(config: DAFConfig) -> "BaseStorage":
    """The storage that `sweep.storage` names.

    Raises:
        DAFConfigError: it cannot be opened.
    """
    quiet_optuna()
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    from sqlalchemy.exc import SQLAlchemyError

    address = config.sweep.storage
    if address and "://" in address:
        try:
            return RDBStorage(address)
        except (ImportError, SQLAlchemyError) as error:
            raise DAFConfigError([Problem("sweep.storage", redactor().text(f"cannot be opened: {error}"))]) from error
    path = Path(address) if address else default_storage(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    # By default a new process waits half a minute for one that was killed while it held the lock.
    lock = JournalFileOpenLock(str(path), grace_period=5)
    _drop_torn_line(path, lock)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _drop_torn_line(path: Path, lock: "BaseJournalFileLock") -> None:
    """Cuts off what a process that died while writing left behind; Optuna would never read the file again."""
    if not path.is_file():
        return
    lock.acquire()
    try:
        with path.open("rb+") as file:
            content = file.read()
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()


class StudyTrial:
    """A trial as the study holds it, to be read."""

    def __init__(self, stored: "FrozenTrial") -> None:
        self._stored = stored

    @property
    def number(self) -> int:
        """From 0, in the order of their beginnings."""
        return self._stored.number

    @property
    def state(self) -> str:
        """``WAITING``, ``RUNNING``, ``COMPLETE``, ``PRUNED`` or ``FAIL``."""
        return self._stored.state.name

    @property
    def is_finished(self) -> bool:
        """Whether it is complete, pruned or failed."""
        return self._stored.state.is_finished()

    @property
    def values(self) -> tuple[float, ...]:
        """One for each objective; empty unless complete."""
        return tuple(self._stored.values or ()) if self.state == "COMPLETE" else ()

    @property
    def params(self) -> dict[str, Any]:
        """What was sampled, under the study's names."""
        return self._stored.params

    @property
    def distributions(self) -> "dict[str, BaseDistribution]":
        """What it was sampled from."""
        return self._stored.distributions

    @property
    def intermediate_values(self) -> dict[int, float]:
        """What was reported on the way, by step."""
        return self._stored.intermediate_values

    @property
    def started(self) -> datetime | None:
        """When it began."""
        return self._stored.datetime_start

    @property
    def duration_s(self) -> float | None:
        """Seconds from its beginning to its end; None before that."""
        return self._stored.duration.total_seconds() if self._stored.duration else None

    @cached_property
    def facts(self) -> TrialFacts:
        """What DAF noted about it."""
        return TrialFacts.load(self._stored.user_attrs)


class RunningTrial:
    """A trial that this process runs: it samples, reports and notes facts."""

    def __init__(self, trial: "optuna.Trial") -> None:
        self._trial = trial

    @property
    def number(self) -> int:
        """From 0, in the order of their beginnings."""
        return self._trial.number

    @property
    def facts(self) -> TrialFacts:
        """What is noted about it so far."""
        return TrialFacts.load(self._trial.user_attrs)

    def record(self, **changes: Any) -> None:
        """Notes facts, by the names of `TrialFacts`."""
        before = self.facts
        replace(before, **changes).save(self._trial.set_user_attr, before)

    def suggest(self, space: Space, compose: Compose) -> Assignments:
        """Samples every key that applies; a trial that sampled before gives the same again.

        Raises:
            ValueError, DAFConfigError: as `Space.suggest`.
        """
        return space.suggest(self._trial, compose)

    def report(self, step: int, value: float) -> bool:
        """Stores an intermediate value; returns whether the trial should be pruned."""
        storage, study, key = self._trial.storage, self._trial.study, _storage_key(self._trial)
        # Not Trial.report: it keeps the first of two values, and a trial that is tried again reports anew.
        storage.set_trial_intermediate_value(key, step, value)
        return bool(study.pruner.prune(study, storage.get_trial(key)))

    def complete(self, values: Sequence[float]) -> None:
        """Ends it with a value for each objective."""
        self._trial.study.tell(self._trial, list(values))

    def prune(self) -> None:
        """Ends it as pruned."""
        self._end("PRUNED")

    def fail(self, why: str) -> None:
        """Ends it as failed, and notes why."""
        self.record(failure=redactor().text(why))
        self._end("FAIL")

    def _end(self, state: str) -> None:
        from optuna.trial import TrialState

        self._trial.study.tell(self._trial, state=TrialState[state])


def _storage_key(trial: "optuna.Trial | FrozenTrial") -> int:
    """Optuna has no public way to a trial's place in its storage, which its number is not."""
    return trial._trial_id


class StudyView:
    """A study to be read, running or finished.

    Attributes:
        study: Optuna's object, for what draws or samples.
    """

    def __init__(self, study: "optuna.Study") -> None:
        self.study = study

    @property
    def name(self) -> str:
        """Of the study."""
        return self.study.study_name

    @property
    def facts(self) -> StudyFacts:
        """What DAF noted about it."""
        return StudyFacts.load(self.study.user_attrs)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """``maximize`` or ``minimize`` for each objective."""
        maximize = [direction.name == "MAXIMIZE" for direction in self.study.directions]
        return tuple("maximize" if is_max else "minimize" for is_max in maximize)

    def trials(self) -> list[StudyTrial]:
        """All trials so far, in the order of their numbers."""
        return [StudyTrial(trial) for trial in self.study.get_trials(deepcopy=False)]

    def pareto_front(self) -> list[StudyTrial]:
        """The trials that no other one beats in every objective; the best ones where there is one objective."""
        return [StudyTrial(trial) for trial in self.study.best_trials]

    def best_trials(self, count: int) -> list[StudyTrial]:
        """The best complete trials, best first; for several objectives those of the Pareto front."""
        if len(self.directions) > 1:
            return self.pareto_front()[:count]
        complete = [trial for trial in self.trials() if trial.state == "COMPLETE"]
        sign = -1.0 if self.directions == ("maximize",) else 1.0
        return sorted(complete, key=lambda trial: (sign * trial.values[0], trial.number))[:count]

    def is_dead(self, owner: str | None) -> bool:
        """Whether the process that ran a trial has ended; see `owners`."""
        return is_dead(owner, self.facts.heartbeats)

    def running_trial(self, number: int) -> RunningTrial:
        """A trial that was begun, for the process that runs it.

        Raises:
            DAFError: the study does not know it.
        """
        import optuna

        trials = self.study.get_trials(deepcopy=False)
        if number >= len(trials):
            raise DAFError(f"study {self.name} has no trial {number}")
        return RunningTrial(optuna.trial.Trial(self.study, _storage_key(trials[number])))

    def record(self, **changes: Any) -> None:
        """Notes facts about the study, by the names of `StudyFacts`."""
        before = self.facts
        replace(before, **changes).save(self.study.set_user_attr, before)

    def confirmed_scores(self) -> dict[str, tuple[PolicyScores, ...]]:
        """The scores of the confirmation's jobs that have ended, by the key that `keep_scores` was given."""
        return confirmed_scores(self.study.user_attrs)

    def keep_scores(self, key: str, scores: tuple[PolicyScores, ...]) -> None:
        """Keeps the scores of a job of the confirmation, so that it is not run again."""
        self.study.set_user_attr(f"{CONFIRMED}{key}", stored_scores(scores))


class StoredStudy(StudyView):
    """A study that knows what it is about, hands out trials and goes on after any kind of end.

    Attributes:
        config: of the sweep.
        n_trials: trials in all.
    """

    def __init__(
        self, config: DAFConfig, storage: "BaseStorage", space: Space, grid: Sequence[Mapping[str, Any]] | None
    ) -> None:
        """Opens or creates the study.

        Args:
            grid: the points of a grid, or None for a sampler.

        Raises:
            DAFConfigError: it was begun with another space, objective or base config.
        """
        import optuna

        self.config = config
        self._owner = new_owner()
        self._last_heartbeat = 0.0
        self._enqueued = _enqueued(config, space)
        self._is_grid = grid is not None
        points = [point for point in grid or () if point not in self._enqueued]
        self._planned = [*self._enqueued, *map(dict, points)][: config.sweep.n_trials]
        self.n_trials = len(self._planned) if self._is_grid else config.sweep.n_trials or DEFAULT_TRIALS
        study = optuna.create_study(
            storage=storage,
            study_name=study_name(config),
            directions=list(config.objective.direction),
            load_if_exists=True,
            pruner=make_pruner(config),
        )
        super().__init__(study)
        sampler = config.sweep.sampler or ("tpe" if grid is None else "grid")
        self._check_identity(space)
        self.heartbeat()
        self.study.sampler = make_sampler(config, sampler, len(self.trials()), self._others_before())

    def _check_identity(self, space: Space) -> None:
        now, before = identity(self.config), self.facts.identity
        self.record(n_trials=self.n_trials)
        if before is None:
            self.record(identity=now)
            self.study.set_metric_names(list(self.config.objective.metric))
            return
        changes = differences(before, now)
        if self.directions != tuple(self.config.objective.direction):
            about = f"study {self.name} is about {list(self.directions)}."
            raise DAFConfigError([Problem("objective.direction", about)])
        if changes and not self.config.sweep.allow_change:
            hint = f"The study is {self.name}. Go on nonetheless with sweep.allow_change=true, or give a sweep.name."
            raise DAFConfigError([Problem(where, change, hint) for where, change in changes])
        if changes:
            self._check_choices(space)
            self.record(identity=now)

    def _check_choices(self, space: Space) -> None:
        """Optuna cannot change the choices of a parameter that it has sampled."""
        import optuna

        stored = {name: known for trial in self.trials() for name, known in trial.distributions.items()}
        for parameter in space.parameters:
            before = stored.get(parameter.name)
            choices = parameter.finite_values() if parameter.config.choices is not None else None
            known = list(before.choices) if isinstance(before, optuna.distributions.CategoricalDistribution) else None
            if before is not None and choices != known:
                why = "choices cannot be changed in a study that has sampled them."
                raise DAFConfigError([Problem(f"sweep.space.{parameter.path}", why, "Give another sweep.name.")])

    def next_trial(self) -> RunningTrial | None:
        """The trial to run next: one that a dead process left running, then a new one; None when there are enough."""
        return self._left_behind() or self._new()

    def _left_behind(self) -> RunningTrial | None:
        for trial in self.trials():
            if trial.state == "RUNNING" and self.is_dead(trial.facts.owner):
                adopted = self.running_trial(trial.number)
                adopted.record(owner=self._owner)
                return adopted
        return None

    def _new(self) -> RunningTrial | None:
        if not any(trial.state == "WAITING" for trial in self.trials()):
            point = self._next_point()
            if point is None:
                return None
            attrs: dict[str, Any] = {}
            baseline = bool(self._enqueued) and point == self._enqueued[0]
            TrialFacts(owner=self._owner, baseline=baseline).save(attrs.__setitem__)
            # Through the queue, so that a trial has an owner from its first moment on.
            self.study.enqueue_trial(point, user_attrs=attrs)
        trial = RunningTrial(self.study.ask())
        trial.record(owner=self._owner)
        return trial

    def _next_point(self) -> dict[str, Any] | None:
        """A planned point that no trial has, else an empty one for the sampler; None when there are enough trials."""
        trials = self.study.get_trials(deepcopy=False)
        begun = {frozenset(trial.system_attrs.get("fixed_params", {}).items()) for trial in trials}
        point = next((point for point in self._planned if frozenset(point.items()) not in begun), None)
        if self._is_grid:
            return point
        return (point or {}) if len(trials) < self.n_trials else None

    def close(self) -> None:
        """Leaves the trials that it has not finished to the next process that goes on with the study."""
        end_owner(self._owner)

    def heartbeat(self) -> None:
        """Leaves a heartbeat for processes on other machines, every now and then."""
        if time.monotonic() - self._last_heartbeat > HEARTBEAT_EVERY_S:
            self._last_heartbeat = time.monotonic()
            self.record(heartbeats={**self.facts.heartbeats, self._owner: time.time()})

    def _others_before(self) -> int:
        """How many processes that began earlier are still at work on the same study."""
        owners = list(self.facts.heartbeats)
        return sum(not self.is_dead(owner) for owner in owners[: owners.index(self._owner)])


def _enqueued(config: DAFConfig, space: Space) -> list[dict[str, Any]]:
    names = {parameter.path: parameter for parameter in space.parameters}
    return [
        {names[key.lstrip("+")].name: names[key.lstrip("+")].sampled(value) for key, value in point.items()}
        for point in config.sweep.enqueue
    ]


def load_stored(config: DAFConfig) -> StudyView:
    """The study of a config, to be read.

    Raises:
        DAFError: there is none yet.
    """
    import optuna

    name = study_name(config)
    if not config.sweep.storage and not default_storage(config).is_file():
        raise DAFError(f"there is no study {name} at {default_storage(config)}")
    try:
        return StudyView(optuna.load_study(study_name=name, storage=open_storage(config)))
    except KeyError as error:
        raise DAFError(f"there is no study {name} in {config.sweep.storage or default_storage(config)}") from error
