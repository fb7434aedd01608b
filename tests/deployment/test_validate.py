"""`task=validate` on real bundles: who passes is noted by digest, who does not is told why, and with which log."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from daf.bridge.bundles import read_bundle
from daf.config import DAFConfig
from daf.deployment import daf_validate_deployment
from daf.deployment.metadata import BundleMetadata
from daf.deployment.validations import note_packed, passed_validation
from daf.errors import DAFConfigError
from daf.tracking.tracker import Tracker
from tests.promised_results import keeps_promises

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


def bundle(folder: Path, act: str = "return Action(name='move_north')", *, described: bool = False) -> Path:
    """A bundle that somebody else made, or, described, one as task=package makes it."""
    files = {"policy_spec.json": '{"class_path": "theirs.Policy"}', "theirs.py": POLICY.format(act=act)}
    if described:
        digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
        metadata = BundleMetadata(name="walker", version="1.2.0", class_path="theirs.Policy", files=digests)
        files["metadata.json"] = metadata.text().decode()
    path = folder / "theirs.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_a_bundle_that_was_packed_here_passes_and_is_noted(
    tiny: Load, tracker: Tracker, store: str, tmp_path: Path
) -> None:
    path = bundle(tmp_path, described=True)
    digest = read_bundle(path).digest()
    note_packed(digest)
    assert passed_validation(digest) is None
    config = tiny("task=validate", f"deployment.bundle={path}", "mission.max_steps=1000")
    result = daf_validate_deployment(config, tracker)
    keeps_promises("validate", result)
    assert (result.digest, result.level, result.name, result.version) == (digest, "smoke", "walker", "1.2.0")
    answers = {check.name: check.status for check in result.checks}
    assert "failed" not in answers.values() and result.refused is None
    assert answers["files"] == answers["plays"] == answers["latency"] == answers["acts"] == "passed"
    noted = passed_validation(digest)
    assert noted is not None and (noted.run_id, noted.figures) == (tracker.run_id, result.figures)
    assert passed_validation(digest, "qualifying") is None
    assert 0 < result.figures["validation/latency_p50_ms"] <= result.figures["validation/latency_max_ms"]
    tracker.close("FINISHED")
    run = MlflowClient(store).get_run(tracker.run_id).data
    assert (run.tags["daf.validation"], run.tags["daf.bundle_sha256"]) == ("passed", digest)
    assert run.metrics["validation/timeouts"] == 0
    episode = json.loads((tracker.output_dir / "validation" / "episodes.jsonl").read_text().splitlines()[0])
    assert (episode["steps"], len(episode["rewards"])) == (20, 2)
    assert "Agent policies" in next((tracker.output_dir / "validation").glob("self-play*.log")).read_text()


def test_qualifying_plays_self_play_and_splits_and_one_that_only_noops_fails(
    tiny: Load, tracker: Tracker, store: str, tmp_path: Path
) -> None:
    path = bundle(tmp_path, "return Action(name='noop')")
    config = tiny(
        "task=validate", f"deployment.bundle={path}", "policy.trust=true", "deployment.validation=qualifying",
        "deployment.pool=[noop]", "mission.max_steps=5", "evaluation.episodes=1", "evaluation.workers=1",
    )  # fmt: skip
    result = daf_validate_deployment(config, tracker)
    answers = {check.name: check for check in result.checks}
    assert answers["plays"].status == "passed"
    assert "2 episodes, 10 steps" in answers["plays"].why
    assert answers["acts"].why == "no agent does anything but noop"
    assert result.refused is not None and "  - acts: no agent does anything but noop" in result.refused
    assert str(tracker.output_dir / "validation") in result.refused
    assert {"survival", "junctions", "score, recorded"} <= set(answers)
    assert passed_validation(read_bundle(path).digest()) is None
    assert (tracker.output_dir / "validation" / "1 of 2 with noop.log").exists()
    tracker.close("FINISHED")
    assert MlflowClient(store).get_run(tracker.run_id).data.tags["daf.validation"] == "failed"


def test_code_of_others_does_not_run_before_it_is_trusted(
    tiny: Load, tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle(tmp_path)
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
    packed = bundle(tmp_path, described=True)
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b" " if name == "policy_spec.json" else b""))
    result = daf_validate_deployment(tiny("task=validate", f"deployment.bundle={changed}"), tracker)
    assert result.refused is not None and "of another content: 'policy_spec.json'" in result.refused
    assert result.tables[0].rows[0][:2] == ("files", "failed")


@pytest.mark.parametrize("name", ["missing.zip", "notes.txt"])
def test_what_is_no_bundle_is_a_wrong_request(tiny: Load, tracker: Tracker, tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("no bundle")
    with pytest.raises(DAFConfigError, match="is no bundle"):
        daf_validate_deployment(tiny("task=validate", f"deployment.bundle={tmp_path / name}"), tracker)
