"""DAF from Python, as in a notebook: load a config, evaluate, look at the numbers, search a small grid.

    python examples/from_python.py [OVERRIDES ...]

Overrides are those of the command line, such as `training.num_steps=100000` or `evaluation.episodes=16`.
"""

import sys
from statistics import fmean

from daf import daf_grid_search, daf_load_config, daf_run
from daf.evaluation import EvaluationResult

SMALL = ["mission=arena", "mission.cogs=4", "mission.max_steps=200", "variant=mining", "evaluation.episodes=4"]
TRAINING = ["policy=stateless", "training.num_steps=20000"]


def main(overrides: list[str]) -> None:
    """Everything, one step after the other."""
    # Policies play the same seeds. The result holds every episode, and the run is in MLflow.
    config = daf_load_config(overrides=["task=evaluate", "policy=starter", *SMALL, *overrides])
    result = daf_run(config)
    assert isinstance(result, EvaluationResult)
    for policy in result.policies:
        rewards = result.rewards(policy, config.mission.name)
        print(f"{policy}: {fmean(rewards.values()):.3f} over seeds {sorted(rewards)}")

    # Two learning rates: each is trained with once, and what came out plays the held-out seeds.
    config = daf_load_config(overrides=["task=train", *TRAINING, *SMALL, *overrides])
    found = daf_grid_search(config, {"optimizer.lr": [1e-3, 1e-2]})
    for trial in found.trials:
        print(f"trial {trial.number}: {trial.state} {dict(trial.assignments)} -> {trial.values}")


if __name__ == "__main__":
    main(sys.argv[1:])
