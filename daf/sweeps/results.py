"""What a finished sweep gives back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daf.results import TaskResult
from daf.sweeps.judge import Confirmation
from daf.sweeps.status import SweepStatus
from daf.sweeps.study import StudyTrial


@dataclass(frozen=True, kw_only=True)
class SweepTrialResult:
    """A trial of a finished sweep.

    Attributes:
        number: from 0, in the order of their beginnings.
        state: ``COMPLETE``, ``PRUNED`` or ``FAIL``; ``RUNNING`` for one of another process, or of one that died.
        assignments: what it varied, without secrets: key of the command line to the config's value.
        values: its objective, one for each metric; empty unless complete.
        run_id: its MLflow run; None where it made no valid config.
        output_dir: its files; None where it made no valid config.
        seconds: that it took; None unless it ended by itself.
        failure: how it failed, and its error in one line; None where it did not.
    """

    number: int
    state: str
    assignments: Mapping[str, Any]
    values: tuple[float, ...]
    run_id: str | None
    output_dir: Path | None
    seconds: float | None
    failure: str | None

    @classmethod
    def of(cls, trial: StudyTrial) -> "SweepTrialResult":
        """What the study holds about a trial."""
        facts = trial.facts
        return cls(
            number=trial.number,
            state=trial.state,
            assignments=facts.assignments,
            values=trial.values,
            run_id=facts.run_id,
            output_dir=Path(facts.output_dir) if facts.output_dir else None,
            seconds=facts.seconds,
            failure=facts.failure if trial.state == "FAIL" else None,
        )


@dataclass(frozen=True, kw_only=True)
class SweepResult(TaskResult):
    """A finished sweep.

    Attributes:
        study_name: goes with `sweep.name` to resume it.
        status: how its trials ended.
        trials: all of them, in the order of their numbers.
        confirmation: what fresh seeds said, or None where that was not asked for.
        winner_files: where the winner's config was written; empty without a winner.
        output_dir: everything that this run of the sweep wrote.
        run_id: the MLflow run that all trials are filed under.
    """

    study_name: str
    status: SweepStatus
    trials: tuple[SweepTrialResult, ...]
    confirmation: Confirmation | None
    winner_files: tuple[Path, ...]
    output_dir: Path
    run_id: str
