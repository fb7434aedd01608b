"""Letters for groups that cannot be told apart."""

from collections.abc import Iterable, Sequence


def letter_groups(names: Sequence[str], different: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Name to letters; two share one exactly where their pair is not among the different ones.

    The compact letter display of Piepho (2004), by insertion and absorption. Letters go along the order of `names`.
    """
    groups = [frozenset(names)]
    for first, second in different:
        split = [half for group in groups for half in _halves(group, first, second)]
        groups = [group for group in dict.fromkeys(split) if not any(group < other for other in split)]
    groups.sort(key=lambda group: sorted(map(names.index, group)))
    return {name: "".join(_letter(i) for i, group in enumerate(groups) if name in group) for name in names}


def _halves(group: frozenset[str], first: str, second: str) -> list[frozenset[str]]:
    return [group - {first}, group - {second}] if {first, second} <= group else [group]


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"[{number}]"
