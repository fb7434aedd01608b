"""The tables of a comparison: the same facts for people and for programs."""

import numpy as np
import pytest

from daf.results import ResultTable
from daf.statistics import score_profiles
from daf.visualization import ComparisonFindings, daf_generate_leaderboard
from daf.visualization.comparison_tables import exact_tables, pairs_table, summary_table, versus_table
from daf.visualization.groups import policy_groups
from tests.made_up import made_up_comparison


def findings(missions: int) -> ComparisonFindings:
    noise = np.random.default_rng(0).normal(size=(3, missions, 20))
    comparison, scores = made_up_comparison(noise + np.array([9.0, 0.0, 0.1])[:, None, None])
    return ComparisonFindings(comparison=comparison, scores=scores, profiles=score_profiles(scores))


def column(table: ResultTable, name: str) -> list[str]:
    return [row[table.columns.index(name)] for row in table.rows]


@pytest.mark.parametrize(("missions", "scopes"), [(1, 1), (2, 3)])
def test_a_single_mission_is_not_shown_twice(missions: int, scopes: int) -> None:
    comparison = findings(missions).comparison
    for table in (summary_table(comparison, "reward"), pairs_table(comparison)):
        assert len(table.rows) == 3 * scopes
        assert ("mission" in table.columns) == (missions > 1)


def test_people_and_programs_are_given_the_same_numbers() -> None:
    found = findings(2)
    exact = exact_tables(found)
    people, programs = summary_table(found.comparison, "reward"), exact["summaries"]
    assert column(people, "policy") == column(programs, "policy")
    assert [float(text) for text in column(people, "mean reward")] == pytest.approx(
        [float(text) for text in column(programs, "mean")], abs=5e-5
    )
    bounds = zip(column(programs, "mean_low"), column(programs, "mean_high"), strict=True)
    assert column(people, "95% interval") == [f"{float(low):.4f} to {float(high):.4f}" for low, high in bounds]
    pair = found.comparison.pair("a", "b")
    assert float(column(exact["pairs"], "difference")[0]) == pair.difference.value
    assert column(exact["pairs"], "significant")[0] == "true"
    assert len(exact["tests"].rows) == 3 * 3 * 3
    assert [float(value) for value in column(exact["scores"], "reward")] == found.scores.values.ravel().tolist()


def test_the_first_policy_against_every_other() -> None:
    table = versus_table(findings(2).comparison)
    assert table.title == "a on all missions, paired by seed"
    assert column(table, "against") == ["b", "c"]
    assert column(table, "verdict") == ["higher", "higher"]
    assert column(table, "episodes") == ["40", "40"]


def test_many_policies_are_grouped_by_letters() -> None:
    noise = np.random.default_rng(3).normal(size=(4, 2, 20))
    means = np.array([[0, 0], [9, 0], [9, 0], [20, 20]], dtype=float)
    comparison, _ = made_up_comparison(noise + means[..., None])
    table = summary_table(comparison, "reward")
    groups = dict(
        zip(zip(column(table, "policy"), column(table, "mission"), strict=True), column(table, "group"), strict=True)
    )
    assert [groups[policy, "all missions"] for policy in "dcba"] == ["a", "b", "b", "c"]
    assert [groups[policy, "m1"] for policy in "dcba"] == ["a", "b", "b", "b"]
    less = summary_table(comparison, "agent/death", "minimize")
    assert dict(zip(column(less, "policy")[:4], column(less, "group")[:4], strict=True)) == dict(
        zip("abcd", "abbc", strict=True)
    )
    assert "group" not in summary_table(findings(1).comparison, "reward").columns


def test_groups_are_for_those_who_were_tested() -> None:
    comparison, _ = made_up_comparison(np.random.default_rng(3).normal(size=(4, 1, 4)))
    assert policy_groups(comparison, "maximize") == {}


def test_the_leaderboard_shows_the_summary_in_another_order(tmp_path_factory: pytest.TempPathFactory) -> None:
    comparison = findings(1).comparison
    board = daf_generate_leaderboard(comparison, tmp_path_factory.mktemp("board"), metric="reward")
    summary = summary_table(comparison, "reward")
    shown = dict(zip(column(summary, "policy"), column(summary, "95% interval"), strict=True))
    assert dict(zip(column(board, "policy"), column(board, "95% interval"), strict=True)) == shown
