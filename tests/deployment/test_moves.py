"""Which version an alias goes back to, and how versions are ordered."""

import random

import pytest

from daf.deployment.moves import Kind, Move, Use, next_free, previous_version, version_key

Step = tuple[Kind, str | None, str]


def moves(*steps: Step) -> tuple[Move, ...]:
    return tuple(Move(kind=kind, before=before, after=after, why="") for kind, before, after in steps)


THREE: tuple[Step, ...] = (("deploy", None, "1.0.0"), ("deploy", "1.0.0", "1.1.0"), ("deploy", "1.1.0", "1.2.0"))


def test_twice_in_a_row_goes_back_two_versions() -> None:
    assert previous_version(Use("1.2.0", moves(*THREE))) == "1.1.0"
    once: tuple[Step, ...] = (*THREE, ("rollback", "1.2.0", "1.1.0"))
    assert previous_version(Use("1.1.0", moves(*once))) == "1.0.0"
    twice: tuple[Step, ...] = (*once, ("rollback", "1.1.0", "1.0.0"))
    assert previous_version(Use("1.0.0", moves(*twice))) is None
    again: tuple[Step, ...] = (*twice, ("deploy", "1.0.0", "1.3.0"))
    assert previous_version(Use("1.3.0", moves(*again))) == "1.0.0"


def test_a_version_that_came_back_by_deployment_goes_back_to_the_one_before_that() -> None:
    back: tuple[Step, ...] = (*THREE, ("deploy", "1.2.0", "1.0.0"))
    assert previous_version(Use("1.0.0", moves(*back))) == "1.2.0"
    assert previous_version(Use("1.2.0", moves(*back, ("rollback", "1.0.0", "1.2.0")))) == "1.1.0"


def test_moves_by_hand_count() -> None:
    assert previous_version(Use("0.9.0", moves(*THREE))) == "1.2.0"
    assert previous_version(Use("2.0.0", moves(("deploy", "1.9.0", "2.0.0")))) == "1.9.0"
    assert previous_version(Use("1.0.0")) is None
    assert previous_version(Use(None)) is None


def test_versions_are_ordered_as_semver_has_it() -> None:
    # The example of https://semver.org, 11.
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"]
    ordered += ["1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0"]
    assert sorted(random.Random(0).sample(ordered, len(ordered)), key=version_key) == ordered


@pytest.mark.parametrize(
    ("version", "taken", "free"),
    [("1.0.0", [], "1.0.1"), ("1.0.0", ["1.0.0", "1.0.1", "1.0.2"], "1.0.3"), ("1.0.0-rc.1", ["1.0.1"], "1.0.2")],
)
def test_the_next_free_version(version: str, taken: list[str], free: str) -> None:
    assert next_free(version, taken) == free
