"""A picture that cannot be drawn is a warning; tables, records and exit code of finished work stay as they are."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from daf.comparison import daf_compare_policies
from daf.config import DAFConfig
from daf.errors import DAFInterruptedError
from daf.evaluation import daf_evaluate
from daf.tracking.tracker import Tracker
from daf.visualization import comparison_plots, daf_plot_training_curves
from daf.visualization.drawing import attempt, draw_files
from daf.visualization.replays import gif
from tests.conftest import TINY

Load = Callable[..., DAFConfig]


def fails(path: Path) -> None:
    path.write_text("half")
    raise RuntimeError("the fonts are gone.\nand more")


def interrupts(path: Path) -> None:
    raise DAFInterruptedError("Ctrl-C")


def test_the_others_are_drawn_and_one_warning_names_all_that_failed_alike(
    tracker: Tracker, store: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = tracker.output_dir / "plots" / "good.txt"
    drawn = draw_files(
        tracker, "plots", {"one.png": fails, "good.txt": lambda path: path.write_text("whole"), "two.png": fails}
    )
    assert drawn == (good,)
    assert [path.name for path in good.parent.iterdir()] == ["good.txt"]
    told = "plots: one.png, two.png could not be drawn and had to be left out: RuntimeError: the fonts are gone."
    assert [record.getMessage() for record in caplog.records] == [told]
    tracker.close("FINISHED")
    client = MlflowClient(store)
    assert [item.path for item in client.list_artifacts(tracker.run_id, "plots")] == ["plots/good.txt"]
    run = client.get_run(tracker.run_id)
    assert (run.info.status, run.data.tags["daf.warning"]) == ("FINISHED", told)


def test_ctrl_c_is_no_failed_picture(tracker: Tracker) -> None:
    with pytest.raises(DAFInterruptedError):
        draw_files(tracker, "plots", {"one.png": interrupts})
    with pytest.raises(DAFInterruptedError):
        attempt(tracker, "The picture", lambda: interrupts(tracker.output_dir))


def test_a_full_disk_takes_no_picture_and_ends_nothing(
    tracker: Tracker, disk: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = disk("size=64k")
    (tracker.output_dir / "plots").symlink_to(folder)
    (folder / "filler").write_bytes(b"x" * 60_000)
    curve = [(step, float(step)) for step in range(50)]
    assert draw_files(tracker, "plots", {"c.png": lambda path: daf_plot_training_curves({"a": curve}, path)}) == ()
    assert "c.png could not be drawn and had to be left out: OSError: [Errno 28] No space left on device" in caplog.text
    assert [path.name for path in folder.iterdir()] == ["filler"]


def test_a_comparison_keeps_its_tables_without_its_pictures(
    tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny("task=compare", "comparison.policies=[starter,noop]", "evaluation.episodes=3")
    monkeypatch.setattr("daf.comparison.publish.daf_export_comparison_html", lambda findings, path: fails(path))
    monkeypatch.setattr("daf.comparison.publish.daf_generate_leaderboard", lambda *_, **__: fails(tracker.output_dir))
    monkeypatch.setattr(comparison_plots, "styled_figure", lambda path, **_: fails(path))
    result = daf_compare_policies(config, tracker)
    folder = tracker.output_dir / "comparison"
    assert len(result.tables[0].rows) == 2
    assert not any(note.startswith("Report:") for note in result.notes)
    assert len((folder / "episodes.jsonl").read_text().splitlines()) == 6
    assert (folder / "summaries.csv").is_file()
    assert not (folder / "report.html").exists()
    for what in ("The leaderboard", "report.html", "policies.png, differences.png, profiles.png"):
        assert f"{what} could not be" in caplog.text


def test_replays_that_cannot_be_drawn_end_no_evaluation(
    tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gif, "shown_steps", lambda steps: fails(tracker.output_dir / "half"))
    result = daf_evaluate(tiny("task=evaluate", "policy=noop", "evaluation.replays=true"), tracker)
    assert len(result.records) == 2
    assert result.notes == ()
    assert "The replays of noop on cogsguard_arena.basic could not be made and had to be left out" in caplog.text


@pytest.mark.slow
def test_matplotlib_is_broken_and_the_command_ends_with_0(tmp_path: Path, fresh_database: Path) -> None:
    broken = tmp_path / "first" / "matplotlib" / "__init__.py"
    broken.parent.mkdir(parents=True)
    broken.write_text("raise RuntimeError('no fonts at all')\n")
    shutil.copyfile(fresh_database, tmp_path / "mlflow.db")
    own = (f"tracking.uri=sqlite:///{tmp_path}/mlflow.db", f"output_dir={tmp_path}/out")
    path = os.pathsep.join([str(broken.parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "daf.run", "task=compare", *TINY, *own, "comparison.policies=[starter,noop]"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("RuntimeError: no fonts at all") == 1
    assert "Report:" in done.stdout
    content = json.loads((tmp_path / "out" / "comparison" / "comparison.json").read_text())
    assert content["comparison"]["policies"] == ["starter", "noop"]
