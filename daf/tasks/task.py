"""What a task is, and which policies a config may make it use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig, DAFPolicyConfig
from daf.errors import Problem
from daf.records import MissionSpec
from daf.results import TaskResult

if TYPE_CHECKING:
    from daf.tracking.tracker import Tracker

#: A policy with the config key that names it, such as ``evaluation.baselines.0``.
KeyedPolicy = tuple[str, DAFPolicyConfig]


def keyed(key: str, policies: Sequence[DAFPolicyConfig]) -> list[KeyedPolicy]:
    """The policies of a list in the config, each with its own key: ``evaluation.baselines.0``, ..."""
    return [(f"{key}.{index}", policy) for index, policy in enumerate(policies)]


def configured_policies(config: DAFConfig) -> list[KeyedPolicy]:
    """`policy`, `evaluation.policies` and `evaluation.baselines`."""
    evaluation = config.evaluation
    listed = keyed("evaluation.policies", evaluation.policies)
    return [("policy", config.policy), *listed, *keyed("evaluation.baselines", evaluation.baselines)]


def played_policies(config: DAFConfig) -> list[KeyedPolicy]:
    """`evaluation.policies`, or `policy` where that is empty, and `evaluation.baselines`."""
    first, *others = configured_policies(config)
    return others if config.evaluation.policies else [first, *others]


def only_policy(config: DAFConfig) -> list[DAFPolicyConfig]:
    """`policy` alone."""
    return [config.policy]


def pool_policies(config: DAFConfig) -> list[KeyedPolicy]:
    """`vor.pool`: who replaces the policy where its value over replacement is measured."""
    return keyed("vor.pool", config.vor.pool)


def pool_problems(config: DAFConfig) -> list[Problem]:
    """A value over replacement needs somebody who replaces."""
    if config.vor.pool:
        return []
    hint = "For example: vor.pool=[starter,noop]."
    return [Problem("vor.pool", "holds no policy to replace the candidate with.", hint)]


def _no_problems(config: DAFConfig) -> list[Problem]:
    return []


def _never(config: DAFConfig) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the rest of DAF knows about a task. It stands beside the task's function, as a name of the module.

    Attributes:
        name: what `task.name` says.
        run: does the work: takes the whole config and the run's tracker.
        policies: the policies that a config makes the task use, with their keys. They are loaded before it starts.
        named_after: the policies that the run's name shows.
        missions: what it plays. They are built before it starts, as is `mission` where it trains.
        problems: what else is wrong with a config. Cheap: no simulation, no network.
        needs_account: whether it speaks to the season's server for its user, whom that must know before it starts.
        trains: whether it optimises `policy`, which then needs a network.
        decided_by: top-level keys of the config on which its objective depends; None is all of them. A sweep goes on
            with its study only while these are the same.
        only_scores: those of `decided_by` that its own run does not read, but only a sweep that scores it.
        gives: names of the files that its result always has (`TaskResult.files`): later stages of a pipeline use them.
        goes_on: whether it may go on, even changed, in the folder of an earlier run of it, since it finds out by itself
            what is still to be done.
        scored_by_sweeps: whether a sweep trains (if the task does) and scores `policy` by itself, with pruning, several
            seeds and confirmation, instead of running the task for its objective.
        tracked: whether its work is a run in MLflow. What only looks at a store is none, and makes none.
        only_answers: whether it makes nothing, not even a folder, but answers a question about a config, which is not
            checked before.
    """

    name: str
    run: "Callable[[DAFConfig, Tracker], TaskResult]"
    policies: Callable[[DAFConfig], Sequence[KeyedPolicy]] = configured_policies
    named_after: Callable[[DAFConfig], Sequence[DAFPolicyConfig]] = only_policy
    missions: Callable[[DAFConfig], Sequence[MissionSpec]] = mission_specs
    problems: Callable[[DAFConfig], Sequence[Problem]] = _no_problems
    needs_account: bool = False
    trains: Callable[[DAFConfig], bool] = _never
    decided_by: frozenset[str] | None = None
    only_scores: frozenset[str] = frozenset()
    gives: frozenset[str] = frozenset()
    goes_on: bool = False
    scored_by_sweeps: bool = False
    tracked: bool = True
    only_answers: bool = False
