"""Rules of the house that no single module can keep and that `scripts/house` does not measure."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
GROUPS = {path.name for path in CONF.iterdir() if path.is_dir()}
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
SHIPPED = sorted(CONF.rglob("*.yaml"))

# What every start passes through before it knows whether there is anything to do.
DOORS = (
    "daf",
    "daf.run",
    "daf.tasks",
    "daf.config",
    "daf.cli.command_line",
    "daf.cli.help",
    "hydra_plugins.daf_sweeper",
)
# Rooms whose modules may load something heavy with themselves; everybody else imports it where it is used.
HEAVY_ROOMS = {
    "bridge": {"torch", "cogames", "mettagrid", "metta_alo", "pufferlib"},
    "deployment": {"mlflow", "pandas"},  # in the file that MLflow loads, and what that loads
    "statistics": {"scipy"},
}


@pytest.fixture(scope="module")
def house() -> Iterator[ModuleType]:
    """`scripts/house` as a module."""
    loader = SourceFileLoader("house", str(ROOT / "scripts" / "house"))
    spec = spec_from_loader("house", loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules["house"] = module
    loader.exec_module(module)
    yield module
    del sys.modules["house"]


def test_heavy_packages_are_imported_where_they_are_used(house: ModuleType) -> None:
    """numpy apart, which every room that computes needs."""
    arrows = house.House(ROOT).arrows
    assert {"scipy", "torch"} <= {arrow.target for arrow in arrows}
    heavy = [arrow for arrow in arrows if arrow.place == "top" and arrow.target in house.HEAVY - {"numpy"}]
    assert heavy
    stray = [arrow for arrow in heavy if arrow.target not in HEAVY_ROOMS.get(house.room(arrow.source), ())]
    assert house.described(stray) == ()


@pytest.mark.parametrize("door", DOORS)
def test_a_door_opens_without_loading_anything_heavy(door: str, house: ModuleType) -> None:
    code = f"import sys, {door}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert door in done.stdout.split()
    assert house.HEAVY & set(done.stdout.split()) == set()


def bare_keys(path: Path, conf: Path = CONF) -> list[str]:
    """The keys of a shipped YAML file that nothing explains.

    A key has its comment in the line above it. One comment above a section is enough where the keys in it belong to
    another group, which explains them in its own file, and above a value that is itself a mapping. The first comment
    of a file is about the file, and no key's.
    """
    lines = path.read_text().splitlines()
    group = path.relative_to(conf).parts[0] if path.parent != conf else ""
    everywhere = not group or any(line.startswith("# @package _global_") for line in lines)
    about = [i for i, line in enumerate(lines) if line.startswith("#") and "@package" not in line][:1]
    commented = {i + 1 for i, line in enumerate(lines) if line.lstrip().startswith("#")} - {i + 1 for i in about}
    bare = []
    for key, value in _pairs(yaml.compose(path.read_text())):
        if everywhere and isinstance(value, yaml.MappingNode) and key.value in GROUPS:
            shared = key.value != group and key.start_mark.line in commented
            keys = [] if shared else [inner for inner, _ in _pairs(value)]
        else:
            keys = [key]
        bare += [f"{path.relative_to(conf)}:{k.start_mark.line + 1}: {k.value}" for k in keys if not _has(k, commented)]
    return bare


def _pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _has(key: yaml.Node, commented: set[int]) -> bool:
    return key.start_mark.line in commented


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(CONF)))
def test_every_key_of_every_shipped_file_is_explained(path: Path) -> None:
    assert bare_keys(path) == []


@pytest.mark.parametrize(
    ("name", "text", "bare"),
    [
        ("config.yaml", "# The file.\nseed: 1\n", ["config.yaml:2: seed"]),
        ("config.yaml", "# The file.\n# The seed.\nseed: 1\n\nhydra:\n  run: 1\n", ["config.yaml:6: run"]),
        ("config.yaml", "# The file.\n# The seed.\nseed: 1\n# Hydra's.\nhydra:\n  run: 1\n", []),
        ("policy/a.yaml", "# The file.\n# Name.\nname: 1\nkind: 2\n", ["policy/a.yaml:4: kind"]),
        ("policy/a.yaml", "# The file.\n# Arguments.\ninit_kwargs:\n  size: 1\n", []),
        ("task/a.yaml", "# @package _global_\n# File.\n# Task.\ntask:\n  name: 1\n", ["task/a.yaml:5: name"]),
        ("task/a.yaml", "# @package _global_\n# File.\ntask:\n  # Name.\n  name: 1\n", []),
        ("task/a.yaml", "# @package _global_\n# File.\nmission:\n  cogs: 1\n", ["task/a.yaml:4: cogs"]),
        ("task/a.yaml", "# @package _global_\n# File.\n\n# Small.\nmission:\n  cogs: 1\n", []),
    ],
)
def test_a_key_that_nothing_explains_is_found(name: str, text: str, bare: list[str], tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert bare_keys(path, tmp_path) == bare


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_is_there(document: Path) -> None:
    """Files and folders of the repository in code marks, functions said to be in one, and links."""
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    folders = "daf|conf|docs|scripts|tests|benchmarks|examples|hydra_plugins"
    named = re.findall(rf"`(?:\./)?((?:{folders})/[\w/.-]*)`", text)
    # `mine` is the reader's.
    assert [path for path in named if Path(path).stem != "mine" and not (ROOT / path).exists()] == []
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []
    placed = re.findall(r"`(\w+)(?:\.\w+)?`\s+in\s+`(daf/[\w/]+\.py)`", text)
    lost = [
        (name, path)
        for name, path in placed
        if not re.search(rf"^\s*(?:def|class) {name}\b", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert lost == []


def test_a_learning_rate_needs_six_stops_at_most() -> None:
    """The journey is listed stop by stop; that each stop exists is tested above."""
    text = (ROOT / "docs/architecture.md").read_text()
    journey = text.split("### `optimizer.lr`")[1].split("###")[0]
    stops = re.findall(r"^\d+\. ", journey, re.MULTILINE)
    assert 3 <= len(stops) <= 6
