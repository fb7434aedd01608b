"""The tasks deploy and rollback, on both targets."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from mlflow import MlflowClient

from daf.config import DAFConfig
from daf.deployment import daf_deploy_policy, daf_rollback_deployment
from daf.deployment.deploy import DEPLOY
from daf.deployment.results import DeploymentResult
from daf.deployment.validations import record_validation
from daf.errors import DAFConfigError, DAFError
from daf.tracking.store import open_store
from daf.tracking.tracker import Tracker
from tests.deployment.support import made_bundle, policy_server, serving

Load = Callable[..., DAFConfig]
Run = Callable[..., tuple[DeploymentResult, str]]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def run(tmp_path: Path, store: str, tiny: Load) -> Run:
    """Runs a task, with changes to the keys of `deployment`, in a run of its own; its result and run id."""
    count, base = iter(range(100)), tiny("task=deploy", "deployment.name=pol")
    client, experiment = open_store(store, "tasks")

    def run(
        task: Callable[[DAFConfig, Tracker], DeploymentResult], changes: Mapping[str, object]
    ) -> tuple[DeploymentResult, str]:
        config = base.model_copy(update={"deployment": base.deployment.model_copy(update=dict(changes))})
        folder = tmp_path / f"run{next(count)}"
        folder.mkdir()
        with Tracker(client, experiment, "task", folder) as own:
            return task(config, own), own.run_id

    return run


@pytest.fixture(params=["registry", "http"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Keys that choose a target."""
    if request.param == "registry":
        yield {"target": "registry"}
        return
    with serving(policy_server.application(tmp_path / "policies")) as port:
        yield {"target": "http", "url": f"http://127.0.0.1:{port}"}


def test_versions_come_and_go_back(run: Run, where: dict[str, str], store: str, tmp_path: Path) -> None:
    runs = []
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        made = made_bundle(tmp_path, version)
        record_validation(made.digest, "smoke", run_id="r", figures={})
        result, run_id = run(daf_deploy_policy, where | {"bundle": str(made.path)})
        runs.append(run_id)
        assert (result.version, result.digest, result.target) == (version, made.digest, where["target"])
    assert result.previous == "1.1.0"
    assert [row[:2] for row in result.tables[0].rows] == [("1.2.0", "champion"), ("1.1.0", ""), ("1.0.0", "")]
    again, _ = run(daf_deploy_policy, where | {"bundle": str(made.path)})
    assert "is deployed already" in again.notes[0]
    for version in ("1.1.0", "1.0.0"):
        back, run_id = run(daf_rollback_deployment, where)
        runs.append(run_id)
        assert back.version == version
        assert back.digest == made_bundle(tmp_path, version).digest
    with pytest.raises(DAFError, match="nothing to roll back to"):
        run(daf_rollback_deployment, where)
    tags = [MlflowClient(store).get_run(run_id).data.tags for run_id in runs]
    moves = [(each["daf.move.kind"], each["daf.move.from"], each["daf.move.to"]) for each in tags]
    assert moves == [
        ("deploy", "", "1.0.0"),
        ("deploy", "1.0.0", "1.1.0"),
        ("deploy", "1.1.0", "1.2.0"),
        ("rollback", "1.2.0", "1.1.0"),
        ("rollback", "1.1.0", "1.0.0"),
    ]
    assert tags[-1]["daf.move.why"] == "rolled back from 1.1.0"


def test_a_version_that_does_not_play_is_not_restored(run: Run, where: dict[str, str], tmp_path: Path) -> None:
    """CoGames' chaos monkey raises at step 10."""
    for version, policy in (("1.0.0", "chaos-monkey"), ("1.1.0", "noop")):
        made = made_bundle(tmp_path, version, policy=policy)
        run(daf_deploy_policy, where | {"bundle": str(made.path), "unvalidated": True})
    with pytest.raises(DAFError, match=r"pol 1\.0\.0 does not play, so the alias stays where it is"):
        run(daf_rollback_deployment, where)
    again, _ = run(daf_deploy_policy, where | {"bundle": str(made.path), "unvalidated": True})
    assert "is deployed already" in again.notes[0], "1.1.0 is still in use"


def test_what_nobody_validated_is_not_deployed(run: Run, store: str, tmp_path: Path) -> None:
    made = made_bundle(tmp_path)
    record_validation(made.digest, "smoke", run_id="r", figures={})
    with pytest.raises(DAFError, match=r"no qualifying validation.*deployment\.unvalidated=true"):
        run(daf_deploy_policy, {"bundle": str(made.path), "validation": "qualifying"})
    assert MlflowClient(store).search_registered_models() == []


def test_nothing_deployed_is_told(run: Run) -> None:
    with pytest.raises(DAFError, match="nothing is deployed as pol"):
        run(daf_rollback_deployment, {})


def test_wrong_requests_are_refused_before_the_start(tiny: Load, tracker: Tracker, tmp_path: Path) -> None:
    config = tiny("task=deploy", "deployment=http", "deployment.url=http://policies.example.org")
    (problem,) = DEPLOY.problems(config)
    assert problem.where == "deployment.url"
    with pytest.raises(DAFConfigError, match=r"deployment\.bundle"):
        daf_deploy_policy(tiny("task=deploy", f"deployment.bundle={tmp_path / 'none.zip'}"), tracker)
