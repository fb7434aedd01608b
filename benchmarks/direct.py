"""CoGames called as its command line calls it: the other side of benchmarks and parity tests."""

import contextlib
import io
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from daf.bridge.episode import policy_interface
from daf.bridge.imports import contained, seed_everything
from daf.bridge.missions import build_mission
from daf.bridge.policies import full_class_path, load_policy, resolve_policy
from daf.bridge.simulations import prepare_mission, translated_once
from daf.config.schemas import DAFConfig
from daf.execution.executor import JobDone, JobFailed
from daf.execution.processes import ProcessExecutor
from daf.records import EpisodePlan, MissionSpec, PolicySpec


def train_directly(config: DAFConfig, checkpoints: Path) -> None:
    """`cogames.train.train` with nothing of DAF's but the seed; its dashboard is not drawn, which only helps it."""
    with contained():
        import cogames.train as cogames_train
    import torch

    torch.set_num_threads(config.training.torch_threads)
    seed_everything(config.seed)
    trainer: Any = cogames_train.pufferl.PuffeRL
    drawn = trainer.print_dashboard
    trainer.print_dashboard = lambda *_, **__: None
    warnings.filterwarnings("ignore", message="In CPU autocast")
    try:
        cogames_train.train(
            env_cfg=build_mission(config.mission_spec())[1],
            policy_class_path=full_class_path(config.policy.class_path),
            device=torch.device("cpu"),
            initial_weights_path=None,
            num_steps=config.training.num_steps,
            checkpoints_path=checkpoints,
            seed=config.seed,
            minibatch_size=config.training.minibatch_size,
            vector_num_envs=config.training.num_envs,
            checkpoint_interval=config.training.checkpoint_interval,
        )
    finally:
        trainer.print_dashboard = drawn


def evaluate_directly(plans: Sequence[EpisodePlan]) -> None:
    """`cogames.evaluate.evaluate` on the episodes of plans of one policy and mission with consecutive seeds."""
    with contained():
        from cogames.evaluate import evaluate
    first = plans[0]
    seed_everything(first.seed)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluate(
            Console(file=io.StringIO()),
            [build_mission(first.mission)],
            [resolve_policy(first.policies[0])],
            [1.0],
            len(plans),
            first.max_action_time_ms,
            seed=first.seed,
        )


def new_weights(mission: MissionSpec, path: Path) -> None:
    """Saves an LSTM's random weights."""
    seed_everything(0)
    policy = load_policy(policy_interface(mission), PolicySpec(name="lstm", class_path="lstm"))
    policy.save_policy_data(str(path))


def step_simulators(plans: Sequence[EpisodePlan], processes: int) -> float:
    """Seconds that stepping the plans' simulators with random actions takes, without policies or statistics.

    The processes are started and import CoGames before the clock runs.
    """
    with ProcessExecutor("benchmarks.direct:step_randomly", processes) as pool:
        for index in range(processes):
            pool.submit((plans[0], 1, index))
        list(pool.events())
        started = time.perf_counter()
        for plan in plans:
            pool.submit((plan, None, plan.seed))
        for event in pool.events():
            if isinstance(event, JobFailed):
                raise RuntimeError(event.traceback)
            assert isinstance(event, JobDone)
        return time.perf_counter() - started


def step_randomly(payload: tuple[EpisodePlan, int | None, int], job: object) -> int:
    """Steps one simulation to its end (or for a number of steps) with random actions; returns the steps."""
    with contained():
        from mettagrid.simulator import Simulator
    plan, limit, seed = payload
    prepared = prepare_mission(plan.mission)
    with translated_once(prepared):
        simulation = Simulator().new_simulation(prepared.config_for(plan.seed), plan.seed)
    actions = simulation._c_sim.actions()
    steps = limit or prepared.config.game.max_steps
    chosen = np.random.default_rng(seed).integers(0, 5, (steps, len(actions)))
    for row in chosen:
        actions[:] = row
        simulation.step()
    return steps
