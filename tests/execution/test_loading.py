"""Foreign classes are asked in a process of their own, once, and those that only this process knows are asked here."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from daf.execution import loading
from daf.execution.loading import has_network, offers_network
from daf.records import MissionSpec, PolicySpec

MISSION = MissionSpec(name="cogsguard_arena.basic", cogs=1)
FOREIGN = """
from pathlib import Path
from mettagrid.policy.noop import NoopPolicy
with Path(__file__).with_name("imports.txt").open("a") as file:
    file.write("x")
class Policy(NoopPolicy):
    short_names = None
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often the module of a foreign policy was imported."""
    (tmp_path / "foreign_policy.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(loading, "_OFFERS", {})
    return lambda: len((tmp_path / "imports.txt").read_text())


def test_a_foreign_class_is_asked_once_and_never_imported_here(asked: Callable[[], int], tmp_path: Path) -> None:
    policy = PolicySpec(name="foreign", class_path="foreign_policy.Policy")
    assert not has_network(MISSION, policy)
    assert [offers_network(policy) for _ in range(3)] == [False] * 3
    assert asked() == 1
    assert "foreign_policy" not in sys.modules
    before = loading._asked(policy)
    (tmp_path / "foreign_policy.py").write_text(f"{FOREIGN}    def network(self): return 1\n")
    assert loading._asked(policy) != before


def test_a_class_that_was_typed_in_is_asked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    from mettagrid.policy.noop import NoopPolicy

    typed = type("Typed", (NoopPolicy,), {"short_names": None, "__module__": "__main__"})
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "Typed", typed, raising=False)
    monkeypatch.delattr(main, "__file__", raising=False)
    assert not has_network(MISSION, PolicySpec(name="typed", class_path="__main__.Typed"))
