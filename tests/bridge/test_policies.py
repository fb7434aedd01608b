"""Policies: what a user may name, and what comes of it."""

import os
import zipfile
from pathlib import Path

import pytest
import torch

from daf.bridge.episode import play_official, policy_interface
from daf.bridge.imports import contained, seed_everything
from daf.bridge.policies import has_network, load_policy, policy_class, policy_digest, resolve_policy
from daf.records import EpisodePlan, MissionSpec, PolicySpec

MISSION = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=10)
LSTM = "mettagrid.policy.lstm.LSTMPolicy"


def save_weights(path: Path, seed: int = 0) -> dict[str, torch.Tensor]:
    seed_everything(seed)
    policy = load_policy(policy_interface(MISSION), PolicySpec(name="new", class_path="lstm"))
    policy.save_policy_data(str(path))
    network = policy.network()
    assert network is not None
    return network.state_dict()


def loaded(spec: PolicySpec) -> dict[str, torch.Tensor]:
    network = load_policy(policy_interface(MISSION), spec).network()
    assert network is not None
    return network.state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[key], second[key]) for key in first)


def test_weights_load_from_a_file_a_folder_and_a_bundle(tmp_path: Path) -> None:
    weights = save_weights(tmp_path / "model_000003.pt")
    (tmp_path / "policy_spec.json").write_text(f'{{"class_path": "{LSTM}", "data_path": "model_000003.pt"}}')
    bundle = tmp_path / "bundle.zip"
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.write(tmp_path / "policy_spec.json", "policy_spec.json")
        archive.write(tmp_path / "model_000003.pt", "model_000003.pt")
    for path in (tmp_path / "model_000003.pt", tmp_path, bundle):
        assert same(loaded(PolicySpec(name="x", class_path="lstm", weights=str(path))), weights)


def test_a_bundle_rewritten_at_the_same_path_is_read_anew(tmp_path: Path) -> None:
    states = []
    for seed in (1, 2):
        save_weights(tmp_path / "model.pt", seed)
        with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
            archive.writestr("policy_spec.json", f'{{"class_path": "{LSTM}", "data_path": "model.pt"}}')
            archive.write(tmp_path / "model.pt", "model.pt")
        states.append(loaded(PolicySpec(name="x", class_path="lstm", weights=str(tmp_path / "bundle.zip"))))
    assert not same(*states)


def test_the_digest_follows_content_and_arguments(tmp_path: Path) -> None:
    save_weights(tmp_path / "a.pt", 1)
    (tmp_path / "b.pt").write_bytes((tmp_path / "a.pt").read_bytes())
    first = policy_digest(PolicySpec(name="a", class_path="lstm", weights=str(tmp_path / "a.pt")))
    assert policy_digest(PolicySpec(name="b", class_path=LSTM, weights=str(tmp_path / "b.pt"))) == first
    save_weights(tmp_path / "b.pt", 2)
    os.utime(tmp_path / "b.pt", ns=(1, 1))
    assert policy_digest(PolicySpec(name="b", class_path=LSTM, weights=str(tmp_path / "b.pt"))) != first
    digests = {
        policy_digest(PolicySpec(name="r", class_path="random", init_kwargs={"vibe_action_p": p})) for p in (0.1, 0.2)
    }
    assert len(digests) == 2


def test_what_cannot_be_loaded_is_said_early(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no policy is called 'nope'.*starter"):
        policy_class("nope")
    with pytest.raises(ValueError, match="cannot be imported"):
        policy_class("daf.nowhere.Policy")
    with pytest.raises(FileNotFoundError, match=r"missing\.pt"):
        resolve_policy(PolicySpec(name="x", class_path="lstm", weights=str(tmp_path / "missing.pt")))
    (tmp_path / "policy_spec.json").write_text(f'{{"class_path": "{LSTM}"}}')
    with pytest.raises(ValueError, match="not a mettagrid"):
        resolve_policy(PolicySpec(name="x", class_path="stateless", weights=str(tmp_path)))


def test_which_policies_have_a_network() -> None:
    assert [has_network(name) for name in ("lstm", "stateless", "noop", "starter")] == [True, True, False, False]


def test_stateless_policies_can_be_rolled_out() -> None:
    """CoGames' own rollout fails on them: their agents lack `_infos`."""
    policies = (PolicySpec(name="s", class_path="stateless"),)
    record = play_official(EpisodePlan(mission=MISSION, policies=policies, assignments=(0, 0), seed=1))
    assert record.steps == 10


def test_importing_pufferl_leaves_the_process_as_it_was() -> None:
    """It would turn Ctrl-C into exit code 0 and warnings into errors."""
    import signal
    import sys
    import warnings

    import numpy as np

    hook, handler = sys.excepthook, signal.getsignal(signal.SIGINT)
    sys.modules.pop("pufferlib.pufferl", None)
    with contained():
        import pufferlib.pufferl  # noqa: F401
    assert sys.excepthook is hook
    assert signal.getsignal(signal.SIGINT) is handler
    with warnings.catch_warnings(record=True):
        assert np.isnan(np.mean([]))
