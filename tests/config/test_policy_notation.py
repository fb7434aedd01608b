"""The short ways to name a policy: those of CoGames, and those of DAF's own."""

import json
from pathlib import Path

import pytest
from cogames.cli.policy import parse_policy_spec

from daf.bridge.policies import full_class_path
from daf.config import DAFConfig, daf_load_config
from daf.config.schemas import DAFPolicyConfig, policy_from_text
from daf.errors import DAFConfigError

LSTM = "mettagrid.policy.lstm.LSTMPolicy"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def checkpoints(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "policy_spec.json").write_text(json.dumps({"class_path": LSTM, "data_path": "model.pt"}))
    (folder / "model.pt").touch()
    return folder


@pytest.mark.parametrize(
    "text",
    [
        "lstm",
        "starter",
        LSTM,
        "lstm,data=model.pt",
        "class=lstm,data=model.pt",
        " class = lstm , proportion=2,",
        "random,proportion=0.5",
        "random,kw.vibe-action-p=3",
        "class=random,kw.vibe_action_p=3,proportion=1",
        "chaos-monkey",
        "metta://policy/starter",
        "metta://policy/starter,proportion=2",
        "metta://policy/random?vibe_action_p=3",
        "mock://noop",
        "./run/checkpoints",
        "./run/checkpoints,proportion=3",
        "./runs:latest",
        "./runs",
        "FILE",
    ],
)
def test_what_cogames_reads_means_the_same_here(text: str, tmp_path: Path) -> None:
    checkpoints(tmp_path / "run" / "checkpoints")
    for version in (2, 10):
        checkpoints(tmp_path / "runs" / f"run:v{version}")
    text = (tmp_path / "run" / "checkpoints").as_uri() if text == "FILE" else text
    theirs, ours = parse_policy_spec(text), DAFPolicyConfig.model_validate(policy_from_text(text))
    assert full_class_path(ours.class_path) == theirs.class_path
    assert {key: str(value) for key, value in ours.init_kwargs.items()} == {
        key: str(value) for key, value in theirs.init_kwargs.items()
    }
    if theirs.data_path is None:
        assert ours.weights is None
    else:
        assert Path(str(ours.weights)).resolve() in (Path(theirs.data_path), Path(theirs.data_path).parent)


def test_what_exists_on_disk_is_a_path(tmp_path: Path) -> None:
    odd = checkpoints(tmp_path / "lr=0.1,seed=1")
    below = checkpoints(tmp_path / "a=1,b=2" / "checkpoints")
    checkpoints(tmp_path / "checkpoints")
    for text, folder in (
        ("lr=0.1,seed=1", odd.name),
        (str(odd), odd),
        ("a=1,b=2/checkpoints", below.relative_to(tmp_path)),
        ("checkpoints", "checkpoints"),
    ):
        assert policy_from_text(text) == {"class_path": LSTM, "weights": str(folder)}
    checkpoints(tmp_path / "starter")
    assert policy_from_text("starter") == {"class_path": "starter"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "needs a name"),
        (",", "needs a name"),
        ("data=model.pt", "names no class"),
        ("class=", "is not part of a policy"),
        ("class=lstm,oops", "is not part of a policy"),
        ("class=lstm,kw.=1", "is not part of a policy"),
        ("class=lstm,kw.x=[", "YAML"),
        ("class=lstm,proportion=0", "above 0"),
        ("class=lstm,proportion=many", "above 0"),
        ("class=lstm,kw.hidden={a", "YAML"),
        ("./gone", "nothing at"),
        ("gone.zip", "nothing at"),
        ("~nobody/x", "nothing at"),
        ("x/" * 3_000, "nothing at"),
        ("a\0b/c", "nothing at"),
        ("s3://bucket/x.zip", "download it"),
        ("ftp://x/y", "no address"),
        ("metta://policy/", "names no class"),
        ("file://", "neither a checkpoint folder"),
        ("./runs:latest", "nothing at|no checkpoint"),
        ("lstm:latest", "nothing at|no checkpoint"),
        ("model.pt", "no module"),
        ("./bare.pt", "name its class"),
    ],
)
def test_what_is_no_policy_is_told_in_a_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "bare.pt").touch()
    with pytest.raises(ValueError, match=sentence):
        DAFPolicyConfig.model_validate(policy_from_text(text))


def test_trust_counts_for_every_policy_and_follows_the_policy_alone() -> None:
    def config(*overrides: str) -> DAFConfig:
        return daf_load_config(overrides=["vor.pool=[noop]", "evaluation.policies=[starter]", *overrides])

    assert not config().vor.pool[0].spec().trust
    digest = "ab" * 32
    for overrides, trust in ((["policy.trust=true"], True), ([f"policy.trusted=[{digest}]"], (digest,))):
        trusting = config(*overrides)
        specs = [trusting.policy, *trusting.vor.pool, *trusting.evaluation.policies, *trusting.benchmark.scripted]
        assert {policy.spec().trust for policy in specs} == {trust}
        assert DAFConfig.model_validate(trusting.model_dump()) == trusting
    with pytest.raises(DAFConfigError, match="trusted"):
        config("policy.trusted=[short]")


def test_looking_for_a_class_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leaving").mkdir()
    (tmp_path / "leaving" / "__init__.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "leaving" / "policy.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert DAFPolicyConfig(class_path="leaving.policy.Mine").spec().class_path == "leaving.policy.Mine"
    with pytest.raises(ValueError, match="no module"):
        DAFPolicyConfig(class_path="leaving.nowhere.Mine")
