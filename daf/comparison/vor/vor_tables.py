"""How values over replacement are shown."""

from collections.abc import Sequence

from daf.comparison.vor.values import VorFindings
from daf.config.schemas import DAFConfig
from daf.records import EpisodePlan
from daf.results import ResultTable
from daf.scoring_analysis import Vor
from daf.visualization.text import ALL_MISSIONS, NO_VALUE, count_text, estimate_cells, level_text

Mixes = dict[tuple[str, int], str]


def vor_tables(candidate: str, findings: VorFindings, plans: Sequence[EpisodePlan]) -> tuple[ResultTable, ...]:
    """One table a mission, with the pool's share of every team, and one of the overall values."""
    mixes = {(plan.mission.name, plan.assignments.count(0)): _mix(plan) for plan in plans}
    per_mission = [_mission_table(candidate, vor, mixes) for vor in findings.missions]
    totals = [(vor.mission, *estimate_cells(vor.overall, "+")) for vor in findings.missions]
    if len(totals) > 1:
        totals.append((ALL_MISSIONS, *estimate_cells(findings.overall, "+")))
    return (*per_mission, ResultTable("Overall VOR", ("mission", "VOR", "interval"), tuple(totals)))


def _mix(plan: EpisodePlan) -> str:
    return "/".join(str(plan.assignments.count(index)) for index in range(1, len(plan.policies)))


def _mission_table(candidate: str, vor: Vor, mixes: Mixes) -> ResultTable:
    seeds = count_text(len(vor.seeds))
    rows = [
        (
            str(count.candidate_agents),
            mixes[vor.mission, count.candidate_agents],
            seeds,
            *estimate_cells(count.score),
            *estimate_cells(count.vor, "+"),
        )
        for count in vor.counts
    ]
    rows.append(("0", mixes[vor.mission, 0], seeds, *estimate_cells(vor.replacement), NO_VALUE, NO_VALUE))
    head = ("candidate agents", "pool mix", "seeds", "score", "interval", "VOR", "VOR interval")
    return ResultTable(f"{candidate} on {vor.mission}", head, tuple(rows))


def vor_notes(findings: VorFindings, pool: Sequence[str], config: DAFConfig) -> list[str]:
    """What the user should know about the numbers."""
    from daf.statistics import reliability

    seeds = len(findings.missions[0].seeds)
    lost = config.evaluation.episodes - seeds
    notes = [f"Pool order: {', '.join(pool)}. Intervals at {level_text(config.vor.level)}, over seeds."]
    if lost:
        notes.append(f"{lost} seeds were left out, since an episode on them failed.")
    notes += reliability(seeds, "seeds")
    if config.vor.fixed_map:
        notes.append("All episodes of a mission share one map, as in cogames.pickup; vor.fixed_map=false varies it.")
    if all(count.vor.value == 0 for vor in findings.missions for count in vor.counts):
        notes.append(
            "Every value is 0: this reward does not tell the policies apart. A variant such as credit or"
            " objective_mine may."
        )
    return notes
