"""Which missions a suite holds, and who plays them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from daf.bridge.catalogue import catalogue
from daf.bridge.missions import why_unplayable
from daf.config.schemas import DAFConfig
from daf.episodes.plans import unique_names
from daf.records import MissionSpec, PolicySpec

NOOP = PolicySpec(name="noop (0)", class_path="noop")
#: Missions on which a scripted policy beats noop within so few steps by the default reward, which is rare.
QUICK = tuple(f"cogsguard_evals.extractor_hub_{size}" for size in ("30x30", "50x50", "70x70"))
QUICK_STEPS = 200
# The diagnostics declare 8 agents and have room for 4.
DIAGNOSTIC, DIAGNOSTIC_AGENTS = "evals.diagnostic_", 4


def suite_missions(config: DAFConfig) -> list[MissionSpec]:
    """The missions of `benchmark.suite`, with the configured variants and options."""
    suite = config.benchmark.suite
    sets = {"quick": QUICK, "all": catalogue().missions}
    names = sets[suite] if suite in sets else catalogue().mission_sets[f"{suite}_evals"]
    specs = [config.mission_spec(name) for name in names]
    if suite == "quick":
        return [replace(spec, max_steps=spec.max_steps or QUICK_STEPS) for spec in specs]
    crowded = (spec.cogs is None and spec.name.startswith(DIAGNOSTIC) for spec in specs)
    return [replace(spec, cogs=DIAGNOSTIC_AGENTS) if many else spec for spec, many in zip(specs, crowded, strict=True)]


def playable_missions(missions: Iterable[MissionSpec]) -> tuple[list[MissionSpec], dict[str, str]]:
    """The missions that can be built here, and why the others cannot, in a line for each name."""
    reasons = {mission: why_unplayable(mission) for mission in missions}
    playable = [mission for mission, why in reasons.items() if why is None]
    return playable, {mission.name: why.splitlines()[0] for mission, why in reasons.items() if why}


def algorithm_policies(config: DAFConfig) -> dict[str, list[PolicySpec]]:
    """Algorithm to its policies, one for each training; their names are unique among all."""
    named = config.benchmark.algorithms or {config.policy.spec().name: (config.policy,)}
    return {
        name: [
            replace(policy.spec(), name=name if len(policies) == 1 else f"{name}, training {number}")
            for number, policy in enumerate(policies, start=1)
        ]
        for name, policies in named.items()
    }


def scripted_policies(config: DAFConfig, algorithms: Mapping[str, Sequence[PolicySpec]]) -> list[PolicySpec]:
    """Noop and the scripted policies, named apart from the algorithms."""
    taken = [policy for policies in algorithms.values() for policy in policies]
    listed = [policy.spec() for policy in config.benchmark.scripted]
    return unique_names([*taken, NOOP, *listed])[len(taken) :]
