"""`task=deploy`: a validated bundle becomes a version of a target, and the alias moves to it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from daf.bridge.bundles import BundleError
from daf.config.commands import deploying
from daf.config.schemas import DAFConfig
from daf.deployment.addresses import address_problem
from daf.deployment.asked import asked_bundle
from daf.deployment.choice import open_target
from daf.deployment.metadata import BundleMetadata, read_metadata
from daf.deployment.moves import Move, Use
from daf.deployment.package import packed_policy
from daf.deployment.results import DeploymentResult, bundle_facts
from daf.deployment.targets import MovedMeanwhileError, Target, file_sha256, move_tags
from daf.deployment.validations import passed_validation
from daf.errors import DAFError, Problem
from daf.results import ResultTable
from daf.tasks import KeyedPolicy, Task
from daf.tracking.tracker import Tracker


def daf_deploy_policy(config: DAFConfig, tracker: Tracker) -> DeploymentResult:
    """Deploys `deployment.bundle`, or what `task=package` makes, to `deployment.target`, and moves `deployment.alias`.

    Name and version are the bundle's own. The same command after a crash goes on where that ended; a version that is
    there with the same digest is not uploaded again.

    Raises:
        DAFConfigError: there is no such bundle, or the target's address is wrong.
        DAFError: nobody validated the bundle, the version is there with another digest, somebody else moved the alias
            meanwhile, or the target does not do its part.
    """
    bundle = asked_bundle(config, tracker)
    metadata, digest = _read(bundle), file_sha256(bundle)
    _check_validated(config, bundle, digest)
    target = open_target(config, metadata.name, tracker)
    seen = target.use()
    uploaded = target.upload(bundle, metadata, digest)
    moved = _moved(target, seen, metadata.version, tracker)
    notes = _notes(target, uploaded, moved, metadata)
    result = deployed(target, metadata.version, digest, bundle, seen, tracker, notes)
    return replace(result, next=_watching(config, target.name))


def _watching(config: DAFConfig, name: str) -> str:
    """The command that watches what is deployed now."""
    deployment = config.deployment.model_copy(update={"name": name, "bundle": None})
    return deploying(config.model_copy(update={"deployment": deployment}), "monitor")


def _read(bundle: Path) -> BundleMetadata:
    try:
        return read_metadata(bundle)
    except BundleError as error:
        raise DAFError(f"{error} Pack the policy with task=package") from error


def _check_validated(config: DAFConfig, bundle: Path, digest: str) -> None:
    level = config.deployment.validation
    if not config.deployment.unvalidated and not passed_validation(digest, level):
        raise DAFError(
            f"{bundle} has passed no {level} validation here. Run task=validate deployment.bundle={bundle}, or deploy "
            "it as it is with deployment.unvalidated=true"
        )


def _moved(target: Target, seen: Use, version: str, tracker: Tracker) -> bool:
    """Moves the alias; False if it is there already."""
    if seen.version == version:
        return False
    move = Move(kind="deploy", before=seen.version, after=version, why="deployed", run_id=tracker.run_id)
    try:
        make_move(target, seen, move, tracker)
    except MovedMeanwhileError:
        if target.use().version == version:  # the same was deployed twice at once
            return False
        raise
    return True


def make_move(target: Target, seen: Use, move: Move, tracker: Tracker) -> None:
    """Moves the alias, and lets a run say what moved from where to where and why."""
    target.move(seen, move)
    if target.kind != "registry":  # whose history the runs are: it has written it already
        tracker.set_tags(move_tags(target, move))


def _notes(target: Target, uploaded: bool, moved: bool, metadata: BundleMetadata) -> list[str]:
    what = f"{target.name} {metadata.version}"
    if not uploaded and not moved:
        return [f"{what} is deployed already, and {target.alias} stands for it."]
    kept = f"{what} was uploaded" if uploaded else f"{what} was there already"
    return [f"{kept}; {target.alias} {'stands for it now' if moved else 'stood for it before'}."]


def deployed(
    target: Target,
    version: str,
    digest: str,
    bundle: Path,
    seen: Use,
    tracker: Tracker,
    notes: Sequence[str],
) -> DeploymentResult:
    """What is told of a target where `version` is in use now and `seen` was before."""
    location = target.location(version)
    tracker.set_tags(
        {
            "daf.deployment.name": target.name,
            "daf.deployment.version": version,
            "daf.deployment.digest": digest,
            "daf.deployment.location": location,
        }
    )
    loads = f'Play it from Python: mlflow.pyfunc.load_model("models:/{target.name}@{target.alias}").predict(...)'
    return DeploymentResult(
        tables=(versions_table(target),),
        notes=(*notes, *([loads] if target.kind == "registry" else [])),
        facts=bundle_facts(
            target.name, version, digest, location=location, alias=target.alias, previous=seen.version or ""
        ),
        files={"bundle": bundle},
        name=target.name,
        version=version,
        digest=digest,
        bundle=bundle,
        target=target.kind,
        location=location,
        previous=seen.version,
    )


def versions_table(target: Target) -> ResultTable:
    """All versions of a target, the newest first."""
    used, versions = target.use().version, target.versions()
    rows = tuple(
        (version, target.alias if version == used else "", versions[version], target.location(version))
        for version in reversed(versions)
    )
    return ResultTable(f"Versions of {target.name}", ("version", "alias", "SHA-256", "where"), rows)


def target_problems(config: DAFConfig) -> list[Problem]:
    """What is wrong with the address of the target, if it needs one."""
    options = config.deployment
    problem = address_problem(options.url) if options.target == "http" else None
    return [problem] if problem else []


def _policies(config: DAFConfig) -> list[KeyedPolicy]:
    return [] if config.deployment.bundle else [packed_policy(config)]


DEPLOY = Task(
    name="deploy",
    run=daf_deploy_policy,
    policies=_policies,
    named_after=lambda config: [packed_policy(config)[1]],
    missions=lambda _: (),
    problems=target_problems,
    gives=frozenset({"bundle"}),
)
