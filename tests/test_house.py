"""`scripts/house` holds the repository against its limits, and each of its rules can be broken."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "house"
CLEAN = {"errors.py": "", "bridge/__init__.py": "", "config/__init__.py": "from daf import errors\n"}


def _house(root: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code and the measures by name, without DAF on the path."""
    done = subprocess.run(
        [sys.executable, "-I", str(SCRIPT), "--json", "--root", str(root)], capture_output=True, text=True, check=False
    )
    assert not done.stderr
    return done.returncode, {measure["name"]: measure for measure in json.loads(done.stdout)}


def _build(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"__init__.py": "", **files}.items():
        path = root / "daf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def _broken(root: Path, files: dict[str, str]) -> dict[str, list[str]]:
    """The offenders of each broken limit in a made-up tree."""
    code, measures = _house(_build(root, files))
    broken = {name: measure["offenders"] for name, measure in measures.items() if measure["broken"]}
    assert code == bool(broken)
    return broken


def test_the_repository_keeps_every_limit() -> None:
    code, measures = _house(ROOT)
    assert [offender for measure in measures.values() if measure["broken"] for offender in measure["offenders"]] == []
    assert code == 0
    assert {name: measure["limit"] for name, measure in measures.items() if measure["limit"] is not None} == {
        "rooms at daf's root": 31,
        "rooms without a floor": 0,
        "circles between modules": 0,
        "arrows up the floors": 0,
        "sideways arrows without a reason": 0,
        "imports of the engine outside bridge": 0,
        "function-level imports that could be at the top": 0,
        "functions over 40 lines": 3,
        "functions over 60 lines": 0,
    }


def test_the_repository_is_seen() -> None:
    """The limits above would also hold if nothing were found."""
    _, measures = _house(ROOT)
    assert measures["functions"]["value"] > 500
    assert measures["rooms at daf's root"]["value"] > 15


def test_the_table_says_what_is_broken_and_where(tmp_path: Path) -> None:
    _build(tmp_path, {"errors.py": "import daf.run\n", "run.py": ""})
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--root", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "arrows up the floors: 1, at most 0\n  daf/errors.py:1: daf.errors -> daf.run" in done.stdout


def test_a_clean_tree_breaks_nothing(tmp_path: Path) -> None:
    assert _broken(tmp_path, CLEAN) == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("from daf.run import main\n", 1),
        ("from daf import run\n", 1),
        ("from . import run\n", 1),
        ("from .run import main\n", 1),
        ("def f():\n    import daf.run\n", 2),
        ("def f():\n    import_module('daf.run')\n", 2),
        ("try:\n    import daf.run\nexcept ImportError:\n    pass\n", 2),
    ],
)
def test_an_arrow_up_is_found_however_it_is_written(tmp_path: Path, text: str, line: int) -> None:
    broken = _broken(tmp_path, {"errors.py": text, "run.py": "import numpy\nmain = numpy\n"})
    late = " (in a function)" if "def" in text else ""
    assert broken == {"arrows up the floors": [f"daf/errors.py:{line}: daf.errors -> daf.run{late}"]}


def test_an_import_for_types_is_no_arrow(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from daf.run import main\nelse:\n    main = None\n"
    code, measures = _house(_build(tmp_path, {"errors.py": text, "run.py": ""}))
    assert code == 0
    assert measures["arrows up for types alone"]["offenders"] == ["daf/errors.py:3: daf.errors -> daf.run"]


def test_a_circle_closed_by_an_import_in_a_function_is_found(tmp_path: Path) -> None:
    files = {
        "bridge/__init__.py": "",
        "bridge/one.py": "from daf.bridge import two\n",
        "bridge/two.py": "import daf.bridge.three\n",
        "bridge/three.py": "def f():\n    from daf.bridge.one import two\n",
    }
    way = "daf.bridge.one -> daf.bridge.two -> daf.bridge.three -> daf.bridge.one"
    # The alphabet decides where the way begins.
    assert _broken(tmp_path, files) == {"circles between modules": [f"daf/bridge/one.py:1: {way}"]}


def test_rooms_of_one_floor_need_a_reason(tmp_path: Path) -> None:
    files = {
        "bridge/catalogue.py": "",
        "bridge/missions.py": "",
        "config/names.py": "from daf.bridge import catalogue, missions\n",
    }
    offenders = ["daf/config/names.py:1: daf.config.names -> daf.bridge.missions"]
    assert _broken(tmp_path, files) == {"sideways arrows without a reason": offenders}


def test_a_task_is_known_to_another_by_its_face_alone(tmp_path: Path) -> None:
    files = {
        "training/__init__.py": "from daf.training.task import daf_train\n",
        "training/task.py": "daf_train = None\n",
        "sweeps/good.py": "from daf.training import daf_train\n",
        "sweeps/bad.py": "from daf.training.task import daf_train\n",
    }
    offenders = ["daf/sweeps/bad.py:1: daf.sweeps.bad -> daf.training.task"]
    assert _broken(tmp_path, files) == {"sideways arrows without a reason": offenders}


def test_only_the_bridge_may_import_the_engine(tmp_path: Path) -> None:
    text = "def f():\n    from mettagrid.config import game\n"
    broken = _broken(tmp_path, {"bridge/play.py": text, "episodes/play.py": text})
    offenders = ["daf/episodes/play.py:2: daf.episodes.play -> mettagrid (in a function)"]
    assert broken == {"imports of the engine outside bridge": offenders}


def test_a_late_import_must_keep_something_heavy_away(tmp_path: Path) -> None:
    files = {
        "errors.py": "",
        "bridge/light.py": "from daf import errors\n",
        "bridge/heavy.py": "import torch.nn\n",
        "bridge/warm.py": "import daf.bridge.heavy\n",
        "episodes/play.py": "def f():\n    from daf.bridge import light, warm\n",
        "episodes/loaded.py": "import torch\ndef f():\n    from daf.bridge import heavy\n",
    }
    offenders = [
        "daf/episodes/loaded.py:3: daf.episodes.loaded -> daf.bridge.heavy (in a function)",
        "daf/episodes/play.py:2: daf.episodes.play -> daf.bridge.light (in a function)",
    ]
    assert _broken(tmp_path, files) == {"function-level imports that could be at the top": offenders}


def test_a_room_that_no_floor_knows_is_found(tmp_path: Path) -> None:
    assert _broken(tmp_path, {"attic/__init__.py": ""}) == {"rooms without a floor": ["daf/attic"]}


def test_a_crowded_root_is_found(tmp_path: Path) -> None:
    broken = _broken(tmp_path, {f"room{number:02}.py": "" for number in range(32)} | {"py.typed": ""})
    assert set(broken) == {"rooms at daf's root", "rooms without a floor"}


def test_long_functions_are_found(tmp_path: Path) -> None:
    def function(name: str, lines: int) -> str:
        return f"def {name}():\n" + "    pass\n" * (lines - 1)

    text = "".join(function(f"long{number}", 41) for number in range(3)) + function("most", 40)
    assert _broken(tmp_path / "held", {"errors.py": text}) == {}
    broken = _broken(tmp_path / "broken", {"errors.py": function("longest", 61) + text})
    assert broken["functions over 60 lines"] == ["daf/errors.py:1: longest has 61 lines"]
    assert len(broken["functions over 40 lines"]) == 4


def test_functions_are_measured(tmp_path: Path) -> None:
    text = '''
def shown(x):
    """Documented."""
    if x:
        pass
    elif x is None:
        for _ in x:
            pass


class Shown:
    def bare(self):
        def inner():
            pass


def _hidden():
    pass
'''
    _, measures = _house(_build(tmp_path, {"errors.py": text}))
    values = {name: measure["value"] for name, measure in measures.items()}
    assert values["functions"] == 4
    assert values["lines of a function, longest"] == 7
    assert values["deepest nesting"] == 2
    assert values["public functions with docstring, %"] == 50
    assert measures["public functions with docstring, %"]["offenders"] == ["daf/errors.py:12: Shown.bare"]
