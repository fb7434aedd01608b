"""What becomes of a pipeline and of its stages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from daf import results
from daf.results import ResultTable, TaskResult

Status = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What became of a stage.

    Attributes:
        task: what it did.
        status: ``warning`` is done as well, but episodes are missing; ``skipped`` never began.
        output_dir: its files.
        error: why it failed or was skipped; None where it was done.
        run_id: its MLflow run; None where it has none.
        seconds: that it took, all attempts together.
        attempts: how often it was tried; 0 where an earlier run of the pipeline had done it.
        objective, metrics, facts, files, tables, notes, missing: as `TaskResult` has them (`missing` is its `failed`).
        next: the command that goes on from here, or None.
    """

    name: str
    task: str
    status: Status
    output_dir: Path
    error: str | None = None
    run_id: str | None = None
    seconds: float = 0.0
    attempts: int = 0
    objective: float | tuple[float, ...] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    tables: tuple[ResultTable, ...] = ()
    notes: tuple[str, ...] = ()
    missing: int = 0
    next: str | None = None

    @property
    def done(self) -> bool:
        """Whether other stages may build on it."""
        return self.status in {"ok", "warning"}


@dataclass(frozen=True, kw_only=True)
class PipelineResult(TaskResult):
    """What became of a pipeline. Where a stage failed, `refused` says which and why.

    Attributes:
        objective: of the last stage that has one.
        name: of the pipeline.
        stages: every stage, in the order in which they need each other.
        seconds: that this run of the pipeline took.
    """

    name: str
    stages: tuple[StageResult, ...]
    seconds: float

    def stage(self, name: str) -> StageResult:
        """A stage by its name.

        Raises:
            KeyError: there is none of that name.
        """
        return {stage.name: stage for stage in self.stages}[name]

    @property
    def ended(self) -> results.Status:
        """A stage that failed, whatever the reason, is a failure, and no answer."""
        return "failed" if self.refused or self.failed else "ok"

    @property
    def ok(self) -> bool:
        """Whether every stage was done."""
        return all(stage.done for stage in self.stages)


def pipeline_result(name: str, stages: tuple[StageResult, ...], seconds: float) -> PipelineResult:
    """The stages' results as one."""
    failed = [f"stage {stage.name} failed: {stage.error}" for stage in stages if stage.status == "failed"]
    objectives = [stage.objective for stage in stages if stage.objective is not None]
    tables = (_renamed(stage.name, table) for stage in stages for table in stage.tables)
    return PipelineResult(
        objective=objectives[-1] if objectives else None,
        tables=(*tables, _overview(name, stages)),
        notes=tuple(f"{stage.name}: {note}" for stage in stages for note in stage.notes),
        failed=sum(stage.missing for stage in stages),
        refused="; ".join(failed) or None,
        metrics=_metrics(stages, seconds),
        facts={f"{stage.name}.{key}": fact for stage in stages for key, fact in _facts(stage).items()},
        files={f"{stage.name}.{key}": path for stage in stages for key, path in stage.files.items()},
        next=next((stage.next for stage in reversed(stages) if stage.next), None),
        name=name,
        stages=stages,
        seconds=seconds,
    )


def _metrics(stages: tuple[StageResult, ...], seconds: float) -> dict[str, float]:
    of_stages = {f"{stage.name}/{key}": value for stage in stages for key, value in stage.metrics.items()}
    objectives = {f"{stage.name}/objective": stage.objective for stage in stages if isinstance(stage.objective, float)}
    times = {f"{stage.name}/seconds": stage.seconds for stage in stages if stage.attempts}
    return {**of_stages, **objectives, **times, "seconds": seconds}


def _facts(stage: StageResult) -> dict[str, str]:
    return {**stage.facts, "status": stage.status, **({"run_id": stage.run_id} if stage.run_id else {})}


def _renamed(stage: str, table: ResultTable) -> ResultTable:
    return ResultTable(f"{stage}: {table.title}", table.columns, table.rows)


def _overview(name: str, stages: tuple[StageResult, ...]) -> ResultTable:
    """One row a stage."""
    rows = tuple(
        (stage.name, stage.task, _told(stage), f"{stage.seconds:.1f}" if stage.attempts else "", stage.error or "")
        for stage in stages
    )
    return ResultTable(f"Pipeline {name}", ("stage", "task", "status", "seconds", "why"), rows)


def _told(stage: StageResult) -> str:
    return stage.status if stage.attempts or not stage.done else f"{stage.status} (earlier)"
