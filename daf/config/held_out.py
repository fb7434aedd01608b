"""Evaluation seeds stay held out: no training may play their maps."""

from collections.abc import Iterator

from daf.config.schemas import DAFConfig
from daf.errors import Problem

#: Steps of an episode where the mission says how many, and not the config: fewer than any mission of CoGames has.
SHORTEST_EPISODE = 100


def held_out_problems(config: DAFConfig) -> list[Problem]:
    """What is wrong with the seeds of a config that trains: maps or simulations that the evaluation plays as well."""
    first, episodes = config.evaluation.seed, config.evaluation.episodes
    for key, trained in _trained_seeds(config):
        if trained.start < first + episodes and first < trained.stop:
            both = f"{max(first, trained.start)} to {min(first + episodes, trained.stop) - 1}"
            what = f"trains on seeds that the evaluation plays ({both}), so that nothing would be held out."
            return [Problem(key, what, "Take another seed for the training, or another evaluation.seed.")]
    return []


def _trained_seeds(config: DAFConfig) -> Iterator[tuple[str, range]]:
    """The seeds of simulations and of maps, each with the key that decides it.

    CoGames gives environment i the simulation seed ``s = seed + i``, and the first of its maps ``map_seed + s``
    (``seed + s`` without a `map_seed`); every further episode takes the next map. On a GPU, PufferLib's worker w with n
    environments begins at ``s = (seed + w) * n`` instead.
    """
    training, seed = config.training, config.seed
    key, base = ("seed", seed) if training.map_seed is None else ("training.map_seed", training.map_seed)
    steps = training.num_envs * (config.mission.max_steps or SHORTEST_EPISODE)
    resets = training.num_steps // steps + 2
    for envs in {1, *(_of_each_worker(training.num_envs) if config.device != "cpu" else ())}:
        simulations = range(seed * envs, seed * envs + training.num_envs + envs)
        yield "seed", simulations
        yield key, range(base + simulations.start, base + simulations.stop + resets)


def _of_each_worker(envs: int) -> set[int]:
    """How many environments a worker may have."""
    return {envs // workers for workers in range(1, min(envs, 1024) + 1) if envs % workers == 0}
