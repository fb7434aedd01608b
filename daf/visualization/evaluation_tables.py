"""Evaluated policies as tables: a summary for people, every episode for programs."""

from collections.abc import Sequence

from daf.records import EpisodeRecord
from daf.results import ResultTable
from daf.visualization.columns import Scored, pick, scored_columns, table


def evaluation_table(scores: Sequence[Scored], missions: Sequence[str], level: float) -> ResultTable:
    """Mean reward per agent with its interval over episodes, for every policy and mission."""
    several = len(missions) > 1
    names = ("policy", *(("mission",) if several else ()), "episodes", "mean", "mean_interval", "std")
    title = "Evaluation" if several else f"Evaluation on {missions[0]}"
    return table(title, pick(scored_columns("reward", level), names), scores)


def episodes_csv(records: Sequence[EpisodeRecord]) -> str:
    """One row an episode: what was played, the reward, and every game and mean agent stat."""
    import pandas as pd

    rows = [
        {
            "policy": " + ".join(record.policies),
            "mission": record.mission,
            "seed": record.seed,
            "reward": record.reward(),
            "steps": record.steps,
            "timeouts": sum(record.action_timeouts),
            "wall_time_s": record.wall_time_s,
            "backend": record.backend,
            **{f"game/{name}": value for name, value in record.stats["game"].items()},
            **{f"agent/{name}": value for name, value in record.agent_stats().items()},
        }
        for record in records
    ]
    return pd.DataFrame(rows).to_csv(index=False)
