"""`task=package`: a policy as a bundle that CoGames and DAF load, in always the same bytes."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from daf.bridge.bundles import SPEC_FILE
from daf.bridge.policies import named_paths, policy_digest
from daf.bridge.sources import PolicyParts, policy_files
from daf.config.commands import deploying
from daf.config.missions import mission_specs
from daf.config.references import BUNDLE, BUNDLE_TAG
from daf.config.schemas import DAFConfig, DAFPolicyConfig
from daf.deployment.archives import Member, size_at_most, write_tar_gz, write_zip
from daf.deployment.contents import bundle_files
from daf.deployment.description import how_to_load, portable_config, statement, versions
from daf.deployment.measured import KnownRuns, bundle_metrics
from daf.deployment.metadata import METADATA_FILE, BundleMetadata
from daf.deployment.results import DeploymentResult, bundle_facts
from daf.deployment.validations import note_packed
from daf.errors import DAFConfigError, DAFError, Problem
from daf.execution.loading import has_network
from daf.records import PolicySpec
from daf.redaction import redactor
from daf.results import ResultTable
from daf.tasks import KeyedPolicy, Task
from daf.tracking.tracker import Tracker

#: CoGames downloads nothing larger (mettagrid.runner.episode_runner).
MOST_BYTES = 500 * 2**20


def packed_policy(config: DAFConfig) -> KeyedPolicy:
    """The policy that is packed, with the key that names it: `deployment.policy`, or `policy`."""
    asked = config.deployment.policy
    return ("policy", config.policy) if asked is None else ("deployment.policy", asked)


def daf_package_policy(config: DAFConfig, tracker: Tracker) -> DeploymentResult:
    """Packs `deployment.policy` (or `policy`) as ``<name>-<version>.zip`` and ``.tar.gz`` into the output folder.

    The same policy, config and versions give the same bytes on any day and from any folder.

    Raises:
        DAFConfigError: the policy does not load, or a file of it cannot be packed; nothing was written.
        DAFError: the folder does not take the files, or one changed meanwhile; no half of a bundle is left.
    """
    key, policy = packed_policy(config)
    spec = policy.spec()
    parts = _loadable_parts(config, key, spec, tracker)
    files = bundle_files(config, key, parts)
    try:
        members = {name: Member.of(path) for name, path in files.items()}
    except OSError as error:
        raise DAFError(f"a file of the policy cannot be read: {error}") from error
    members[SPEC_FILE] = Member.of(_spec_text(key, parts, tracker))
    metadata = _metadata(config, spec, parts, members, KnownRuns(tracker))
    members[METADATA_FILE] = Member.of(metadata.text())
    _check_size(key, members)
    bundle = _written(tracker.output_dir, f"{metadata.name}-{metadata.version}", members)
    result = _logged(metadata, bundle, members, tracker)
    note_packed(result.digest)
    return replace(result, next=deploying(config, "validate", bundle))


def bundle_name(text: str) -> str:
    """A display name as a name of bundles: letters, digits, - and _."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-_")[:100] or "policy"


def _loadable_parts(config: DAFConfig, key: str, spec: PolicySpec, tracker: Tracker) -> PolicyParts:
    """What the policy is made of, once it is known that its class can be imported and its weights fit.

    Raises:
        DAFConfigError: it cannot, or they do not.
    """
    try:
        has_weights = has_network(mission_specs(config)[0], spec)
        parts = policy_files(spec)
    except Exception as error:  # a policy is anybody's code
        raise DAFConfigError([Problem(key, f"{spec.class_path} cannot be packed: {error}")]) from error
    if has_weights and parts.data_path is None:
        tracker.warn(f"{spec.name} has a network and no weights: set {key}.weights, or it acts at random.")
    return parts


def _spec_text(key: str, parts: PolicyParts, tracker: Tracker) -> bytes:
    """``policy_spec.json`` as CoGames reads it. A secret argument is left out: who loads the bundle gives it again.

    Raises:
        DAFConfigError: an argument is nothing for JSON, or names a file of this host.
    """
    hidden = [name for name, value in parts.init_kwargs.items() if redactor().hides(name, value)]
    if hidden:
        tracker.warn(f"Left out of the bundle, for they hold secrets: init_kwargs {', '.join(hidden)}.")
    kwargs = {name: value for name, value in parts.init_kwargs.items() if name not in hidden}
    if paths := [str(path) for path in named_paths(kwargs) if path.is_absolute()]:
        what = f"names a file of this machine: {paths[0]}."
        raise DAFConfigError([Problem(f"{key}.init_kwargs", what, "Pack it with deployment.files, named relatively.")])
    spec = {"class_path": parts.class_path, "data_path": parts.data_path, "init_kwargs": kwargs, "setup_script": None}
    try:
        return (json.dumps(spec, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        what = f"cannot be written as JSON: {error}."
        raise DAFConfigError([Problem(f"{key}.init_kwargs", what)]) from error


def _metadata(
    config: DAFConfig, spec: PolicySpec, parts: PolicyParts, members: Mapping[str, Member], runs: KnownRuns
) -> BundleMetadata:
    name, version = config.deployment.name or bundle_name(spec.name), config.deployment.version
    files = {path: member.digest for path, member in members.items()}
    run_id = runs.that_trained(files[parts.data_path]) if parts.data_path else None
    trained = runs.config_of(run_id) if run_id else None
    return BundleMetadata(
        name=name,
        version=version,
        class_path=parts.class_path,
        files=files,
        config=portable_config(trained or config.model_dump(mode="json")),
        run_id=run_id,
        metrics=bundle_metrics(config, runs.records_of(policy_digest(spec))),
        versions=versions(),
        load=how_to_load(f"{name}-{version}", brings_code=any(path.endswith(".py") for path in files)),
        provenance=statement(name, version, parts.class_path, files, run_id),
    )


def _check_size(key: str, members: Mapping[str, Member]) -> None:
    if (size := size_at_most(members)) > MOST_BYTES:
        what = f"the bundle would have {size / 2**20:,.0f} MiB, and CoGames takes {MOST_BYTES / 2**20:,.0f} at most."
        raise DAFConfigError([Problem(key, what)])


def _written(folder: Path, stem: str, members: Mapping[str, Member]) -> Path:
    """Both archives; returns the zip."""
    bundle, other = folder / f"{stem}.zip", folder / f"{stem}.tar.gz"
    try:
        write_zip(bundle, members)
        write_tar_gz(other, members)
    except BaseException as error:
        bundle.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DAFError(f"{folder} does not take the bundle: {error.strerror or error}") from error
        raise
    return bundle


def _logged(
    metadata: BundleMetadata, bundle: Path, members: Mapping[str, Member], tracker: Tracker
) -> DeploymentResult:
    """Keeps the bundle with the run, and says what is in it."""
    digest = Member.of(bundle).digest
    for path in (bundle, bundle.with_name(f"{bundle.stem}.tar.gz")):
        tracker.log_file(path, BUNDLE)
    tracker.log_text(metadata.text().decode(), f"{BUNDLE}/{METADATA_FILE}")
    tracker.set_tags({BUNDLE_TAG: digest, "daf.bundle": f"{metadata.name}@{metadata.version}"})
    rows = tuple((name, f"{member.size:,}", member.digest) for name, member in sorted(members.items()))
    return DeploymentResult(
        tables=(ResultTable(f"Bundle {metadata.name} {metadata.version}", ("file", "bytes", "SHA-256"), rows),),
        notes=(f"SHA-256 of {bundle.name}: {digest}", f"Play it: task=evaluate evaluation.policies=[{bundle}]"),
        facts=bundle_facts(metadata.name, metadata.version, digest),
        files={"bundle": bundle},
        name=metadata.name,
        version=metadata.version,
        digest=digest,
        bundle=bundle,
        location=str(bundle),
    )


def _policies(config: DAFConfig) -> list[KeyedPolicy]:
    return [packed_policy(config)]


def _named_after(config: DAFConfig) -> list[DAFPolicyConfig]:
    return [packed_policy(config)[1]]


def _problems(config: DAFConfig) -> list[Problem]:
    """What can be known to be wrong before anything is loaded."""
    key, policy = packed_policy(config)
    try:
        parts = policy_files(policy.spec())
    except Exception:  # told where the policy is loaded
        return []
    try:
        members = {
            name: Member(path, "", path.stat().st_size) for name, path in bundle_files(config, key, parts).items()
        }
        _check_size(key, members)
    except DAFConfigError as error:
        return error.problems
    return []


PACKAGE = Task(
    name="package",
    run=daf_package_policy,
    policies=_policies,
    named_after=_named_after,
    problems=_problems,
    gives=frozenset({"bundle"}),
)
