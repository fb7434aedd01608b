"""The HTML report, opened and used in a real Chromium."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daf.results import ResultTable
from daf.statistics import PairedScores, compare, performance_profiles
from daf.visualization import daf_export_comparison_html
from daf.visualization.findings import ComparisonFindings, ReplayLink, ReportSetup
from daf.visualization.html import breakable, element
from daf.visualization.report_figures import Axis

POLICIES = ("starter", "<script>window.hacked = 1</script>", "noop", "a_name_without_any_break_" * 6)
MISSIONS = ("cogsguard_arena.basic", '"onmouseover="window.hacked=1')
SCORES = np.stack([np.random.default_rng(i).normal(i, 0.5, (2, 20)) for i in range(4)])
SEEDS = tuple(range(1_000_000, 1_000_020))
SETUP = ReportSetup(
    facts={"date": "2026-01-31 12:00", "variants": ""},
    command="python -m daf.run task=compare 'comparison.policies=[starter,noop]'",
    policies=ResultTable("What played", ("policy", "trained"), (("starter", "-"), ("<i>", "65,536 agent steps"))),
    replays=[ReplayLink(about="starter on <arena>: best 1.2", href="../replays/1-starter/viewer.html")],
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    profiles = performance_profiles(SCORES, POLICIES, np.linspace(-2, 5, 101))
    findings = ComparisonFindings(
        comparison=compare(SCORES, POLICIES, MISSIONS, rng=np.random.default_rng(0)),
        scores=PairedScores(metric="reward", policies=POLICIES, missions=MISSIONS, seeds=SEEDS, values=SCORES),
        profiles=profiles,
        notes=["<b>bold</b> & first", "second"],
        direction="maximize",
        setup=SETUP,
    )
    return daf_export_comparison_html(findings, tmp_path_factory.mktemp("report") / "deep" / "report.html")


@pytest.fixture
def page(chromium: Any, report: Path) -> Any:
    """The report, freshly opened on a light desktop."""
    view(chromium, report, width=1280)
    return chromium


def view(chromium: Any, report: Path, *, width: int, scheme: str = "light", media: str = "") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    chromium.get(report.as_uri())


def find(page: Any, selector: str) -> list[Any]:
    return list(page.find_elements("css selector", selector))


def press(page: Any, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(page, duration=0).send_keys(*keys).perform()


def hover(page: Any, target: Any, x: float = 0, y: float = 0) -> str:
    """Moves the pointer to an offset from a target's middle; returns the tooltip."""
    from selenium.webdriver import ActionChains

    # Scrolling hides the tooltip, a frame later.
    settled = "requestAnimationFrame(() => requestAnimationFrame(arguments[1]))"
    page.execute_async_script(f"arguments[0].scrollIntoView({{block: 'center'}}); {settled}", target)
    chain = ActionChains(page, duration=0)
    # From elsewhere: a target that was scrolled under the pointer would see no move.
    chain.w3c_actions.pointer_action.move_to_location(0, 0)  # type: ignore[no-untyped-call]
    chain.move_to_element_with_offset(target, round(x), round(y)).perform()
    tip = page.find_element("id", "tip")
    return str(tip.text) if tip.is_displayed() else ""


def unfold(page: Any) -> None:
    """Opens what is shown on demand only."""
    for summary in find(page, "summary"):
        summary.click()


def column(page: Any, table: str, number: int) -> list[str]:
    cells = f"#{table} tbody tr:not([hidden]) td:nth-child({number})"
    return list(
        page.execute_script(f"return [...document.querySelectorAll('{cells}')].map((cell) => cell.textContent)")
    )


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_elements_are_escaped() -> None:
    built = element("p", "<i>", [element("b", "&"), "'"], title='"><script>', hidden=True, id=None, data_value=1)
    assert built == '<p title="&quot;&gt;&lt;script&gt;" hidden data-value="1">&lt;i&gt;<b>&amp;</b>&#x27;</p>'


def test_the_file_needs_nothing_else_and_escapes_every_name(report: Path) -> None:
    tags = Tags(report.read_text()).found
    assert [tag for tag, _ in tags].count("script") == 1
    assert not {"link", "img", "iframe", "object"} & {tag for tag, _ in tags}
    assert not {"src", "onmouseover", "onclick"} & {name for _, attributes in tags for name in attributes}
    links = [attributes["href"] for _, attributes in tags if "href" in attributes]
    assert links == ["../replays/1-starter/viewer.html"], "beside the report, and nowhere else"
    assert not re.search(r"https?:|//[a-z]|@import|url\(", report.read_text())
    policy = next(a["content"] for _, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_it_opens_without_errors_and_shows_names_as_text(page: Any) -> None:
    assert page.get_log("browser") == []
    assert page.execute_script("return window.hacked") is None
    assert POLICIES[1] in column(page, "policies", 1)
    assert find(page, "#verdict li")[0].text == "<b>bold</b> & first"
    assert not find(page, "#verdict b")
    assert len(column(page, "policies", 1)) == 4 * 3
    assert len(column(page, "pairs", 1)) == 6 * 3
    assert len(column(page, "tests", 1)) == 6 * 3 * 3
    assert len(column(page, "episodes", 1)) == 4 * 2 * 20


def test_a_click_sorts_and_another_turns_around(page: Any) -> None:
    unfold(page)
    head = find(page, "#episodes th")[3]
    button = head.find_element("tag name", "button")
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    values = [float(text) for text in column(page, "episodes", 4)]
    assert values == sorted(np.round(SCORES.ravel(), 4).tolist())
    button.click()
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in column(page, "episodes", 4)] == values[::-1]
    find(page, "#episodes th button")[0].click()
    assert head.get_attribute("aria-sort") == "none"
    assert column(page, "episodes", 1)[-1] == "starter"


def test_the_keyboard_sorts_too(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    find(page, "#pairs input")[0].click()
    press(page, Keys.TAB, Keys.TAB)  # past the scrolling region to its first column
    button = page.switch_to.active_element
    assert button.text.startswith("first")
    assert button.value_of_css_property("outline-style") == "solid"
    press(page, Keys.ENTER)
    assert find(page, "#pairs th")[0].get_attribute("aria-sort") == "ascending"
    texts = column(page, "pairs", 1)
    assert texts == sorted(texts)
    assert texts[0] != "starter"


def test_the_filter_keeps_matching_rows_and_counts_them(page: Any) -> None:
    unfold(page)
    box = find(page, "#episodes input")[0]
    box.send_keys("NOOP arena")
    assert set(column(page, "episodes", 1)) == {"noop"}
    assert set(column(page, "episodes", 2)) == {MISSIONS[0]}
    assert find(page, "#episodes .count")[0].text == "20 of 160 rows"
    box.clear()
    box.send_keys("nowhere")
    assert find(page, "#episodes .count")[0].text == "0 of 160 rows"


def test_every_bar_answers_to_the_pointer(page: Any) -> None:
    bars = find(page, ".hit")
    assert len(bars) == (4 + 6) * 3
    for bar in bars:
        tip = hover(page, bar)
        assert tip == bar.get_attribute("aria-label")
        assert re.search(r"interval .* to |\(.* to .*\)", tip)
    assert hover(page, find(page, "h1")[0]) == ""


def test_every_curve_answers_to_the_pointer(page: Any) -> None:
    (area,) = find(page, ".plot svg")
    box = area.rect
    for index, policy in enumerate(POLICIES):
        # Where half of this policy's episodes lie above, the others' curves are far away.
        along = (np.median(SCORES[index]) + 2) / 7 - 0.5
        tip = hover(page, area, along * box["width"])
        assert tip.startswith(policy[:40])
        assert re.search(r"(4\d|5\d) % \(\d+ % to \d+ %\) of episodes above", tip)


def test_arrow_keys_walk_through_bars_and_curves(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    assert len(find(page, '.hit[tabindex="0"]')) == 6  # one stop a figure
    page.execute_script("arguments[0].focus()", find(page, '.hit[tabindex="0"]')[0])
    press(page, Keys.ARROW_DOWN)
    focused = page.switch_to.active_element
    assert focused.get_attribute("aria-label").startswith(POLICIES[1])
    assert page.find_element("id", "tip").text == focused.get_attribute("aria-label")
    press(page, Keys.ESCAPE)
    assert not page.find_element("id", "tip").is_displayed()
    (area,) = find(page, ".plot svg")
    page.execute_script("arguments[0].focus()", area)
    press(page, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert area.get_attribute("aria-label").startswith(POLICIES[1])
    assert area.get_attribute("aria-label").endswith("above 1.570")  # one step of 0.07 from the middle, 1.5


def background(page: Any) -> str:
    return str(page.execute_script("return getComputedStyle(document.body).backgroundColor"))


def test_light_and_dark(chromium: Any, report: Path) -> None:
    view(chromium, report, width=1280, scheme="dark")
    dark = background(chromium)
    assert dark == "rgb(15, 20, 25)"
    toggle = chromium.find_element("id", "theme")
    assert toggle.text == "Light"
    toggle.click()
    assert (background(chromium), toggle.text) == ("rgb(255, 255, 255)", "Dark")
    view(chromium, report, width=1280, scheme="light")
    assert background(chromium) == "rgb(255, 255, 255)"
    chromium.find_element("id", "theme").click()
    assert background(chromium) == dark


def test_a_phone_scrolls_only_downwards(chromium: Any, report: Path) -> None:
    view(chromium, report, width=390)
    assert chromium.execute_script("return document.documentElement.scrollWidth") == 390
    wide = "return [...document.querySelectorAll('figure, .verdict, .tools, header')].filter"
    assert chromium.execute_script(f"{wide}((e) => e.getBoundingClientRect().right > 390).length") == 0
    for bar in find(chromium, ".hit")[:4]:
        hover(chromium, bar)
        box = chromium.find_element("id", "tip").rect
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


def test_print_is_light_whole_and_without_controls(chromium: Any, report: Path) -> None:
    view(chromium, report, width=1280, scheme="dark", media="print")
    assert background(chromium) == "rgb(255, 255, 255)"
    assert not any(tools.is_displayed() for tools in [*find(chromium, ".tools"), *find(chromium, "#theme")])
    clipped = "return [...document.querySelectorAll('.scroll')].filter((e) => e.scrollHeight > e.clientHeight).length"
    assert chromium.execute_script(clipped) == 0
    pdf = base64.b64decode(chromium.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF")
    assert pages(pdf) <= 8, "with a name of 150 characters"


def pages(pdf: bytes) -> int:
    return pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ")


def test_usual_names_show_every_column_and_print_on_four_pages(chromium: Any, tmp_path: Path) -> None:
    policies = ("lstm-2026-01-31_lr0.003", "starter", "random", "noop")
    missions = ("cogsguard_machina_1.basic", "cogsguard_arena.basic")
    findings = ComparisonFindings(
        comparison=compare(SCORES, policies, missions, rng=np.random.default_rng(0)),
        scores=PairedScores(metric="reward", policies=policies, missions=missions, seeds=SEEDS, values=SCORES),
        profiles=performance_profiles(SCORES, policies, np.linspace(-2, 5, 101)),
        direction="maximize",
        setup=SETUP,
    )
    view(chromium, daf_export_comparison_html(findings, tmp_path / "report.html"), width=1280)
    unfold(chromium)
    wide = "return [...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth).length"
    assert chromium.execute_script(wide) == 0
    assert len(find(chromium, ".whole")) > 0
    broken = "return [...document.querySelectorAll('.whole')].filter((e) => e.getClientRects().length > 1).length"
    assert chromium.execute_script(broken) == 0
    view(chromium, tmp_path / "report.html", width=1280, media="print")
    assert pages(base64.b64decode(chromium.execute_cdp_cmd("Page.printToPDF", {})["data"])) <= 4


def test_who_leads_comes_first_and_where_it_comes_from_next(page: Any) -> None:
    order = page.execute_script("return [...document.querySelector('main').children].map((e) => e.id)")
    assert order[:5] == ["winner", "leaderboard", "verdict", "setup", "what-played"]
    assert find(page, "#winner")[0].text == f"Winner: {POLICIES[3]}"
    assert column(page, "leaderboard", 2) == ["1", "2", "3", "4"]
    assert [term.text for term in find(page, "#setup dt")] == ["date"]
    assert find(page, ".command")[0].text == SETUP.command
    assert column(page, "what-played", 1) == ["starter", "<i>"]
    assert find(page, "#replays a")[0].text == "starter on <arena>: best 1.2"
    assert not any(table.is_displayed() for table in find(page, "#tests table, #episodes table"))


def test_names_break_where_words_begin_and_numbers_never() -> None:
    assert "".join(map(str, breakable("cogsguard_arena.basic"))) == "cogsguard_<wbr>arena.<wbr>basic"
    assert breakable("2026-01-31_12.5") == ['<span class="whole">2026-01-31_12.5</span>']
    assert breakable("starter") == ["starter"]


@pytest.mark.parametrize("width", [0.9, 1.1, 1.7, 2.4, 4.2, 9.0])
def test_axes_have_four_ticks_or_more(width: float) -> None:
    ticks = Axis(0.37, 0.37 + width).ticks()
    assert 4 <= len(ticks) <= 9


def test_one_mission_and_nothing_that_varies(chromium: Any, tmp_path: Path) -> None:
    """Constant scores leave intervals without width and effect sizes without a number."""
    scores = np.ones((2, 1, 20))
    scores[1] = 2
    policies = ("a", "b")
    findings = ComparisonFindings(
        comparison=compare(scores, policies, ("m",), rng=np.random.default_rng(0)),
        scores=PairedScores(metric="game/score", policies=policies, missions=("m",), seeds=SEEDS, values=scores),
        profiles=performance_profiles(scores, policies, [0.99, 1.0, 2.0]),
    )
    report = daf_export_comparison_html(findings, tmp_path / "report.html")
    view(chromium, report, width=1280)
    assert chromium.get_log("browser") == []
    assert len(find(chromium, "figure")) == 3
    assert find(chromium, "#winner")[0].text == "No winner: a, b cannot be told apart"
    head = find(chromium, "#pairs th button")[7]
    assert head.text.startswith("Hedges' g")
    head.click()
    assert column(chromium, "pairs", 8) == ["-inf"]
    assert hover(chromium, find(chromium, ".hit")[0]).startswith("a: mean 1.0000")
