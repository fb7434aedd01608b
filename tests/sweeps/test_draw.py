"""Plots come last, in a worker, and one that never ends is left out."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from daf.config import DAFConfig
from daf.execution.executor import Event, JobDone, JobFailed, JobMessage
from daf.sweeps.api import with_sweep
from daf.sweeps.draw import draw, draw_in_worker
from daf.sweeps.jobs import PlotJob
from daf.sweeps.plots import sweep_plots
from daf.sweeps.study import StudyView, quiet_optuna
from tests.sweeps.support import open_study

Load = Callable[..., DAFConfig]


class Pool:
    """Draws three plots; the one that is called ``hangs`` never ends, and ``dies`` takes its worker along."""

    def __init__(self, *names: str) -> None:
        self.limits: list[float | None] = []
        self._names = names
        self._job: PlotJob | None = None

    def submit(self, payload: Any, *, cost: float = 0.0, time_limit_s: float | None = None) -> int:
        self._job = payload
        self.limits.append(time_limit_s)
        return len(self.limits)

    def events(self) -> Iterator[Event]:
        assert self._job is not None
        job_id = len(self.limits)
        for name in self._names:
            if name in self._job.skip:
                continue
            yield JobMessage(job_id=job_id, message=name)
            if name in ("hangs", "dies"):
                reason: Any = "hung" if name == "hangs" else "died"
                yield JobFailed(job_id=job_id, reason=reason, traceback="The worker process was ended: no sign.\nmore")
                return
            yield JobMessage(job_id=job_id, message=self._job.folder / f"{name}.png")
        yield JobDone(job_id=job_id, result=None)


def test_a_plot_that_never_ends_is_left_out_and_the_others_are_drawn(
    tiny: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pool: Any = Pool("history", "hangs", "slice", "dies", "contour")
    drawn = draw_in_worker(pool, tiny(), tmp_path, limit_s=3.0)
    assert [path.stem for path in drawn] == ["history", "slice", "contour"]
    assert pool.limits == [3.0] * 3
    assert "The plot hangs was left out: The worker process was ended: no sign." in caplog.text
    assert "The plot dies was left out" in caplog.text


class Broken(Pool):
    """Fails before it begins a plot, as where matplotlib cannot be imported."""

    def events(self) -> Iterator[Event]:
        yield JobFailed(job_id=len(self.limits), reason="error", traceback="Traceback\nRuntimeError: no fonts")


def test_without_matplotlib_there_are_no_plots_and_one_warning(
    tiny: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pool: Any = Broken()
    assert draw_in_worker(pool, tiny(), tmp_path) == []
    assert caplog.messages == ["The plots were left out: RuntimeError: no fonts"]


def test_a_worker_whose_matplotlib_is_broken_fails_with_the_reason(
    tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_sweep(tiny(), space={"optimizer.lr": [1e-4, 1e-3]}, name="mine")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    context: Any = None
    with pytest.raises(ImportError, match=r"matplotlib\.figure"):
        draw(PlotJob(config=config, folder=tmp_path, skip=frozenset()), context)


def test_a_worker_says_what_it_begins(tiny: Load, tmp_path: Path) -> None:
    config = with_sweep(tiny(), space={"optimizer.lr": [1e-4, 1e-3]}, name="mine")
    stored = open_study(config)
    while trial := stored.next_trial():
        trial.complete([float(trial.number)])
    messages: list[Any] = []
    context: Any = type("Context", (), {"report": staticmethod(messages.append), "should_stop": lambda self: False})()
    draw(PlotJob(config=config, folder=tmp_path, skip=frozenset()), context)
    assert messages == ["history", tmp_path / "history.png"]


@pytest.mark.parametrize("choices", [[float(value) for value in range(1, 71)], [f"option {n}" for n in range(70)]])
def test_importances_of_seventy_choices_take_seconds(tmp_path: Path, choices: list[Any]) -> None:
    quiet_optuna()
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: float(choices.index(trial.suggest_categorical("some.key", choices))), n_trials=40)
    started = time.monotonic()
    path = sweep_plots(StudyView(study), tmp_path, ["reward"])["importances"]()
    assert path is not None
    assert path.is_file()
    assert time.monotonic() - started < 30
