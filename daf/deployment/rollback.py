"""`task=rollback`: the alias goes back to the version before, once that is known to play."""

from dataclasses import replace
from pathlib import Path

from daf.bridge.missions import agent_count
from daf.config.commands import deploying
from daf.config.schemas import DAFConfig
from daf.deployment.choice import open_target
from daf.deployment.deploy import deployed, make_move, target_problems
from daf.deployment.moves import Move, Use, previous_version
from daf.deployment.package import bundle_name, packed_policy
from daf.deployment.results import DeploymentResult
from daf.deployment.signature import bundled_policy
from daf.deployment.targets import file_sha256
from daf.deployment.validations import was_packed_here
from daf.episodes.limits import Limits
from daf.episodes.outcomes import EpisodeFailure
from daf.episodes.play import daf_play_episodes
from daf.errors import DAFError
from daf.records import EpisodePlan, PolicySpec
from daf.tasks import Task
from daf.tracking.tracker import Tracker

#: Steps of the episode that proves that a version plays.
PROOF_STEPS = 50


def daf_rollback_deployment(config: DAFConfig, tracker: Tracker) -> DeploymentResult:
    """Moves `deployment.alias` back to the version that was in use before the present one was deployed.

    Its bundle is fetched, its digest checked, and a short episode of `mission` played with it before the alias moves.
    The next roll-back goes back further, not forth.

    Raises:
        DAFError: there is nothing to go back to, or the version before does not play: the alias stays where it is.
    """
    target = open_target(config, deployed_name(config), tracker)
    seen = target.use()
    version = _to_restore(seen, target.name, target.alias)
    bundle = target.fetch(version, tracker.output_dir / "rollback")
    prove_it_plays(config, bundle, f"{target.name} {version}")
    why = f"rolled back from {seen.version}"
    make_move(
        target, seen, Move(kind="rollback", before=seen.version, after=version, why=why, run_id=tracker.run_id), tracker
    )
    note = f"{target.name} {version} plays; {target.alias} stands for it again, and no longer for {seen.version}."
    result = deployed(target, version, file_sha256(bundle), bundle, seen, tracker, [note])
    return replace(result, next=deploying(config, "monitor"))


def _to_restore(seen: Use, name: str, alias: str) -> str:
    if seen.version is None:
        raise DAFError(f"nothing is deployed as {name} with the alias {alias}, so there is nothing to roll back")
    version = previous_version(seen)
    if version is None:
        raise DAFError(f"there is nothing to roll back to: {name} {seen.version} is the first that {alias} stood for")
    return version


def deployed_name(config: DAFConfig) -> str:
    """`deployment.name`, or the one that the policy is packed under."""
    return config.deployment.name or bundle_name(packed_policy(config)[1].spec().name)


def fetched_policy(config: DAFConfig, bundle: Path, name: str) -> PolicySpec:
    """The policy in a fetched bundle. Code that it brings may run if it was packed here, or `policy` trusts it."""
    digest = file_sha256(bundle)
    trusted = (*config.policy.trusted, *([digest] if was_packed_here(digest) else []))
    return replace(bundled_policy(bundle, trust=config.policy.trust or trusted), name=name)


def prove_it_plays(config: DAFConfig, bundle: Path, what: str) -> None:
    """Plays a short episode.

    Raises:
        DAFError: it cannot be played.
    """
    mission = config.mission_spec()
    short = replace(mission, max_steps=min(mission.max_steps or PROOF_STEPS, PROOF_STEPS))
    plan = EpisodePlan(
        mission=short,
        policies=(fetched_policy(config, bundle, what),),
        assignments=(0,) * agent_count(short),
        seed=config.evaluation.seed,
        max_action_time_ms=config.evaluation.max_action_time_ms,
    )
    limits = Limits(config.evaluation.time_limit_s, config.evaluation.start_limit_s)
    (outcome,) = daf_play_episodes([plan], limits=limits)
    if isinstance(outcome, EpisodeFailure):
        raise DAFError(f"{what} does not play, so the alias stays where it is: {outcome.reason}")


ROLLBACK = Task(
    name="rollback",
    run=daf_rollback_deployment,
    policies=lambda _: (),
    named_after=lambda config: [packed_policy(config)[1]],
    missions=lambda config: [config.mission_spec()],
    problems=target_problems,
    gives=frozenset({"bundle"}),
)
