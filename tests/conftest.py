"""Fixtures: a config that plays in seconds, and a tracker on a real SQLite store in a temporary folder."""

import logging
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daf.config import DAFConfig, daf_load_config
from daf.execution import processes
from daf.tracking.store import open_store
from daf.tracking.tracker import Tracker
from tests.template import Template

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

# A shell's background job ignores Ctrl-C, and so would every process that a test starts in order to interrupt it.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """A test that leaves a handler behind fails, and not the one that interrupts itself hours later.

    What imports CoGames' trainer outside of `contained` does: PufferLib's handler ends the process without a word.
    """
    yield
    if threading.current_thread() is threading.main_thread():
        left = signal.signal(signal.SIGINT, signal.default_int_handler)
        assert left is signal.default_int_handler, f"it leaves {left} to Ctrl-C"


@pytest.fixture(autouse=True)
def _handlers_end_with_their_test() -> Iterator[None]:
    """A run in this process leaves its log's handlers, which write to what pytest has captured and closed since."""
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    for handler in root.handlers[:]:
        if handler not in before and not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)


TINY = (
    "device=cpu",
    "mission.cogs=2",
    "mission.max_steps=20",
    "training.num_envs=2",
    "training.num_steps=512",
    "training.minibatch_size=128",
    "evaluation.episodes=2",
    "evaluation.workers=1",
    "evaluation.cache=off",
)


@pytest.fixture(scope="session")
def template() -> Iterator[Template]:
    """What workers are forked from."""
    own = Template()
    yield own
    own.close()


@pytest.fixture(autouse=True)
def _workers_start_soon(request: pytest.FixtureRequest, template: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forks workers instead of starting them anew, but for those tests that are about their start."""
    if request.node.get_closest_marker("real_workers") is None:
        monkeypatch.setattr(processes, "Popen", template.popen)


@pytest.fixture(scope="session")
def fresh_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new MLflow database: making one takes seconds, copying it none."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    client, experiment_id = open_store(f"sqlite:///{path}", "unused")
    client.delete_experiment(experiment_id)
    return path


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is noted in the home folder of who runs the tests, and their store is nobody's default."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def store(tmp_path: Path, fresh_database: Path) -> str:
    """Address of a tracking store of this test's own."""
    shutil.copyfile(fresh_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def tiny(tmp_path: Path, store: str) -> Callable[..., DAFConfig]:
    """Loads a config that trains two epochs and plays two short episodes, with overrides on top."""

    def load(*overrides: str) -> DAFConfig:
        own = (f"tracking.uri={store}", f"output_dir={tmp_path / 'out'}")
        return daf_load_config(overrides=["task=train", *TINY, *own, *overrides])

    return load


@pytest.fixture
def tracker(tmp_path: Path, store: str) -> Iterator[Tracker]:
    """A tracker that is closed at the end of the test."""
    client, experiment_id = open_store(store, "test")
    output_dir = tmp_path / "out"
    output_dir.mkdir(exist_ok=True)
    with Tracker(client, experiment_id, "test", output_dir) as own:
        yield own


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small file system in memory, with the given options; the test is skipped where that is not allowed."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "daf", folder], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("a file system may not be mounted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


CHROMIUM_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,900",
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[WebDriver]":
    """A real Chromium without a window and with a profile of its own."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("needs Chromium and its driver (Debian: chromium, chromium-driver)")
    # Selenium would look for newer drivers and count its uses.
    os.environ |= {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*CHROMIUM_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    own = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield own
    own.quit()


@pytest.fixture
def browser(chromium: "WebDriver") -> "Iterator[WebDriver]":
    """The browser on an empty page; the test fails if what it opened wrote errors to the console."""
    chromium.get("about:blank")
    chromium.get_log("browser")  # type: ignore[no-untyped-call]
    yield chromium
    errors = chromium.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry for entry in errors if entry["level"] == "SEVERE"] == []
