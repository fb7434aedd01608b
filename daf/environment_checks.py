"""Can this experiment run here? Every check returns the problems that it finds; none stops at the first."""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from daf.config.missions import _left_out, mission_specs
from daf.config.schemas import DAFConfig, DAFPolicyConfig
from daf.errors import Problem
from daf.tracking.store import is_run_id

LEAST_FREE_GIB = 1.0
#: Tasks that optimise the configured policy.
TRAINING_TASKS = ("train", "quickstart")
TOO_FEW_POLICIES = Problem(
    "comparison.policies", "holds fewer than two policies.", "For example: comparison.policies=[starter,random,noop]."
)

logger = logging.getLogger(__name__)


def daf_check_environment(config: DAFConfig) -> list[Problem]:
    """All checks; simulations are built only if the files and the device are there, policies if the missions are."""
    problems = daf_check_files(config) + daf_check_output(config) + daf_check_device(config)
    problems += daf_check_comparison(config) + daf_check_opponents(config)
    if problems:
        return problems
    return daf_check_missions(config) or daf_check_policies(config)


def daf_check_files(config: DAFConfig) -> list[Problem]:
    """Weights that are named must exist, and a folder to resume from must hold a training's state."""
    problems = [
        Problem(f"{where}.weights", f"there is nothing at {policy.weights!r}.")
        for where, policy in _policies(config)
        if policy.weights and not Path(policy.weights).expanduser().exists()
    ]
    resume = config.training.resume
    if resume and not is_run_id(resume) and not (Path(resume).expanduser() / "trainer_state.pt").is_file():
        hint = "Give an MLflow run id or a checkpoint folder (<output_dir>/checkpoints)."
        problems.append(Problem("training.resume", f"{resume!r} holds no trainer_state.pt.", hint))
    return problems


def daf_check_output(config: DAFConfig) -> list[Problem]:
    """The output folder must be creatable, with some room on its disk."""
    existing = next(
        p for p in [Path(config.output_dir).absolute(), *Path(config.output_dir).absolute().parents] if p.exists()
    )
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return [Problem("output_dir", f"{existing} is not a folder that can be written to.")]
    free = shutil.disk_usage(existing).free / 2**30
    if free < LEAST_FREE_GIB:
        return [
            Problem("output_dir", f"only {free:.1f} GiB are free there.", f"At least {LEAST_FREE_GIB:.0f} GiB, please.")
        ]
    return []


def daf_check_device(config: DAFConfig) -> list[Problem]:
    """The device that is asked for must exist."""
    if config.device in {"auto", "cpu"}:
        return []
    import torch

    if config.device == "mps":
        exists = torch.backends.mps.is_available()
    else:
        exists = torch.cuda.is_available() and int(config.device.partition(":")[2] or 0) < torch.cuda.device_count()
    return (
        []
        if exists
        else [Problem("device", f"torch finds no {config.device!r} here.", "Use device=auto or device=cpu.")]
    )


def daf_check_comparison(config: DAFConfig) -> list[Problem]:
    """A comparison needs two policies at least."""
    if config.task.name != "compare" or len(config.comparison.policies) > 1:
        return []
    return [TOO_FEW_POLICIES]


def daf_check_opponents(config: DAFConfig) -> list[Problem]:
    """Mixed teams need somebody to mix with, and an ablation something to switch off."""
    if _uses_pool(config) and not config.vor.pool:
        hint = "For example: vor.pool=[starter,noop]."
        return [Problem("vor.pool", "holds no policy to replace the candidate with.", hint)]
    if config.task.name == "tournament" and len(config.tournament.policies) < 2:
        hint = "For example: tournament.policies=[starter,random,noop]."
        return [Problem("tournament.policies", "holds fewer than two policies.", hint)]
    if config.task.name == "ablation" and not config.ablation.parts:
        hint = "For example: +ablation.parts.memory.zero=[_rnn]."
        return [Problem("ablation.parts", "names nothing to switch off.", hint)]
    return []


def _uses_pool(config: DAFConfig) -> bool:
    return config.task.name == "vor" or "vor" in config.objective.metric


def _trains(config: DAFConfig) -> bool:
    return config.task.name in TRAINING_TASKS or (config.task.name == "ablation" and config.ablation.trainings > 0)


def daf_check_missions(config: DAFConfig) -> list[Problem]:
    """Every mission must build, and give every agent a place: only a simulation shows that."""
    from daf.bridge.mission_names import is_mission_file
    from daf.bridge.missions import why_unplayable

    if left_out := _left_out(config):
        names = ", ".join(left_out)
        logger.warning("evaluation.missions: %s is left out, since no number of cogs can play it.", names)
    specs = {config.mission_spec(): "mission"} if _trains(config) else {}
    for spec in mission_specs(config):
        specs.setdefault(spec, f"mission {spec.name}")
    found = ((where, why_unplayable(spec), is_mission_file(spec.name)) for spec, where in specs.items())
    hint = "Usually mission.cogs (1 to 8, diagnostics 4) or a variant is at fault."
    return [
        Problem(where, f"cannot be built: {reason.rstrip('.')}.", "" if is_file else hint)
        for where, reason, is_file in found
        if reason
    ]


def daf_check_policies(config: DAFConfig) -> list[Problem]:
    """Every policy must load on a mission that can be built, and the one to be trained must have a network."""
    from daf.bridge.episode import policy_interface
    from daf.bridge.policies import load_policy

    interface = policy_interface(config.mission_spec() if _trains(config) else mission_specs(config)[0])
    problems = []
    for where, policy in _policies(config):
        trained = where == "policy" and _trains(config)
        reason = _failure(lambda policy=policy: load_policy(interface, policy.spec()).network())  # type: ignore[misc]
        if isinstance(reason, Exception):
            problems.append(Problem(where, f"{policy.class_path} cannot be loaded: {reason}"))
        elif trained and reason is None:
            hint = "Trainable: lstm, puffer, stateless, pufferlib_cogs."
            problems.append(Problem(where, f"{policy.class_path} has no network to train.", hint))
    return problems


def _failure(action: Callable[[], object]) -> object:
    try:
        return action()
    except Exception as error:  # a policy is anybody's code
        return error


def _policies(config: DAFConfig) -> list[tuple[str, DAFPolicyConfig]]:
    """The policies that the config really uses, with the key that names them."""
    task, evaluation = config.task.name, config.evaluation
    if task == "compare":
        return _numbered("comparison.policies", config.comparison.policies)
    if task == "tournament":
        return _numbered("tournament.policies", config.tournament.policies)
    if task == "benchmark":
        return _benchmark_policies(config)
    pool = _numbered("vor.pool", config.vor.pool) if _uses_pool(config) else []
    if task == "vor":
        return [("policy", config.policy), *pool]
    listed = _numbered("evaluation.policies", evaluation.policies)
    extra = [*listed, *_numbered("evaluation.baselines", evaluation.baselines), *pool]
    return extra if task == "evaluate" and listed else [("policy", config.policy), *extra]


def _numbered(key: str, policies: Sequence[DAFPolicyConfig]) -> list[tuple[str, DAFPolicyConfig]]:
    return [(f"{key}.{index}", policy) for index, policy in enumerate(policies)]


def _benchmark_policies(config: DAFConfig) -> list[tuple[str, DAFPolicyConfig]]:
    benchmark = config.benchmark
    lists = {f"benchmark.algorithms.{name}": policies for name, policies in benchmark.algorithms.items()}
    lists["benchmark.scripted"] = benchmark.scripted
    listed = [entry for key, policies in lists.items() for entry in _numbered(key, policies)]
    return listed if benchmark.algorithms else [("policy", config.policy), *listed]
