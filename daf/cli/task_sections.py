"""Which sections of the config a task reads, for its help, and for what would be given to it in vain."""

from collections.abc import Sequence

from daf.errors import Problem

_GAME = ("mission", "variant")
_PLAYS = ("policy", *_GAME, "evaluation")
_TRAINS = ("policy", *_GAME, "optimizer", "training")

#: Task to the sections that decide what comes out. Tasks that are not here read whatever they pass on to other tasks.
READS: dict[str, tuple[str, ...]] = {
    "train": _TRAINS,
    "evaluate": _PLAYS,
    "compare": ("comparison", *_PLAYS, "optimizer", "training"),
    "power": ("power", "comparison", *_PLAYS, "optimizer", "training"),
    "vor": ("vor", *_PLAYS),
    "tournament": ("tournament", *_GAME, "evaluation"),
    "benchmark": ("benchmark", *_PLAYS),
    "ablation": ("ablation", *_PLAYS, "optimizer", "training"),
    "missions": ("analysis", *_PLAYS),
    "policies": _PLAYS,
    "package": ("deployment", "policy", *_GAME),
    "validate": ("deployment", *_PLAYS),
    "deploy": ("deployment", "policy"),
    "monitor": ("deployment", "comparison", *_GAME, "evaluation"),
    "rollback": ("deployment", *_PLAYS),
    "gate": ("deployment", "comparison", *_PLAYS),
    "submit": ("deployment", "tournament"),
    "deliver": ("tracking",),
    "runs": ("runs",),
    "clean": ("clean",),
}
#: Sections that are some tasks' own: for another one nobody can mean them.
_OWN = ("comparison", "power", "vor", "benchmark", "ablation", "analysis", "runs", "clean")
#: What a sweep of these tasks reads to score each trial by itself.
_BY_SWEEPS = ("evaluation", "vor")
_SCORED_BY_SWEEPS = ("train", "evaluate")
#: Keys with which somebody asks for a search, and not only for how one would be done.
_SEARCHES = ("sweep", "sweep.name", "sweep.n_trials", "sweep.sampler", "sweep.pruner", "sweep.enqueue")

_POLICIES = ("evaluation.policies", "evaluation.baselines")
_OF_COMPARISON = dict.fromkeys(_POLICIES, "comparison.policies")
#: Task to the keys that say who plays, where or how often, and that it does not read, each with the key that it reads.
INSTEAD: dict[str, dict[str, str]] = {
    "train": dict.fromkeys((*_POLICIES, "evaluation.missions"), ""),
    "compare": _OF_COMPARISON,
    "power": _OF_COMPARISON,
    "vor": dict.fromkeys(_POLICIES, "vor.pool"),
    "tournament": {
        **dict.fromkeys(("policy", "policy.weights", "policy.class_path", *_POLICIES), "tournament.policies"),
        "evaluation.episodes": "tournament.seeds",
    },
    "benchmark": {
        **dict.fromkeys(("mission", "mission.name", "evaluation.missions"), "benchmark.suite"),
        "evaluation.policies": "benchmark.algorithms",
        "evaluation.baselines": "benchmark.scripted",
    },
    "ablation": dict.fromkeys(_POLICIES, "policy"),
}


def given_in_vain(task: str, overrides: Sequence[str], *, sweeps: bool = False) -> list[Problem]:
    """What the command line says and the task does not read, though who typed it must believe that it does.

    Args:
        sweeps: whether the task is swept.
    """
    if task not in READS:
        return []
    keys = [text.partition("=")[0].lstrip("+~").partition("@")[0] for text in overrides]
    searches = [] if sweeps else [key for key in keys if key in _SEARCHES]
    if searches:
        return [Problem(key, "is only for sweeps.", "Add -m, with the keys to search.") for key in searches]
    found = [_problem(task, key) for key in keys]
    read = _BY_SWEEPS if sweeps and task in _SCORED_BY_SWEEPS else ()
    return [problem for problem in found if problem and problem.where.partition(".")[0] not in read]


def _problem(task: str, key: str) -> Problem | None:
    section = key.partition(".")[0]
    if section in _OWN and section not in READS[task]:
        readers = " or ".join(f"task={name}" for name, sections in READS.items() if section in sections)
        return Problem(key, f"is not read by task={task}.", f"Leave it out, or write {readers}.")
    if key not in INSTEAD.get(task, {}):
        return None
    instead = INSTEAD[task][key]
    hint = f"Write {instead}=..." if instead else "Evaluate what it gives with task=evaluate."
    return Problem(key, f"is not read by task={task}.", hint)
