"""The stored study: the only module that knows how Optuna stores one.

Everybody else reads `StudyTrial`s and `StudyFacts`, and works on a `RunningTrial`.
"""

import logging
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from daf.config.refusals import shortened
from daf.config.schemas import DAFConfig
from daf.config.sections import EXPERIMENT
from daf.errors import DAFConfigError, DAFError, Problem
from daf.redaction import redactor
from daf.sweeps.facts import CONFIRMED, PolicyScores, StudyFacts, TrialFacts, confirmed_scores, stored_scores
from daf.sweeps.identity import default_storage, differences, identity, study_name
from daf.sweeps.journal import mend_journal
from daf.sweeps.owners import end_owner, is_dead, new_owner
from daf.sweeps.seeds import SHARED, StudySeeds, study_seeds
from daf.sweeps.space import Assignments, Compose, Space
from daf.sweeps.strategies import make_pruner, make_sampler
from daf.tracking.deliver import reason

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

Direction = Literal["maximize", "minimize"]
#: Trials where `sweep.n_trials` is null and the space has no end.
DEFAULT_TRIALS = 20
#: Seconds between two heartbeats.
HEARTBEAT_EVERY_S = 30.0
STORAGES = "Give the path of a journal, or the address of a database."
#: How often in a row a sampler may propose what has been tried, until it is passed over.
MOST_REPEATS = 20

log = logging.getLogger(__name__)


def quiet_optuna() -> None:
    """Keeps Optuna from reporting every trial on the terminal, and from warning of what is experimental in it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    logging.getLogger("optuna").propagate = True


def open_storage(config: DAFConfig, *, read_only: bool = False) -> "BaseStorage":
    """The storage that `sweep.storage` names.

    Args:
        read_only: leaves a damaged journal as it is, and makes nothing where there is none yet.

    Raises:
        DAFConfigError: it cannot be opened.
    """
    quiet_optuna()
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    address = config.sweep.storage
    if address and "://" in address:
        try:
            return RDBStorage(address, skip_table_creation=read_only)
        except Exception as error:  # Optuna, its database and its driver raise what they like
            raise DAFConfigError([Problem("sweep.storage", f"cannot be opened: {reason(error)}.", STORAGES)]) from error
    path = Path(address) if address else default_storage(config)
    # By default a new process waits half a minute for one that was killed while it held the lock.
    lock = JournalFileOpenLock(str(path), grace_period=5)
    try:
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path) and not path.is_file():  # a pipe would keep its reader waiting for ever
            raise OSError("it is not a file")
        if not read_only:
            mend_journal(path, lock)
    except OSError as error:
        what = f"{shortened(path)} cannot be used: {error.strerror or error}."
        raise DAFConfigError([Problem("sweep.storage", what, STORAGES)]) from error
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except Exception as error:  # a line that is there and belongs elsewhere raises whatever Optuna stumbles over
        why = f"the study's journal {path} cannot be read: {type(error).__name__}: {error}."
        raise DAFConfigError([Problem("sweep.storage", why, "Restore it, or begin another study.")]) from error


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
    def asked(self) -> dict[str, Any]:
        """What it was told to sample, under the study's names; the rest was left to the sampler."""
        return dict(self._stored.system_attrs.get("fixed_params", {}))

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

    @property
    def stop_asked(self) -> bool:
        """Whether somebody asked for it to end. Optuna's trial knows only what this process noted."""
        return TrialFacts.load(self._trial.storage.get_trial(_storage_key(self._trial)).user_attrs).stop_asked

    @property
    def params(self) -> dict[str, Any]:
        """What was sampled, under the study's names."""
        return self._trial.params

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

    def stop(self) -> None:
        """Ends it as one that the user stopped: a sampler sees what it reported, as of a pruned one."""
        self.record(stopped=True)
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
    def seeds(self) -> StudySeeds:
        """Where its episodes and its confirmation's trainings begin."""
        stored = self.facts.seeds
        return StudySeeds(*stored) if stored else SHARED

    @property
    def directions(self) -> tuple[Direction, ...]:
        """``maximize`` or ``minimize`` for each objective."""
        maximize = [direction.name == "MAXIMIZE" for direction in self.study.directions]
        return tuple("maximize" if is_max else "minimize" for is_max in maximize)

    def trials(self) -> list[StudyTrial]:
        """All trials so far, in the order of their numbers."""
        return [StudyTrial(trial) for trial in self.study.get_trials(deepcopy=False)]

    def ran(self) -> list[StudyTrial]:
        """The trials that are no repetition of an earlier one."""
        return [trial for trial in self.trials() if trial.facts.same_as is None]

    def pareto_front(self) -> list[StudyTrial]:
        """The trials that no other one beats in every objective; the best ones where there is one objective."""
        front = [StudyTrial(trial) for trial in self.study.best_trials]
        return [trial for trial in front if trial.facts.same_as is None]

    def best_trials(self, count: int) -> list[StudyTrial]:
        """The best complete trials that ran, best first; for several objectives those of the Pareto front."""
        if len(self.directions) > 1:
            return self.pareto_front()[:count]
        complete = [trial for trial in self.ran() if trial.state == "COMPLETE"]
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

    def ask_to_stop(self, number: int) -> None:
        """Asks whoever runs a trial, or runs it next, to end it. It has not ended yet."""
        self.running_trial(number).record(stop_asked=True)

    def enqueue(self, point: Mapping[str, Any]) -> int:
        """Puts a point, as sampled values under the study's names, before all others; returns the trial's number."""
        attrs: dict[str, Any] = {}
        TrialFacts(enqueued=True).save(attrs.__setitem__)
        before = {trial.number for trial in self.trials()}
        self.study.enqueue_trial(dict(point), user_attrs=attrs)
        return next(trial.number for trial in self.trials() if trial.number not in before and trial.facts.enqueued)

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
        self,
        config: DAFConfig,
        storage: "BaseStorage",
        space: Space,
        points: Sequence[Mapping[str, Any]] | None,
        *,
        is_grid: bool,
    ) -> None:
        """Opens or creates the study.

        Args:
            points: every point of the space, or None where there are infinitely (or too) many.
            is_grid: whether they are tried one by one, and no sampler chooses.

        Raises:
            DAFConfigError: it was begun with another space, objective or base config.
        """
        import optuna

        self.config = config
        self._owner, self._last_heartbeat = new_owner(), 0.0
        self._enqueued = _enqueued(config, space)
        self._is_grid = is_grid
        self._points = None if points is None else list(map(dict, points))
        self._repeats = 0
        self._planned, self.n_trials = self._plan(config.sweep.n_trials)
        study = optuna.create_study(
            storage=storage,
            study_name=study_name(config),
            directions=list(config.objective.direction),
            load_if_exists=True,
            pruner=make_pruner(config),
        )
        super().__init__(study)
        sampler = config.sweep.sampler or ("grid" if is_grid else "tpe")
        self._check_identity(space)
        self.heartbeat()
        self._stops_before = self.facts.stops
        self.study.sampler = make_sampler(config, sampler, len(self.trials()), self._others_before())

    def _plan(self, asked: int | None) -> tuple[list[dict[str, Any]], int]:
        """What is tried whatever a sampler says, and how many trials there will be."""
        if not self._is_grid:
            count = asked or DEFAULT_TRIALS
            return self._enqueued[:count], count if self._points is None else min(count, len(self._points))
        others = [point for point in self._points or () if point not in self._enqueued]
        planned = [*self._enqueued, *others][:asked]
        return planned, len(planned)

    def _check_identity(self, space: Space) -> None:
        now, before = identity(self.config), self.facts.identity
        self.record(n_trials=self.n_trials)
        if before is None:
            self.record(identity=now, seeds=astuple(study_seeds(self.name)))
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
            self._check_distributions(space)
            self.record(identity=now)

    def _check_distributions(self, space: Space) -> None:
        """Optuna can widen and narrow a range that it has sampled; it cannot change its kind, nor choices."""
        from optuna.distributions import check_distribution_compatibility

        stored = {name: known for trial in self.trials() for name, known in trial.distributions.items()}
        for parameter in space.parameters:
            before = stored.get(parameter.name)
            if before is None:
                continue
            try:
                check_distribution_compatibility(before, parameter.distribution())
            except ValueError as error:
                why = f"cannot be changed in study {self.name}, which has sampled it from {before}."
                raise DAFConfigError(
                    [Problem(f"sweep.space.{parameter.path}", why, "Give another sweep.name.")]
                ) from error

    def next_trial(self) -> RunningTrial | None:
        """The trial to run next: one that a dead process left running, then a new one.

        None when there are enough, or somebody has asked since this process began that no more begin.
        """
        if self.facts.stops > self._stops_before:
            return None
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
        ran = self.ran()
        if len(ran) >= self.n_trials:
            return None
        return point or ({} if self._repeats < MOST_REPEATS else self._untried(ran))

    def _untried(self, ran: Sequence[StudyTrial]) -> dict[str, Any] | None:
        """A point for a sampler that proposes nothing new any more; None where no point is left, or none is known."""
        tried = [trial.params for trial in ran]
        if self._points is None:
            log.warning("The sampler proposed nothing new %d times in a row: the sweep ends here.", self._repeats)
        return next((point for point in self._points or () if point not in tried), None)

    def end_repeated(self, trial: RunningTrial) -> bool:
        """Ends a trial whose config an earlier trial has, as that one ended; returns whether there is one."""
        earlier = self.trials()[: trial.number]
        twin = next((each for each in earlier if _is_twin(each, trial) and each.facts.same_as is None), None)
        self._repeats = self._repeats + 1 if twin else 0
        if twin is None:
            return False
        trial.record(same_as=twin.number)
        if twin.values:
            trial.complete(twin.values)
        else:
            trial.prune()
        return True

    def claim_parent(self, before: str | None, run_id: str) -> list[str]:
        """Proposes an MLflow run to file the trials under, in place of `before`; all proposals, the first one first."""
        prefix = f"parent after {before} "
        self.study.set_user_attr(f"{prefix}{self._owner}", run_id)
        return [value for key, value in self.study.user_attrs.items() if key.startswith(prefix)]

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


def _is_twin(earlier: StudyTrial, trial: RunningTrial) -> bool:
    """Whether two trials sampled the same and made the same experiment: the base config may have changed since."""
    if earlier.params != trial.params:
        return False
    parts = (*EXPERIMENT, "task")
    one, other = ({part: (facts.config or {}).get(part) for part in parts} for facts in (earlier.facts, trial.facts))
    return one == other


def _enqueued(config: DAFConfig, space: Space) -> list[dict[str, Any]]:
    names = {parameter.path: parameter for parameter in space.parameters}
    return [
        {names[key.lstrip("+")].name: names[key.lstrip("+")].sampled(value) for key, value in point.items()}
        for point in config.sweep.enqueue
    ]


def load_stored(config: DAFConfig, *, read_only: bool = False) -> StudyView:
    """The study of a config, to be read.

    Args:
        read_only: as for `open_storage`.

    Raises:
        DAFError: there is none yet.
    """
    import optuna

    name = study_name(config)
    address = config.sweep.storage or str(default_storage(config))
    if "://" not in address and (read_only or not config.sweep.storage) and not os.path.lexists(address):
        raise DAFError(f"there is no study {name} at {redactor().text(address)}")
    try:
        return StudyView(optuna.load_study(study_name=name, storage=open_storage(config, read_only=read_only)))
    except KeyError as error:
        raise DAFError(f"there is no study {name} in {redactor().text(address)}") from error
