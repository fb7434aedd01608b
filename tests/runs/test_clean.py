"""What may go goes; what must stay stays, whatever somebody tries."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Param

from daf.config import daf_load_config
from daf.environment_checks import daf_check_environment
from daf.execution.alive import machine
from daf.results import TaskResult
from daf.runs import daf_clean, leftovers
from daf.runs.clean import size_text
from daf.tracking.output_folder import Request, claimed
from daf.tracking.untracked import Untracked

LONG_AGO = time.time() - 100 * 86_400


class House:
    """A folder of outputs, whose runs are in a store."""

    def __init__(self, root: Path, uri: str) -> None:
        self.root = root / "outputs"
        self.root.mkdir()
        self.uri = uri
        self.client = MlflowClient(uri)
        self.experiment = self.client.create_experiment("daf", (root / "artifacts").as_uri())

    def run(self, name: str, *, task: str = "train", status: str = "FINISHED", **params: str) -> tuple[Path, str]:
        """An old output folder with a checkpoint, and its run."""
        folder = self.root / name
        tags = {"daf.task": task, "daf.output_dir": str(folder)}
        run_id = str(self.client.create_run(self.experiment, tags=tags, run_name=name).info.run_id)
        for key, value in params.items():
            self.client.log_batch(run_id, params=[Param(key.replace("__", "."), value)])
        with claimed(folder, Request(what=f"task={task}", digest=name)) as claim:
            claim.is_of(run_id)
            (folder / "checkpoints").mkdir()
            (folder / "checkpoints" / "model_000001.pt").write_bytes(b"w" * 1000)
            (folder / "config.yaml").write_text("seed: 1\n")
            self.client.log_artifact(run_id, str(folder / "config.yaml"))
            self.client.log_artifact(run_id, str(folder / "checkpoints" / "model_000001.pt"), "checkpoints")
        self.client.set_terminated(run_id, "FINISHED")
        if status != "FINISHED":
            self.note(folder, status=status)
        self.age(folder)
        return folder, run_id

    def note(self, folder: Path, **changes: object) -> None:
        path = folder / ".daf-run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def age(self, folder: Path) -> None:
        for path in [folder, *folder.rglob("*")]:
            os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)

    def clean(self, *overrides: str) -> TaskResult:
        own = (f"tracking.uri={self.uri}", f"clean.folder={self.root}", "clean.what=[outputs,checkpoints]")
        config = daf_load_config(overrides=["task=clean", *own, *overrides])
        assert not daf_check_environment(config).errors
        out = self.root.parent / "cleaned"
        out.mkdir(exist_ok=True)
        return daf_clean(config, Untracked(out))

    def why(self, *overrides: str) -> str:
        """Removes what may go, and says why something is left."""
        result = self.clean("clean.remove=true", *overrides)
        left = [table for table in result.tables if table.title == "Left"]
        return " | ".join(row[-1] for table in left for row in table.rows)


@pytest.fixture
def house(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    return House(tmp_path, store)


def test_it_shows_first_and_removes_when_asked(house: House) -> None:
    old, _ = house.run("a/old")
    new, _ = house.run("new")
    os.utime(new / "config.yaml")
    for _ in range(2):  # looking changes nothing, the age least of all
        shown = house.clean()
        assert [table.title for table in shown.tables] == ["To be removed", "Left"]
        assert [row[0] for row in shown.tables[0].rows] == [str(old)]
    assert old.is_dir()
    size = sum(path.stat().st_size for path in old.rglob("*") if path.is_file())
    assert shown.metrics["clean/bytes"] == size > 1000
    assert house.why() == "it has changed within 30 days"
    assert not old.exists()
    assert old.parent.is_dir()
    assert new.is_dir()


def test_a_sweep_goes_with_its_trials_and_so_does_the_report_of_one(house: House) -> None:
    sweep, _ = house.run("sweep")
    (sweep / "0" / "evaluation").mkdir(parents=True)
    for name in ("0/config.yaml", "0/outcome.json", "0/evaluation/episodes.jsonl"):
        (sweep / name).write_text("{}")
    report, _ = house.run("report", task="report")
    house.note(report, run_id=None)
    shutil.rmtree(report / "checkpoints")
    (report / "plots").mkdir()
    (report / "plots" / "sweep.html").write_text("<p>")
    house.age(house.root)
    assert house.why() == ""
    assert not sweep.exists()
    assert not report.exists()


def keep_by_tag(house: House, folder: Path, run_id: str) -> None:
    house.client.set_tag(run_id, "daf.keep", "true")


def keep_by_file(house: House, folder: Path, run_id: str) -> None:
    (folder / ".keep").touch()


def registered(house: House, folder: Path, run_id: str) -> None:
    house.client.create_registered_model("digger")
    house.client.create_model_version("digger", f"{folder}/model", run_id)


def deployed_from_its_path(house: House, folder: Path, run_id: str) -> None:
    house.run("deployment", task="deploy", policy__weights=str(folder / "checkpoints"))


def deployed_through_its_bundle(house: House, folder: Path, run_id: str) -> None:
    bundle, _ = house.run("bundle", task="package", policy__weights=str(folder / "checkpoints"))
    house.run("deployment", task="deploy", policy__weights=str(bundle / "bundle" / "x.zip"))


def deployed_by_its_id(house: House, folder: Path, run_id: str) -> None:
    house.run("deployment", task="deploy", policy__weights=run_id)


def played_by_a_running_run(house: House, folder: Path, run_id: str) -> None:
    _, other = house.run("busy", task="evaluate", policy__weights=str(folder / "checkpoints"))
    house.client.update_run(other, "RUNNING")


def goes_on_in_mlflow(house: House, folder: Path, run_id: str) -> None:
    house.client.update_run(run_id, "RUNNING")


def process_lives(house: House, folder: Path, run_id: str) -> None:
    house.note(folder, status="RUNNING", machine=machine(), pid=1, started=psutil.Process(1).create_time())


def interrupted(house: House, folder: Path, run_id: str) -> None:
    house.note(folder, status="KILLED")


def of_another_store(house: House, folder: Path, run_id: str) -> None:
    house.note(folder, run_id="f" * 32)


def undelivered(house: House, folder: Path, run_id: str) -> None:
    (folder / "undelivered.jsonl").write_text("{}\n")


def notes_of_the_user(house: House, folder: Path, run_id: str) -> None:
    (folder / "checkpoints" / "notes.txt").write_text("my best")


def weights_of_the_user(house: House, folder: Path, run_id: str) -> None:
    (folder / "checkpoints" / "best.pt").write_text("mine")


def link_in_it(house: House, folder: Path, run_id: str) -> None:
    (folder / "checkpoints" / "model_000002.pt").symlink_to(house.root.parent / "mlflow.db")


def project_around_it(house: House, folder: Path, run_id: str) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")


def damaged_record(house: House, folder: Path, run_id: str) -> None:
    (folder / ".daf-run.json").write_text("{")


def running_stage(house: House, folder: Path, run_id: str) -> None:
    stage = folder / "train"
    stage.mkdir()
    (stage / ".daf-run.json").write_text((folder / ".daf-run.json").read_text())
    keep_by_file(house, stage, run_id)


@pytest.mark.parametrize(
    ("protect", "told"),
    [
        (keep_by_tag, "the tag daf.keep"),
        (keep_by_file, "a file .keep"),
        (registered, "a version in the model registry comes from its MLflow run"),
        (deployed_from_its_path, "what is deployed"),
        (deployed_through_its_bundle, "what is deployed"),
        (deployed_by_its_id, "what is deployed"),
        (played_by_a_running_run, "a running run"),
        (goes_on_in_mlflow, "its MLflow run goes on"),
        (process_lives, "another run is at work"),
        (interrupted, "it may go on"),
        (of_another_store, "not in this store"),
        (undelivered, "task=deliver"),
        (notes_of_the_user, "checkpoints/notes.txt in it is not of DAF's making"),
        (weights_of_the_user, "checkpoints/best.pt in it is not of DAF's making"),
        (link_in_it, "checkpoints/model_000002.pt in it is not of DAF's making"),
        (project_around_it, ".git/HEAD in it is not of DAF's making"),
        (damaged_record, "is damaged"),
        (running_stage, "a file .keep"),
    ],
)
def test_what_must_stay_stays(protect: Callable[[House, Path, str], None], told: str, house: House) -> None:
    folder, run_id = house.run("mine")
    protect(house, folder, run_id)
    house.age(folder)
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    assert told in house.why()
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before
    assert (house.root.parent / "mlflow.db").is_file()


def test_only_what_lies_below_the_folder_and_is_of_a_run_goes(house: House, tmp_path: Path) -> None:
    folder, _ = house.run("mine")
    outside = tmp_path / "elsewhere"
    folder.rename(outside)
    folder.symlink_to(outside)  # a link to a run's folder
    (house.root / "data").mkdir()
    (house.root / "data" / "results.csv").write_text("years of work")
    house.age(house.root)
    assert house.clean("clean.remove=true").metrics["clean/things"] == 0
    assert (outside / "checkpoints" / "model_000001.pt").is_file()
    assert (house.root / "data" / "results.csv").is_file()
    # Nor the named folder itself, though it is a run's.
    assert house.clean("clean.remove=true", f"clean.folder={outside}").metrics["clean/things"] == 0
    assert outside.is_dir()


def test_a_folder_that_a_process_has_locked_is_left(house: House) -> None:
    folder, _ = house.run("mine")
    hold = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True);"
        "time.sleep(60)"
    )
    command = [sys.executable, "-c", hold, str(folder / ".daf-run.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            assert "another run is at work" in house.why()
            assert folder.is_dir()
        finally:
            other.kill()
    assert house.why() == ""
    assert not folder.exists()


def test_what_changes_between_look_and_removal_is_left_and_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, run_id = house.run("mine")
    why_left = leftovers.why_left
    looks: list[Path] = []

    def seen(path: Path, *others: object) -> str | None:
        looks.append(path)
        if len(looks) == 2:
            house.client.set_tag(run_id, "daf.keep", "true")
        return why_left(path, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(leftovers, "why_left", seen)
    result = house.clean("clean.remove=true")
    assert folder.is_dir()
    assert len(looks) == 2
    assert result.refused is not None
    assert "daf.keep" in result.refused


def test_interrupted_work_goes_when_asked(house: House) -> None:
    folder, _ = house.run("mine", status="KILLED")
    assert house.why("clean.unfinished=true") == ""
    assert not folder.exists()


def test_checkpoints_of_deleted_runs_go_at_once_and_nothing_else_of_them(house: House) -> None:
    folder, run_id = house.run("deleted")
    kept, kept_id = house.run("kept")
    house.client.set_tag(kept_id, "daf.keep", "true")
    for each in (folder, kept):
        os.utime(each / "config.yaml")  # young
    for each_id in (run_id, kept_id):
        house.client.delete_run(each_id)
    result = house.clean("clean.remove=true", "clean.what=[checkpoints]")
    assert {row[0] for row in result.tables[0].rows} == {str(folder / "checkpoints"), f"{run_id}/checkpoints"}
    assert sorted(path.name for path in folder.iterdir()) == [".daf-run.json", "config.yaml"]
    assert [item.path for item in house.client.list_artifacts(run_id)] == ["config.yaml"]
    assert (kept / "checkpoints" / "model_000001.pt").is_file()
    assert house.client.list_artifacts(kept_id, "checkpoints")


def test_old_entries_of_caches_go_and_links_do_not(house: House, tmp_path: Path) -> None:
    cache, scratch, valuable = tmp_path / "cache" / "daf", tmp_path / "scratch", tmp_path / "valuable"
    valuable.mkdir()
    (valuable / "thesis.txt").write_text("x")
    for folder in (cache / "episodes" / "ab", cache / "references" / "r1", scratch / "daf-jail-x1", scratch / "mine"):
        folder.mkdir(parents=True)
        (folder / "file").write_text("content")
    (cache / "references" / "link").symlink_to(valuable)
    (cache / "references" / "r2").mkdir()
    (cache / "references" / "r1" / "inner").symlink_to(valuable)
    house.age(tmp_path / "cache")
    house.age(scratch)
    (cache / "references" / "r2" / "young").write_text("used")
    result = house.clean("clean.remove=true", "clean.what=[caches]")
    assert result.metrics["clean/things"] == 3
    assert not (cache / "episodes" / "ab" / "file").exists()
    assert not (cache / "references" / "r1").exists()
    assert not (scratch / "daf-jail-x1").exists()
    assert (scratch / "mine" / "file").is_file()
    assert (cache / "references" / "link").is_symlink()
    assert (cache / "references" / "r2" / "young").is_file()
    assert (valuable / "thesis.txt").is_file()


def test_caches_that_a_run_may_read_are_left_while_one_goes_on(house: House, tmp_path: Path) -> None:
    _, run_id = house.run("busy")
    house.client.update_run(run_id, "RUNNING")
    bundle = tmp_path / "cache" / "daf" / "bundles" / "b1"
    bundle.mkdir(parents=True)
    (bundle / "file").write_text("code")
    house.age(bundle)
    assert "a run goes on" in house.why("clean.what=[caches]")
    assert bundle.is_dir()


def test_what_cannot_be_removed_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = house.run("mine")

    def refuses(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(leftovers, "remove_tree", refuses)
    result = house.clean("clean.remove=true")
    assert result.refused is not None
    assert "Permission denied" in result.refused
    assert result.metrics["clean/bytes"] == 0
    assert folder.is_dir()


def test_a_folder_that_is_not_there_is_a_wrong_request(store: str, tmp_path: Path) -> None:
    config = daf_load_config(overrides=["task=clean", f"tracking.uri={store}", f"clean.folder={tmp_path / 'none'}"])
    assert "there is no folder" in str(daf_check_environment(config).errors[0])


def test_sizes_are_for_people() -> None:
    assert [size_text(size) for size in (0, 1023, 2048, 3 * 2**30)] == ["0 B", "1023 B", "2.0 KiB", "3.0 GiB"]


def test_the_record_goes_last(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    for name in ("a", ".daf-run.json", "z"):
        (tmp_path / "f" / name).touch()
    leftovers.remove_tree(tmp_path / "f")
    assert not (tmp_path / "f").exists()
