"""Experiments with parts switched off."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from daf.bridge.missions import why_unplayable
from daf.bridge.weights import zero_weights
from daf.comparison.changed_config import changed_config
from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig, DAFPartConfig
from daf.errors import DAFConfigError, Problem
from daf.execution.loading import has_network
from daf.records import MissionSpec, PolicySpec, digest
from daf.tracking.tracker import Tracker

Parts = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What is played with some parts off.

    Attributes:
        off: names of the parts that are off; none for the baseline.
        config: the experiment with these parts off.
        missions: what is played.
        policies: who plays, named after `off`; one for each training, if there are any.
    """

    off: Parts
    config: DAFConfig
    missions: tuple[MissionSpec, ...]
    policies: tuple[PolicySpec, ...]


def build_conditions(config: DAFConfig, tracker: Tracker) -> list[Condition]:
    """The baseline first, then every part and, if asked for, every two parts.

    Raises:
        DAFConfigError: naming every part that cannot be switched off.
    """
    parts = config.ablation.parts
    conditions = _conditions(config, [(), *((name,) for name in parts)], tracker)
    pairs = combinations(parts, 2) if config.ablation.pairs else ()
    return conditions + _conditions(config, list(pairs), tracker)


def _conditions(config: DAFConfig, switched: Sequence[Parts], tracker: Tracker) -> list[Condition]:
    conditions: list[Condition] = []
    problems: list[Problem] = []
    for off in switched:
        try:
            conditions.append(_condition(config, off, tracker))
        except DAFConfigError as error:
            problems += error.problems
        else:
            problems += _unplayable(conditions[-1])
    if problems:
        raise DAFConfigError(problems)
    return conditions


def label(off: Parts) -> str:
    """How a condition is called."""
    return f"without {' and '.join(off)}" if off else "everything on"


def _where(off: Parts) -> str:
    return ", ".join(f"ablation.parts.{name}" for name in off) or "config"


def _condition(config: DAFConfig, off: Parts, tracker: Tracker) -> Condition:
    parts = [config.ablation.parts[name] for name in off]
    changed = _with_values(config, off, parts)
    policy = replace(changed.policy.spec(), name=label(off))
    zeroed = [name for part in parts for name in part.zero]
    if zeroed:
        policy = _zero(policy, zeroed, off, tracker)
    return Condition(off=off, config=changed, missions=tuple(mission_specs(changed)), policies=(policy,))


def _with_values(config: DAFConfig, off: Parts, parts: Sequence[DAFPartConfig]) -> DAFConfig:
    changed = changed_config(config, f"{_where(off)}.set", [part.set for part in parts])
    names = list(changed.variant.names)
    for name in dict.fromkeys(name for part in parts for name in part.without_variants):
        if name not in names:
            raise DAFConfigError([Problem(_where(off), f"variant {name} is not on, so it cannot be left out.")])
        names.remove(name)
    terms = [*changed.variant.without_rewards, *(term for part in parts for term in part.without_rewards)]
    variant = changed.variant.model_copy(update={"names": tuple(names), "without_rewards": tuple(dict.fromkeys(terms))})
    return changed.model_copy(update={"variant": variant})


def _zero(policy: PolicySpec, parts: Sequence[str], off: Parts, tracker: Tracker) -> PolicySpec:
    path = tracker.output_dir / "ablation" / f"weights-{digest(list(off))[:16]}.pt"
    try:
        return zero_weights(policy, parts, path)
    except (ValueError, FileNotFoundError) as error:
        raise DAFConfigError([Problem(f"{_where(off)}.zero", str(error))]) from error


def _unplayable(condition: Condition) -> list[Problem]:
    """What would make every episode of the condition fail."""
    reasons = {mission.name: _why_unplayable(mission, condition.policies[0]) for mission in condition.missions}
    return [Problem(_where(condition.off), f"{name} cannot be played: {why}") for name, why in reasons.items() if why]


def _why_unplayable(mission: MissionSpec, policy: PolicySpec) -> str | None:
    why = why_unplayable(mission)
    if why is None:
        try:
            has_network(mission, policy)
        except Exception as error:  # a policy is anybody's code
            why = f"the policy cannot be loaded: {error}"
    return why
