"""A season's server, a home folder of nobody's, weights of a real network, and a package of the user's own."""

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from daf.bridge.episode import policy_interface
from daf.bridge.policies import load_policy
from daf.config import DAFConfig, daf_load_config
from daf.deployment.archives import Member, write_zip
from daf.deployment.metadata import METADATA_FILE, BundleMetadata
from daf.records import MissionSpec, PolicySpec
from tests.deployment.season_server import SeasonServer, serving

MISSION = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=10)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home folder, without a token and without a proxy."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    for name in ("DAF_AUTH_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def season_server(home: Path) -> Iterator[SeasonServer]:
    """A server that is its own login server, on loopback."""
    with serving(SeasonServer()) as server:
        yield server


#: Stands for a server's address in configs that several tests share.
ANY_SERVER = "https://server.example"


@functools.cache
def _composed(*overrides: str) -> DAFConfig:
    own = (f"tournament.season.server={ANY_SERVER}", f"tournament.season.login_server={ANY_SERVER}")
    return daf_load_config(overrides=[*own, "deployment.retries=2", "deployment.timeout_s=5", *overrides])


@pytest.fixture
def asked(season_server: SeasonServer) -> Callable[..., DAFConfig]:
    """A config that asks the server, with overrides on top."""

    def load(*overrides: str) -> DAFConfig:
        config = _composed(*overrides)
        season = config.tournament.season
        there = {key: season_server.address for key in ("server", "login_server") if getattr(season, key) == ANY_SERVER}
        tournament = config.tournament.model_copy(update={"season": season.model_copy(update=there)})
        return config.model_copy(update={"tournament": tournament})

    return load


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of DAF's with a policy of CoGames' own."""
    path = "mettagrid.policy.noop.NoopPolicy"
    spec = Member.of(
        json.dumps({"class_path": path, "data_path": None, "init_kwargs": {}, "setup_script": None}).encode()
    )
    metadata = BundleMetadata(name="idle", version="1.2.0", class_path=path, files={"policy_spec.json": spec.digest})
    archive = tmp_path / "idle-1.2.0.zip"
    write_zip(archive, {"policy_spec.json": spec, METADATA_FILE: Member.of(metadata.text())})
    return archive


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
