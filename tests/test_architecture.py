"""Rules of the house that no single module can keep."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COGAMES = {"cogames", "mettagrid", "metta_alo", "pufferlib"}
HEAVY = {"torch", "mlflow", "matplotlib", "ray", "pandas", "optuna", "scipy", *COGAMES}
BRIDGE = ROOT / "daf" / "bridge"
MODULES = sorted(path for path in (ROOT / "daf").rglob("*.py") if BRIDGE not in path.parents)


def _imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_bridge_imports_cogames(module: Path) -> None:
    assert not _imported(ast.parse(module.read_text())) & COGAMES


def test_the_bridge_is_seen_to_import_cogames() -> None:
    """The rule above would also hold if the import finder found nothing."""
    assert "cogames" in _imported(ast.parse((ROOT / "daf/bridge/missions.py").read_text()))


def test_every_schema_key_has_a_default_with_a_comment() -> None:
    """Every key of every shipped group option stands under a comment."""
    bare = []
    for path in sorted((ROOT / "conf").glob("*/*.yaml")):
        if path.parent.name in {"experiment", "hydra"} or path.stem == "quickstart":
            continue
        lines = path.read_text().splitlines()
        keys = [i for i, line in enumerate(lines) if line and line[0].isalpha()]
        bare += [f"{path.name}: {lines[i]}" for i in keys if not lines[i - 1].startswith("#")]
    assert bare == []
