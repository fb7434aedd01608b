"""Weights of a real network, and a package of the user's own."""

from pathlib import Path

import pytest
import torch

from daf.bridge.episode import policy_interface
from daf.bridge.policies import load_policy
from daf.records import MissionSpec, PolicySpec

MISSION = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=10)


@pytest.fixture(scope="session")
def lstm_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """New weights of CoGames' LSTM."""
    network = load_policy(policy_interface(MISSION), PolicySpec(name="lstm", class_path="lstm")).network()
    assert network is not None
    path = tmp_path_factory.mktemp("weights") / "model_000007.pt"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with the class ``theirs.deep.policy.Theirs`` and what it imports, and more beside it."""
    files = {
        "theirs/__init__.py": "",
        "theirs/deep/__init__.py": "from theirs import constants\n",
        "theirs/deep/policy.py": (
            "import json\nimport numpy\nfrom importlib import import_module\n"
            "from mettagrid.policy.noop import NoopPolicy\n"
            "from . import near\nfrom ..upper import THING\nimport beside_it\n"
            "def late():\n    import_module('found_late')\n    from theirs.only_late import x\n"
            "class Theirs(NoopPolicy):\n"
            "    def __init__(self, info, api_key=None, size=0):\n        super().__init__(info)\n"
        ),
        "theirs/deep/near.py": "",
        "theirs/constants.py": "import not_there_at_all\n",
        "theirs/upper.py": "THING = 1\n",
        "theirs/only_late.py": "x = 1\n",
        "theirs/unused.py": "",
        "theirs/table.json": "{}",
        "beside_it.py": "",
        "found_late.py": "",
        "unused_too.py": "",
        ".env": "SECRET=1",
        ".git/config": "",
        "data/a.txt": "a",
        "data/__pycache__/b.pyc": "",
        "data/.hidden": "",
    }
    root = tmp_path / "project"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    (root / "theirs/constants.py").write_text("try:\n    import not_there_at_all\nexcept ImportError:\n    pass\n")
    monkeypatch.syspath_prepend(root)
    monkeypatch.setenv("PYTHONPATH", str(root), prepend=":")
    monkeypatch.chdir(root)
    return root
