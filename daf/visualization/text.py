"""How numbers, estimates and verdicts are written, in the terminal, in files and in reports: one spelling of each."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daf.statistics import Estimate, PairResult

ALL_MISSIONS = "all missions"
NO_VALUE = "-"


def number_text(value: float, sign: str = "") -> str:
    """A number with four decimals, with four significant digits where those would say little; `sign` may be "+"."""
    return f"{value:{sign}.4f}" if value == 0 or 0.001 <= abs(value) < 1e6 else f"{value:{sign}.4g}"


def p_text(p_value: float | None) -> str:
    """A p-value with two digits, or a dash."""
    if p_value is None:
        return NO_VALUE
    return "< 0.0001" if p_value < 1e-4 else f"{p_value:.2g}"


def level_text(level: float) -> str:
    """A confidence level in percent, with as many digits as it has."""
    return f"{100 * level:g}%"


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


def higher_and_lower(pair: "PairResult") -> tuple[str, str]:
    """The two policies of a pair, the one with the higher mean first."""
    return (pair.first, pair.second) if pair.difference.value > 0 else (pair.second, pair.first)


def verdict_text(pair: "PairResult") -> str:
    """The decision about a pair, without the numbers that stand beside it anyway."""
    if pair.significant:
        return f"{higher_and_lower(pair)[0]} is higher"
    return "no significant difference" if pair.decision.startswith("no significant") else pair.decision
