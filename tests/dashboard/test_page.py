"""The page in a real Chromium, while a real sweep runs: what is seen, clicked, typed and steered."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from mlflow import MlflowClient

from daf.config import DAFConfig
from daf.dashboard.board import Board
from daf.dashboard.gate import Gate
from daf.dashboard.server import make_app
from daf.errors import DAFError
from daf.sweeps import daf_launch_sweep, steering
from daf.sweeps.api import with_sweep
from daf.sweeps.study import load_stored
from daf.tracking.begin import new_run
from daf.tracking.store import open_store
from tests.sweeps.test_steering import wait_for

Load = Callable[..., DAFConfig]


@contextmanager
def served(config: DAFConfig) -> Iterator[str]:
    """The page of a config's store in a thread of this process; its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = make_app(Board(config), Gate.for_host("127.0.0.1"))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def size(page: Any, width: int, scheme: str = "light") -> None:
    phone = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})


@dataclass(frozen=True)
class Page:
    """What a person does with the page."""

    driver: Any

    def text(self, selector: str) -> str:
        """The text of what a selector finds; empty where it finds nothing."""
        script = f"return [...document.querySelectorAll({selector!r})].map((e) => e.innerText).join('\\n')"
        return str(self.driver.execute_script(script))

    def see(self, selector: str, text: str) -> None:
        """Waits until a text is there."""
        wait_for(lambda: text in self.text(selector), 180)

    def click(self, selector: str) -> None:
        """Clicks what a selector finds, through whatever draws it anew in that moment."""
        wait_for(lambda: self.driver.execute_script(f"return document.querySelector({selector!r})"))
        self.driver.execute_script(f"document.querySelector({selector!r}).click()")

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def focused(self) -> str:
        return str(self.driver.execute_script("return document.activeElement.outerHTML"))


@contextmanager
def swept(config: DAFConfig) -> Iterator[Future[Any]]:
    """A sweep in a thread of its own, which is ended with the block, whatever went wrong in it."""
    with ThreadPoolExecutor(1) as pool:
        sweep = pool.submit(daf_launch_sweep, config)
        try:
            yield sweep
        finally:
            for ask in (steering.stop_sweep, lambda study: steering.stop_trial(study, 0)):
                with suppress(DAFError):
                    ask(load_stored(config))


def test_a_sweep_is_watched_and_steered_while_it_runs(tiny: Load, chromium: Any) -> None:
    space = {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
    load = tiny("training.num_steps=4000000", "sweep.confirm=off", "sweep.name=watched")
    config = with_sweep(load, space=space, n_trials=2, sampler="random")
    page = Page(chromium)
    with served(config) as address, swept(config) as sweep:
        size(chromium, 1280)
        chromium.get(address)
        page.see("#sweeps", "0/2 trials · 1 running")
        page.see("#running", "steps/s")  # the training of the trial
        page.see("#running", "reward")
        wait_for(lambda: chromium.find_elements("css selector", "#running .spark path"))
        assert "process" in page.text("#workers")
        page.click("#sweeps .name")
        page.see("#detail", "0.0001 to 0.01")
        _enqueue(page, "0.5")
        page.see("#told.refused", "optimizer.lr: 0.5 is not among what it ranges over: 0.0001 to 0.01.")
        _enqueue(page, "0.005")
        page.see("#told:not(.refused)", "lr=0.005 is trial 1 of watched")
        chromium.execute_script("window.confirm = () => true")
        page.click("#stop-sweep")
        page.see("#told", "begins no more trials")
        page.click("#detail button[data-trial='0']")
        page.see("#told", "trial 0 of watched stops")
        with pytest.raises(DAFError, match="no trial of watched finished"):
            sweep.result(180)
        page.see("#ended", "sweep watched")
        page.see("#detail", "stopped")
        chromium.get("about:blank")
    trials = load_stored(config).trials()
    assert [(trial.state, trial.facts.stopped) for trial in trials] == [("PRUNED", True), ("WAITING", False)]
    assert trials[1].asked == {"optimizer.lr": 0.005}
    errors = chromium.get_log("browser")
    assert [each for each in errors if each["source"] != "network"] == []


def _enqueue(page: Page, value: str) -> None:
    script = (
        "const box = document.querySelector('form.point input'); box.value = arguments[0]; box.form.requestSubmit()"
    )
    page.driver.execute_script(script, value)


@pytest.fixture
def filled(tiny: Load, tmp_path: Path) -> DAFConfig:
    """A store with two ended trainings, one with a name that is no HTML, and a pipeline that runs."""
    config = tiny()
    client, experiment = open_store(str(config.tracking.uri), "watched")
    for index, name in enumerate(("first", "<img src=x onerror=alert(1)>")):
        _training(client, experiment, name, index)
    parent = new_run(client, experiment, "nightly", {"daf.kind": "pipeline"})
    tags = {"daf.kind": "stage", "daf.stage": "train", "mlflow.parentRunId": parent}
    new_run(client, experiment, "stage train", tags)
    return config


def _training(client: MlflowClient, experiment: str, name: str, index: int) -> None:
    run_id = new_run(client, experiment, name, {"daf.task": "train"})
    client.log_param(run_id, "optimizer.lr", f"0.{index + 1}")
    for step in range(1, 6):
        client.log_metric(run_id, "reward", step * (index + 1), step=step * 100)
    client.set_terminated(run_id)


def test_two_runs_are_compared_with_clicks_and_with_keys(filled: DAFConfig, browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page = Page(browser)
    with served(filled) as address:
        size(browser, 1280)
        browser.get(address)
        page.see("#ended", "<img src=x onerror=alert(1)>")
        assert browser.find_elements("css selector", "#main img") == []
        assert "train" in page.text("#pipelines .stages")
        page.click("#ended .item:nth-child(1) .pick")
        assert "pick one more" in page.text("#picked")
        page.click("#ended .item:nth-child(2) .pick")
        page.click("#compare")
        page.see("#detail", "Config that differs (1)")
        assert page.text("#detail .pairs").count("optimizer.lr") == 1
        assert len(browser.find_elements("css selector", "#detail .chart path:not(.grid)")) == 2
        page.press(Keys.ESCAPE)
        wait_for(lambda: not browser.find_element("id", "detail").is_displayed())
        browser.execute_script("document.querySelector('#ended .name').focus()")
        page.press(Keys.ENTER)
        page.see("#detail h4", "Metrics (1)")
        page.press(Keys.ESCAPE)
        browser.find_element("id", "filter").send_keys("first")
        wait_for(lambda: len(browser.find_elements("css selector", "#ended .item")) == 1)
        asked = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert asked and all(name.startswith(address) for name in asked)
        browser.get("about:blank")


def test_a_phone_a_dark_one_and_the_end_of_the_server(filled: DAFConfig, chromium: Any) -> None:
    page = Page(chromium)
    with served(filled) as address:
        size(chromium, 360, "dark")
        chromium.get(address)
        page.see("#ended", "first")
        assert chromium.execute_script("return document.documentElement.scrollWidth") == 360
        dark = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
        page.click("#theme")
        assert chromium.execute_script("return getComputedStyle(document.body).backgroundColor") != dark
        page.click("#theme")
        page.click("#ended .name")
        page.see("#detail", "optimizer.lr")
        assert chromium.execute_script("return document.documentElement.scrollWidth") == 360
        marks = chromium.execute_script("return [...document.querySelectorAll('.state')].map((e) => e.dataset.mark)")
        assert set(marks) <= set("●✓✕■?…○!·") and "✓" in marks
    page.see("#pulse", "daf watch has ended")
