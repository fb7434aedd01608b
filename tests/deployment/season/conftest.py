"""A season's server, and a home folder of nobody's."""

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from daf.config import DAFConfig, daf_load_config
from daf.deployment.archives import Member, write_zip
from daf.deployment.metadata import METADATA_FILE, BundleMetadata
from tests.deployment.season_server import SeasonServer, serving


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


#: Made once: httpx makes one for every client, which costs more than all the requests of these tests, none encrypted.
_tls_context = functools.cache(httpx.create_ssl_context)


@pytest.fixture
def season_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SeasonServer]:
    """A server that is its own login server, on loopback."""
    monkeypatch.setattr("httpx._transports.default.create_ssl_context", lambda **_: _tls_context())
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
