"""How the scores of a suite are shown."""

from daf.comparison.benchmark_suite.normalised import AlgorithmScore, SuiteScores
from daf.comparison.benchmark_suite.scales import Scale
from daf.results import ResultTable
from daf.visualization.algorithm_tables import algorithm_pairs_table
from daf.visualization.text import estimate_cells, level_text, number_text


def suite_tables(scores: SuiteScores, suite: str, episodes: int) -> tuple[ResultTable, ...]:
    """The ranking, if there is a mission with a scale, every mission, and the algorithms in pairs.

    Args:
        suite: its name.
        episodes: of every policy on every mission.
    """
    tables = [_ranking(scores, suite, episodes)] if scores.scored else []
    tables.append(_by_mission(scores))
    if scores.pairs:
        tables.append(algorithm_pairs_table(scores.pairs, scores.level, "Benchmark, algorithms in pairs"))
    return tuple(tables)


def _ranking(scores: SuiteScores, suite: str, episodes: int) -> ResultTable:
    missions = str(sum(scale.usable for scale in scores.scales))
    rows = [
        (
            algorithm.name,
            *estimate_cells(algorithm.score),
            missions,
            f"{episodes if algorithm.unit == 'episodes' else algorithm.trainings} {algorithm.unit}",
        )
        for algorithm in sorted((*scores.algorithms, *scores.scripted), key=lambda algorithm: -algorithm.score.value)
    ]
    interval = f"{level_text(scores.level)} interval"
    head = ("algorithm", "normalised score", interval, "missions", "interval over")
    return ResultTable(f"Benchmark {suite}", head, tuple(rows))


def _by_mission(scores: SuiteScores) -> ResultTable:
    rows = [
        (
            scale.mission,
            "yes" if scale.usable else "no",
            number_text(scale.noop),
            _best_cell(scale),
            *(_mission_cell(algorithm, scale.mission) for algorithm in scores.algorithms),
        )
        for scale in scores.scales
    ]
    head = (
        "mission",
        "counts",
        "noop",
        "best scripted",
        *(f"{each.name}: reward (score)" for each in scores.algorithms),
    )
    return ResultTable("Benchmark by mission", head, tuple(rows))


def _best_cell(scale: Scale) -> str:
    return f"{number_text(scale.best)} ({scale.best_policy})"


def _mission_cell(algorithm: AlgorithmScore, mission: str) -> str:
    score = f" ({number_text(algorithm.missions[mission])})" if mission in algorithm.missions else ""
    return f"{number_text(algorithm.rewards[mission])}{score}"


def suite_notes(scores: SuiteScores, episodes: int) -> list[str]:
    """What the user should know about the intervals, and which missions have no score."""
    from daf.statistics import reliability

    notes = [
        note
        for algorithm in scores.algorithms
        if algorithm.trainings > 1
        for note in reliability(algorithm.trainings, f"trainings of {algorithm.name}")
    ]
    if any(algorithm.trainings == 1 for algorithm in scores.algorithms):
        notes += reliability(episodes, "episodes a mission")
    notes += [f"{scale.mission} does not count: {scale.why_not}." for scale in scores.scales if not scale.usable]
    if not scores.scored:
        notes.append("Another reward (variant=mining, for example) or more episodes may tell them apart.")
    return notes
