"""How numbers, estimates and verdicts are written, in the terminal, in files and in reports: one spelling of each."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeGuard

if TYPE_CHECKING:
    from daf.statistics import Estimate, PairResult

#: What is better: more, less, or nobody knows.
Direction = Literal["maximize", "minimize"] | None

ALL_MISSIONS = "all missions"
NO_VALUE = "-"
NO_DIFFERENCE = "no significant difference"


def is_known(value: float | None) -> TypeGuard[float]:
    """Whether there is a number at all: the deviation of a single episode, for one, is NaN."""
    return value is not None and not math.isnan(value)


def number_text(value: float | None, sign: str = "") -> str:
    """A number with four decimals, with four significant digits where those would say little; None and NaN are a dash.

    `sign` may be "+".
    """
    if not is_known(value):
        return NO_VALUE
    return f"{value:{sign},.4f}" if value == 0 or 0.001 <= abs(value) < 1e6 else f"{value:{sign}.4g}"


def picture_text(value: float) -> str:
    """A number inside a picture, which shows about three decimals."""
    return f"{value:.3f}"


def quantity_text(value: float) -> str:
    """A quantity with a scale of its own, such as milliseconds or a count per agent, with three significant digits."""
    if not is_known(value):
        return NO_VALUE
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def count_text(count: int) -> str:
    """How many, with separators of thousands."""
    return f"{count:,}"


def rating_text(mean: float, deviation: float) -> str:
    """A rating with its standard deviation, such as "25.0 ± 8.3"."""
    return f"{mean:.1f} ± {deviation:.1f}"


def ratio_text(value: float | None, sign: str = "") -> str:
    """A number without a unit, such as an effect size or a probability, with two decimals; None and NaN are a dash.

    `sign` may be "+".
    """
    return f"{value:{sign}.2f}" if is_known(value) else NO_VALUE


def p_text(p_value: float | None) -> str:
    """A p-value with two digits, or a dash."""
    if not is_known(p_value):
        return NO_VALUE
    return "< 0.0001" if p_value < 1e-4 else f"{p_value:.2g}"


def level_text(level: float) -> str:
    """A confidence level in percent, with as many digits as it has."""
    return f"{100 * level:g}%"


def interval_heading(level: float) -> str:
    """The heading of intervals, such as "95% interval"."""
    return f"{level_text(level)} interval"


def error_rate_text(level: float) -> str:
    """The error rate that goes with a confidence level, such as "0.05"."""
    return f"{1 - level:.2g}"


def share_text(share: float) -> str:
    """A share in whole percent."""
    return f"{share:.0%}"


def interval_text(estimate: "Estimate", sign: str = "") -> str:
    """The bounds of an estimate's interval, or a dash; `sign` may be "+"."""
    interval = estimate.interval
    if interval is None:
        return NO_VALUE
    return f"{number_text(interval.low, sign)} to {number_text(interval.high, sign)}"


def estimate_cells(estimate: "Estimate", sign: str = "") -> tuple[str, str]:
    """A value and its interval as cells of a table; `sign` may be "+", for differences."""
    return number_text(estimate.value, sign), interval_text(estimate, sign)


def estimate_text(value: float, bounds: Sequence[float]) -> str:
    """A value and the bounds of its interval within a sentence, such as "0.05 [0.01, 0.09]"; no bounds, no brackets."""
    return f"{number_text(value)} [{', '.join(map(number_text, bounds))}]" if bounds else number_text(value)


def scope_name(missions: Sequence[str]) -> str:
    """What results over these missions are called: one mission stands for itself."""
    return ALL_MISSIONS if len(missions) > 1 else missions[0]


def metric_label(metric: str, direction: Direction = None) -> str:
    """A metric on the axis of a plot."""
    label = "mean reward per agent" if metric == "reward" else metric
    return f"{label} (lower is better)" if direction == "minimize" else label


def known_direction(metric: str, asked: str) -> Direction:
    """What is better, where `asked` is auto, maximize or minimize; auto knows nothing of a stat, such as deaths."""
    if asked == "auto":
        return "maximize" if metric == "reward" else None
    return "minimize" if asked == "minimize" else "maximize"


def best_first(direction: Direction) -> int:
    """The sign that makes an ascending order begin with the best; with the highest where nobody knows."""
    return 1 if direction == "minimize" else -1


def pair_name(pair: "PairResult") -> str:
    """A pair as the difference that it stands for, such as "starter - noop"."""
    return f"{pair.first} - {pair.second}"


def higher_and_lower(pair: "PairResult") -> tuple[str, str]:
    """The two policies of a pair, the one with the higher mean first."""
    return (pair.first, pair.second) if pair.difference.value > 0 else (pair.second, pair.first)


def verdict_text(pair: "PairResult") -> str:
    """The decision about a pair, without the numbers that stand beside it anyway."""
    if pair.significant:
        return f"{higher_and_lower(pair)[0]} is higher"
    return NO_DIFFERENCE if pair.decision.startswith(NO_DIFFERENCE) else pair.decision


def first_verdict_text(pair: "PairResult") -> str:
    """The decision about a pair seen from its first policy: higher, lower, or why neither."""
    if pair.significant:
        return "higher" if pair.difference.value > 0 else "lower"
    return verdict_text(pair)
