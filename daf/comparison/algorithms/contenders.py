"""Who is compared where algorithms are: configs that train, and policies that play as they are."""

from dataclasses import dataclass, replace

from daf.comparison.changed_config import changed_config
from daf.config.schemas import DAFConfig
from daf.episodes.plans import unique_names
from daf.errors import DAFConfigError, Problem
from daf.execution.loading import offers_network
from daf.records import PolicySpec


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One algorithm.

    Attributes:
        config: what trains it.
        trains: whether it does; otherwise its policy plays as it is.
    """

    policy: PolicySpec
    config: DAFConfig
    trains: bool


def contenders(config: DAFConfig) -> list[Contender]:
    """`comparison.algorithms`, then `comparison.policies`, of which those with a network and no weights train.

    Raises:
        DAFConfigError: an algorithm sets what is no key, its policy has no network, or two have one name.
    """
    found, problems = [], []
    for name, values in config.comparison.algorithms.items():
        where = f"comparison.algorithms.{name}"
        try:
            changed = changed_config(config, where, [values])
        except DAFConfigError as error:
            problems += error.problems
            continue
        if not offers_network(changed.policy.spec()):
            problems.append(Problem(where, f"{changed.policy.class_path} has no network to train."))
        found.append(Contender(policy=replace(changed.policy.spec(), name=name), config=changed, trains=True))
    listed = _listed(config)
    for each in listed:
        if each.policy.name in config.comparison.algorithms:
            problems.append(Problem("comparison.policies", f"{each.policy.name} is the name of an algorithm, too."))
    if problems:
        raise DAFConfigError(problems)
    return found + listed


def _listed(config: DAFConfig) -> list[Contender]:
    listed = config.comparison.policies
    specs = unique_names([each.spec() for each in listed])
    return [
        Contender(
            policy=spec,
            config=config.model_copy(update={"policy": policy}),
            trains=policy.weights is None and offers_network(spec),
        )
        for policy, spec in zip(listed, specs, strict=True)
    ]
