"""The stored study: what identifies it, whose its running trials are, and which trial comes next."""

import json
import logging
import os
import socket
import time
import uuid
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.config.schemas import DAFConfig
from daf.config.sections import FREE
from daf.errors import DAFConfigError, DAFError, Problem
from daf.records import digest
from daf.sweeps.space import Space
from daf.sweeps.strategies import make_pruner, make_sampler
from daf.tasks import find_task
from daf.tracking.provenance import flatten
from daf.tracking.redaction import Redactor
from daf.tracking.store import project_dir, tracking_uri

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.storages.journal import BaseJournalFileLock
    from optuna.trial import FrozenTrial

#: Trials of a sweep that has no end of its own.
DEFAULT_TRIALS = 20
#: Seconds between two signs of life, and without one until a process on another machine counts as dead.
ALIVE_EVERY_S, DEAD_AFTER_S = 30.0, 300.0
#: Owners in this process that have not ended.
_AT_WORK: set[str] = set()
#: Settings of the sweep that, changed, make another study where no name is given.
NAMING = ("sampler", "sampler_kwargs", "pruner", "pruner_kwargs", "patience", "enqueue")
#: Those that make another experiment even under the same name.
IDENTIFYING = ("space", "seeds_per_trial")


def identity(config: DAFConfig) -> dict[str, Any]:
    """What must not change while a study goes on, as plain data without secrets."""
    decisive = find_task(config.task).decided_by
    if decisive is not None and "vor" in config.objective.metric:
        decisive |= {"vor"}
    data = config.model_dump(mode="json", include=decisive, exclude=FREE)  # type: ignore[arg-type]
    data["sweep"] = config.sweep.model_dump(mode="json", include=set(IDENTIFYING), exclude_defaults=True)
    tree: dict[str, Any] = Redactor().tree(data)
    return tree


def study_name(config: DAFConfig) -> str:
    """The given name, or one that the same command arrives at again."""
    if config.sweep.name:
        return config.sweep.name
    settings = config.sweep.model_dump(mode="json", include=set(NAMING))
    return f"{config.task.name}-{digest([identity(config), settings])[:8]}"


def default_storage(config: DAFConfig) -> Path:
    """The study's journal, beside the tracking store where that is a file."""
    address = tracking_uri(config.tracking.uri)
    local = address.startswith("sqlite:///")
    folder = Path(address.removeprefix("sqlite:///")).parent if local else project_dir() / "mlruns"
    return folder / "studies" / f"{study_name(config)}.journal"


def open_storage(config: DAFConfig) -> "BaseStorage":
    """The storage that `sweep.storage` names."""
    quiet_optuna()
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    from sqlalchemy.exc import SQLAlchemyError

    address = config.sweep.storage
    if address and "://" in address:
        try:
            return RDBStorage(address)
        except (ImportError, SQLAlchemyError) as error:
            raise DAFConfigError([Problem("sweep.storage", Redactor().text(f"cannot be opened: {error}"))]) from error
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


def quiet_optuna() -> None:
    """Optuna tells the terminal about every trial, and what is experimental about itself."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    logging.getLogger("optuna").propagate = True


class StoredStudy:
    """An Optuna study that knows what it is about and goes on after any kind of end.

    Attributes:
        study: Optuna's own.
        name: its name.
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
        self.name = study_name(config)
        self._owner = owner()
        _AT_WORK.add(self._owner)
        self._told_alive = 0.0
        self._enqueued = _enqueued(config, space)
        self._is_grid = grid is not None
        points = [point for point in grid or () if point not in self._enqueued]
        self._planned = [*self._enqueued, *map(dict, points)][: config.sweep.n_trials]
        self.n_trials = len(self._planned) if self._is_grid else config.sweep.n_trials or DEFAULT_TRIALS
        self.study = optuna.create_study(
            storage=storage,
            study_name=self.name,
            directions=list(config.objective.direction),
            load_if_exists=True,
            pruner=make_pruner(config),
        )
        sampler = config.sweep.sampler or ("tpe" if grid is None else "grid")
        self._check_identity(space)
        self.tell_alive()
        self.study.sampler = make_sampler(config, sampler, len(self.trials()), self._others_before())

    def _check_identity(self, space: Space) -> None:
        now = identity(self.config)
        before = self.study.user_attrs.get("identity")
        if before is None:
            self.study.set_user_attr("identity", now)
            self.study.set_user_attr("n_trials", self.n_trials)
            self.study.set_metric_names(list(self.config.objective.metric))
            return
        self.study.set_user_attr("n_trials", self.n_trials)
        changes = _differences(before, now)
        directions = [direction.name.lower() for direction in self.study.directions]
        if directions != list(self.config.objective.direction):
            raise DAFConfigError([Problem("objective.direction", f"study {self.name} is about {directions}.")])
        if changes and not self.config.sweep.allow_change:
            hint = f"The study is {self.name}. Go on nonetheless with sweep.allow_change=true, or give a sweep.name."
            raise DAFConfigError([Problem(where, change, hint) for where, change in changes])
        if changes:
            self._check_choices(space)
            self.study.set_user_attr("identity", now)

    def _check_choices(self, space: Space) -> None:
        """Optuna cannot change the choices of a parameter that it has sampled."""
        import optuna

        stored = {name: own for trial in self.trials() for name, own in trial.distributions.items()}
        for parameter in space.parameters:
            before = stored.get(parameter.name)
            choices = parameter.finite_values() if parameter.config.choices is not None else None
            known = list(before.choices) if isinstance(before, optuna.distributions.CategoricalDistribution) else None
            if before is not None and choices != known:
                why = "choices cannot be changed in a study that has sampled them."
                raise DAFConfigError([Problem(f"sweep.space.{parameter.path}", why, "Give another sweep.name.")])

    def trials(self) -> "list[FrozenTrial]":
        """All trials so far."""
        return self.study.get_trials(deepcopy=False)

    def next_trial(self) -> "optuna.Trial | None":
        """The trial to run next: one that a dead process left running, then a new one; None when there are enough."""
        return self._left_behind() or self._new()

    def _left_behind(self) -> "optuna.Trial | None":
        import optuna

        for trial in self.trials():
            if trial.state == optuna.trial.TrialState.RUNNING and self.is_dead(trial.user_attrs.get("owner")):
                adopted = optuna.trial.Trial(self.study, trial._trial_id)
                adopted.set_user_attr("owner", self._owner)
                return adopted
        return None

    def _new(self) -> "optuna.Trial | None":
        import optuna

        if not any(trial.state == optuna.trial.TrialState.WAITING for trial in self.trials()):
            point = self._next_point()
            if point is None:
                return None
            attrs = {"owner": self._owner, "baseline": bool(self._enqueued) and point == self._enqueued[0]}
            # Through the queue, so that a trial has an owner from its first moment on.
            self.study.enqueue_trial(point, user_attrs=attrs)
        trial = self.study.ask()
        trial.set_user_attr("owner", self._owner)
        return trial

    def _next_point(self) -> dict[str, Any] | None:
        """A planned point that no trial has, else an empty one for the sampler; None when there are enough trials."""
        trials = self.trials()
        begun = {frozenset(trial.system_attrs.get("fixed_params", {}).items()) for trial in trials}
        point = next((point for point in self._planned if frozenset(point.items()) not in begun), None)
        if self._is_grid:
            return point
        return (point or {}) if len(trials) < self.n_trials else None

    def close(self) -> None:
        """Leaves the trials that it has not finished to whoever goes on with the study."""
        _AT_WORK.discard(self._owner)

    def tell_alive(self) -> None:
        """Leaves a sign of life for processes on other machines, every now and then."""
        if time.monotonic() - self._told_alive > ALIVE_EVERY_S:
            self._told_alive = time.monotonic()
            self.study.set_user_attr(f"alive {self._owner}", time.time())

    def _others_before(self) -> int:
        """How many processes that began earlier are still at work on the same study."""
        owners = [key.removeprefix("alive ") for key in self.study.user_attrs if key.startswith("alive ")]
        return sum(not self.is_dead(who) for who in owners[: owners.index(self._owner)])

    def is_dead(self, who: str | None) -> bool:
        """Whether the process that ran a trial is no more."""
        return is_dead(who, self.study.user_attrs)


def report(trial: "optuna.Trial", step: int, value: float) -> bool:
    """Stores an intermediate value; returns whether the trial should be pruned."""
    # Not Trial.report: it keeps the first of two values, and a trial that is tried again reports anew.
    trial.storage.set_trial_intermediate_value(trial._trial_id, step, value)
    return bool(trial.study.pruner.prune(trial.study, trial.storage.get_trial(trial._trial_id)))


def _enqueued(config: DAFConfig, space: Space) -> list[dict[str, Any]]:
    names = {parameter.path: parameter for parameter in space.parameters}
    return [
        {names[key.lstrip("+")].name: names[key.lstrip("+")].sampled(value) for key, value in point.items()}
        for point in config.sweep.enqueue
    ]


def owner() -> str:
    """Whoever runs trials, so that others can tell whether it still does: host, process id, its start, a name."""
    import psutil

    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.2f} {uuid.uuid4().hex[:8]}"


def is_dead(who: str | None, study_attrs: Mapping[str, Any]) -> bool:
    """Whether an owner has ended, or has been silent for `DEAD_AFTER_S` seconds on another machine."""
    import psutil

    if not who:
        return True
    host, pid, started, _ = who.rsplit(" ", 3)
    if host != socket.gethostname():
        return time.time() - float(study_attrs.get(f"alive {who}", 0.0)) > DEAD_AFTER_S
    try:
        if f"{psutil.Process(int(pid)).create_time():.2f}" != started:
            return True
    except psutil.NoSuchProcess:
        return True
    # In a notebook, a process outlives its interrupted sweeps.
    return int(pid) == os.getpid() and who not in _AT_WORK


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, what changed) for every leaf that differs."""
    # Through JSON, as the storage gives it back.
    old, new = dict(flatten(before)), dict(flatten(json.loads(json.dumps(now))))
    return [
        (key, f"was {old.get(key, 'not there')!r}, is {new.get(key, 'not there')!r}.")
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def load_stored(config: DAFConfig) -> "optuna.Study":
    """The study of a config, to be read.

    Raises:
        DAFError: there is none yet.
    """
    import optuna

    name = study_name(config)
    if not config.sweep.storage and not default_storage(config).is_file():
        raise DAFError(f"there is no study {name} at {default_storage(config)}")
    try:
        return optuna.load_study(study_name=name, storage=open_storage(config))
    except KeyError as error:
        raise DAFError(f"there is no study {name} in {config.sweep.storage or default_storage(config)}") from error
