"""`task=validate` on real bundles: who passes is noted by digest, who does not is told why, and with which log."""

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from daf.bridge.bundles import read_bundle
from daf.config import DAFConfig
from daf.deployment import daf_package_policy, daf_validate_deployment
from daf.deployment.validate import DAFValidationError
from daf.deployment.validations import passed_validation
from daf.errors import DAFConfigError
from daf.tracking.tracker import Tracker

Load = Callable[..., DAFConfig]
POLICY = """
from mettagrid.policy.policy import AgentPolicy, MultiAgentPolicy
from mettagrid.simulator import Action


class Agent(AgentPolicy):
    def step(self, obs):
        {act}


class Policy(MultiAgentPolicy):
    def agent_policy(self, agent_id):
        return Agent(self.policy_env_info)
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def foreign(folder: Path, act: str = "return Action(name='move_north')", **more: str) -> Path:
    """A bundle that somebody else made."""
    path = folder / "theirs.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("policy_spec.json", '{"class_path": "theirs.Policy"}')
        archive.writestr("theirs.py", POLICY.format(act=act))
        for name, text in more.items():
            archive.writestr(name.replace("_json", ".json"), text)
    return path


def test_a_packed_policy_of_ones_own_passes_and_is_noted(
    tiny: Load, tracker: Tracker, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "walker_of_mine.py").write_text(POLICY.format(act="return Action(name='move_north')"))
    monkeypatch.syspath_prepend(tmp_path)
    packed = daf_package_policy(tiny("task=package", "policy.class_path=walker_of_mine.Policy"), tracker)
    sys.modules.pop("walker_of_mine", None)
    config = tiny("task=validate", f"deployment.bundle={packed.bundle}", "mission.max_steps=1000")
    assert passed_validation(packed.digest) is None
    result = daf_validate_deployment(config, tracker)
    assert (result.digest, result.level, result.name) == (packed.digest, "smoke", "Policy")
    answers = {check.name: check.status for check in result.checks}
    assert "failed" not in answers.values()
    assert answers["files"] == answers["plays"] == answers["latency"] == answers["acts"] == "passed"
    noted = passed_validation(packed.digest)
    assert noted is not None and (noted.run_id, noted.figures) == (tracker.run_id, result.figures)
    assert passed_validation(packed.digest, "qualifying") is None
    assert 0 < result.figures["validation/latency_p50_ms"] <= result.figures["validation/latency_max_ms"]
    tracker.close("FINISHED")
    run = MlflowClient(store).get_run(tracker.run_id).data
    assert (run.tags["daf.validation"], run.tags["daf.bundle_sha256"]) == ("passed", packed.digest)
    assert run.metrics["validation/timeouts"] == 0
    episode = json.loads((tracker.output_dir / "validation" / "episodes.jsonl").read_text().splitlines()[0])
    assert (episode["steps"], len(episode["rewards"])) == (20, 2)
    assert "Agent policies" in next((tracker.output_dir / "validation").glob("self-play*.log")).read_text()


def test_qualifying_plays_self_play_and_splits_and_one_that_only_noops_fails(
    tiny: Load, tracker: Tracker, store: str, tmp_path: Path
) -> None:
    path = foreign(tmp_path, "return Action(name='noop')")
    config = tiny(
        "task=validate", f"deployment.bundle={path}", "policy.trust=true", "deployment.validation=qualifying",
        "deployment.pool=[noop]", "mission.max_steps=5", "evaluation.episodes=1", "evaluation.workers=2",
    )  # fmt: skip
    with pytest.raises(DAFValidationError) as raised:
        daf_validate_deployment(config, tracker)
    assert raised.value.exit_code == 1
    answers = {check.name: check for check in raised.value.checks}
    assert answers["plays"].status == "passed"
    assert "2 episodes, 10 steps" in answers["plays"].why
    assert answers["acts"].why == "no agent does anything but noop"
    assert "acts: no agent does anything but noop" in str(raised.value) and "validation" in str(raised.value)
    assert {"survival", "junctions", "score, recorded"} <= set(answers)
    assert passed_validation(read_bundle(path).digest()) is None
    assert (tracker.output_dir / "validation" / "1 of 2 with noop.log").exists()
    tracker.close("FAILED")
    assert MlflowClient(store).get_run(tracker.run_id).data.tags["daf.validation"] == "failed"


def test_code_of_others_does_not_run_before_it_is_trusted(
    tiny: Load, tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = foreign(tmp_path)
    monkeypatch.setattr("daf.deployment.validate.play_trial", lambda *_, **__: pytest.fail("it was played"))
    with pytest.raises(DAFConfigError, match=r"theirs\.py.*was not packed here") as raised:
        daf_validate_deployment(tiny("task=validate", f"deployment.bundle={path}"), tracker)
    digest = read_bundle(path).digest()
    assert raised.value.exit_code == 2 and f"policy.trusted=[{digest}]" in str(raised.value)


def test_a_module_that_would_shadow_one_of_cogames_is_code_as_well(
    tiny: Load, tracker: Tracker, tmp_path: Path
) -> None:
    path = tmp_path / "lstm.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("policy_spec.json", '{"class_path": "mettagrid.policy.lstm.LSTMPolicy"}')
        archive.writestr("einops.py", "print('hello')")
    with pytest.raises(DAFConfigError, match=r"brings code \(einops\.py\)"):
        daf_validate_deployment(tiny("task=validate", f"deployment.bundle={path}"), tracker)


def test_a_bundle_whose_files_are_others_fails_and_never_runs(
    tiny: Load, tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daf.deployment.validate.play_trial", lambda *_, **__: pytest.fail("it was played"))
    packed = daf_package_policy(tiny("task=package", "policy=noop"), tracker).bundle
    assert packed is not None
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b" " if name == "policy_spec.json" else b""))
    with pytest.raises(DAFValidationError, match=r"of another content: 'policy_spec\.json'"):
        daf_validate_deployment(tiny("task=validate", f"deployment.bundle={changed}"), tracker)
    table = (tracker.output_dir / "validation" / "validation.csv").read_text()
    assert table.splitlines()[1].startswith("files,failed")


@pytest.mark.parametrize("name", ["missing.zip", "notes.txt"])
def test_what_is_no_bundle_is_a_wrong_request(tiny: Load, tracker: Tracker, tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("no bundle")
    with pytest.raises(DAFConfigError, match="is no bundle"):
        daf_validate_deployment(tiny("task=validate", f"deployment.bundle={tmp_path / name}"), tracker)
