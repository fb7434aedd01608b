"""What a bundle says of where it comes from: the config without anything of this host, and an in-toto statement."""

import platform
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from daf.config.sections import EXPERIMENT, FREE
from daf.redaction import redactor
from daf.tracking.provenance import package_versions

#: Of these versions depends how a policy acts.
DECISIVE = ("daf", "cogames", "mettagrid", "pufferlib-core", "torch", "numpy")
#: https://in-toto.io/Statement/v1 and https://slsa.dev/spec/v1.0/provenance
STATEMENT, PREDICATE = "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"
BUILD_TYPE, BUILDER = "urn:daf:bundle:v1", "urn:daf:package"
#: Keys whose values lie in the bundle, or on this host only.
OF_HOST = frozenset({"weights", "resume"})


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide how a policy acts."""
    installed = package_versions()
    return {"python": platform.python_version()} | {name: installed[name] for name in DECISIVE if name in installed}


def portable_config(data: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a config that make up the experiment, without secrets and without paths of this host."""
    kept: dict[str, Any] = {}
    for name in EXPERIMENT:
        free = FREE.get(name, set())
        section = data.get(name)
        if isinstance(section, Mapping) and isinstance(free, set):
            section = {key: value for key, value in section.items() if key not in free}
        kept[name] = _portable(section)
    return dict(redactor().tree(kept))


def _portable(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(key): None if key in OF_HOST else _portable(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_portable(item) for item in node]
    if isinstance(node, str) and (node.startswith("~") or PurePath(node).is_absolute()):
        return PurePath(node).name
    return node


def how_to_load(stem: str, *, brings_code: bool) -> dict[str, str]:
    """How a bundle is loaded from DAF's command line, from CoGames' and from Python."""
    trust = " policy.trust=true" if brings_code else ""
    address = f"file:///FOLDER/{stem}.zip"
    return {
        "daf": f"python -m daf.run task=evaluate evaluation.policies=[{stem}.zip]{trust}",
        "cogames": f"cogames play --policy {address}",
        "python": f"mettagrid.util.uri_resolvers.schemes.policy_spec_from_uri({address!r})",
    }


def statement(name: str, version: str, class_path: str, files: Mapping[str, str], run_id: str | None) -> dict[str, Any]:
    """An in-toto Statement v1 over a bundle's files with a SLSA v1 provenance predicate, without times.

    Args:
        files: SHA-256 (hex) by path in the bundle.
        run_id: the MLflow run that the weights come from.
    """
    used = versions()
    packages = [{"uri": f"pkg:pypi/{package}@{used[package]}"} for package in DECISIVE if package in used]
    run = [{"uri": f"urn:mlflow:run:{run_id}"}] if run_id else []
    return {
        "_type": STATEMENT,
        "subject": [{"name": path, "digest": {"sha256": digest}} for path, digest in sorted(files.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"name": name, "version": version, "class_path": class_path},
                "resolvedDependencies": [*packages, *run],
            },
            "runDetails": {"builder": {"id": BUILDER, "version": {"daf": used["daf"]}}},
        },
    }
