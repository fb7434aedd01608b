"""Which policies there are, and what they are made of: `task=policies`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from daf.bridge.inspection import Layer, policy_parts, time_policy, why_class_not_batched
from daf.bridge.missions import agent_count
from daf.bridge.policies import has_network, registered_policies
from daf.config.commands import command_for
from daf.config.schemas import DAFConfig
from daf.episodes.plans import unique_names
from daf.errors import DAFError, first_line
from daf.execution.loading import where_it_belongs
from daf.records import MissionSpec, PolicySpec
from daf.results import ResultTable, TaskResult
from daf.tasks import Task, played_policies
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization.text import NO_VALUE, quantity_text

#: Where policies are tried when nothing else is said: small, and known to every class.
SMALL_MISSION = MissionSpec(name="cogsguard_arena.basic", cogs=2)
#: Steps of the try-out: CoGames' chaos-monkey raises at step 10, to show that such a thing is noticed.
TRIAL_STEPS = 12
WARM_UP_STEPS, TIMED_STEPS = 5, 100


@dataclass(frozen=True, kw_only=True)
class AvailablePolicy:
    """A policy that CoGames finds by a short name.

    Attributes:
        trainable: whether it has a network.
        recurrent: whether that network carries a state from step to step; None without a network.
        step_batch: whether the class acts for all agents in one call.
        problem: why it cannot be used, in one line, or None.
    """

    name: str
    class_path: str
    trainable: bool
    recurrent: bool | None
    step_batch: bool
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class PolicyAnalysis:
    """One policy in detail.

    Attributes:
        parameters: number of trainable parameters; 0 for a scripted policy.
        layers: (name, kind, shapes as text, parameters) of every layer with parameters; shared ones count once.
        recurrent: whether the network carries a state from step to step; None without a network.
        why_not_batched: why the batched backend cannot play the class, or None.
        action_ms: median time of one action of one agent in milliseconds, on one thread.
        action_ms_range: 5th and 95th percentile of the same.
        timed_actions: how many actions were timed.
    """

    name: str
    class_path: str
    parameters: int
    layers: tuple[tuple[str, str, str, int], ...]
    recurrent: bool | None
    why_not_batched: str | None
    action_ms: float
    action_ms_range: tuple[float, float]
    timed_actions: int


def daf_list_available_policies(mission: MissionSpec = SMALL_MISSION) -> tuple[AvailablePolicy, ...]:
    """Every policy that CoGames registers, each loaded and tried for some steps of a mission, by name."""
    return tuple(_available(name, path, mission) for name, path in sorted(registered_policies().items()))


def _available(name: str, class_path: str, mission: MissionSpec) -> AvailablePolicy:
    spec = PolicySpec(name=name, class_path=class_path)
    try:
        found: AvailablePolicy = where_it_belongs(spec, f"{__name__}:try_here", spec, mission)
    except DAFError as error:  # it ends its process, or hangs
        return _unusable(spec, f"fails when it is loaded: {first_line(error)}")
    return found


def try_here(spec: PolicySpec, mission: MissionSpec) -> AvailablePolicy:
    """Loads a policy and tries it for some steps, in this process."""
    parts, problem = None, None
    try:
        parts = policy_parts(mission, spec)
        time_policy(mission, spec, TRIAL_STEPS)
    except Exception as error:  # a policy is anybody's code
        doing = "acts" if parts else "is loaded"
        problem = f"fails when it {doing}: {type(error).__name__}: {error}".splitlines()[0]
    if parts is None:
        return replace(_unusable(spec, problem), trainable=has_network(spec.class_path))
    return AvailablePolicy(
        name=spec.name,
        class_path=spec.class_path,
        trainable=bool(parts.layers),
        recurrent=parts.recurrent,
        step_batch=parts.step_batch,
        problem=problem,
    )


def _unusable(spec: PolicySpec, problem: str | None) -> AvailablePolicy:
    return AvailablePolicy(
        name=spec.name,
        class_path=spec.class_path,
        trainable=False,
        recurrent=None,
        step_batch=False,
        problem=problem,
    )


def daf_analyze_policy(spec: PolicySpec, mission: MissionSpec = SMALL_MISSION) -> PolicyAnalysis:
    """Loads a policy, takes it apart, and times its actions on one thread in the first steps of an episode.

    Timings are those of this machine at this moment; the first steps, in which caches fill, are left out.

    Somebody else's policy is taken apart in a process of its own.

    Raises:
        Exception: whatever the policy raises when it is loaded or acts.
    """
    analysis: PolicyAnalysis = where_it_belongs(spec, f"{__name__}:analyze_here", spec, mission)
    return analysis


def analyze_here(spec: PolicySpec, mission: MissionSpec) -> PolicyAnalysis:
    """What `daf_analyze_policy` does, in this process."""
    parts = policy_parts(mission, spec)
    timed = _action_times(mission, spec)
    low, median, high = np.quantile(timed, [0.05, 0.5, 0.95])
    return PolicyAnalysis(
        name=spec.name,
        class_path=parts.class_path,
        parameters=parts.parameters,
        layers=tuple(map(_layer_facts, parts.layers)),
        recurrent=parts.recurrent,
        why_not_batched=why_class_not_batched(mission, spec),
        action_ms=float(median),
        action_ms_range=(float(low), float(high)),
        timed_actions=len(timed),
    )


def _action_times(mission: MissionSpec, spec: PolicySpec) -> NDArray[np.float64]:
    """Milliseconds of every action after the first steps, in which caches fill."""
    seconds = np.array(time_policy(mission, spec, WARM_UP_STEPS + TIMED_STEPS))
    agents = agent_count(mission)
    warm_up = min(WARM_UP_STEPS, len(seconds) // agents - 1)
    return 1000 * seconds[warm_up * agents :]


def _layer_facts(layer: Layer) -> tuple[str, str, str, int]:
    shapes = ", ".join("x".join(map(str, shape)) for shape in layer.shapes)
    return (layer.name or "(top)", layer.kind, shapes, layer.parameters)


def daf_compare_policy_architectures(analyses: Sequence[PolicyAnalysis]) -> ResultTable:
    """Analysed policies side by side."""
    rows = tuple(
        (
            analysis.name,
            analysis.class_path.rpartition(".")[2],
            f"{analysis.parameters:,}",
            str(len(analysis.layers)),
            _yes_no(analysis.recurrent),
            quantity_text(analysis.action_ms),
            " to ".join(map(quantity_text, analysis.action_ms_range)),
            str(analysis.timed_actions),
            "yes" if analysis.why_not_batched is None else f"no: {analysis.why_not_batched.partition(': ')[2]}",
        )
        for analysis in analyses
    )
    columns = (
        "policy", "class", "parameters", "layers", "recurrent",
        "ms per action (median, 1 thread)", "5 to 95 %", "actions", "batched backend",
    )  # fmt: skip
    return ResultTable("Architectures", columns, rows)


def daf_show_policies(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Lists what CoGames offers, and analyses `evaluation.policies` (or `policy`) and `evaluation.baselines`."""
    mission = config.mission_spec()
    policies = unique_names([policy.spec() for _, policy in played_policies(config)])
    analyses = [daf_analyze_policy(spec, mission) for spec in policies]
    for analysis in analyses:
        tracker.log_metrics(
            {
                metric_name("policies/parameters", analysis.name): analysis.parameters,
                metric_name("policies/ms_per_action", analysis.name): analysis.action_ms,
            }
        )
    listed = _listing(daf_list_available_policies(mission))
    layers = [_layer_table(analysis) for analysis in analyses if analysis.layers]
    return TaskResult(
        objective=None,
        tables=(listed, daf_compare_policy_architectures(analyses), *layers),
        next=command_for(config, "evaluate"),
    )


def _listing(policies: Sequence[AvailablePolicy]) -> ResultTable:
    rows = tuple(
        (
            policy.name,
            policy.class_path,
            _yes_no(policy.trainable),
            _yes_no(policy.recurrent),
            _yes_no(policy.step_batch),
            "yes" if policy.problem is None else f"no: {policy.problem}",
        )
        for policy in policies
    )
    return ResultTable("Policies", ("name", "class", "trainable", "recurrent", "step_batch", "usable"), rows)


def _layer_table(analysis: PolicyAnalysis) -> ResultTable:
    rows = tuple(
        (name, kind, shapes, f"{count:,}" if count else "shared") for name, kind, shapes, count in analysis.layers
    )
    return ResultTable(f"Layers of {analysis.name}", ("layer", "kind", "shapes", "parameters"), rows)


def _yes_no(value: bool | None) -> str:
    return NO_VALUE if value is None else "yes" if value else "no"


POLICIES = Task(name="policies", run=daf_show_policies, policies=played_policies)
