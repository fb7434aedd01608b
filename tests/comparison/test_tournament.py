"""The local tournament: who meets whom, what it is scored by, and what a newcomer changes."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from daf.comparison.tournament import TournamentResult, daf_run_tournament
from daf.comparison.tournament.matches import pair_plans, solo_plans
from daf.comparison.tournament.season_table import season_notes, season_table
from daf.comparison.tournament.standings import matches_by_seed, pairwise_vor, rank_policies, rate, season_scores
from daf.config import DAFConfig
from daf.episodes.plans import planner
from daf.errors import DAFConfigError, DAFError
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec
from daf.run import daf_run
from daf.scoring_analysis import daf_compute_vor, daf_compute_weighted_score
from daf.tracking.tracker import Tracker
from daf.visualization.text import p_text
from tests.made_up import made_up_record
from tests.promised_results import keeps_promises

Load = Callable[..., DAFConfig]
ARENA = MissionSpec(name="cogsguard_arena.basic", cogs=4, max_steps=20)
NOOP, STARTER, RANDOM, CALM = (
    PolicySpec(name=name, class_path=path, init_kwargs=kwargs)
    for name, path, kwargs in (
        ("noop", "noop", {}),
        ("starter", "starter", {}),
        ("random", "random", {}),
        ("calm", "random", {"vibe_action_p": 0.0}),
    )
)
TOURNAMENT = ("task=tournament", "variant=mining", "mission.cogs=3", "mission.max_steps=40", "tournament.seeds=2")


def test_every_pair_meets_on_every_seed_with_seats_swapped(tiny: Load) -> None:
    plans = pair_plans([ARENA], [NOOP, STARTER, RANDOM], range(6), planner(tiny()))
    assert len(plans) == 3 * 6 * 2
    for first, second in zip(plans[::2], plans[1::2], strict=True):
        assert (first.seed, first.policies) == (second.seed, second.policies)
        assert tuple(1 - seat for seat in first.assignments) == second.assignments
        assert set(first.assignments) == {0, 1}
    proportions = [plan.assignments.count(0) for plan in plans[:12:2]]
    assert sorted(proportions) == [1, 1, 2, 2, 3, 3]
    assert len({plan.assignments for plan in plans}) > 8


def test_a_newcomer_changes_no_match_wherever_it_stands_in_the_list(tiny: Load) -> None:
    make_plan = planner(tiny())
    old = pair_plans([ARENA], [NOOP, STARTER, RANDOM], range(3), make_plan)
    for policies in ([CALM, NOOP, STARTER, RANDOM], [STARTER, RANDOM, CALM, NOOP]):
        new = pair_plans([ARENA], policies, range(3), make_plan)
        others = [plan for plan in new if CALM not in plan.policies]
        assert sorted(map(repr, others)) == sorted(map(repr, old))
        assert len(new) == 2 * len(old)
    more_seeds = pair_plans([ARENA], [NOOP, STARTER, RANDOM], range(5), make_plan)
    assert all(plan in more_seeds for plan in old)


def test_only_what_is_missing_is_played(
    tiny: Load, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    small = (*TOURNAMENT, "mission.max_steps=10", "evaluation.cache=on")
    before = daf_run(tiny(*small, "tournament.policies=[noop,starter]"))
    after = daf_run(tiny(*small, "tournament.policies=[miner,noop,starter]", f"output_dir={tmp_path / 'after'}"))
    assert isinstance(before, TournamentResult)
    assert isinstance(after, TournamentResult)
    assert (len(before.records), before.cached) == (2 * 2 + 2 * 2, 0)
    assert (len(after.records), after.cached) == (2 * 3 + 2 * 2 * 3, 8)
    kept = [record for record in after.records if "miner" not in record.policies]
    assert sorted(map(repr, kept)) == sorted(map(repr, before.records))
    assert "18 matches, 8 of them played before" in after.notes[0]


def test_scores_are_the_seasons_and_the_better_policy_leads(tiny: Load, tracker: Tracker, store: str) -> None:
    config = tiny(*TOURNAMENT, "tournament.policies=[noop,miner,random]", "tournament.seeds=5")
    result = daf_run_tournament(config, tracker)
    keeps_promises("tournament", result)
    assert result.standings[0].policy == "miner"
    assert [standing.rank for standing in result.standings] == [1, 2, 3]
    pooled = daf_compute_weighted_score(result.records)
    for standing in result.standings:
        assert standing.score.value == pytest.approx(pooled[standing.policy])
        assert (standing.score.interval is None) == (standing.policy == "noop"), "its scores never vary"
        assert standing.matches == 5 * (1 + 2 * 2)
    first, last = result.standings[0], result.standings[-1]
    assert first.vor.value > 0 > last.vor.value
    assert first.rating > 25 > last.rating
    assert all(0 < standing.rating_sd < 25 / 3 for standing in result.standings)
    (table,) = result.tables
    assert [row[0] for row in table.rows] == [standing.policy for standing in result.standings]
    tracker.close("FINISHED")
    client = MlflowClient(store)
    metrics = client.get_run(tracker.run_id).data.metrics
    assert metrics["tournament/score/miner"] == pytest.approx(pooled["miner"])
    assert metrics["tournament/rank/miner"] == 1
    files = {item.path for folder in ("tournament", "plots") for item in client.list_artifacts(tracker.run_id, folder)}
    assert files == {"tournament/episodes.jsonl", "tournament/leaderboard.json", "plots/tournament.png"}
    stored = json.loads((tracker.output_dir / "tournament" / "leaderboard.json").read_text())
    assert [each["policy"] for each in stored["standings"]] == [standing.policy for standing in result.standings]


def test_vor_against_one_other_is_pickups_with_that_pool(tiny: Load, tracker: Tracker) -> None:
    """Two policies, one seed: the same episodes, given to `daf_compute_vor` as those of a candidate and its pool."""
    config = tiny(*TOURNAMENT, "tournament.policies=[noop,miner]", "tournament.seeds=1", "evaluation.replays=true")
    result = daf_run_tournament(config, tracker)
    pages = [Path(note.removeprefix("Replays: ")) for note in result.notes if note.startswith("Replays: ")]
    assert [page.parent.name.split("-")[1] for page in pages] == ["noop", "miner"], "each with a team of its own"
    assert all(page.is_file() for page in pages)
    for candidate, other in (("miner", "noop"), ("noop", "miner")):
        seated = [
            dataclasses.replace(
                record,
                policies=(candidate, other),
                assignments=tuple(int(record.policies[seat] != candidate) for seat in record.assignments),
            )
            for record in result.records
        ]
        (standing,) = (each for each in result.standings if each.policy == candidate)
        assert standing.vor.value == pytest.approx(daf_compute_vor(seated).overall.value)
        assert standing.vor.interval is None


def test_a_policy_that_cannot_finish_is_disqualified_and_the_others_go_on(tiny: Load, tracker: Tracker) -> None:
    config = tiny(*TOURNAMENT, "tournament.policies=[noop,chaos-monkey,miner]")
    result = daf_run_tournament(config, tracker)
    assert result.disqualified == ("chaos-monkey",)
    assert {standing.policy for standing in result.standings} == {"noop", "miner"}
    assert any("chaos-monkey is disqualified" in note for note in result.notes)
    assert not any("left out" in note for note in result.notes)
    with pytest.raises(DAFError, match="fewer than two policies"):
        daf_run_tournament(tiny(*TOURNAMENT, "tournament.policies=[noop,chaos-monkey]"), tracker)


def test_wrong_requests(tiny: Load, tracker: Tracker) -> None:
    with pytest.raises(DAFConfigError, match=r"tournament.policies: holds fewer than two"):
        daf_run(tiny(*TOURNAMENT, "tournament.policies=[noop]"))
    with pytest.raises(DAFConfigError, match="1 agent, which no two policies can share"):
        daf_run_tournament(tiny(*TOURNAMENT, "mission.cogs=1", "tournament.policies=[noop,miner]"), tracker)


def test_the_rating_orders_policies_and_knows_ties() -> None:
    rng = np.random.default_rng(1)
    skill = np.array([0.0, 1.0, 2.0])
    scores = skill[:, None, None] + rng.normal(0, 0.5, (3, 2, 40))
    few, many = rate(scores[:, :, :4]), rate(scores)
    assert many[0][0] < many[1][0] < many[2][0]
    assert all(late[1] < early[1] for early, late in zip(few, many, strict=True))
    for mean, _ in rate(np.full((3, 1, 5), 0.1) * np.array([1, 1 + 1e-15, 1])[:, None, None]):
        assert mean == pytest.approx(25)


def record(plan: EpisodePlan, reward: dict[str, float]) -> EpisodeRecord:
    """A match in which every agent of a policy earns the same."""
    names = [policy.name for policy in plan.policies]
    rewards = [reward[names[seat]] for seat in plan.assignments]
    return made_up_record(plan.assignments, rewards, policies=names, mission=ARENA.name, seed=plan.seed)


def test_scores_by_hand(tiny: Load) -> None:
    """Three policies whose agents always earn 1, 2 and 4, no matter who sits beside them."""
    reward = {"noop": 1.0, "starter": 2.0, "random": 4.0}
    policies, make_plan = [NOOP, STARTER, RANDOM], planner(tiny())
    plans = [*solo_plans([ARENA], policies, [0], make_plan), *pair_plans([ARENA], policies, [0], make_plan)]
    matches = matches_by_seed([record(plan, reward) for plan in plans], [ARENA.name])
    assert season_scores(matches, list(reward)).ravel() == pytest.approx([1, 2, 4])
    assert pairwise_vor(matches, "random", list(reward)).ravel() == pytest.approx([((4 - 1) + (4 - 2)) / 2])


def test_the_table_says_who_is_below_the_leader_and_how_sure_that_is(tiny: Load) -> None:
    rng, names, make_plan = np.random.default_rng(0), ["noop", "starter"], planner(tiny())
    earned = [{"noop": 1 + rng.normal(0, 0.1), "starter": 2 + rng.normal(0, 0.1)} for _ in range(8)]
    plans = solo_plans([ARENA], [NOOP, STARTER], range(8), make_plan)
    plans += pair_plans([ARENA], [NOOP, STARTER], range(8), make_plan)
    season = rank_policies([record(plan, earned[plan.seed]) for plan in plans], names, [ARENA.name], level=0.95)
    leader, other = season_table(season).rows
    assert (leader[0], leader[-1]) == ("starter", "-")
    assert other[-1] == f"starter is higher (p {p_text(season.comparison.pair(*names).p_value)})"
    assert season_notes(season) == ["8 seeds: intervals are only reliable from 20 on"]
    assert season.samples["starter"] == pytest.approx([reward["starter"] for reward in earned])
    few = [record(plan, earned[plan.seed]) for plan in plans if plan.seed < 4]
    table = season_table(rank_policies(few, names, [ARENA.name], level=0.95))
    assert table.rows[1][-1] == "not enough episodes (4 of 5)"


def test_four_policies_are_grouped_by_letters(tiny: Load) -> None:
    policies, make_plan, rng = [NOOP, STARTER, RANDOM, CALM], planner(tiny()), np.random.default_rng(0)
    plans = [*solo_plans([ARENA], policies, range(8), make_plan), *pair_plans([ARENA], policies, range(8), make_plan)]
    means = {"noop": 1.0, "starter": 5.0, "random": 1.0, "calm": 1.0}
    earned = [{name: mean + rng.normal(0, 0.1) for name, mean in means.items()} for _ in range(8)]
    season = rank_policies([record(plan, earned[plan.seed]) for plan in plans], list(means), [ARENA.name], level=0.95)
    table = season_table(season)
    assert table.columns[2] == "group"
    assert {row[0]: row[2] for row in table.rows} == {"starter": "a", "noop": "b", "random": "b", "calm": "b"}
    assert "Policies that share a letter cannot be told apart." in season_notes(season)
