"""MLflow's model registry as a target, on a real SQLite store."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from daf.deployment.moves import Move, Use
from daf.deployment.registry import RegistryTarget
from daf.deployment.targets import MovedMeanwhileError
from daf.errors import DAFError
from daf.tracking.store import open_store
from daf.tracking.tracker import Tracker
from tests.deployment.support import Made, made_bundle


@pytest.fixture
def target(tracker: Tracker) -> RegistryTarget:
    return RegistryTarget("pol", "champion", tracker)


@contextmanager
def another(store: str, folder: Path) -> Iterator[RegistryTarget]:
    """The same target in another run."""
    client, experiment = open_store(store, "other")
    folder.mkdir(exist_ok=True)
    with Tracker(client, experiment, "other", folder) as own:
        yield RegistryTarget("pol", "champion", own)


def deploy_move(seen: Use, version: str) -> Move:
    return Move(kind="deploy", before=seen.version, after=version, why="a test")


def deploy(target: RegistryTarget, made: Made) -> None:
    seen = target.use()
    target.upload(made.path, made.metadata, made.digest)
    target.move(seen, deploy_move(seen, made.metadata.version))


def test_a_version_is_kept_aliased_and_fetched(target: RegistryTarget, tracker: Tracker, tmp_path: Path) -> None:
    assert target.versions() == {}
    assert target.use().version is None
    made = made_bundle(tmp_path)
    deploy(target, made)
    assert target.versions() == {"1.0.0": made.digest}
    assert target.location("1.0.0") == "models:/pol/1"
    (move,) = target.use().moves
    assert (move.kind, move.before, move.after, move.why) == ("deploy", None, "1.0.0", "a test")
    assert move.run_id == tracker.run_id
    # One run a move, also where one process moves twice.
    target.move(target.use(), deploy_move(target.use(), "1.0.0"))
    assert len({move.run_id for move in target.use().moves}) == 2
    assert target.fetch("1.0.0", tmp_path / "back").read_bytes() == made.path.read_bytes()
    found = tracker.client.get_model_version_by_alias("pol", "champion")
    assert found.tags["daf.version"] == "1.0.0"
    assert found.run_id == tracker.run_id


def test_a_version_is_never_overwritten(target: RegistryTarget, tmp_path: Path) -> None:
    made, other = made_bundle(tmp_path), made_bundle(tmp_path, policy="random")
    assert target.upload(made.path, made.metadata, made.digest)
    assert not target.upload(made.path, made.metadata, made.digest)
    with pytest.raises(DAFError, match=r"never overwritten.*deployment\.version=1\.0\.1"):
        target.upload(other.path, other.metadata, other.digest)
    assert target.versions() == {"1.0.0": made.digest}
    assert len(list(target._all())) == 1


def test_of_two_uploads_at_once_one_wins(
    target: RegistryTarget, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both look before either has made its version: the worst moment."""
    bundles = [made_bundle(tmp_path), made_bundle(tmp_path, policy="random")]
    together = threading.Barrier(2, timeout=30)
    original = RegistryTarget._register

    def register(self: RegistryTarget, *arguments: Any) -> Any:
        together.wait()
        return original(self, *arguments)

    monkeypatch.setattr(RegistryTarget, "_register", register)
    outcomes: list[object] = []

    def upload(own: RegistryTarget, made: Made) -> None:
        try:
            outcomes.append(own.upload(made.path, made.metadata, made.digest))
        except DAFError as error:
            outcomes.append(str(error))

    with another(store, tmp_path / "other") as second:
        pairs = zip((target, second), bundles, strict=True)
        threads = [threading.Thread(target=upload, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(map(str, outcomes))[0] == "True"
    assert "never overwritten" in str(sorted(map(str, outcomes))[1])
    (kept,) = target._all()
    assert target.versions()["1.0.0"] == kept.tags["daf.digest"]


def test_of_two_moves_from_the_same_place_one_wins(target: RegistryTarget, store: str, tmp_path: Path) -> None:
    deploy(target, made_bundle(tmp_path))
    with another(store, tmp_path / "other") as second:
        seen = second.use()
        deploy(target, made_bundle(tmp_path, "1.1.0"))
        made = made_bundle(tmp_path, "1.2.0")
        second.upload(made.path, made.metadata, made.digest)
        with pytest.raises(MovedMeanwhileError, match=r"from 1\.0\.0 to 1\.1\.0"):
            second.move(seen, deploy_move(seen, "1.2.0"))
    assert target.use().version == "1.1.0"


@pytest.mark.parametrize("step", ["set_registered_model_alias", "set_tag"])
def test_a_crash_in_the_middle_of_a_move_loses_nothing(
    target: RegistryTarget, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    first, second = made_bundle(tmp_path), made_bundle(tmp_path, "1.1.0")
    with another(store, tmp_path / "first") as before:
        deploy(before, first)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(target._client), step, die)
        with pytest.raises(KeyboardInterrupt):
            deploy(target, second)
    was_made = step == "set_tag"
    use = target.use()
    assert use.version == ("1.1.0" if was_made else "1.0.0")
    assert [move.after for move in use.moves] == ["1.0.0", "1.1.0"][: 1 + was_made]
    with another(store, tmp_path / "again") as again:
        if not was_made:
            deploy(again, second)
        seen = again.use()
        assert [move.after for move in seen.moves] == ["1.0.0", "1.1.0"]
        again.move(seen, Move(kind="rollback", before="1.1.0", after="1.0.0", why="a test"))
        # The move that nobody had marked is still known, now that it is no longer the last.
        assert [move.after for move in again.use().moves] == ["1.0.0", "1.1.0", "1.0.0"]
    assert len(list(target._all())) == 2


def test_a_crash_before_the_version_is_there_leaves_none(
    target: RegistryTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = made_bundle(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(type(target._client), "log_artifacts", full)
        with pytest.raises(DAFError, match="No space left"):
            target.upload(made.path, made.metadata, made.digest)
    assert target.versions() == {}
    assert target.upload(made.path, made.metadata, made.digest)


def test_a_changed_file_is_not_given_out(target: RegistryTarget, tmp_path: Path) -> None:
    made = made_bundle(tmp_path)
    target.upload(made.path, made.metadata, made.digest)
    (kept,) = (tmp_path / "artifacts").rglob("bundle.zip")
    kept.write_bytes(made_bundle(tmp_path, policy="random").path.read_bytes())
    with pytest.raises(DAFError, match="was changed"):
        target.fetch("1.0.0", tmp_path / "back")


def test_the_alias_plays_from_python(
    target: RegistryTarget, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(target, made_bundle(tmp_path, policy="random"))
    # MLflow's own functions to set them would outlive the test.
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, store)
    model = mlflow.pyfunc.load_model("models:/pol@champion")
    rows = pd.DataFrame({"mission": "cogsguard_arena.basic", "seed": [3, 4], "cogs": 2, "max_steps": 10})
    played = model.predict(rows)
    assert list(played["seed"]) == [3, 4]
    assert list(played["steps"]) == [10, 10]
    assert played["reward"].notna().all()
    assert '"action.move' in played["stats"][0]
    files = {path.name for path in (tmp_path / "artifacts").rglob("*") if path.is_file()}
    assert {"bundle.zip", "served_policy.py", "MLmodel"} <= files
    assert not any(name.endswith(".pkl") for name in files), "a model from code has no pickle"
