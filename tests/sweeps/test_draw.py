"""Plots come last, in a worker, and one that never ends is left out."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from daf.config import DAFConfig
from daf.errors import DAFError
from daf.execution.executor import Event, JobDone, JobFailed, JobMessage
from daf.sweeps.api import with_sweep
from daf.sweeps.composition import compose_onto
from daf.sweeps.cut_short import shown_if_cut_short
from daf.sweeps.draw import draw, draw_in_worker
from daf.sweeps.findings import sweep_findings
from daf.sweeps.importance import importances
from daf.sweeps.jobs import PlotJob
from daf.sweeps.plots import sweep_plots
from daf.sweeps.space import Space
from daf.sweeps.study import StudyView, quiet_optuna
from daf.tracking.tracker import Tracker
from tests.sweeps.support import make_request, open_study

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
    assert messages == ["history", tmp_path / "history.png", "sweep", tmp_path / "sweep.html"]


@pytest.mark.parametrize("choices", [[float(value) for value in range(1, 71)], [f"option {n}" for n in range(70)]])
def test_importances_of_seventy_choices_take_seconds(tiny: Load, tmp_path: Path, choices: list[Any]) -> None:
    quiet_optuna()
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: float(choices.index(trial.suggest_categorical("some.key", choices))), n_trials=40)
    started = time.monotonic()
    path = sweep_plots(StudyView(study), tmp_path, tiny())["importances"]()
    assert path is not None
    assert path.is_file()
    assert time.monotonic() - started < 30


def test_what_leads_to_high_values_matters_where_those_are_sought(recwarn: pytest.WarningsRecorder) -> None:
    """Of seventy choices PED-ANOVA looks at what the best trials have in common."""
    quiet_optuna()
    names = [f"option {number}" for number in range(10)]

    def objective(trial: optuna.Trial) -> float:
        bad = trial.suggest_categorical("some.bad", names) == names[0]
        good = trial.suggest_categorical("some.good", names) in names[:3]
        return good - 5.0 * bad

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=120)
    assert next(iter(importances(StudyView(study)))) == "good"
    assert not [warning for warning in recwarn if "low `target`" in str(warning.message)]


def test_nothing_is_said_of_what_mattered_before_ten_trials(tiny: Load, tmp_path: Path) -> None:
    def studied(count: int) -> StudyView:
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
        study.optimize(
            lambda trial: trial.suggest_float("some.lr", 0, 1) + 0.01 * trial.suggest_float("other.lr", 0, 1), count
        )
        return StudyView(study)

    quiet_optuna()
    assert importances(studied(9)) == {}
    assert "importances" not in sweep_plots(studied(9), tmp_path, tiny())
    shares = importances(studied(10))
    assert list(shares) == ["some.lr", "other.lr"], "whole names where the last parts are alike"
    assert sum(shares.values()) == pytest.approx(1)


def test_reports_are_told_apart_by_training(tiny: Load) -> None:
    """The second training goes on counting where the first was meant to end, which went a little beyond."""
    quiet_optuna()
    study = optuna.create_study(direction="maximize")
    trial = study.ask()
    for step in (200, 400, 520, 710, 910, 1040):
        trial.report(step / 100, step)
    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    (shown,) = sweep_findings(StudyView(study), tiny("training.num_steps=512")).trials
    assert shown.lines == (((200, 2.0), (400, 4.0), (520, 5.2)), ((198, 7.1), (398, 9.1), (528, 10.4)))
    assert (shown.state, shown.last, shown.values) == ("pruned", 10.4, ())


def test_the_page_holds_what_the_study_knows(tiny: Load) -> None:
    config = with_sweep(tiny("mission.cogs=2"), space={"optimizer.lr": [1e-4, 1e-3]}, name="mine")
    stored = open_study(config)
    table = (("trial", "mean"), ("1", "0.5"))
    stored.record(verdict="No winner.", confirmation=table, command="python -m daf.run -m optimizer.lr=1,2")
    first, second = stored.next_trial(), stored.next_trial()
    assert first is not None
    assert second is not None
    for trial, value in ((first, 1.0), (second, 2.0)):
        trial.suggest(Space.from_config(config.sweep.space), compose_onto(config))
        trial.complete([value])
    found = sweep_findings(stored, config)
    assert found.notes[0] == "No winner."
    assert (found.best, found.command) == (1, "python -m daf.run -m optimizer.lr=1,2")
    assert [(shown.title, shown.columns, shown.rows) for shown in found.tables] == [
        ("Confirmed on fresh seeds", table[0], table[1:]),
        ("Space", ("key", "values", "applies"), (("optimizer.lr", "0.0001, 0.001", "always"),)),
    ]
    assert [axis.name for axis in found.axes] == ["lr"]
    assert found.facts["mission"].endswith("with 2 cogs")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DAFError("too many failed")])
def test_a_sweep_that_is_cut_short_leaves_what_there_is(
    tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr("daf.sweeps.cut_short.ENOUGH_S", 300.0)  # a busy machine draws slowly
    config = with_sweep(tiny(), space={"optimizer.lr": [1e-4, 1e-3]}, name="mine")
    stored = open_study(config)
    trial = stored.next_trial()
    assert trial is not None
    trial.complete([3.0])
    request = make_request(config, tracker)
    with pytest.raises(type(error)), shown_if_cut_short(stored, request):
        raise error
    assert {path.name for path in (request.output_dir / "plots").iterdir()} == {"history.png", "sweep.html"}
    assert "3.0000" in (tracker.output_dir / "summary.md").read_text()


def test_another_ctrl_c_leaves_the_pictures_out(tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: object) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr("daf.sweeps.cut_short.sweep_plots", pressed)
    stored = open_study(with_sweep(tiny(), space={"optimizer.lr": [1e-4, 1e-3]}, name="mine"))
    trial = stored.next_trial()
    assert trial is not None
    trial.complete([3.0])
    with (
        pytest.raises(DAFError, match="first"),
        shown_if_cut_short(stored, make_request(stored.config, tracker)),
    ):
        raise DAFError("first")
