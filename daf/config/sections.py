"""What each section of the config decides, said once. Every list of sections elsewhere is derived from here."""

from dataclasses import dataclass
from enum import Enum

from daf.config.schemas import DAFConfig, Schema


class Decides(Enum):
    """What comes out otherwise if a section changes."""

    EXPERIMENT = "what is trained and played"
    AIM = "what is done with it, and what it is judged by"
    ANALYSIS = "the outcome of the tasks that read it"
    NOTHING = "where and how the work is done, not what comes out"


@dataclass(frozen=True, kw_only=True)
class Section:
    """One top-level key of the config.

    Attributes:
        decides: what comes out otherwise if it changes.
        environment: whether it has a part in whether missions build, policies load and files exist.
        sweepable: whether trials of one sweep may differ in it.
        free_keys: keys inside the section that decide nothing.
    """

    decides: Decides
    environment: bool = True
    sweepable: bool = True
    free_keys: frozenset[str] = frozenset()


SECTIONS: dict[str, Section] = {
    "mission": Section(decides=Decides.EXPERIMENT),
    "variant": Section(decides=Decides.EXPERIMENT),
    "policy": Section(decides=Decides.EXPERIMENT, free_keys=frozenset({"trust", "trusted"})),
    "optimizer": Section(decides=Decides.EXPERIMENT, environment=False),
    "training": Section(decides=Decides.EXPERIMENT, environment=False),
    "evaluation": Section(
        decides=Decides.EXPERIMENT,
        free_keys=frozenset({"workers", "cache", "time_limit_s", "start_limit_s", "replays"}),
    ),
    "seed": Section(decides=Decides.EXPERIMENT, environment=False),
    "task": Section(decides=Decides.AIM),
    "objective": Section(decides=Decides.AIM, sweepable=False),
    "comparison": Section(decides=Decides.ANALYSIS),
    "power": Section(decides=Decides.ANALYSIS, environment=False),
    "vor": Section(decides=Decides.ANALYSIS),
    "tournament": Section(decides=Decides.ANALYSIS),
    "benchmark": Section(decides=Decides.ANALYSIS),
    "ablation": Section(decides=Decides.ANALYSIS),
    "analysis": Section(decides=Decides.ANALYSIS),
    "deployment": Section(decides=Decides.ANALYSIS),
    "pipeline": Section(decides=Decides.ANALYSIS),
    "check": Section(decides=Decides.ANALYSIS),
    "runs": Section(decides=Decides.ANALYSIS, environment=False),
    "clean": Section(decides=Decides.ANALYSIS, environment=False),
    "run": Section(decides=Decides.ANALYSIS, environment=False),
    "level": Section(decides=Decides.ANALYSIS, environment=False),
    "device": Section(decides=Decides.NOTHING),
    "tracking": Section(decides=Decides.NOTHING, environment=False, sweepable=False),
    "output_dir": Section(decides=Decides.NOTHING, environment=False, sweepable=False),
    "notify": Section(decides=Decides.NOTHING, environment=False, sweepable=False),
    "watch": Section(decides=Decides.NOTHING, environment=False, sweepable=False),
    "result_format": Section(decides=Decides.NOTHING, environment=False, sweepable=False),
    "sweep": Section(decides=Decides.NOTHING, environment=False, sweepable=False),
}


def _that_decide(*what: Decides) -> tuple[str, ...]:
    return tuple(name for name, section in SECTIONS.items() if section.decides in what)


#: What an experiment consists of: a winner is written down in these.
EXPERIMENT = _that_decide(Decides.EXPERIMENT)
#: What decides the outcome of a trial that the sweep trains and scores by itself.
OF_TRIALS = frozenset(_that_decide(Decides.EXPERIMENT, Decides.AIM))
#: What decides no outcome, as `model_dump(exclude=...)` takes it.
FREE: dict[str, bool | set[str]] = {
    name: True if section.decides is Decides.NOTHING else set(section.free_keys)
    for name, section in SECTIONS.items()
    if section.decides is Decides.NOTHING or section.free_keys
}
#: What all trials of a sweep share.
SAME_FOR_ALL_TRIALS = tuple(name for name, section in SECTIONS.items() if not section.sweepable)
#: What has no part in whether missions build, policies load and files exist (`training.resume` aside).
NOT_ENVIRONMENT = tuple(name for name, section in SECTIONS.items() if not section.environment)


def _is_group(name: str) -> bool:
    annotation = DAFConfig.model_fields[name].annotation
    return isinstance(annotation, type) and issubclass(annotation, Schema)


#: Keys without a dot that hold a value; all others name a config group.
VALUE_KEYS = tuple(name for name in SECTIONS if not _is_group(name))
