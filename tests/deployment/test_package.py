"""`task=package`: a bundle that plays in CoGames and in DAF, in always the same bytes, or a sentence and nothing."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mettagrid.policy.loader import initialize_or_load_policy
from mettagrid.policy.prepare_policy_spec import load_policy_spec_from_path

from daf.bridge.bundles import read_bundle, unpacked
from daf.bridge.episode import policy_interface
from daf.bridge.policies import policy_digest, resolve_policy
from daf.config import DAFConfig
from daf.config.schemas import policy_from_text
from daf.deployment import DeploymentResult, daf_package_policy
from daf.deployment.asked import asked_bundle
from daf.deployment.metadata import METADATA_FILE, check_digests, read_metadata
from daf.deployment.package import PACKAGE
from daf.episodes.played import EVALUATED_TAG, EVALUATION, evaluated, log_episodes
from daf.errors import DAFConfigError, DAFError
from daf.records import EpisodeRecord, PolicySpec
from daf.run import daf_run
from daf.tracking.store import open_store
from daf.tracking.tracker import Tracker
from tests.deployment.conftest import MISSION
from tests.promised_results import keeps_promises

Load = Callable[..., DAFConfig]
RECORD = EpisodeRecord(
    mission="arena",
    mission_name="arena",
    mission_digest="0" * 64,
    policies=("x",),
    policy_digests=("",),
    seed=0,
    assignments=(0, 0),
    rewards=(1.0, 3.0),
    action_timeouts=(0, 0),
    stats={"game": {"cogs/aligned.junction.held": 5.0}, "agent": [{}, {}]},
    time_averaged_game_stats={},
    steps=10,
    max_steps=10,
    wall_time_s=1.0,
    backend="official",
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def lstm(tiny: Load, weights: Path, *more: str) -> DAFConfig:
    return tiny("task=package", f"policy.weights={weights}", "deployment.name=mine", *more)


def packed(result: DeploymentResult) -> Path:
    assert result.bundle is not None
    return result.bundle


def elsewhere(store: str, folder: Path, name: str = "another") -> Tracker:
    client, experiment_id = open_store(store, name)
    folder.mkdir()
    return Tracker(client, experiment_id, name, folder)


def test_an_lstm_is_packed_twice_into_the_same_bytes(
    tiny: Load, tracker: Tracker, store: str, lstm_weights: Path, tmp_path: Path
) -> None:
    first = daf_package_policy(lstm(tiny, lstm_weights), tracker)
    moved = tmp_path / "moved" / "model_000001.pt"
    moved.parent.mkdir()
    moved.write_bytes(lstm_weights.read_bytes())
    with elsewhere(store, tmp_path / "other") as other:
        config = lstm(tiny, moved, f"output_dir={tmp_path / 'other'}", "device=auto", "tracking.experiment=another")
        second = daf_package_policy(config, other)
    assert packed(first) == tracker.output_dir / "mine-1.0.0.zip"
    for host in (tmp_path, lstm_weights.parent):
        assert str(host).encode() not in packed(first).read_bytes()
    for suffix in (".zip", ".tar.gz"):
        assert (tracker.output_dir / f"mine-1.0.0{suffix}").read_bytes() == (
            tmp_path / "other" / f"mine-1.0.0{suffix}"
        ).read_bytes()
    assert (first.name, first.version, len(first.digest)) == ("mine", "1.0.0", 64)
    assert read_bundle(packed(first)).digest() == first.digest == second.digest


def test_cogames_and_daf_load_both_formats(tiny: Load, tracker: Tracker, lstm_weights: Path, tmp_path: Path) -> None:
    bundle = packed(daf_package_policy(lstm(tiny, lstm_weights), tracker))
    spec = load_policy_spec_from_path(bundle, force_dest=tmp_path / "cogames")
    network = initialize_or_load_policy(policy_interface(MISSION), spec).network()
    assert network is not None
    weights = torch.load(lstm_weights, weights_only=True)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    alone = PolicySpec(name="x", class_path="lstm", weights=str(lstm_weights))
    for path in (bundle, bundle.with_name("mine-1.0.0.tar.gz")):
        listed = policy_from_text(str(path))
        assert isinstance(listed, dict)
        assert listed["class_path"] == "mettagrid.policy.lstm.LSTMPolicy"
        assert policy_digest(PolicySpec(name="x", **listed)) == policy_digest(alone)
        folder = unpacked(read_bundle(path), run_setup=False)
        check_digests(folder, read_metadata(path))
        assert {file.name for file in folder.iterdir()} == {"weights.pt", "policy_spec.json", METADATA_FILE}


def test_metadata_names_the_run_and_what_was_measured_of_it(
    tiny: Load, tracker: Tracker, store: str, lstm_weights: Path, tmp_path: Path
) -> None:
    spec = PolicySpec(name="x", class_path="lstm", weights=str(lstm_weights))
    digest = policy_digest(spec)
    with elsewhere(store, tmp_path / "trained", "training") as training:
        training.set_tags(
            {"daf.checkpoint_sha256": __import__("hashlib").sha256(lstm_weights.read_bytes()).hexdigest()}
        )
        training.log_text("optimizer: {lr: 0.5}\ntraining: {resume: /x/y}\nseed: 7\n", "config.yaml")
    with elsewhere(store, tmp_path / "evaluated", "evaluation") as evaluation:
        own = replace(RECORD, policy_digests=(digest,))
        others = [replace(RECORD, rewards=(90.0, 90.0), policy_digests=("f" * 64,))]
        records = [replace(own, seed=seed, rewards=(1.0, seed)) for seed in (7, 3, 5, 9, 1, 2)]
        log_episodes(evaluation, EVALUATION, [*others, *records], [])
        evaluation.set_tags({EVALUATED_TAG: f"{'f' * 16} {evaluated(digest)}"})
    metadata = read_metadata(packed(daf_package_policy(lstm(tiny, lstm_weights), tracker)))
    assert metadata.run_id == training.run_id
    assert metadata.config["optimizer"] == {"lr": 0.5}
    assert metadata.config["training"] == {"resume": None}
    reward = next(metric for metric in metadata.metrics if metric.name == "reward")
    assert reward.seeds == (1, 2, 3, 5, 7, 9)
    assert reward.mean == pytest.approx((1 + sum(reward.seeds) / 6) / 2)
    assert reward.low is not None
    assert reward.high is not None
    assert reward.low < reward.mean < reward.high
    assert {metric.name: metric.mean for metric in metadata.metrics}["game/cogs/aligned.junction.held"] == 5.0
    statement = metadata.provenance
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert {item["name"]: item["digest"]["sha256"] for item in statement["subject"]} == metadata.files
    assert {"uri": f"urn:mlflow:run:{training.run_id}"} in statement["predicate"]["buildDefinition"][
        "resolvedDependencies"
    ]
    assert metadata.versions.keys() >= {"python", "daf", "cogames", "mettagrid", "torch"}


def test_a_bundle_is_packed_again_as_it_is(tiny: Load, tracker: Tracker, lstm_weights: Path, tmp_path: Path) -> None:
    bundle = packed(daf_package_policy(lstm(tiny, lstm_weights), tracker))
    config = tiny("task=package", f"deployment.policy={bundle}", "deployment.name=mine", f"output_dir={tmp_path}/2")
    assert PACKAGE.policies(config)[0][0] == "deployment.policy"
    again = packed(daf_package_policy(config, tracker))
    assert read_metadata(again).files == read_metadata(bundle).files


def test_a_class_of_ones_own_comes_with_its_code_and_plays_in_cogames(
    tiny: Load, tracker: Tracker, own_package: Path, tmp_path: Path
) -> None:
    config = tiny(
        "task=package",
        "policy.class_path=theirs.deep.policy.Theirs",
        "+policy.init_kwargs={api_key:made-up-value-1234,size:3}",
        "deployment.files=[data,theirs/table.json]",
    )
    result = daf_package_policy(config, tracker)
    keeps_promises("package", result)
    bundle = packed(result)
    assert result.name == "Theirs"
    with zipfile.ZipFile(bundle) as archive:
        assert set(archive.namelist()) == {
            "beside_it.py", "data/a.txt", "found_late.py", "metadata.json", "policy_spec.json", "theirs/__init__.py",
            "theirs/constants.py", "theirs/deep/__init__.py", "theirs/deep/near.py", "theirs/deep/policy.py",
            "theirs/only_late.py", "theirs/table.json", "theirs/upper.py",
        }  # fmt: skip
        assert json.loads(archive.read("policy_spec.json"))["init_kwargs"] == {"size": 3}
    assert b"made-up-value-1234" not in bundle.read_bytes()
    assert "policy.trust=true" in read_metadata(bundle).load["daf"]
    untrusted = PolicySpec(name="x", class_path="theirs.deep.policy.Theirs", weights=str(bundle))
    with pytest.raises(ValueError, match=r"policy\.trust=true"):
        resolve_policy(untrusted)
    spec = load_policy_spec_from_path(bundle, force_dest=tmp_path / "cogames")
    policy = initialize_or_load_policy(policy_interface(MISSION), spec)
    assert type(policy).__module__ == "theirs.deep.policy"


def test_a_run_that_packs_is_itself_a_name_of_what_it_packed(
    tiny: Load, store: str, lstm_weights: Path, tmp_path: Path
) -> None:
    result = daf_run(lstm(tiny, lstm_weights))
    client, _ = open_store(store, "daf")
    (run,) = client.search_runs([item.experiment_id for item in client.search_experiments()])
    assert run.info.status == "FINISHED"
    assert {file.path for file in client.list_artifacts(run.info.run_id, "bundle")} == {
        "bundle/mine-1.0.0.zip",
        "bundle/mine-1.0.0.tar.gz",
        "bundle/metadata.json",
    }
    asked = tiny(f"deployment.bundle={run.info.run_id}").deployment.bundle
    assert asked is not None
    assert isinstance(result, DeploymentResult)
    assert read_bundle(Path(asked)).digest() == result.digest


def test_a_request_that_is_wrong_starts_nothing(tiny: Load, lstm_weights: Path, store: str) -> None:
    config = lstm(tiny, lstm_weights, "deployment.files=[/etc/passwd]")
    with pytest.raises(DAFConfigError, match="lies outside"):
        daf_run(config)
    assert not Path(config.output_dir).exists()


def broken(kind: str, weights: Path, folder: Path) -> tuple[str, ...]:
    bad = folder / "bad.pt"
    if kind == "shapes":
        torch.save({"x": torch.zeros(3)}, bad)
    elif kind == "pickle":
        bad.write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    elif kind == "link":
        bad.symlink_to(weights)
    return {
        "class": ("+policy.init_kwargs.nobody_takes_this=1",),
        "shapes": (f"policy.weights={bad}",),
        "pickle": (f"policy.weights={bad}",),
        "link": (f"policy.weights={bad}",),
        "files": (f"policy.weights={weights}", "deployment.files=[/etc/passwd]"),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("class", "nobody_takes_this"),
        ("shapes", "do not fit"),
        ("pickle", "no file of weights"),
        ("link", "is a link"),
        ("files", "lies outside"),
    ],
)
def test_what_cannot_be_packed_is_refused_and_leaves_nothing(
    kind: str, sentence: str, tiny: Load, tracker: Tracker, lstm_weights: Path, tmp_path: Path
) -> None:
    config = tiny("task=package", *broken(kind, lstm_weights, tmp_path))
    with pytest.raises(DAFConfigError, match=sentence) as refused:
        daf_package_policy(config, tracker)
    assert refused.value.exit_code == 2
    assert not [path for path in tracker.output_dir.rglob("*") if path.suffix in (".zip", ".gz", ".partial")]
    assert not Path("hacked").exists()


def test_files_that_may_not_come_are_told_before_anything_starts(tiny: Load, lstm_weights: Path) -> None:
    (problem,) = PACKAGE.problems(lstm(tiny, lstm_weights, "deployment.files=[/etc/passwd]"))
    assert problem.where == "deployment.files.0"


def test_more_than_cogames_takes_is_refused(tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Path("large.bin").open("wb") as file:
        file.truncate(500 * 2**20)
    (problem,) = PACKAGE.problems(tiny("task=package", "policy=noop", "deployment.files=[large.bin]"))
    assert "CoGames takes 500 at most" in problem.what


def test_a_full_disk_leaves_no_half(
    tiny: Load, tracker: Tracker, lstm_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, members: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("daf.deployment.package.write_tar_gz", full)
    with pytest.raises(DAFError, match="No space left"):
        daf_package_policy(lstm(tiny, lstm_weights), tracker)
    assert not list(tracker.output_dir.glob("mine*"))


def test_the_bundle_that_is_asked_for_is_taken_or_made(
    tiny: Load, tracker: Tracker, lstm_weights: Path, tmp_path: Path
) -> None:
    made = asked_bundle(lstm(tiny, lstm_weights), tracker)
    assert made == tracker.output_dir / "mine-1.0.0.zip"
    assert asked_bundle(tiny(f"deployment.bundle={made}"), tracker) == made
    for wrong in (tmp_path / "nothing.zip", lstm_weights, tmp_path):
        with pytest.raises(DAFConfigError, match=r"deployment\.bundle"):
            asked_bundle(tiny(f"deployment.bundle={wrong}"), tracker)
