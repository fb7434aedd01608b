"""The task gate: who is promoted, who is not, and why."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daf.config import DAFConfig
from daf.deployment import daf_deploy_policy, daf_gate_policy
from daf.deployment.gate import GATE, judge
from daf.episodes.played import Played
from daf.records import EpisodePlan
from daf.tracking.tracker import Tracker
from tests.cli.support import run
from tests.conftest import TINY
from tests.deployment.support import made_bundle
from tests.made_up import made_up_episode
from tests.promised_results import keeps_promises

Load = Callable[..., DAFConfig]
GATED = ("task=gate", "deployment.name=pol", "deployment.unvalidated=true", "comparison.round_episodes=20")
AGAINST = ("policy=random", "deployment.champion=noop", "comparison.max_episodes=80", "evaluation.seed=0")


def scoring(monkeypatch: pytest.MonkeyPatch, scores: Callable[[str, int], float]) -> list[int]:
    """Episodes have the rewards that a test wants, by policy and seed; returns how many each round had."""
    rounds: list[int] = []

    def played(config: DAFConfig, plans: Sequence[EpisodePlan], folder: str) -> Played:
        rounds.append(len(plans))
        found = []
        for plan in plans:
            name = plan.policies[0].name
            record = made_up_episode(plan.seed, reward=scores(name, plan.seed), game={"held": 1.0})
            found.append(replace(record, mission_name=plan.mission.name, policies=(name,)))
        return Played.of(found)

    monkeypatch.setattr("daf.deployment.gate.play_with_progress", played)
    return rounds


def noise(seed: int, part: int) -> float:
    return float(np.random.default_rng([seed, part]).normal())


def shifted_by(shift: float) -> Callable[[str, int], float]:
    """The new policy (random) has the champion's score and so much more, beside a noise of 0.3."""
    return lambda name, seed: noise(seed, 0) + (shift + 0.3 * noise(seed, 1)) * (name == "random")


def test_a_better_policy_is_promoted_early(tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = scoring(monkeypatch, shifted_by(1.0))
    result = daf_gate_policy(tiny(*GATED, *AGAINST, "deployment.require=['game/held >= 1']"), tracker)
    keeps_promises("gate", result)
    assert result.promoted
    assert result.refused is None
    assert rounds == [40], "one round of 20 seeds, both policies"
    assert result.difference is not None
    assert result.difference.value == pytest.approx(1.0, abs=0.3)
    assert "may be promoted" in result.notes[0]
    assert [row[-1] for table in result.tables for row in table.rows] == ["as good", "yes"]


def test_a_worse_policy_keeps_the_champion(tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = scoring(monkeypatch, shifted_by(-1.0))
    result = daf_gate_policy(tiny(*GATED, *AGAINST, "deployment.margin=0.2"), tracker)
    assert not result.promoted
    assert rounds == [40]
    assert result.refused is not None
    assert result.refused.startswith("the champion stays; random is worse than noop by more than 0.2")


def test_what_the_margin_allows_is_promoted(tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    scoring(monkeypatch, shifted_by(-0.1))
    assert daf_gate_policy(tiny(*GATED, *AGAINST, "deployment.margin=1"), tracker).promoted


def test_doubt_keeps_the_champion(tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = scoring(monkeypatch, shifted_by(0.0))
    result = daf_gate_policy(tiny(*GATED, *AGAINST), tracker)
    assert rounds == [40] * 4, "until comparison.max_episodes"
    assert result.refused is not None
    assert "it is not shown that random is at most 0.0000 worse than noop" in result.refused


def test_a_bound_that_does_not_hold_keeps_the_champion(
    tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring(monkeypatch, shifted_by(1.0))
    result = daf_gate_policy(tiny(*GATED, *AGAINST, "deployment.require=['game/held >= 2','game/help > 0']"), tracker)
    assert result.refused is not None
    assert "game/held >= 2 does not hold: the mean is 1.0000" in result.refused
    assert "no episode reported game/help. Did you mean game/held?" in result.refused


def test_bounds_are_read_before_the_start(tiny: Load) -> None:
    (problem,) = GATE.problems(tiny(*GATED, "deployment.require=['held >= 2']"))
    assert problem.where == "deployment.require.0"


def test_the_deployed_version_is_the_champion(tiny: Load, tracker: Tracker, tmp_path: Path) -> None:
    """Real episodes, on the registry: first without a champion, then against itself."""
    options = ("policy=noop", "comparison.max_episodes=20", "mission.max_steps=2")
    config = tiny(*GATED, *options, "deployment.require=['reward > -1']")
    alone = daf_gate_policy(config, tracker)
    assert alone.promoted
    assert len(alone.records) == config.evaluation.episodes
    assert "there is no champion" in alone.notes[0]
    made = made_bundle(tmp_path)
    deployment = config.deployment.model_copy(update={"bundle": str(made.path)})
    bundled = config.model_copy(update={"deployment": deployment})
    daf_deploy_policy(bundled, tracker)
    again = daf_gate_policy(bundled, tracker)
    assert again.promoted, "the same score in every episode is as good"
    assert {record.policies for record in again.records} == {("pol-1.0.0-noop-0.zip",), ("pol 1.0.0",)}


@pytest.mark.parametrize(("shift", "decision"), [(0.0, "as good"), (-0.1, "as good"), (-0.3, "worse")])
def test_a_difference_without_spread_decides_at_the_end(shift: float, decision: str) -> None:
    champion = np.random.default_rng(0).normal(size=(2, 40))
    assert judge(champion + shift, champion, margin=0.2, level=0.95).decision == "undecided"
    assert judge(champion + shift, champion, margin=0.2, level=0.95, last=True).decision == decision
    few = champion[:, :19]
    assert judge(few + shift, few, margin=0.2, level=0.95, last=True).decision == "undecided"


def test_the_exit_code_is_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: str, tmp_path: Path
) -> None:
    own = (f"tracking.uri={store}", "deployment.name=pol")
    command = ("task=gate", *TINY, "policy=noop", "mission.max_steps=2", "evaluation.episodes=1", *own)
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *command, 'deployment.require=["reward >= -1"]') == 0
    assert "may be promoted" in capsys.readouterr().out
    assert run(monkeypatch, *command, 'deployment.require=["reward >= 100"]') == 1
    told = capsys.readouterr()
    assert "it is not promoted; reward >= 100 does not hold" in told.err
    assert "reward >= 100" in told.out, "the table is shown all the same"
    assert run(monkeypatch, *command, 'deployment.require=["much reward"]') == 2
    assert "deployment.require.0" in capsys.readouterr().err


def test_a_policy_that_is_worse_by_the_margin_is_seldom_promoted() -> None:
    """At the edge of the null hypothesis, asked after every 10 of 100 episodes on two missions."""
    rng, promoted, gates = np.random.default_rng(0), 0, 60
    for _ in range(gates):
        champion = rng.normal(size=(2, 100))
        new = champion - 0.5 + rng.exponential(size=(2, 100)) - 1
        looks = (judge(new[:, :n], champion[:, :n], margin=0.5, level=0.95).decision for n in range(10, 101, 10))
        promoted += "as good" in looks
    # 5 % of 60 are 3; more than 8 has a chance of less than 0.5 % at that rate.
    assert promoted <= 8
