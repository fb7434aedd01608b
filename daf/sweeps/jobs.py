"""What travels between a sweep and its workers: plain data that imports nothing heavy."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from daf.config.schemas import DAFConfig
from daf.files import write_whole
from daf.redaction import redactor

log = logging.getLogger(__name__)

#: Scores of a policy: (mission, evaluation seed) to one number for each metric.
Scores = dict[tuple[str, int], tuple[float, ...]]

#: What a worker reports so that its silence means something.
ALIVE = "alive"
#: In a trial's folder, from the moment on at which it has ended and its MLflow run, too.
OUTCOME_FILE = "outcome.json"


@dataclass(frozen=True, kw_only=True)
class TrialJob:
    """What a worker needs to know to run a trial, or to confirm one.

    Attributes:
        config: the trial's whole config; its seed is the first training seed, its output folder the trial's own.
        trial: number of the trial in the study.
        assignments: what the trial varies, without secrets: key of the command line to value.
        name: of the MLflow run.
        parent_run_id: the MLflow run that it is filed under.
        run_id: its MLflow run, which the sender of the job can end for a worker that died; None makes a new one.
        tags: of the MLflow run.
        training_seeds: one training each.
        weights: policies that were trained before, one for each training seed; None trains them.
        report_every: agent steps between two reports of the training reward; None reports nothing while training.
        report_episodes: whether every evaluation episode is reported, for a pruner that looks at those.
    """

    config: DAFConfig
    trial: int
    assignments: Mapping[str, Any]
    name: str
    parent_run_id: str | None
    run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    training_seeds: tuple[int, ...]
    weights: tuple[str, ...] | None = None
    report_every: int | None = None
    report_episodes: bool = False


@dataclass(frozen=True)
class CheckJob:
    """Asks a worker whether a config can run: it has torch and CoGames at hand, which take seconds to import."""

    config: DAFConfig


@dataclass(frozen=True, kw_only=True)
class PlotJob:
    """Asks a worker for the plots of a study, without those that are named in `skip`."""

    config: DAFConfig
    folder: Path
    skip: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Intermediate:
    """A worker reports the objective on the way, at an agent step or after an episode."""

    step: int
    value: float


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """How a trial ended.

    Attributes:
        state: ``complete``, ``stopped`` (it was asked to) or ``diverged`` (it would diverge again).
        values: one for each metric; empty unless complete.
        scores: for each training seed what its policy scored in every episode.
        checkpoints: for each training seed where the policy lies.
        agent_steps: trained in this trial.
        seconds: that it took.
        error: what went wrong, where it diverged.
    """

    state: Literal["complete", "stopped", "diverged"]
    run_id: str
    values: tuple[float, ...] = ()
    scores: tuple[Scores, ...] = ()
    checkpoints: tuple[str, ...] = ()
    agent_steps: int = 0
    seconds: float = 0.0
    error: str = ""

    def save(self, folder: Path) -> None:
        """Leaves it in the trial's folder, without the scores, so that it outlives the process that waits for it."""
        facts = asdict(replace(self, scores=(), error=redactor().text(self.error)))
        write_whole(folder / OUTCOME_FILE, json.dumps(facts, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "TrialOutcome | None":
        """What `save` left there; None where the trial never came to an end."""
        try:
            facts: dict[str, Any] = json.loads((folder / OUTCOME_FILE).read_text())
            lists = {key: tuple(value) for key, value in facts.items() if isinstance(value, list)}
            return cls(**(facts | lists))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, AttributeError) as error:  # torn by a full disk, or by hand
            log.warning("%s is damaged and counts as not there: %s", folder / OUTCOME_FILE, error)
            return None


def seeds_from(first: int, count: int) -> tuple[int, ...]:
    """So many seeds in a row."""
    return tuple(range(first, first + count))
