"""How contributions and interactions are shown."""

from typing import TYPE_CHECKING

from daf.comparison.ablation.contributions import Contributions
from daf.results import ResultTable
from daf.visualization.text import estimate_cells, level_text, number_text, p_text

if TYPE_CHECKING:
    from daf.statistics import Effect


def contribution_tables(found: Contributions) -> tuple[ResultTable, ...]:
    """One row a part and, if parts were switched off in pairs, one row a pair."""
    tables = (_part_table(found),)
    return (*tables, _interaction_table(found)) if found.interactions else tables


def _part_table(found: Contributions) -> ResultTable:
    # Of a stat, such as deaths, more need not be better.
    words = ("helps", "harms") if found.metric == "reward" else ("raises", "lowers")
    rows = [
        (
            effect.name,
            *estimate_cells(effect.value, "+"),
            number_text(found.means[effect.name,].value),
            p_text(effect.p_value),
            _verdict(effect, *words),
        )
        for effect in found.parts
    ]
    interval = f"{level_text(found.level)} interval"
    head = ("part", f"contribution to {found.metric}", interval, "without it", "p (corrected)", "verdict")
    return ResultTable("Ablation", head, tuple(rows))


def _interaction_table(found: Contributions) -> ResultTable:
    by_name = {" + ".join(off): mean for off, mean in found.means.items() if len(off) == 2}
    baseline = found.means[()].value
    rows = [
        (
            effect.name,
            number_text(baseline - by_name[effect.name].value, "+"),
            *estimate_cells(effect.value, "+"),
            p_text(effect.p_value),
            _verdict(effect, "each makes up for the other", "each needs the other"),
        )
        for effect in found.interactions
    ]
    head = ("parts", "joint contribution", "interaction", "interval", "p (corrected)", "verdict")
    return ResultTable("Ablation, parts in pairs", head, tuple(rows))


def _verdict(effect: "Effect", positive: str, negative: str) -> str:
    if not effect.significant:
        return effect.note or "no significant effect"
    return positive if effect.value.value > 0 else negative


def contribution_note(found: Contributions) -> str:
    """The baseline, and what the p-values allow for."""
    baseline = number_text(found.means[()].value)
    return f"Everything on: {found.metric} {baseline}. p-values are corrected for all effects together."
