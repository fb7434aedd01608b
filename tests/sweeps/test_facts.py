"""What a study holds: the keys in storage are a contract with studies that exist already."""

from typing import Any

from daf.sweeps.facts import EpisodeScore, StudyFacts, TrialFacts, confirmed_scores, stored_scores

#: As studies that were begun before hold them.
TRIAL: dict[str, Any] = {
    "assignments": {"optimizer.lr": 1e-3},
    "config": {"seed": 42},
    "output_dir": "/runs/0",
    "run_id": "abc",
    "retries": 1,
    "owner": "host 1 2.00 word",
    "baseline": True,
    "checkpoints": ["/runs/0/checkpoints"],
    "agent_steps": 512,
    "seconds": 1.5,
    "failure": "failed: too high",
}
STUDY: dict[str, Any] = {
    "identity": {"seed": 42},
    "n_trials": 3,
    "parent_run_id": "def",
    "verdict": "No winner.",
    "confirmed_best": 0,
    "alive first": 1.0,
    "alive second": 2.0,
}


def test_a_trials_facts_come_back_under_the_same_keys() -> None:
    facts = TrialFacts.load({**TRIAL, "somebody else's": 1})
    assert (facts.run_id, facts.checkpoints, facts.baseline) == ("abc", ("/runs/0/checkpoints",), True)
    saved: dict[str, Any] = {}
    facts.save(saved.__setitem__)
    assert saved == {**TRIAL, "checkpoints": ("/runs/0/checkpoints",)}


def test_only_what_changed_is_written() -> None:
    before, saved = TrialFacts.load(TRIAL), dict[str, Any]()
    TrialFacts.load({**TRIAL, "retries": 2, "failure": None}).save(saved.__setitem__, before)
    assert saved == {"retries": 2, "failure": None}
    nothing: dict[str, Any] = {}
    TrialFacts().save(nothing.__setitem__)
    assert nothing == {}


def test_a_studys_facts_come_back_under_the_same_keys() -> None:
    facts = StudyFacts.load({**STUDY, "confirm 0 retrain 1 2+3": []})
    assert facts.heartbeats == {"first": 1.0, "second": 2.0}
    assert list(facts.heartbeats) == ["first", "second"], "who began first"
    saved: dict[str, Any] = {}
    facts.save(saved.__setitem__)
    assert saved == STUDY


def test_one_heartbeat_writes_one_key() -> None:
    before = StudyFacts.load(STUDY)
    saved: dict[str, Any] = {}
    StudyFacts.load({**STUDY, "alive second": 3.0}).save(saved.__setitem__, before)
    assert saved == {"alive second": 3.0}


def test_confirmed_scores_come_back_under_the_same_keys() -> None:
    stored = [[["arena", 7, 1.25], ["arena", 8, 1.5]]]
    (found,) = confirmed_scores({"confirm 0 retrain 1 2+3": stored, "alive x": 1.0}).items()
    scores = ((EpisodeScore(mission="arena", seed=7, value=1.25), EpisodeScore(mission="arena", seed=8, value=1.5)),)
    assert found == ("0 retrain 1 2+3", scores)
    assert stored_scores(scores) == stored
