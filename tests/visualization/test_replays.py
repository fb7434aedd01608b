"""Replays: the file is read right, what is drawn is what happened, and the page plays in a real browser."""

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from daf.bridge.episode import play_official
from daf.errors import DAFError
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec
from daf.visualization.replays import Replay, Shown, daf_export_replay_gif, daf_export_replay_html, daf_read_replay
from daf.visualization.replays.gif import MAX_FRAMES, shown_steps
from daf.visualization.replays.scene import Timeline
from daf.visualization.replays.style import TEAM_COLOURS, look

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

Recorded = tuple[EpisodeRecord, Replay]

STEPS = 60
MOVES = {"move_north": (0, -1), "move_south": (0, 1), "move_west": (-1, 0), "move_east": (1, 0)}
EVIL = "<script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """An episode of four starters under the miner's reward."""
    return record_of("cogsguard_arena.basic", tmp_path_factory.mktemp("arena"), ("no_objective", "miner"))


@pytest.fixture(scope="module")
def machina(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """An episode long enough for the clips to take junctions."""
    return record_of("cogsguard_machina_1.basic", tmp_path_factory.mktemp("machina"), steps=150)


def record_of(mission: str, folder: Path, variants: tuple[str, ...] = (), steps: int = STEPS) -> Recorded:
    plan = EpisodePlan(
        mission=MissionSpec(name=mission, variants=variants, cogs=4, max_steps=steps),
        policies=(PolicySpec(name="starter", class_path="starter"),),
        assignments=(0,) * 4,
        seed=1_000_000,
        replay_dir=str(folder),
    )
    record = play_official(plan)
    return record, daf_read_replay(Path(str(record.replay_path)))


def test_the_first_number_of_a_place_is_its_column(arena: Recorded) -> None:
    """Whoever moved east is one column further, whoever moved south one row lower."""
    moved = 0
    for agent in arena[1].agents:
        for step in range(1, STEPS):
            (x0, y0), (x1, y1) = agent.position.at(step - 1), agent.position.at(step)
            if (x0, y0) != (x1, y1) and agent.succeeded.at(step):
                assert (x1 - x0, y1 - y0) == MOVES[agent.action.at(step)]
                moved += 1
    assert moved > STEPS


def test_rewards_and_what_is_carried_end_as_in_the_record(arena: Recorded) -> None:
    record, replay = arena
    assert (replay.steps, replay.width, replay.height, len(replay.agents)) == (STEPS, 60, 60, 4)
    ends = [agent.reward.at(STEPS - 1) for agent in replay.agents]
    assert ends == pytest.approx(record.rewards, abs=1e-5)
    assert replay.mean_reward(STEPS - 1) == pytest.approx(record.reward(), abs=1e-5)
    for agent in replay.agents:
        stats = record.stats["agent"][agent.number]
        for item in ("energy", "hp", "heart", "silicon"):
            assert agent.inventory.at(STEPS - 1).get(item, 0) == stats.get(f"{item}.amount", 0), item
    assert len(replay.walls) == record.stats["game"]["objects.wall"]
    kinds = [thing.kind for thing in replay.things]
    assert kinds.count("junction") == record.stats["game"]["objects.junction"]
    assert {"hub", "c:miner", "silicon_extractor"} <= set(kinds)


def test_owners_of_junctions_end_as_in_the_record(machina: Recorded) -> None:
    record, replay = machina
    held = replay.junctions(replay.steps - 1)
    assert replay.teams() == ("cogs", "clips")
    ships = sum(thing.kind == "ship" for thing in replay.things)
    # CoGames counts the nodes of a team's net but one, which is the hub; the clips have ships instead, all counted.
    assert held["clips"] == record.stats["game"]["clips/aligned.junction"] - (ships - 1) > 0
    assert held["cogs"] == record.stats["game"]["cogs/aligned.junction"]
    assert held.total() == record.stats["game"]["objects.junction"]
    assert replay.junctions(0)["clips"] == 0


def test_a_timeline_holds_until_the_next_change() -> None:
    timeline = Timeline((0, 3, 7), ("a", "b", "c"))
    assert [timeline.at(step) for step in (0, 2, 3, 6, 7, 99)] == ["a", "a", "b", "b", "c", "c"]


def test_what_is_no_replay_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.json.z").write_bytes(b"nothing")
    with pytest.raises(DAFError, match="is no replay"):
        daf_read_replay(tmp_path / "x.json.z")


def test_a_kind_of_a_later_cogames_is_still_drawn() -> None:
    assert (look("magic_well").shape, look("magic_well").letter, look("magic_well").name) == (
        "square",
        "M",
        "magic well",
    )
    assert look("gold_extractor").shape == "diamond"
    assert look("cogs_green:miner") == look("c:miner") != look("c:scout")


def test_long_episodes_are_thinned_out_to_their_very_end() -> None:
    assert shown_steps(50) == list(range(50))
    for steps in (MAX_FRAMES + 1, 1000, 9999):
        shown = shown_steps(steps)
        assert shown[-1] == steps - 1
        assert len(shown) <= MAX_FRAMES
        assert len({b - a for a, b in pairwise(shown)}) == 1


def test_a_gif_shows_agents_where_they_are(machina: Recorded, tmp_path: Path) -> None:
    _, replay = machina
    with Image.open(daf_export_replay_gif(replay, tmp_path / "x.gif", title=EVIL)) as gif:
        assert (gif.format, gif.n_frames) == ("GIF", replay.steps)  # type: ignore[attr-defined]
        gif.seek(replay.steps - 1)
        last = gif.convert("RGB")
        gif.seek(0)
        first = gif.convert("RGB")
    assert max(last.size) <= 900
    blue = tuple(bytes.fromhex(TEAM_COLOURS[0][1:]))

    def blue_pixels(image: Image.Image) -> set[tuple[int, int]]:
        pixels = image.load()
        near = [
            (x, y)
            for x in range(image.width)
            for y in range(image.height)
            if all(abs(a - b) < 12 for a, b in zip(pixels[x, y], blue, strict=True))  # type: ignore[index, arg-type]
        ]
        return set(near)

    assert blue_pixels(first) != blue_pixels(last)
    assert len(blue_pixels(last)) > 200


@pytest.fixture
def page(arena: Recorded, machina: Recorded, tmp_path: Path) -> Path:
    """A viewer with two episodes whose names try to be markup."""
    episodes = [
        Shown(label=label, about=EVIL, replay=replay, policies=(EVIL, "starter", "starter", "starter"))
        for label, (_, replay) in (("best", arena), ("worst", machina))
    ]
    return daf_export_replay_html(episodes, tmp_path / "viewer.html", title=EVIL)


def test_a_page_needs_nothing_but_itself(page: Path) -> None:
    text = page.read_text()
    assert "{{" not in text
    assert "://" not in text
    assert "default-src 'none'" in text
    data = text.split('type="application/json">', 1)[1].split("</script>", 1)[0]
    first = json.loads(data)[0]
    assert (first["label"], first["about"], first["steps"]) == ("best", EVIL, STEPS)


def test_the_page_plays_in_a_browser(page: Path, browser: "WebDriver", arena: Recorded) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select, WebDriverWait

    browser.get(page.as_uri())

    def click(selector: str) -> None:
        browser.find_element(By.CSS_SELECTOR, selector).click()

    def step() -> int:
        return int(browser.find_element(By.ID, "step").text.split()[1])

    def press(*keys: str) -> None:
        ActionChains(browser).send_keys(*keys).perform()

    assert browser.title == EVIL
    assert browser.find_element(By.TAG_NAME, "h1").text == EVIL
    assert step() == 1
    click("#last")
    assert step() == STEPS
    click("#back")
    press(Keys.ARROW_LEFT)
    assert step() == STEPS - 2
    press(Keys.HOME)
    assert step() == 1
    ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(Keys.SHIFT).perform()
    assert step() == 11
    slider = browser.find_element(By.ID, "slider")
    ActionChains(browser).move_to_element(slider).click().perform()
    assert abs(step() - STEPS / 2) <= 2

    Select(browser.find_element(By.ID, "speed")).select_by_value("60")
    click("#play")
    assert browser.find_element(By.ID, "play").text == "Pause"
    WebDriverWait(browser, 20).until(lambda _: step() == STEPS and browser.find_element(By.ID, "play").text == "Play")

    rows = browser.find_elements(By.CSS_SELECTOR, "#agents tr")
    heads = [cell.text for cell in rows[0].find_elements(By.TAG_NAME, "th")]
    shown = [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")] for row in rows[1:]]
    record, replay = arena
    assert [float(row[heads.index("reward")]) for row in shown] == pytest.approx(record.rewards, abs=6e-4)
    assert [row[heads.index("policy")] for row in shown] == [EVIL, "starter", "starter", "starter"]
    assert [int(row[heads.index("energy")]) for row in shown] == [
        agent.inventory.at(STEPS - 1).get("energy", 0) for agent in replay.agents
    ]
    assert "junction" in browser.find_element(By.ID, "legend").text

    before = browser.execute_script("return document.getElementById('map').toDataURL()")
    click("#agents button")
    assert browser.execute_script("return document.getElementById('map').toDataURL()") != before
    middle = browser.find_element(By.ID, "map")
    ActionChains(browser).move_to_element(middle).perform()
    assert browser.find_element(By.ID, "here").text.startswith("Column")

    browser.find_elements(By.CSS_SELECTOR, "#episodes button")[1].click()
    press(Keys.END)
    assert step() == 150
    assert browser.find_element(By.CSS_SELECTOR, "#teams tr:nth-child(3)").text.startswith("clips")


def test_the_page_follows_the_reader_s_colours_and_fits_a_phone(page: Path, browser: "WebDriver") -> None:
    script = (
        "return [getComputedStyle(document.body).backgroundColor, document.documentElement.scrollWidth, innerWidth]"
    )
    grounds = set()
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        browser.get(page.as_uri())
        ground, width, room = browser.execute_script(script)
        assert width <= room == 360
        grounds.add(ground)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert len(grounds) == 2
