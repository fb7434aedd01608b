"""`task=validate`: plays a bundle as the season would, locked up, and says whether it may leave the house."""

import json
from dataclasses import asdict, dataclass, replace
from math import isclose
from pathlib import Path
from statistics import fmean
from typing import Any

from daf.bridge.bundles import Bundle, BundleError, read_bundle, read_member, unpacked
from daf.bridge.catalogue import catalogue
from daf.bridge.missions import build_mission
from daf.config.commands import deploying
from daf.config.references import BUNDLE_TAG
from daf.config.schemas import DAFConfig, DAFPolicyConfig
from daf.deployment.asked import asked_bundle
from daf.deployment.checks import Check, Recorded, checks_table, figures, matches_table, trial_checks
from daf.deployment.metadata import METADATA_FILE, BundleMetadata, check_digests, read_metadata
from daf.deployment.package import packed_policy
from daf.deployment.results import DeploymentResult, bundle_facts
from daf.deployment.trials import Trial, play_trial
from daf.deployment.validations import record_validation, was_packed_here
from daf.errors import DAFConfigError, DAFError, Problem
from daf.tasks import KeyedPolicy, Task, keyed
from daf.tracking.tracker import Tracker

REWARD, LENGTH = "reward", "steps"
#: Episodes of the same mission differ no more in length, where they end before its last step.
SAME_LENGTH = 0.2
#: What Python loads as code from a folder that is on its path, as CoGames puts a bundle's.
CODE = (".py", ".pyc", ".so", ".pyd", ".pth")


@dataclass(frozen=True, kw_only=True)
class ValidationResult(DeploymentResult):
    """A bundle that was tried. It passed unless `refused` says why not.

    Attributes:
        level: ``smoke`` or ``qualifying``.
        checks: in the order in which they are shown.
        figures: what was measured, by metric name.
    """

    level: str
    checks: tuple[Check, ...]
    figures: dict[str, float]


def daf_validate_deployment(config: DAFConfig, tracker: Tracker) -> ValidationResult:
    """Plays `deployment.bundle` (or the policy, packed first) through the season's runner, and checks what came of it.

    It plays in a process without this machine's network, files, processes and environment, as far as the machine
    allows that. A bundle that passes is noted by its digest, for `passed_validation`. Of one that does not `refused`
    names every reason, and where the agents' logs are.

    Raises:
        DAFConfigError: there is no such bundle, or it brings code that nobody trusts; nothing of it has run.
        DAFError: it passed, but that cannot be noted.
    """
    deployment = config.deployment
    path = asked_bundle(config, tracker)
    tracker.set_tags({"daf.validation": "failed", "daf.validation_level": deployment.validation})
    try:
        bundle = read_bundle(path)
        digest = bundle.digest()
        tracker.set_tags({BUNDLE_TAG: digest})
        folder = unpacked(bundle, run_setup=False)
        metadata, files = _described(path, folder)
    except BundleError as error:
        return _result(config, tracker, path, (Check(name="files", status="failed", why=str(error)),))
    _check_trust(config, bundle, folder, digest)
    trial = play_trial(config, folder, trusted=_is_trusted(config, digest))
    checks = (
        files,
        *trial_checks(
            trial,
            latency_ms=deployment.latency_ms,
            level=config.level,
            smoke=deployment.validation == "smoke",
            recorded=_recorded(config, metadata, trial),
        ),
    )
    return _judged(config, tracker, path, digest, metadata, trial, checks)


def _described(path: Path, folder: Path) -> tuple[BundleMetadata | None, Check]:
    """What the bundle says of itself, and whether its files are those that it names.

    Raises:
        BundleError: they are not.
    """
    if read_member(path, METADATA_FILE) is None:
        why = f"it has no {METADATA_FILE}: whether its files are the right ones cannot be said"
        return None, Check(name="files", status="warning", why=why)
    metadata = read_metadata(path)
    check_digests(folder, metadata)
    return metadata, Check(
        name="files", status="passed", why=f"all {len(metadata.files)} as {METADATA_FILE} names them"
    )


def _check_trust(config: DAFConfig, bundle: Bundle, folder: Path, digest: str) -> None:
    """Refuses code that nobody has said may run, although it would run locked up."""
    known = catalogue().policies
    own = bundle.class_path in known or bundle.class_path in known.values()
    code = sorted(path.name for path in folder.rglob("*") if path.suffix in CODE)
    if (own and not code and not bundle.setup_script) or _is_trusted(config, digest):
        return
    brings = f"brings code ({', '.join(code[:5])})" if code else f"has the class {bundle.class_path}"
    hint = f"If you trust whoever made it: policy.trust=true, or policy.trusted=[{digest}] for exactly this content."
    raise DAFConfigError([Problem("deployment.bundle", f"{bundle.path} {brings}, and was not packed here.", hint)])


def _is_trusted(config: DAFConfig, digest: str) -> bool:
    policy = config.policy
    return config.deployment.bundle is None or policy.trust or digest in policy.trusted or was_packed_here(digest)


def _recorded(config: DAFConfig, metadata: BundleMetadata | None, trial: Trial) -> Recorded:
    """The bundle's own score, where it was measured on whole episodes of the configured mission."""
    if metadata is None:
        return Recorded(why_not=f"it has no {METADATA_FILE}")
    if config.deployment.validation == "smoke":
        return Recorded(why_not="a few steps are no score; deployment.validation=qualifying plays whole episodes")
    mission = build_mission(config.mission_spec())[0]
    found = {metric.name: metric for metric in metadata.metrics if metric.mission == mission}
    if REWARD not in found:
        return Recorded(why_not=f"it records no {REWARD} on {mission}")
    steps = fmean([episode.steps or 0 for episode in trial.self_play])
    if LENGTH in found and not isclose(found[LENGTH].mean, steps, rel_tol=SAME_LENGTH):
        return Recorded(why_not=f"its score is of episodes of {found[LENGTH].mean:g} steps, and these have {steps:g}")
    return Recorded(metric=found[REWARD])


def _judged(
    config: DAFConfig,
    tracker: Tracker,
    path: Path,
    digest: str,
    metadata: BundleMetadata | None,
    trial: Trial,
    checks: tuple[Check, ...],
) -> ValidationResult:
    """Keeps what was found; a pass is noted where deploying looks for it."""
    level, measured = config.deployment.validation, figures(trial)
    tracker.log_metrics(measured)
    _keep(trial, tracker)
    result = _result(config, tracker, path, checks, trial)
    for check in checks:
        if check.status == "warning":
            tracker.warn(f"{check.name}: {check.why}")
    if not result.refused:
        tracker.set_tags({"daf.validation": "passed"})
        try:
            record_validation(digest, level, run_id=tracker.run_id, figures=measured)
        except OSError as error:
            raise DAFError(f"the bundle passed, but that cannot be noted: {error}") from error
    name, version = (metadata.name, metadata.version) if metadata else (path.stem, "")
    facts = {**result.facts, **bundle_facts(name, version, digest)}
    return replace(result, name=name, version=version, digest=digest, facts=facts)


def _result(
    config: DAFConfig, tracker: Tracker, path: Path, checks: tuple[Check, ...], trial: Trial | None = None
) -> ValidationResult:
    """What the checks come to."""
    level, logs = config.deployment.validation, tracker.output_dir / "validation"
    reasons = [f"  - {check.name}: {check.why}" for check in checks if check.status == "failed"]
    said = [f"{path.name} did not pass ({level}):", *reasons, f"Logs of its agents: {logs}"]
    measured = figures(trial) if trial else {}
    return ValidationResult(
        objective=measured.get("validation/reward"),
        tables=(checks_table(checks), *((matches_table(trial),) if trial else ())),
        notes=() if reasons else (f"{path.name} passed ({level}). Logs of its agents: {logs}",),
        refused="\n".join(said) if reasons else None,
        metrics=measured,
        facts={"level": level, "verdict": "failed" if reasons else "passed"},
        files={"bundle": path},
        next=None if reasons else deploying(config, "deploy", path),
        name=path.stem,
        bundle=path,
        location=str(path),
        level=level,
        checks=checks,
        figures=measured,
    )


def _keep(trial: Trial, tracker: Tracker) -> None:
    """Every episode and the end of every log, in the output folder and in MLflow, secrets blanked."""
    lines = []
    for episode in (*trial.tested, *trial.noops):
        facts: dict[str, Any] = asdict(episode)
        log = facts.pop("log")
        lines.append(json.dumps(facts))
        if log:
            tracker.log_text(log, f"validation/{episode.label}.log")
    tracker.log_text("\n".join([*lines, ""]), "validation/episodes.jsonl")


def _policies(config: DAFConfig) -> list[KeyedPolicy]:
    """Those that are loaded before: what is packed first, and the pool. A bundle is only ever loaded behind walls."""
    packed = [packed_policy(config)] if config.deployment.bundle is None else []
    qualifying = config.deployment.validation == "qualifying"
    return [*packed, *(keyed("deployment.pool", config.deployment.pool) if qualifying else [])]


def _named_after(config: DAFConfig) -> list[DAFPolicyConfig]:
    policy = packed_policy(config)[1]
    bundle = config.deployment.bundle
    return [policy if bundle is None else policy.model_copy(update={"name": Path(bundle).name})]


VALIDATE = Task(
    name="validate",
    run=daf_validate_deployment,
    policies=_policies,
    named_after=_named_after,
    gives=frozenset({"bundle"}),
)
