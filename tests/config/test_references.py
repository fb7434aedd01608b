"""Policies that are named by where they are kept: runs, registered models, deployed versions."""

import hashlib
import json
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from mlflow import MlflowClient

from daf.config import CONF_DIR, DAFConfig
from daf.config.policy_server import TOKEN
from daf.config.references import Stores, local, looking_in
from daf.deployment.archives import Member, write_zip
from daf.errors import DAFConfigError
from daf.sweeps.composition import compose_overrides

Load = Callable[..., DAFConfig]
NOOP = "mettagrid.policy.noop.NoopPolicy"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(TOKEN, raising=False)


@pytest.fixture
def client(store: str) -> MlflowClient:
    return MlflowClient(store, registry_uri=store)


@pytest.fixture
def run_id(client: MlflowClient, tmp_path: Path) -> str:
    experiment = client.create_experiment("kept", artifact_location=(tmp_path / "artifacts").as_uri())
    return str(client.create_run(experiment).info.run_id)


def bundle(path: Path, class_path: str = NOOP, **files: str) -> Path:
    contents = {"policy_spec.json": json.dumps({"class_path": class_path}), **files}
    write_zip(path, {name: Member.of(content.encode()) for name, content in contents.items()})
    return path


def checkpoint(folder: Path, content: bytes = b"weights") -> str:
    """A checkpoint folder; returns the digest of its weights."""
    folder.mkdir(exist_ok=True)
    (folder / "model_000003.pt").write_bytes(content)
    (folder / "trainer_state.pt").write_bytes(b"state")
    (folder / "policy_spec.json").write_text(json.dumps({"class_path": "lstm", "data_path": "model_000003.pt"}))
    return hashlib.sha256(content).hexdigest()


def refusal(reference: str, store: str | None = None, server: str | None = None) -> str:
    with looking_in(Stores(store, server)), pytest.raises(ValueError, match=r".") as refused:
        local(reference)
    return str(refused.value)


def only_policy(config: DAFConfig) -> Path:
    (policy,) = config.evaluation.policies
    assert policy.weights is not None
    return Path(policy.weights)


def test_a_run_is_its_checkpoint_on_this_disk_or_in_mlflow(
    tiny: Load, client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    digest = checkpoint(tmp_path / "made")
    client.set_tag(run_id, "daf.checkpoint_sha256", digest)
    client.set_tag(run_id, "daf.checkpoint_dir", str(tmp_path / "made"))
    found = only_policy(tiny(f"evaluation.policies=[{run_id}]"))
    assert found.is_relative_to(tmp_path / "cache/daf/references")
    assert {path.name for path in found.iterdir()} == {"model_000003.pt", "policy_spec.json"}
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    client.log_artifacts(run_id, str(tmp_path / "made"), "checkpoints")
    checkpoint(tmp_path / "made", b"a later training's")
    assert only_policy(tiny(f"evaluation.policies=[{run_id}]")) == found
    assert (found / "model_000003.pt").read_bytes() == b"weights"


def test_every_list_and_the_weights_take_a_reference(
    tiny: Load, client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    client.set_tag(run_id, "daf.checkpoint_sha256", checkpoint(tmp_path / "made"))
    client.set_tag(run_id, "daf.checkpoint_dir", str(tmp_path / "made"))
    lists = (
        "evaluation.policies", "evaluation.baselines", "comparison.policies", "vor.pool", "tournament.policies",
        "deployment.pool",
    )  # fmt: skip
    config = tiny(
        *(f"{key}=[{run_id}]" for key in lists),
        f"policy.weights={run_id}",
        f"deployment.policy={run_id}",
        f"deployment.champion='{run_id},name=best'",
    )
    folder = only_policy(config)
    for key in lists:
        section, name = key.split(".")
        assert [policy.weights for policy in getattr(getattr(config, section), name)] == [str(folder)]
    assert config.policy.weights == str(folder)
    assert config.policy.spec().name == "made"
    assert config.deployment.policy is not None
    assert config.deployment.champion is not None
    assert config.deployment.champion.spec().name == "best"


def test_a_run_that_packed_a_bundle_is_that_bundle(
    tiny: Load, client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    path = bundle(tmp_path / "n-1.0.0.zip")
    client.log_artifact(run_id, str(path), "bundle")
    client.set_tag(run_id, "daf.bundle_sha256", Member.of(path).digest)
    config = tiny(f"evaluation.policies=[{run_id}]", f"deployment.bundle={run_id}")
    assert only_policy(config).read_bytes() == path.read_bytes()
    assert config.deployment.bundle == str(only_policy(config))


def test_a_checkpoint_that_is_another_now_is_refused(
    store: str, client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    client.set_tag(run_id, "daf.checkpoint_sha256", checkpoint(tmp_path / "made"))
    checkpoint(tmp_path / "made", b"other")
    client.log_artifacts(run_id, str(tmp_path / "made"), "checkpoints")
    assert "no longer, the one that it logged" in refusal(run_id, store)


def test_what_leads_nowhere_is_told(store: str, run_id: str) -> None:
    assert "left no checkpoint" in refusal(run_id, store)
    assert "has no run" in refusal("f" * 32, store)
    assert "no alias champion" in refusal("models:/nobody@champion", store)
    assert "no version 3" in refusal("models:/nobody/3", store)
    for unclear in ("models:nobody", "models:/a/b", "daf+https://host/name", "deployed:name"):
        assert "names no policy" in refusal(unclear, store)
    assert "no tracking store" in refusal("f" * 32, "sqlite:////nowhere/x.db")
    assert not Path("/nowhere").exists()


def test_a_server_that_is_not_safe_or_not_there_is_told() -> None:
    assert "set deployment.url" in refusal("deployed:name@1.0.0")
    assert "plain HTTP" in refusal("daf+http://example.org/name@1.0.0")
    assert "plain HTTP" in refusal("deployed:name@1.0.0", server="http://example.org")
    assert "cannot be reached" in refusal("daf+http://127.0.0.1:9/name@1.0.0")
    with_password = refusal("daf+https://user:pa55word@host/name@1.0.0")
    assert "a user or a password" in with_password
    assert "pa55word" not in with_password


def test_a_problem_names_the_key_and_ends_with_2(tiny: Load) -> None:
    with pytest.raises(DAFConfigError) as refused:
        tiny(f"evaluation.policies=[{'f' * 32}]", "policy.weights=models:nobody", "deployment.bundle=models:nobody")
    assert refused.value.exit_code == 2
    assert {problem.where for problem in refused.value.problems} == {
        "evaluation.policies.0",
        "policy",
        "deployment.bundle",
    }


def registered(client: MlflowClient, run_id: str, path: Path, **tags: str) -> str:
    client.create_registered_model("mine")
    client.log_artifact(run_id, str(path), "model/artifacts")
    source = f"{client.get_run(run_id).info.artifact_uri}/model"
    version = client.create_model_version("mine", source, run_id=run_id, tags=tags)
    client.set_registered_model_alias("mine", "champion", version.version)
    return str(version.version)


def test_a_registered_model_is_the_bundle_in_its_version(
    tiny: Load, client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    path = bundle(tmp_path / "bundle.zip")
    number = registered(client, run_id, path, **{"daf.digest": Member.of(path).digest})
    config = tiny(f"evaluation.policies=[models:/mine@champion,models:/mine/{number}]")
    first, second = config.evaluation.policies
    assert first.weights == second.weights
    assert [policy.spec().name for policy in (first, second)] == ["mine@champion", f"mine/{number}"]
    assert Path(str(first.weights)).read_bytes() == path.read_bytes()
    assert Path(str(first.weights)).parent.name == Member.of(path).digest


def test_a_sweep_means_the_same_by_an_alias_in_all_trials(
    store: str, client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    registered(client, run_id, bundle(tmp_path / "bundle.zip"))
    own = [f"tracking.uri={store}", "vor.pool=[models:/mine@champion]"]
    compose = compose_overrides(own, CONF_DIR, "config")
    before = compose({"optimizer.lr": 0.1}).vor.pool
    client.delete_registered_model_alias("mine", "champion")
    assert compose({"optimizer.lr": 0.2}).vor.pool == before
    with pytest.raises(DAFConfigError, match="no alias champion"):
        compose_overrides(own, CONF_DIR, "config")({"optimizer.lr": 0.2})


def test_a_registered_bundle_that_was_changed_is_refused(
    store: str, client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    registered(client, run_id, bundle(tmp_path / "bundle.zip"), **{"daf.digest": "0" * 64})
    assert "another bundle than was deployed" in refusal("models:/mine@champion", store)


class _Server(BaseHTTPRequestHandler):
    """The contract's two reads."""

    content = b""
    digest = ""
    seen: ClassVar[list[str | None]] = []
    failures = 0

    def do_GET(self) -> None:
        _Server.seen.append(self.headers.get("Authorization"))
        if _Server.failures:
            _Server.failures -= 1
            self.send_response(503)
            self.end_headers()
            return
        answers = {
            "/policies/mine": json.dumps(
                {
                    "versions": {"1.0.0": {"digest": self.digest, "file": "mine-1.0.0.zip"}},
                    "aliases": {"champion": {"version": "1.0.0", "revision": 1}},
                }
            ).encode(),
            "/policies/mine/versions/1.0.0/bundle": self.content,
        }
        body = answers.get(self.path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    path = bundle(tmp_path / "served.zip", "theirs.policy.Theirs", **{"theirs/policy.py": ""})
    _Server.content, _Server.digest, _Server.failures = path.read_bytes(), Member.of(path).digest, 0
    _Server.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_a_deployed_version_is_fetched_by_number_or_alias(tiny: Load, server: str) -> None:
    _Server.failures = 1
    config = tiny(f"evaluation.policies=[daf+{server}/mine@1.0.0,'deployed:mine@champion']", f"deployment.url={server}")
    first, second = config.evaluation.policies
    assert first.weights == second.weights
    assert (first.class_path, first.spec().name) == ("theirs.policy.Theirs", "mine@1.0.0")
    assert Path(str(first.weights)).read_bytes() == _Server.content
    assert first.trust is False


def test_the_token_goes_to_the_configured_server_alone(
    tiny: Load, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, "made-up-token-77")
    tiny(f"evaluation.policies=[daf+{server}/mine@1.0.0]")
    assert set(_Server.seen) == {None}
    tiny("evaluation.policies=['deployed:mine@1.0.0']", f"deployment.url={server}")
    assert _Server.seen[-1] == "Bearer made-up-token-77"


def test_what_a_server_does_wrong_is_told(server: str) -> None:
    assert "has no mine 2.0.0. It has: 1.0.0" in refusal(f"daf+{server}/mine@2.0.0")
    assert "answers 404" in refusal(f"daf+{server}/nobody@1.0.0")
    _Server.failures = 9
    assert "answers 503" in refusal(f"daf+{server}/mine@1.0.0")
    _Server.failures = 0
    _Server.content = b"something else"
    assert "another bundle than was deployed" in refusal(f"daf+{server}/mine@1.0.0")
    _Server.digest = "none"
    assert "has no digest" in refusal(f"daf+{server}/mine@1.0.0")


def test_without_a_reference_nothing_of_mlflow_is_loaded() -> None:
    code = (
        "import sys\nfrom daf.config import daf_load_config\ndaf_load_config()\n"
        "print(sorted({'mlflow', 'httpx', 'tenacity'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
