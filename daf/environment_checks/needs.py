"""What a config would write and hold in memory, estimated with measured sizes; each part shows its arithmetic.

Sizes are those of CoGames 0.17.1 on Linux and were measured as docs/checks.md says; a test measures some of them again.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daf.config.schemas import DAFConfig
from daf.config.tracking_address import tracking_uri
from daf.environment_checks.requested import used_missions, used_policies
from daf.errors import DAFConfigError
from daf.files import is_there, user_path
from daf.tasks import Task
from daf.tracking.addresses import WrongAddressError, sqlite_file

KIB, MIB, GIB = 2**10, 2**20, 2**30

#: Bytes of the weights of CoGames' lstm, the largest network of its own.
WEIGHTS = MIB
#: Adam keeps two numbers for each of the weights.
OPTIMIZER_STATES = 2
#: Bytes of an episode record for each of its agents, and how often it is written: JSON lines, CSV, cache.
RECORD, RECORD_COPIES = 4096, 3
#: Bytes of a recorded episode (replay, GIF, its share of the page) for each agent and step, and their number.
REPLAY, REPLAYS = 512, 3
#: Bytes of a process that imported torch and CoGames.
PROCESS = 600 * MIB
#: Bytes of one environment, with its share of the experience where it is trained in.
ENVIRONMENT = 6 * MIB
#: Episodes that a worker plays in lock-step at most.
TOGETHER = 32
#: Where a config leaves agents or steps to the mission.
AGENTS, STEPS = 8, 1000


@dataclass(frozen=True)
class Need:
    """A part of what is needed.

    Attributes:
        what: what it is, with the arithmetic behind it.
        size: bytes.
        folder: where it is written; None for memory.
    """

    what: str
    size: int
    folder: Path | None = None


def size_text(size: float) -> str:
    """Bytes as a person reads them."""
    if size >= GIB / 10:
        return f"{size / GIB:.1f} GiB"
    return f"{size / MIB:.1f} MiB" if size >= MIB / 10 or not size else f"{size / KIB:.1f} KiB"


def disk_needs(config: DAFConfig, task: Task) -> list[Need]:
    """Checkpoints, episodes and replays in the output folder, and what of them MLflow copies."""
    output, store = Path(config.output_dir).absolute(), _artifacts(config)
    needs = [*_checkpoints(config, task, output, store), *_episodes(config, task, output, store)]
    return [need for need in needs if need.size]


def memory_needs(config: DAFConfig, task: Task, cores: int) -> list[Need]:
    """This process and the workers beside it, with the environments in them."""
    environments = config.training.num_envs
    jobs = config.sweep.n_jobs if config.sweep.space else 1
    needs = [Need(f"this process {size_text(PROCESS)}", PROCESS)]
    if task.trains(config):
        each = environments * ENVIRONMENT + (PROCESS if jobs > 1 else 0)
        what = f"training: {jobs} x {environments} environments x {size_text(ENVIRONMENT)}"
        needs.append(Need(what, jobs * each))
    played = _episode_count(config, task)[0]
    workers = min(config.evaluation.workers or cores, max(played, 1))
    if played and workers > 1:
        each = PROCESS + min(TOGETHER, -(-played // workers)) * ENVIRONMENT
        needs.append(Need(f"evaluation: {workers} workers x {size_text(each)}", workers * each))
    return needs


def trainings(config: DAFConfig, task: Task) -> tuple[int, str]:
    """How many trainings there are at most, and how that is counted."""
    if not task.trains(config):
        return 0, ""
    algorithms = config.comparison.trainings * max(1, len(config.comparison.algorithms))
    ablated = config.ablation.trainings * (len(config.ablation.parts) + 1)
    count = max(1, algorithms, ablated)
    sweep = config.sweep
    if not sweep.space or not sweep.n_trials:
        return count, f"{count}"
    trials = sweep.n_trials * sweep.seeds_per_trial + sweep.confirm_seeds
    return trials * count, f"({sweep.n_trials} trials x {sweep.seeds_per_trial} seeds + {sweep.confirm_seeds})"


def _checkpoints(config: DAFConfig, task: Task, output: Path, store: Path | None) -> list[Need]:
    count, counted = trainings(config, task)
    if not count:
        return []
    weights, keep = _weights(config), config.training.max_checkpoints_to_keep
    # One more, which is written before the oldest is dropped.
    each = keep + 1 + OPTIMIZER_STATES
    what = f"checkpoints: {counted} x ({keep} + 1 weights + {OPTIMIZER_STATES} of the optimizer) x {size_text(weights)}"
    needs = [Need(what, count * each * weights, output)]
    if store is not None:
        copies = 1 + OPTIMIZER_STATES
        what = f"MLflow's copies: {counted} x {copies} x {size_text(weights)}"
        needs.append(Need(what, count * copies * weights, store))
    return needs


def _weights(config: DAFConfig) -> int:
    """Bytes of the weights that are given, or those of CoGames' largest."""
    given = user_path(config.policy.weights) if config.policy.weights else None
    return given.stat().st_size if given is not None and is_there(given) and given.is_file() else WEIGHTS


def _episodes(config: DAFConfig, task: Task, output: Path, store: Path | None) -> list[Need]:
    count, counted, cells = _episode_count(config, task)
    agents, steps = config.mission.cogs or AGENTS, config.mission.max_steps or STEPS
    needs = []
    if count:
        each = agents * RECORD
        what = f"records: {counted} episodes x {agents} agents x {size_text(RECORD)} x {RECORD_COPIES} copies"
        needs.append(Need(what, count * each * RECORD_COPIES, output))
        if store is not None:
            needs.append(Need(f"MLflow's copies: {counted} x {size_text(2 * each)}", 2 * count * each, store))
    if count and config.evaluation.replays:
        each = agents * steps * REPLAY
        what = f"replays: {REPLAYS} x {cells} x {agents} agents x {steps} steps x {REPLAY} B"
        needs.append(Need(what, REPLAYS * cells * each, output))
        if store is not None:
            needs.append(Need("MLflow's copies of the replays", REPLAYS * cells * each, store))
    return needs


def _episode_count(config: DAFConfig, task: Task) -> tuple[int, str, int]:
    """Episodes, how they are counted, and pairs of policy and mission; nothing where the missions are not known."""
    try:
        missions = len([key for key in used_missions(config, task).values() if key != "mission"])
    except DAFConfigError:
        return 0, "", 0
    policies = len(used_policies(config, task))
    episodes, cells = config.evaluation.episodes, policies * missions
    return episodes * cells, f"{episodes} x {policies} policies x {missions} missions", cells


def _artifacts(config: DAFConfig) -> Path | None:
    """The folder of MLflow's files, where that is on this machine."""
    try:
        database = sqlite_file(tracking_uri(config.tracking.uri))
    except WrongAddressError:
        return None
    return database.parent if database else None


def existing_folder(path: Path) -> Path:
    """The path, or the nearest above it at which there is something."""
    return next(folder for folder in [path, *path.parents] if os.path.lexists(folder))


def by_disk(needs: Sequence[Need]) -> dict[int, list[Need]]:
    """The needs of each file system that they are written to, by its device number.

    Raises:
        OSError: a folder cannot be looked at.
    """
    found: dict[int, list[Need]] = {}
    for need in needs:
        if need.folder is not None:
            found.setdefault(existing_folder(need.folder).stat().st_dev, []).append(need)
    return found
