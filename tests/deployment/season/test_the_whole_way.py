"""One policy on the whole way: trained, packed, validated, deployed, gated, watched, rolled back and submitted."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from daf.config import daf_load_config
from daf.run import daf_run
from tests.conftest import TINY
from tests.deployment.season_server import TOKEN, SeasonServer
from tests.deployment.support import policy_server, serving

Step = Callable[..., Any]


@pytest.fixture
def step(tmp_path: Path, store: str, season_server: SeasonServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Step]:
    """Runs a task as a user would, each in a folder of its own; the server of the http target runs beside it."""
    monkeypatch.chdir(tmp_path)
    season = [f"tournament.season.{key}={season_server.address}" for key in ("server", "login_server")]
    count = iter(range(100))
    with serving(policy_server.application(tmp_path / "policies")) as port:
        monkeypatch.setenv("DAF_AUTH_TOKEN", TOKEN)
        server = ("deployment=http", f"deployment.url=http://127.0.0.1:{port}")

        def run(task: str, *overrides: str, target: str = "registry") -> Any:
            own = (
                f"tracking.uri={store}",
                f"output_dir={tmp_path / f'{next(count)}-{task}'}",
                "deployment.name=digger",
            )
            asked = [f"task={task}", *TINY, *own, *season, *(server if target == "http" else ()), *overrides]
            return daf_run(daf_load_config(overrides=asked))

        yield run


@pytest.mark.slow
def test_from_training_to_the_leaderboard(
    step: Step, store: str, season_server: SeasonServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything is real but the season's server, which CoGames' own client talks to over a real socket."""
    step("train", "policy=stateless")
    client = MlflowClient(store, registry_uri=store)
    (trained,) = client.search_runs([client.get_experiment_by_name("daf").experiment_id])
    policy = f"deployment.policy={trained.info.run_id}"
    step("evaluate", f"evaluation.policies=[{trained.info.run_id}]", "evaluation.episodes=8")
    first, again = step("package", policy), step("package", policy)
    assert first.bundle.read_bytes() == again.bundle.read_bytes()
    second = step("package", policy, "deployment.version=1.1.0")
    assert second.digest != first.digest
    for packed in (first, second):
        validated = step("validate", f"deployment.bundle={packed.bundle}")
        assert "failed" not in {check.status for check in validated.checks}
    for target in ("registry", "http"):
        for packed in (first, second):
            deployed = step("deploy", f"deployment.bundle={packed.bundle}", target=target)
            assert (deployed.version, deployed.digest) == (packed.version, packed.digest)
        assert deployed.previous == "1.0.0"
    alike = step("gate", f"deployment.bundle={first.bundle}", "deployment.margin=5", "comparison.max_episodes=32")
    assert alike.promoted
    looked = step("monitor")
    assert (looked.version, looked.episodes) == ("1.1.0", 2)
    for target in ("registry", "http"):
        assert step("rollback", target=target).version == "1.0.0"
    assert client.get_model_version_by_alias("digger", "champion").tags["daf.digest"] == first.digest
    played = step("evaluate", "evaluation.policies=[models:/digger@champion,noop]")
    assert {record.policies[0] for record in played.records} == {"digger@champion", "noop"}
    step("submit", f"deployment.bundle={first.bundle}", "tournament.season.name=spring")
    assert len(season_server.versions) == len(season_server.entries) == 1
    shown = capsys.readouterr()
    assert "digger" in shown.out
    assert TOKEN not in shown.out + shown.err
