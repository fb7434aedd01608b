"""CoGames called as its own command line calls it: the other side of benchmarks and parity tests."""

from pathlib import Path
from typing import Any

from daf.bridge.imports import contained, seed_everything
from daf.bridge.missions import build_mission
from daf.bridge.policies import full_class_path
from daf.config.schemas import DAFConfig


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
