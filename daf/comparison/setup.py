"""Where a comparison comes from, for a report that is read by somebody else: what ran, on what, by whom."""

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from daf.config.schemas import DAFConfig
from daf.records import EpisodeRecord, MissionSpec, PolicySpec
from daf.redaction import redactor
from daf.results import ResultTable
from daf.tracking.provenance import package_versions
from daf.tracking.tracker import Tracker
from daf.visualization.findings import ReplayLink, ReportSetup
from daf.visualization.replays.recording import RecordedEpisode
from daf.visualization.text import NO_VALUE, number_text

#: Packages whose versions decide what a comparison finds.
VERSIONS = ("daf", "cogames", "mettagrid", "torch", "numpy")
#: Digits of a digest that tell files apart at a glance.
DIGITS = 12


def report_setup(
    config: DAFConfig,
    tracker: Tracker,
    missions: Sequence[MissionSpec],
    policies: Sequence[PolicySpec],
    records: Sequence[EpisodeRecord],
    replays: Sequence[RecordedEpisode] = (),
) -> ReportSetup:
    """What the report of a run says about the run.

    Args:
        records: of single policies.
        replays: of the same policies, where they were recorded.
    """
    return ReportSetup(
        facts=_facts(config, tracker, missions, records),
        command=_typed(tracker.output_dir),
        policies=_policies(policies, records),
        replays=tuple(_links(replays, tracker.output_dir / "comparison")),
    )


def _facts(
    config: DAFConfig, tracker: Tracker, missions: Sequence[MissionSpec], records: Sequence[EpisodeRecord]
) -> dict[str, str]:
    versions = {name: version for name, version in package_versions().items() if name in VERSIONS}
    lengths = sorted({record.max_steps for record in records})
    return {
        "date": f"{datetime.now():%Y-%m-%d %H:%M}",
        "experiment": config.tracking.experiment,
        "MLflow run": tracker.run_id,
        "missions": ", ".join(mission.name for mission in missions),
        "variants": ", ".join(dict.fromkeys(name for mission in missions for name in mission.variants)) or "none",
        "cogs": " or ".join(map(str, sorted({len(record.assignments) for record in records}))),
        "episode length": f"{' or '.join(f'{length:,}' for length in lengths)} steps",
        "seeds": _ranges({record.seed for record in records}),
        "played by": f"the {' and the '.join(sorted({record.backend for record in records}))} backend",
        "folder": redactor().text(str(tracker.output_dir)),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers in words: ``3 to 7, 12``."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in spans)


def _typed(output_dir: Path) -> str | None:
    """The command of a run, as its own record of it says: without secrets."""
    try:
        overrides = yaml.safe_load((output_dir / "overrides.yaml").read_text())
    except (OSError, yaml.YAMLError):
        return None
    return f"python -m daf.run {shlex.join(map(str, overrides))}" if overrides else None


def _policies(policies: Sequence[PolicySpec], records: Sequence[EpisodeRecord]) -> ResultTable:
    digests = {record.policies[0]: record.policy_digests[0] for record in records}
    rows = [
        (
            policy.name,
            policy.class_path,
            digests.get(policy.name, NO_VALUE)[:DIGITS],
            redactor().text(policy.weights or NO_VALUE),
            _training(policy.weights),
        )
        for policy in policies
    ]
    return ResultTable("What played", ("policy", "class", "digest", "weights", "trained"), tuple(rows))


def _training(weights: str | None) -> str:
    """How weights were trained, as the config beside their checkpoint says."""
    if weights is None:
        return NO_VALUE
    try:
        path = Path(weights)
        config = yaml.safe_load(((path if path.is_dir() else path.parent).parent / "config.yaml").read_text())
        return _training_of(config)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):  # a bundle, somebody else's folder
        return "not known"


def _training_of(config: dict[str, Any]) -> str:
    mission, names = config["mission"], config["variant"]["names"]
    variants = f" ({', '.join(names)})" if names else ""
    cogs = f" with {mission['cogs']} cogs" if mission["cogs"] else ""
    steps = int(config["training"]["num_steps"])
    return f"{steps:,} agent steps on {mission['name']}{variants}{cogs}, seed {config['seed']}"


def _links(replays: Sequence[RecordedEpisode], folder: Path) -> Iterator[ReplayLink]:
    """One link a page, with the rewards of its episodes."""
    pages = dict.fromkeys(replay.viewer for replay in replays)
    for page in pages:
        shown = [replay for replay in replays if replay.viewer == page]
        rewards = ", ".join(f"{replay.label} {number_text(replay.record.reward())}" for replay in shown)
        record = shown[0].record
        about = f"{record.policies[0]} on {record.mission_name}: {rewards}"
        yield ReplayLink(about=about, href=Path(os.path.relpath(page, folder)).as_posix())
