"""One folder, one run: who may have it, who is refused, and what is left there."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from daf.config import daf_load_config
from daf.errors import DAFConfigError, DAFError
from daf.tracking import output_folder
from daf.tracking.output_folder import LOCK, RECORD, Request, claimed, single_request

TRAIN = Request(what="task=train", digest="a", repeatable=False)
OTHER = Request(what="task=train", digest="b", repeatable=False)
RUN_ID = "0123456789abcdef" * 2


def leave(folder: Path, request: Request, error: BaseException | None = None, run_id: str = RUN_ID) -> None:
    """Has a run end in a folder."""
    try:
        with claimed(folder, request) as claim:
            claim.is_of(run_id)
            if error:
                raise error
    except BaseException as raised:
        if raised is not error:
            raise


def status(folder: Path) -> str:
    return str(json.loads((folder / RECORD).read_text())["status"])


@pytest.mark.parametrize(
    ("error", "noted"), [(None, "FINISHED"), (DAFError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_another_request_is_refused_however_the_first_ended(
    error: BaseException | None, noted: str, tmp_path: Path
) -> None:
    leave(tmp_path, TRAIN, error)
    assert status(tmp_path) == noted
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]
    before = (tmp_path / RECORD).read_bytes()
    with pytest.raises(DAFConfigError) as refused, claimed(tmp_path, OTHER):
        pass
    told = str(refused.value)
    assert f"output_dir: {tmp_path} holds another run's files (task=train, MLflow run {RUN_ID})." in told
    assert "Give another output_dir" in told
    assert (tmp_path / RECORD).read_bytes() == before


def test_the_same_request_goes_on_unless_its_training_is_finished(tmp_path: Path) -> None:
    leave(tmp_path, TRAIN, DAFError("no"))
    leave(tmp_path, TRAIN)
    with pytest.raises(DAFConfigError, match=r"finished training of this very request .*training\.resume="):
        leave(tmp_path, TRAIN)
    again = Request(what="task=evaluate", digest="c")
    for _ in range(2):
        leave(tmp_path / "evaluation", again)


@pytest.mark.parametrize("resumes", [RUN_ID, "checkpoints", "."])
def test_a_resume_of_the_run_that_is_there_may_have_its_folder(resumes: str, tmp_path: Path) -> None:
    leave(tmp_path, TRAIN)
    resumes = resumes if resumes == RUN_ID else str(tmp_path / resumes)
    leave(tmp_path, Request(what="task=train", digest="longer", resumes=resumes))
    assert status(tmp_path) == "FINISHED"


@pytest.mark.parametrize("resumes", ["f" * 32, "/elsewhere/checkpoints"])
def test_a_resume_of_another_run_may_not(resumes: str, tmp_path: Path) -> None:
    leave(tmp_path, TRAIN)
    with pytest.raises(DAFConfigError, match="holds another run's files"):
        leave(tmp_path, Request(what="task=train", digest="longer", resumes=resumes))


def test_files_of_the_users_own_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    leave(tmp_path, TRAIN)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_refusal_inside_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    leave(tmp_path / "new" / "out", TRAIN, DAFConfigError([]))
    assert list(tmp_path.iterdir()) == []
    leave(tmp_path, TRAIN)
    before = (tmp_path / RECORD).read_bytes()
    leave(tmp_path, Request(what="x", digest="longer", resumes=RUN_ID), DAFConfigError([]), run_id="1" * 32)
    assert (tmp_path / RECORD).read_bytes() == before


def test_of_two_runs_in_one_process_one_has_the_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with claimed(tmp_path / "out", TRAIN):
        with pytest.raises(DAFConfigError, match=rf"another run is at work in .*process {os.getpid()}"):
            leave(tmp_path / "link", TRAIN)
        assert status(tmp_path / "out") == "RUNNING"
    assert status(tmp_path / "out") == "FINISHED"


HOLDS = """
import sys, time
from pathlib import Path
from daf.tracking.output_folder import Request, claimed
with claimed(Path(sys.argv[1]), Request(what="task=train", digest=sys.argv[2], repeatable=False)):
    print("has it", flush=True)
    time.sleep(60)
"""


def test_another_process_keeps_it_until_it_ends_even_by_a_kill(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "out"), "a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "has it\n"
        with pytest.raises(DAFConfigError, match=rf"another run is at work in .*process {other.pid} on "):
            leave(tmp_path / "out", TRAIN)
        other.kill()
        other.wait()
    assert status(tmp_path / "out") == "RUNNING"
    with pytest.raises(DAFConfigError, match="holds another run's files"):
        leave(tmp_path / "out", OTHER)
    leave(tmp_path / "out", TRAIN)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [RECORD]


def _race(folder: str, gate: object, won: object) -> None:
    gate.wait()  # type: ignore[attr-defined]
    try:
        with claimed(Path(folder), TRAIN):
            with won.get_lock():  # type: ignore[attr-defined]
                won.value += 1  # type: ignore[attr-defined]
            gate.wait()  # type: ignore[attr-defined]
    except DAFConfigError:
        gate.wait()  # type: ignore[attr-defined]


def test_of_many_at_the_same_moment_exactly_one_wins(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    for attempt in range(4):
        gate, won = fork.Barrier(6), fork.Value("i", 0)
        processes = [fork.Process(target=_race, args=(str(tmp_path / str(attempt)), gate, won)) for _ in range(6)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert won.value == 1


def test_where_there_are_no_locks_the_record_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_lock(*_: object) -> None:
        raise OSError(output_folder.NO_LOCKS[0], "no locks available")

    monkeypatch.setattr("fcntl.lockf", no_lock)
    leave(tmp_path, TRAIN, DAFError("no"))
    record = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps({**record, "status": "RUNNING", "machine": "elsewhere"}))
    with pytest.raises(DAFConfigError, match=r"another run is at work .* on elsewhere"):
        leave(tmp_path, TRAIN)
    (tmp_path / RECORD).write_text(json.dumps({**record, "status": "RUNNING", "started": 1.0}))
    leave(tmp_path, TRAIN)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"what": 1}', "[" * 10_000])
def test_a_damaged_record_is_told(content: str, tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text(content)
    with pytest.raises(DAFConfigError, match=rf"{RECORD} is damaged"):
        leave(tmp_path, TRAIN)
    assert not (tmp_path / LOCK).exists()


@pytest.mark.parametrize("below", ["file/x", "file", "x" * 300, "a/" + "y" * 256, "/proc/x/y", "/dev/null/x"])
def test_a_folder_that_cannot_be_is_told_and_nothing_is_left(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DAFConfigError, match=r"output_dir: .* cannot be used: "):
        leave(tmp_path / below, TRAIN)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_where_and_how_work_is_done_makes_no_other_request() -> None:
    config = daf_load_config()

    def of(**changes: object) -> str:
        return single_request(config.model_copy(update=changes), repeatable=True).digest

    tracking = config.tracking.model_copy(update={"experiment": "x"})
    evaluation = config.evaluation.model_copy(update={"workers": 2})
    assert of() == of(tracking=tracking, evaluation=evaluation, output_dir="/x", device="cpu")
    training = config.training.model_copy(update={"resume": "x"})
    assert len({of(), of(seed=1), of(training=training)}) == 3
