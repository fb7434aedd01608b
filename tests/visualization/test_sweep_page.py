"""The page of a sweep, opened and used in a real Chromium."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daf.visualization.sweep_page import write_sweep_page
from tests.visualization import sweeps
from tests.visualization.test_report import Tags, column, find, hover, press, view

SHARES = [sweeps.SHARES]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sweep_page(sweeps.findings(), SHARES, tmp_path_factory.mktemp("sweep") / "sweep.html")


@pytest.fixture
def page(chromium: Any, sweep: Path) -> Any:
    view(chromium, sweep, width=1280)
    return chromium


def test_it_needs_nothing_else(sweep: Path) -> None:
    tags = Tags(sweep.read_text()).found
    assert [tag for tag, _ in tags].count("script") == 1
    assert not {"link", "img", "iframe", "object", "a"} & {tag for tag, _ in tags}
    # The namespace of SVG is a name and no request.
    text = sweep.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    policy = next(a["content"] for _, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none'")


def test_it_shows_every_trial_the_command_and_the_verdict(page: Any) -> None:
    assert page.get_log("browser") == []
    assert page.execute_script("return window.hacked") is None
    assert find(page, "#verdict li")[0].text == "The winner is trial 10."
    assert find(page, ".command")[0].text == sweeps.findings().command
    assert [term.text for term in find(page, "#setup dt")] == ["mission"]
    assert column(page, "trials", 1) == [str(number) for number in range(15)]
    assert column(page, "trials", 2)[:4] == ["complete (baseline)", "complete", "complete", "pruned"]
    assert column(page, "trials", 6)[:2] == list(sweeps.AXES[2].choices)
    assert column(page, "space", 1) == ["optimizer.lr"]
    charts = {chart.get_attribute("data-chart"): chart for chart in find(page, ".chart")}
    assert set(charts) == {"history", "reports", "importances", "slices", "parallel", "pairs"}
    marks = {name: len(chart.find_elements("css selector", ".t")) for name, chart in charts.items()}
    assert marks == {"history": 15, "reports": 14, "importances": 0, "slices": 3 * 14, "parallel": 12, "pairs": 12}
    assert len(charts["reports"].find_elements("css selector", "polyline:not(.reach)")) == 12 * 2 + 2


def test_a_trial_that_is_pointed_at_stands_out_everywhere(page: Any) -> None:
    mark = find(page, '[data-chart="history"] .t[data-trial="12"] circle')[0]
    tip = hover(page, mark)
    assert tip.splitlines()[0] == "trial 12 (complete): reward -4"
    assert "policy = lstm" in tip
    assert {node.get_attribute("data-trial") for node in find(page, ".on")} == {"12"}
    assert len(find(page, ".chart .on")) == 1 + 1 + 3 + 1 + 1
    assert len(find(page, "#trials tr.on")) == 1


def test_arrow_keys_walk_from_trial_to_trial(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    (svg,) = find(page, '[data-chart="history"] svg')
    page.execute_script("arguments[0].focus()", svg)
    press(page, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert svg.get_attribute("aria-label").startswith("trial 1 (complete): reward -81")
    assert {node.get_attribute("data-trial") for node in find(page, ".on")} == {"1"}


def test_the_filter_reaches_the_charts_and_a_head_sorts(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    find(page, "#trials input")[0].send_keys("pruned")
    assert column(page, "trials", 1) == ["3", "8"]
    shown = {mark.get_attribute("data-trial") for mark in find(page, ".chart .t:not(.off)")}
    assert shown == {"3", "8"}
    find(page, "#trials input")[0].send_keys(Keys.BACKSPACE * len("pruned"))
    find(page, "#trials th button")[2].click()
    assert column(page, "trials", 1)[:2] == ["0", "1"]
    find(page, "#trials th button")[2].click()
    assert column(page, "trials", 1)[0] == "10"
    assert column(page, "trials", 3)[-3:] == ["-", "-", "-"], "what has no value stays last"


def test_pairs_begin_with_what_matters_and_can_be_chosen(page: Any) -> None:
    from selenium.webdriver.support.select import Select

    chosen = [Select(page.find_element("id", name)) for name in ("along", "up")]
    assert [each.first_selected_option.text for each in chosen] == ["clip_coef", "lr"]
    chosen[1].select_by_visible_text("policy")
    labels = [label.text for label in find(page, '[data-chart="pairs"] .label')]
    assert labels == ["clip_coef", "policy"]


def test_a_phone_scrolls_only_downwards(chromium: Any, sweep: Path) -> None:
    view(chromium, sweep, width=390, scheme="dark")
    assert chromium.execute_script("return document.documentElement.scrollWidth") == 390
    assert chromium.get_log("browser") == []


def test_few_trials_have_no_importance_and_two_objectives_a_choice(chromium: Any, tmp_path: Path) -> None:
    from selenium.webdriver.support.select import Select

    few = replace(sweeps.findings(), trials=tuple(sweeps.trial(number) for number in (9, 10)))
    view(chromium, write_sweep_page(few, [{}], tmp_path / "few.html"), width=1280)
    assert not find(chromium, '[data-chart="importances"]')
    assert "That takes 10 complete trials whose objectives differ; there are 2." in chromium.page_source
    assert chromium.get_log("browser") == []
    both = write_sweep_page(sweeps.two_objectives(), [sweeps.SHARES, sweeps.SHARES], tmp_path / "both.html")
    view(chromium, both, width=1280)
    assert len(find(chromium, '[data-chart="front"] .t')) == 12
    Select(chromium.find_element("id", "objective")).select_by_visible_text("train/seconds")
    assert find(chromium, '[data-chart="history"] .label')[1].text == "train/seconds"
    assert chromium.get_log("browser") == []
