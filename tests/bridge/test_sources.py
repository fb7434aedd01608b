"""Which source files a class needs: found by its import statements, installed packages and Python's own aside."""

from pathlib import Path

import pytest

from daf.bridge.sources import policy_files, source_files
from daf.records import PolicySpec


def written(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


FILES = {
    "srcpkg/__init__.py": "from .face import Mine\n",
    "srcpkg/face.py": "from .deep.policy import Mine\n",
    "srcpkg/deep/__init__.py": "",
    "srcpkg/deep/policy.py": (
        "import json, numpy, torch.nn, cogames\nfrom . import near\nfrom ..upper import THING\nimport src_beside as s\n"
        "from importlib import import_module\n"
        "def late():\n    import_module('src_late')\n    from srcpkg.only_late import x\n    import not_there_at_all\n"
        "class Mine: pass\n"
    ),
    "srcpkg/deep/near.py": "import srcpkg.deep.policy\n",
    "srcpkg/upper.py": "THING = 1\n",
    "srcpkg/only_late.py": "",
    "srcpkg/unused.py": "",
    "srcpkg/table.json": "",
    "src_beside.py": "",
    "src_late.py": "",
    "src_unused.py": "",
}
NEEDED = {name for name in FILES if name.endswith(".py") and "unused" not in name}


def test_imports_are_followed_to_local_modules_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(written(tmp_path, FILES))
    found = source_files("srcpkg.deep.policy.Mine")
    assert found.keys() == NEEDED
    assert all(path == tmp_path / name for name, path in found.items())
    assert source_files("srcpkg.Mine") == found


def test_a_folder_is_searched_instead_of_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(written(tmp_path / "path", {"src_beside.py": ""}))
    folder = written(tmp_path / "folder", {name: FILES[name] for name in FILES if name != "src_beside.py"})
    found = source_files("srcpkg.Mine", folder)
    assert found.keys() == NEEDED - {"src_beside.py"}
    assert all(path.is_relative_to(folder) for path in found.values())


def test_a_package_without_init_and_a_module_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(written(tmp_path, {"src_bare/mine.py": "from . import other", "src_bare/other.py": ""}))
    assert source_files("src_bare.mine.Mine").keys() == {"src_bare/mine.py", "src_bare/other.py"}
    monkeypatch.syspath_prepend(written(tmp_path / "x", {"src_alone.py": ""}))
    assert source_files("src_alone.Mine").keys() == {"src_alone.py"}


def test_of_an_installed_class_its_own_package_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = written(
        tmp_path / "site-packages",
        {
            "src_plugin/__init__.py": "import src_other\nfrom . import part\n",
            "src_plugin/part.py": "",
            "src_other.py": "",
        },
    )
    monkeypatch.syspath_prepend(site)
    assert source_files("src_plugin.Mine").keys() == {"src_plugin/__init__.py", "src_plugin/part.py"}


@pytest.mark.parametrize(
    ("class_path", "sentence"),
    [
        ("__main__.Mine", "a script or a notebook"),
        ("src_nowhere.Mine", "no module that can be found"),
        ("src_compiled.Mine", "plays on no other machine"),
        ("src_broken.Mine", "is no Python source"),
    ],
)
def test_what_cannot_be_packed_is_told(
    class_path: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, {"src_compiled.cpython-312-x86_64-linux-gnu.so": "", "src_broken.py": "def ("})
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        source_files(class_path)


def test_the_newest_weights_of_a_folder_and_no_code_of_cogames(tmp_path: Path) -> None:
    for name in ("model_000001.pt", "model_000002.pt", "trainer_state.pt"):
        (tmp_path / name).touch()
    parts = policy_files(PolicySpec(name="x", class_path="lstm", weights=str(tmp_path), init_kwargs={"a": 1}))
    assert parts.files == {"weights.pt": tmp_path / "model_000002.pt"}
    assert (parts.class_path, parts.data_path) == ("mettagrid.policy.lstm.LSTMPolicy", "weights.pt")
    assert parts.init_kwargs == {"a": 1}
    assert parts.roots == (tmp_path,)


def test_a_checkpoint_folder_gives_the_weights_of_its_spec(tmp_path: Path) -> None:
    written(tmp_path, {"old.pt": "", "model_000009.pt": "", "trainer_state.pt": ""})
    written(tmp_path, {"policy_spec.json": '{"class_path": "lstm", "data_path": "old.pt", "init_kwargs": {"b": 2}}'})
    parts = policy_files(PolicySpec(name="x", class_path="lstm", weights=str(tmp_path), init_kwargs={"a": 1}))
    assert parts.files == {"weights.pt": tmp_path / "old.pt"}
    assert parts.init_kwargs == {"a": 1, "b": 2}
