"""What a study holds about a trial and about itself beside what Optuna keeps: the names of fields are keys in storage.

An optional field that is not there, and a default, are the same; so a study keeps only what was recorded.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

#: How a study stores the heartbeats of its processes, and the scores of its confirmation: prefix of the keys.
HEARTBEAT, CONFIRMED = "alive ", "confirm "
Write = Callable[[str, Any], None]


class _Facts:
    """Plain fields, loaded from a storage's attributes and saved there one by one."""

    @classmethod
    def load(cls, attrs: Mapping[str, Any]) -> Self:
        """The facts among a storage's attributes; unknown attributes are left alone."""
        known = {each.name for each in fields(cls)}  # type: ignore[arg-type]
        return cls(**{key: _frozen(value) for key, value in attrs.items() if key in known})

    def save(self, write: Write, before: Self | None = None) -> None:
        """Writes every fact that is not a default, or with `before`: every one that differs from it."""
        for key, value in self._changes(before or type(self)()):
            write(key, value)

    def _changes(self, before: Self) -> Iterator[tuple[str, Any]]:
        for each in fields(self):  # type: ignore[arg-type]
            if (value := getattr(self, each.name)) != getattr(before, each.name):
                yield each.name, value


@dataclass(frozen=True, kw_only=True)
class TrialFacts(_Facts):
    """What a study holds about a trial.

    Attributes:
        assignments: what it varies, without secrets: key of the command line to the config's value.
        config: its config without secrets and the sweep's section, with the evaluation seeds that were asked for.
        output_dir: its folder.
        run_id: its MLflow run.
        retries: how often it was tried again.
        owner: the process that runs it, or ran it last; see `owners`.
        baseline: whether it is the first enqueued point, which a winner must beat.
        checkpoints: for each training seed where the policy lies.
        agent_steps: trained in it.
        seconds: that it took; None while it has not ended.
        failure: how it failed, and its error in one line.
        same_as: number of the earlier trial with the same config, where this one was not run for that reason.
        enqueued: whether somebody asked for it while the sweep was there already; see `steering`.
        stop_asked: whether somebody asked for it to end.
        stopped: whether it ended for that reason.
    """

    assignments: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    output_dir: str | None = None
    run_id: str | None = None
    retries: int = 0
    owner: str | None = None
    baseline: bool = False
    checkpoints: tuple[str, ...] = ()
    agent_steps: int = 0
    seconds: float | None = None
    failure: str | None = None
    same_as: int | None = None
    enqueued: bool = False
    stop_asked: bool = False
    stopped: bool = False


@dataclass(frozen=True, kw_only=True)
class StudyFacts(_Facts):
    """What a study holds about itself.

    Attributes:
        identity: what must not change while it goes on.
        n_trials: trials in all, as last asked for.
        seeds: the fields of its `StudySeeds`; None where it was begun with those that all studies shared.
        parent_run_id: the MLflow run that its trials are filed under.
        verdict: what the confirmation found.
        confirmed_best: number of the trial with the best confirmed mean.
        stops: how often somebody asked that no more trials begin; who begins later is not meant by those before.
        confirmation: the confirmation's table, its headings first.
        command: what was typed, without secrets, and goes on with the study.
        heartbeats: owner of trials to its last heartbeat, in seconds since the epoch; in order of their beginnings.
    """

    identity: Mapping[str, Any] | None = None
    n_trials: int | None = None
    seeds: tuple[int, ...] | None = None
    parent_run_id: str | None = None
    verdict: str | None = None
    confirmed_best: int | None = None
    stops: int = 0
    confirmation: tuple[tuple[str, ...], ...] = ()
    command: str | None = None
    heartbeats: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def load(cls, attrs: Mapping[str, Any]) -> Self:
        beats = {key.removeprefix(HEARTBEAT): time for key, time in attrs.items() if key.startswith(HEARTBEAT)}
        return super().load({**attrs, "heartbeats": beats})

    def _changes(self, before: Self) -> Iterator[tuple[str, Any]]:
        yield from ((key, value) for key, value in super()._changes(before) if key != "heartbeats")
        for owner, time in self.heartbeats.items():
            if before.heartbeats.get(owner) != time:
                yield f"{HEARTBEAT}{owner}", time


@dataclass(frozen=True, kw_only=True)
class EpisodeScore:
    """What a confirmed policy scored in one episode."""

    mission: str
    seed: int
    value: float


#: What one policy scored, episode by episode; a job of the confirmation has one for each of its training seeds.
PolicyScores = tuple[EpisodeScore, ...]


def confirmed_scores(attrs: Mapping[str, Any]) -> dict[str, tuple[PolicyScores, ...]]:
    """The scores that a storage's attributes hold, by the name of the job; see `confirm`."""
    return {
        key.removeprefix(CONFIRMED): tuple(
            tuple(EpisodeScore(mission=mission, seed=seed, value=value) for mission, seed, value in policy)
            for policy in stored
        )
        for key, stored in attrs.items()
        if key.startswith(CONFIRMED)
    }


def stored_scores(scores: tuple[PolicyScores, ...]) -> list[list[list[Any]]]:
    """The same as plain data for the storage."""
    return [[[score.mission, score.seed, score.value] for score in policy] for policy in scores]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
