"""What a policy is made of on disk: its weights, and the source files that its class needs, found without running any.

Import statements are followed, wherever they stand in a file, to modules that are not installed. What is only found
while the program runs is not found here.
"""

import ast
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path, PurePosixPath
from typing import Any

from daf.bridge.bundles import SPEC_FILE, Bundle, is_bundle, read_bundle, unpacked
from daf.bridge.policies import (
    OWN_PACKAGES,
    PACKAGES,
    full_class_path,
    is_cogames_own,
    is_foreign,
    is_installed,
    weights_file,
)
from daf.records import PolicySpec

#: Stem of the weights' file in a bundle, whatever it is called on the disk.
WEIGHTS = "weights"


@dataclass(frozen=True, kw_only=True)
class PolicyParts:
    """What a policy is made of.

    Attributes:
        class_path: full dotted path.
        data_path: of its weights, among `files`, or None.
        init_kwargs: of its class.
        files: source files and weights by their place in a bundle.
        roots: the folders that its code and its weights come from.
    """

    class_path: str
    data_path: str | None
    init_kwargs: dict[str, Any]
    files: dict[str, Path]
    roots: tuple[Path, ...]


def policy_files(spec: PolicySpec) -> PolicyParts:
    """The parts of a policy, given as a class with or without weights, as a checkpoint folder or as a bundle.

    Raises:
        ValueError: a source file that cannot be packed, a bundle that is not sound or has a setup script.
        FileNotFoundError: no such weights.
    """
    weights = Path(spec.weights).expanduser() if spec.weights is not None else None
    if weights is not None and is_bundle(weights):
        bundle = read_bundle(weights)
        return _of_archive(bundle, spec) if bundle.is_archive else _of_folder(bundle, spec)
    return _of_class(full_class_path(spec.class_path), weights and weights_file(weights), spec.init_kwargs, None)


def _of_folder(bundle: Bundle, spec: PolicySpec) -> PolicyParts:
    """A checkpoint folder: its weights alone, and the class's code from wherever it is."""
    code = bundle.path / bundle.code_root if is_foreign(bundle) and bundle.code_root is not None else None
    data = bundle.path / bundle.data_path if bundle.data_path else None
    return _of_class(full_class_path(bundle.class_path), data, {**bundle.init_kwargs, **spec.init_kwargs}, code)


def _of_class(class_path: str, weights: Path | None, init_kwargs: Any, code: Path | None) -> PolicyParts:
    sources = {} if is_cogames_own(class_path) else source_files(class_path, code)
    roots = [path.parents[len(PurePosixPath(name).parts) - 1] for name, path in sources.items()]
    data_path = None
    if weights is not None:
        data_path = f"{WEIGHTS}{weights.suffix}"
        sources[data_path] = weights
        roots.append(weights.parent)
    return PolicyParts(
        class_path=class_path,
        data_path=data_path,
        init_kwargs=dict(init_kwargs),
        files=sources,
        roots=tuple(dict.fromkeys(roots)),
    )


def _of_archive(bundle: Bundle, spec: PolicySpec) -> PolicyParts:
    """Everything in somebody's bundle; its spec is written anew."""
    if bundle.setup_script:
        raise ValueError(f"{bundle.path} has a setup script ({bundle.setup_script}), and DAF packs none.")
    folder = unpacked(bundle, run_setup=False)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files.pop(SPEC_FILE)
    return PolicyParts(
        class_path=full_class_path(bundle.class_path),
        data_path=bundle.data_path,
        init_kwargs={**bundle.init_kwargs, **spec.init_kwargs},
        files=files,
        roots=(folder,),
    )


def source_files(class_path: str, folder: Path | None = None) -> dict[str, Path]:
    """The source files of a class and of all local modules that import statements lead to, by their place in a bundle.

    Local is what is neither Python's own nor installed; of an installed class its own package is. A package's
    ``__init__.py`` belongs to every module in it.

    Args:
        folder: where all of them lie, as for a bundle; None looks where Python does.

    Raises:
        ValueError: there is no such module, or one of them is no Python source.
    """
    search = _Search(class_path, folder)
    module = class_path.rpartition(".")[0]
    if search.find(module) is None:
        where = "a script or a notebook" if module == "__main__" else "no module that can be found"
        raise ValueError(f"{class_path} lies in {where}: put it into a module of its own on PYTHONPATH.")
    names, seen, found = [module], set[str](), dict[str, Path]()
    while names:
        name = names.pop()
        spec = None if name in seen else search.find(name)
        seen.add(name)
        if spec is None:
            continue
        names.append(name.rpartition(".")[0] or name)
        if spec.origin and spec.has_location:
            path = _source(name, Path(spec.origin))
            is_package = spec.submodule_search_locations is not None
            found[name.replace(".", "/") + ("/__init__.py" if is_package else ".py")] = path
            names.extend(imported_modules(path, name if is_package else name.rpartition(".")[0]))
    return dict(sorted(found.items()))


def _source(name: str, path: Path) -> Path:
    if path.suffix != ".py":
        raise ValueError(f"the module {name} is {path}, which is no Python source and plays on no other machine.")
    return path


@dataclass
class _Search:
    """Finds local modules without importing anything."""

    class_path: str
    folder: Path | None
    _known: dict[str, ModuleSpec | None] = field(default_factory=dict)

    def find(self, name: str) -> ModuleSpec | None:
        """Where a module is, or None: it is not there, or not local."""
        if name not in self._known:
            parent, _, _ = name.rpartition(".")
            self._known[name] = self._below(parent, name) if parent else self._top(name)
        return self._known[name]

    def _below(self, parent: str, name: str) -> ModuleSpec | None:
        package = self.find(parent)
        if package is None or package.submodule_search_locations is None:
            return None
        return PathFinder.find_spec(name, list(package.submodule_search_locations))

    def _top(self, name: str) -> ModuleSpec | None:
        if name in {"__main__", "daf", *OWN_PACKAGES, *PACKAGES, *sys.stdlib_module_names}:
            return None
        try:
            found = PathFinder.find_spec(name, [str(self.folder)]) if self.folder else importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        places = [] if found is None else [*(found.submodule_search_locations or [found.origin or ""])]
        is_own = name == self.class_path.partition(".")[0]
        return found if is_own or not any(is_installed(Path(place)) for place in places) else None


def imported_modules(path: Path, package: str) -> Iterator[str]:
    """Full names of what import statements in a file name: modules, or names in modules.

    Args:
        package: that the file's module is in; its own name where it is a package's ``__init__.py``.

    Raises:
        ValueError: it is no Python source.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # such as those about the escapes in its strings
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is no Python source: {error}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and (name := _literal_import(node)):
            yield name


def _base(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parents = package.split(".")
    return ".".join([*parents[: len(parents) - node.level + 1], *([node.module] if node.module else [])])


def _literal_import(call: ast.Call) -> str | None:
    """The module of ``import_module("name")``."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in {"import_module", "__import__"} or not call.args or not isinstance(call.args[0], ast.Constant):
        return None
    value = call.args[0].value
    return value if isinstance(value, str) and not value.startswith(".") else None
