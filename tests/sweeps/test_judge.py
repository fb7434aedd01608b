"""Who is crowned: a winner needs a significant difference from the baseline, or else from the runner-up."""

import json

import numpy as np
import pytest

from daf.sweeps.judge import LONGEST_NAME, Candidate, Confirmation, confirmation_json, judge

NOISE = np.random.default_rng(0).normal(0.0, 0.1, (2, 10))


def _candidate(number: int, mean: float, *, jitter: int = 0) -> Candidate:
    """Two strata of ten episodes around a mean; candidates share most of the seeds' luck."""
    luck = np.random.default_rng(100 + number + jitter).normal(0.0, 0.02, NOISE.shape)
    samples = tuple(tuple(map(float, stratum)) for stratum in mean + NOISE + luck)
    return Candidate(number=number, name=f"lr={number}", samples=samples)


def _judge(*found: Candidate, baseline: int | None = None, maximize: bool = True) -> Confirmation:
    return judge(found, baseline, named_before=found[0].number, maximize=maximize, level=0.95)


def test_the_best_wins_against_the_baseline() -> None:
    result = _judge(_candidate(0, 1.0), _candidate(1, 2.0), _candidate(2, 1.9), baseline=0)
    assert (result.best, result.winner) == (1, 1)
    assert result.verdict.startswith("The winner is trial 1 (lr=1). Against the baseline: ")
    assert "Against the runner-up: " in result.verdict
    assert result.mean == pytest.approx(2.0, abs=0.1)
    assert result.interval is not None
    assert result.interval[0] < result.mean < result.interval[1]


def test_a_winner_over_the_baseline_need_not_beat_the_runner_up() -> None:
    twins = (_candidate(1, 2.0), _candidate(2, 2.0))
    assert _judge(_candidate(0, 1.0), *twins, baseline=0).winner in (1, 2)
    assert _judge(*twins).winner is None


def test_nothing_beats_a_baseline_that_is_best() -> None:
    result = _judge(_candidate(0, 2.0), _candidate(1, 1.0), baseline=0)
    assert (result.best, result.winner) == (0, None)
    assert result.verdict.startswith("No winner: nothing beats the baseline, trial 0 (lr=0).")


def test_without_a_significant_difference_nobody_wins() -> None:
    result = _judge(_candidate(0, 1.0), _candidate(1, 1.0), baseline=0)
    assert result.winner is None
    same = _candidate(0, 1.0)
    equal = _judge(same, Candidate(number=1, name="lr=1", samples=same.samples))
    assert equal.winner is None
    assert "no significant difference" in equal.verdict


def test_less_is_better_where_it_is_minimised() -> None:
    found = (_candidate(0, 2.0), _candidate(1, 1.0))
    assert _judge(*found, baseline=0, maximize=False).winner == 1
    assert _judge(*found, baseline=0, maximize=True).winner is None
    assert [row[0] for row in _judge(*found, maximize=False).table.rows] == ["1", "0"]


def test_one_alone_wins_nothing() -> None:
    result = _judge(_candidate(3, 1.0))
    assert (result.best, result.winner) == (3, None)
    assert result.verdict == "Only trial 3 (lr=3) was confirmed, so there is nothing to compare it with."


def test_without_a_baseline_the_runner_up_must_be_beaten() -> None:
    result = _judge(_candidate(0, 1.0), _candidate(1, 2.0), _candidate(2, 0.5))
    assert result.winner == 1
    assert "baseline" not in result.verdict
    assert "Against the runner-up: " in result.verdict


def test_a_baseline_that_has_no_scores_crowns_nobody() -> None:
    assert _judge(_candidate(1, 1.0), _candidate(2, 2.0), baseline=0).winner is None


def test_the_table_holds_all_candidates_best_first() -> None:
    table = _judge(_candidate(0, 1.0), _candidate(1, 2.0), _candidate(2, 0.5), baseline=0).table
    assert [row[0] for row in table.rows] == ["1", "0 (baseline)", "2"]
    assert table.columns[3] == "95% interval"
    assert [row[4] for row in table.rows] == ["20"] * 3
    assert table.rows[0][5] == "-"
    assert all(float(row[5]) < 0.05 for row in table.rows[1:])


@pytest.mark.parametrize("baseline", [None, 0])
def test_four_configs_that_are_equal_in_law_crown_nobody(baseline: int | None) -> None:
    """With the spreads of a real confirmation: a training 0.055, an evaluation seed 0.365, the rest 0.077."""
    rng = np.random.default_rng(5)
    crowned = []
    for _ in range(50):
        seeds = rng.normal(0, 0.365, (5, 32))
        scores = (rng.normal(0, 0.055, (4, 5, 1)) + seeds + rng.normal(0, 0.077, (4, 5, 32))).mean(axis=2)
        found = [Candidate(number=i, name=str(i), samples=(tuple(each),)) for i, each in enumerate(scores.tolist())]
        crowned.append(_judge(*found, baseline=baseline).winner is not None)
    assert np.mean(crowned) <= 0.06


def test_a_stricter_level_asks_for_more() -> None:
    found = [_candidate(0, 1.0), _candidate(1, 1.015)]
    winners = {level: judge(found, 0, named_before=0, maximize=True, level=level).winner for level in (0.6, 0.999999)}
    assert winners == {0.6: 1, 0.999999: None}


def test_a_long_name_stays_out_of_sentences() -> None:
    candidate = Candidate(number=4, name="x" * (LONGEST_NAME + 1), samples=((1.0,),))
    assert candidate.label == "trial 4"


def test_the_finding_as_json() -> None:
    result = _judge(_candidate(0, 1.0), _candidate(1, 2.0), baseline=0)
    content = json.loads(confirmation_json(result))
    assert (content["best"], content["winner"], content["mean"]) == (1, 1, result.mean)
    assert content["verdict"] == result.verdict
