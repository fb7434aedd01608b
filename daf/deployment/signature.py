"""What a deployed policy takes and gives where MLflow plays it.

In, one row an episode: `mission` (a name such as ``cogsguard_arena.basic``), `seed`, and if wanted `cogs` (agents of
the team), `max_steps` and `variants` (joined by commas). Out, a row for each: `mission`, `seed`, `reward` (mean per
agent), `steps`, `timeouts` (actions that were too slow) and `stats` (JSON: ``{"game": {...}, "agent": {...}}``, the
agents' means).
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from daf.bridge.bundles import read_bundle
from daf.bridge.missions import agent_count
from daf.episodes.outcomes import EpisodeFailure
from daf.episodes.play import daf_play_episodes
from daf.errors import DAFError
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

WANTED = (("mission", "string", True), ("seed", "long", True))
OPTIONAL = (("cogs", "long", False), ("max_steps", "long", False), ("variants", "string", False))
GIVEN = (
    ("mission", "string"),
    ("seed", "long"),
    ("reward", "double"),
    ("steps", "long"),
    ("timeouts", "long"),
    ("stats", "string"),
)


def signature() -> "ModelSignature":
    """The columns in and out, as MLflow checks them."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = [ColSpec(kind, name, required) for name, kind, required in (*WANTED, *OPTIONAL)]
    return ModelSignature(Schema(inputs), Schema([ColSpec(kind, name) for name, kind in GIVEN]))


def bundled_policy(bundle: Path, *, trust: bool | tuple[str, ...]) -> PolicySpec:
    """The policy that is in a bundle."""
    return PolicySpec(
        name=bundle.name, class_path=read_bundle(bundle).class_path, weights=str(bundle.absolute()), trust=trust
    )


def play(bundle: Path, episodes: pd.DataFrame, *, trust: bool) -> pd.DataFrame:
    """Plays one episode for each row.

    Raises:
        DAFError: an episode cannot be played.
    """
    policy = bundled_policy(bundle, trust=trust)
    plans = [_plan(policy, row) for row in episodes.to_dict("records")]
    outcomes = daf_play_episodes(plans)
    rows = []
    for outcome in outcomes:
        if isinstance(outcome, EpisodeFailure):
            raise DAFError(f"{outcome.plan.mission.name} (seed {outcome.plan.seed}) failed: {outcome.reason}")
        rows.append(_row(outcome))
    return pd.DataFrame(rows, columns=[name for name, _ in GIVEN])


def _plan(policy: PolicySpec, row: dict[Any, Any]) -> EpisodePlan:
    given = {key: value for key, value in row.items() if value is not None and not pd.isna(value)}
    mission = MissionSpec(
        name=str(given["mission"]),
        cogs=int(given["cogs"]) if "cogs" in given else None,
        max_steps=int(given["max_steps"]) if "max_steps" in given else None,
        variants=tuple(name.strip() for name in str(given.get("variants", "")).split(",") if name.strip()),
    )
    return EpisodePlan(
        mission=mission, policies=(policy,), assignments=(0,) * agent_count(mission), seed=int(given["seed"])
    )


def _row(record: EpisodeRecord) -> tuple[object, ...]:
    stats = {"game": record.stats["game"], "agent": record.agent_stats()}
    return (
        record.mission_name,
        record.seed,
        record.reward(),
        record.steps,
        sum(record.action_timeouts),
        json.dumps(stats, sort_keys=True),
    )
