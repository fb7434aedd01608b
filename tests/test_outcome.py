"""What programs are told of a run, in its folder and on standard output."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from daf.config import daf_load_config
from daf.config.commands import OF_COMPARISON, command_for, playing
from daf.errors import DAFError
from daf.redaction import HIDDEN
from daf.results import Outcome, TaskResult
from daf.tasks.outcome import RESULT_FILE
from tests.cli.support import run
from tests.ended import asked

#: How a run ends: status, exit code.
ENDS = {
    "ok": ("ok", 0),
    "fails": ("failed", 1),
    "breaks": ("failed", 1),
    "interrupted": ("interrupted", 130),
    "incomplete": ("failed", 1),
    "refuses": ("refused", 1),
}


@pytest.fixture
def own(tmp_path: Path, store: str) -> list[str]:
    """Where a run of the command line keeps everything."""
    return [f"output_dir={tmp_path / 'out'}", f"tracking.uri={store}"]


def strictly(text: str) -> dict[str, Any]:
    """One JSON object, without the numbers that JSON does not have."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found


@pytest.mark.parametrize("how", ENDS)
def test_every_end_is_told_in_the_folder_and_on_standard_output(
    how: str, own: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    status, code = ENDS[how]
    assert run(monkeypatch, *asked(how, *own, "result_format=json")) == code
    printed, written = capfd.readouterr().out, (tmp_path / "out" / RESULT_FILE).read_text()
    assert printed == written
    told = strictly(printed)
    assert (told["status"], told["exit_code"], told["task"]) == (status, code, "ends")
    assert told["metrics"]["found/reward"] == 0.5
    assert "found/step" not in told["metrics"]
    assert (told["error"] is None) == (status == "ok")
    assert told["output_dir"] == str(tmp_path / "out")
    client = MlflowClient(own[1].partition("=")[2])
    assert client.get_run(told["run_id"]).data.metrics["found/reward"] == 0.5
    if how in ("ok", "incomplete", "refuses"):
        assert told["objective"] == told["metrics"]["objective"] == 1.5
        assert told["metrics"]["found/ratio"] == 2.0
        assert told["facts"] == {"winner": "a", "password": HIDDEN}
        assert told["files"]["report"] == str(tmp_path / "out" / "report.html")
        assert told["files"]["config"] == str(tmp_path / "out" / "config.yaml")
        assert told["tables"] == [{"title": "Found", "columns": ["policy", "reward"], "rows": [["a", "1.0"]]}]
        assert told["notes"] == ["noted"]
        assert told["next"] == "python -m daf.run task=compare"
        assert RESULT_FILE in [each.path for each in client.list_artifacts(told["run_id"])]


def test_what_others_print_leaves_standard_output_alone(
    own: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *asked("prints", *own, "result_format=json")) == 0
    seen = capfd.readouterr()
    assert strictly(seen.out)["status"] == "ok"
    for line in ("from Python", "from C", "from a child"):
        assert line in seen.err
    # And afterwards all is as it was.
    assert run(monkeypatch, "--help") == 0
    assert "daf" in capfd.readouterr().out


def test_text_stays_text_and_the_file_is_written_all_the_same(
    own: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *asked("prints", *own)) == 0
    printed = capfd.readouterr().out
    assert "from C" in printed
    assert "noted" in printed
    assert strictly((tmp_path / "out" / RESULT_FILE).read_text())["status"] == "ok"


def test_infinity_and_nan_are_words(
    own: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *asked("infinite", *own, "result_format=json")) == 0
    told = strictly(capfd.readouterr().out)
    assert (told["objective"], told["metrics"]["found/ratio"]) == ("inf", "nan")


def test_a_refused_request_is_an_object_and_leaves_nothing(
    own: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "optimizer.lrr=1", "mission=nope", *own, "result_format=json") == 2
    seen = capfd.readouterr()
    told = strictly(seen.out)
    assert (told["status"], told["exit_code"], told["run_id"]) == ("refused_request", 2, "")
    assert told["problems"]
    for problem in told["problems"]:
        assert set(problem) == {"where", "what", "hint"}
        assert problem["what"] in seen.err
    assert not (tmp_path / "out").exists()


def test_a_flag_that_nobody_knows_is_an_object_too(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--no-such-flag", "result_format=json") == 2
    seen = capfd.readouterr()
    assert strictly(seen.out)["status"] == "refused_request"
    assert "--no-such-flag" in seen.err


def test_a_request_that_turns_out_to_be_wrong_names_its_problems(
    own: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *asked("wrong", *own, "result_format=json")) == 2
    told = strictly(capfd.readouterr().out)
    assert told["problems"] == [{"where": "mission.cogs", "what": "are too many.", "hint": "At most 3."}]


def test_what_is_only_shown_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--cfg", "job", "result_format=json") == 0
    shown = capfd.readouterr().out
    assert "result_format: json" in shown
    assert '"status"' not in shown


def test_a_store_that_takes_no_run_is_told_as_well(
    own: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(uri: str, experiment: str) -> None:
        raise DAFError(f"{uri} is gone")

    monkeypatch.setattr(sys.modules["daf.tasks.tracked"], "open_tidied", refuse)
    assert run(monkeypatch, *asked("ok", *own, "result_format=json")) == 1
    told = strictly(capfd.readouterr().out)
    assert (told["status"], told["run_id"]) == ("failed", "")
    assert told["error"].endswith("is gone")
    assert told == strictly((tmp_path / "out" / RESULT_FILE).read_text())


def test_numbers_of_numpy_are_numbers() -> None:
    import numpy as np

    found: dict[str, Any] = {"a": np.float32(0.5), "n": np.int64(3)}
    result = TaskResult(objective=np.float64(0.5), metrics=found)
    told = Outcome(task="t", status="ok", exit_code=0, result=result).as_json()
    assert json.loads(json.dumps(told))["metrics"] == {"a": 0.5, "n": 3}


COMMANDS: list[tuple[str, ...]] = [
    (),
    ("mission=miner_tutorial", "variant=credit", "mission.max_steps=50", "evaluation.episodes=3"),
    ("policy=stateless", "+policy.init_kwargs.hidden_size=64", "policy.name='a [name], with = and: spaces'"),
    ("evaluation.policies=[starter,'class=lstm,kw.hidden-size=8,name=x y']", "evaluation.baselines=[noop]"),
    ("variant.names=[credit,objective_mine]", "variant.without_rewards=[heart]", "mission.cogs=null"),
]


@pytest.mark.parametrize("overrides", COMMANDS, ids=range(len(COMMANDS)))
def test_a_command_gives_the_config_back(overrides: tuple[str, ...]) -> None:
    config = daf_load_config(overrides=["task=train", *overrides])
    command = shlex.split(command_for(config, "compare", OF_COMPARISON | {"policy"}))
    assert command[:4] == ["python", "-m", "daf.run", "task=compare"]
    again = daf_load_config(overrides=command[3:])
    for section in OF_COMPARISON | {"policy"}:
        assert getattr(again, section) == getattr(config, section)


def test_a_command_shows_no_secret() -> None:
    config = daf_load_config(overrides=["task=train", "+policy.init_kwargs.api_key=abcdef123456"])
    assert "abcdef123456" not in command_for(config, "evaluate")


def test_what_is_played_next_is_the_trained_policy_alone() -> None:
    config = daf_load_config(overrides=["task=evaluate", "policy=lstm", "evaluation.policies=[starter]"])
    alone = playing(config, config.policy.model_copy(update={"weights": "/somewhere/model.pt"}))
    again = daf_load_config(overrides=shlex.split(command_for(alone, "evaluate"))[3:])
    assert (again.policy.weights, again.evaluation.policies) == ("/somewhere/model.pt", ())
