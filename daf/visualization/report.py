"""The comparison as one HTML file that needs nothing else, not even a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from daf.results import ResultTable
from daf.visualization.findings import ComparisonFindings, ReplayLink
from daf.visualization.html import Child, Markup, document, element
from daf.visualization.leaderboard import leaderboard_table, leaders
from daf.visualization.report_figures import difference_figures, mean_figures
from daf.visualization.report_profiles import profile_figure
from daf.visualization.report_tables import comparison_tables, plain_table
from daf.visualization.text import Direction, level_text

if TYPE_CHECKING:
    from daf.statistics import Comparison

#: Facts beyond so many characters get a line of their own.
BROAD = 60
HOW_TO_READ = (
    "The unit is the episode. Every policy played the same seeds, and therefore the same maps, alone.",
    "Over all missions, each mission has the same weight; nothing is ranked or resampled across missions.",
    "IQM: the mean without the lowest and the highest quarter of the episodes, those of all missions together.",
    "p (corrected): the chance of so large a difference, between any pair, if no two policies differed in their mean.",
    "A difference is significant exactly where its interval leaves 0 out: both come from one test.",
    "The intervals of differences hold together for all pairs over all missions, and together for all pairs on single"
    " missions; those of other numbers are for one number each.",
    "No interval: there are too few episodes, or nothing varied, which does not say that nothing ever will.",
    "Cliff's delta: how much more often the first policy's episode is higher than lower, from -1 to 1.",
    "P(first higher): the chance that an episode of the first policy scores above one of the second; ties count half.",
)


def daf_export_comparison_html(findings: ComparisonFindings, path: Path) -> Path:
    """Writes the report: verdict, means, differences, performance profiles and every table, sortable and filterable.

    Returns:
        The file, `path`; its folder is made.
    """
    comparison, scores, notes, setup = findings.comparison, findings.scores, findings.notes, findings.setup
    folder = Path(__file__).parent
    title = f"Comparison of {scores.metric}"
    body = [
        _header(title, comparison, findings.direction),
        element(
            "main",
            _leaderboard(findings),
            element("ul", [element("li", note) for note in notes], class_="verdict", id="verdict") if notes else "",
            set_up_box(setup.facts, setup.command, "Command"),
            _policies(setup.policies),
            mean_figures(comparison, scores),
            difference_figures(comparison, scores.metric),
            profile_figure(findings.profiles, scores.metric, scores.values[0].size),
            _replays(setup.replays),
            comparison_tables(comparison, scores, findings.direction),
            element("h2", "How to read this"),
            element("ul", [element("li", line) for line in HOW_TO_READ], class_="soft"),
        ),
        element("div", id="tip", role="tooltip", hidden=True),
    ]
    style, script = ((folder / f"report.{kind}").read_text() for kind in ("css", "js"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document(title, style, script, body), encoding="utf-8")
    return path


def _leaderboard(findings: ComparisonFindings) -> list[Child]:
    """Who leads, in a line, and everybody's place."""
    comparison, direction = findings.comparison, findings.direction
    first = leaders(comparison, direction)
    if len(first) == 1:
        word = "Winner" if direction else "Highest"
        line = f"{word}: {first[0]}"
    else:
        line = f"No winner: {', '.join(first)} cannot be told apart"
    ranking = leaderboard_table(comparison, findings.scores.metric, direction)
    return [element("p", line, class_="winner", id="winner"), plain_table(ranking)]


def set_up_box(facts: Mapping[str, str], command: str | None, heading: str) -> Child:
    """What a reader needs to know who was not there: facts by their headings, and the command."""
    entries = [
        element("div", element("dt", name), element("dd", text), class_="broad" if len(text) > BROAD else None)
        for name, text in facts.items()
        if text
    ]
    typed = [element("h3", heading), element("pre", element("code", command), class_="command")] if command else []
    return element("section", element("dl", entries), typed, class_="setup", id="setup") if entries or typed else ""


def _policies(policies: ResultTable | None) -> Child:
    return plain_table(policies) if policies else ""


def _replays(links: Sequence[ReplayLink]) -> Child:
    """Pages beside the report that play its episodes."""
    if not links:
        return ""
    entries = [element("li", element("a", link.about, href=link.href)) for link in links]
    beside = "Best, median and worst episode of each; the pages lie beside this one, in the folder of the run."
    inner = (element("h2", "Replays"), element("p", beside, class_="soft"), element("ul", entries, id="replays"))
    return element("section", *inner, class_="replays")


def _header(title: str, comparison: "Comparison", direction: Direction) -> Markup:
    counts = (
        f"{len(comparison.policies)} policies, {len(comparison.missions)} "
        f"{'mission' if len(comparison.missions) == 1 else 'missions'}, {comparison.episodes_per_mission} episodes per"
        f" policy and mission, {level_text(comparison.level)} level,"
        f" {'paired by seed' if comparison.paired else 'not paired'}"
        f"{', lower is better' if direction == 'minimize' else ''}"
    )
    words = element("div", element("h1", title), element("p", counts, class_="soft"))
    return element("header", words, element("button", "Dark", id="theme", type="button", hidden=True))
