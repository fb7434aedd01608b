"""What the episodes of a validation say about a bundle: passed, warning or failed, each with its reason."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from daf.bridge.isolated import Latency, PlayedEpisode
from daf.bridge.jail import FILES, NETWORK, PROCESSES, WALLS
from daf.deployment.metadata import BundleMetric
from daf.deployment.trials import Trial
from daf.results import ResultTable
from daf.visualization.text import NO_VALUE, count_text

Status = Literal["passed", "warning", "failed"]
JUNCTIONS_HELD, HEALTH, ACTIONS, NOOP_ACTIONS = "cogs/aligned.junction.held", "hp.amount", "action.", "action.noop."
MISSING_WALLS = {
    NETWORK: "it could reach the network",
    PROCESSES: "what it starts could outlive it by going behind another process",
    FILES: "it could read and write your files",
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question that a validation asks, and the answer."""

    name: str
    status: Status
    why: str


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The score that a bundle says it has, or why it is not compared.

    Attributes:
        metric: its mean reward on the same mission.
        why_not: where there is none to compare with.
    """

    metric: BundleMetric | None = None
    why_not: str = ""


def trial_checks(trial: Trial, *, latency_ms: float, level: float, smoke: bool, recorded: Recorded) -> list[Check]:
    """All checks on what was played, in the order in which they are shown."""
    checks = [walls_check(trial.walls), play_check(trial.tested)]
    done = [episode for episode in trial.tested if episode.error_kind is None]
    checks += [latency_check(trial.tested, latency_ms)]
    checks += [acts_check(done)] if done else []
    checks += [conduct_check(trial.tested)]
    rewards, noops = own_rewards(trial.self_play), own_rewards(trial.noops)
    if rewards and len(rewards) == len(trial.self_play):
        checks += [recorded_check(rewards, recorded, level), noop_check(rewards, noops, level)]
        checks += [] if smoke else [survival_check(trial), junctions_check(trial)]
    return checks


def walls_check(walls: frozenset[str]) -> Check:
    """Whether the policy played as shut off as the season plays it."""
    missing = [MISSING_WALLS[wall] for wall in WALLS if wall not in walls]
    if missing:
        why = f"this machine gives no process all of its own walls (namespaces): {', '.join(missing)}"
        return Check(name="isolation", status="warning", why=why)
    return Check(name="isolation", status="passed", why="without this machine's network, files and processes")


def play_check(episodes: Sequence[PlayedEpisode]) -> Check:
    """Whether every episode came to its end."""
    failed = [episode for episode in episodes if episode.error_kind is not None]
    if not failed:
        steps = sum(episode.steps or 0 for episode in episodes)
        return Check(name="plays", status="passed", why=f"{_episodes(len(episodes))}, {steps:,} steps")
    first = failed[0]
    count = f"{len(failed)} of {len(episodes)} episodes failed; " if len(episodes) > 1 else ""
    return Check(name="plays", status="failed", why=f"{count}{first.label}: {first.error_kind}: {first.error}")


def latency_check(episodes: Sequence[PlayedEpisode], limit_ms: float) -> Check:
    """Whether every action came in time. CoGames counts those that did not and plays noop instead."""
    measured = [(episode, episode.latency) for episode in episodes if episode.latency is not None]
    if not measured:
        return Check(name="latency", status="failed", why="it never acted")
    timeouts = sum(own_timeouts(episode) for episode in episodes)
    episode, slowest = max(measured, key=lambda pair: pair[1].max_ms)
    p50 = max(latency.p50_ms for _, latency in measured)
    p95 = max(latency.p95_ms for _, latency in measured)
    where = f"step {slowest.slowest_step} of agent {slowest.slowest_agent} in {episode.label}"
    why = f"median {p50:.1f} ms, 95 % within {p95:.1f} ms, slowest {slowest.max_ms:.1f} ms ({where})"
    if timeouts or slowest.max_ms > limit_ms:
        late = f"{timeouts} timeouts; " if timeouts else ""
        return Check(name="latency", status="failed", why=f"{late}{why}; the limit is {limit_ms:g} ms")
    return Check(name="latency", status="passed", why=why)


def acts_check(episodes: Sequence[PlayedEpisode]) -> Check:
    """Whether every one of its agents does more than noop, the last as well as the first."""
    idle = {agent for episode in episodes for agent in own_agents(episode) if not _acts(episode, agent)}
    busy = {agent for episode in episodes for agent in own_agents(episode) if _acts(episode, agent)}
    never = sorted(idle - busy)
    if not never:
        return Check(name="acts", status="passed", why=f"all {len(busy)} agents do more than noop")
    who = "no agent does" if not busy else f"agents {', '.join(map(str, never))} never do"
    return Check(name="acts", status="failed", why=f"{who} anything but noop")


def _acts(episode: PlayedEpisode, agent: int) -> bool:
    stats = episode.stats["agent"][agent]
    return any(v > 0 for name, v in stats.items() if name.startswith(ACTIONS) and not name.startswith(NOOP_ACTIONS))


def conduct_check(episodes: Sequence[PlayedEpisode]) -> Check:
    """What it tried beside playing: none of it got out, and the season does not allow it either."""
    noticed = list(dict.fromkeys(what for episode in episodes for what in episode.noticed))
    if noticed:
        return Check(name="conduct", status="warning", why="; ".join(noticed))
    return Check(name="conduct", status="passed", why="it played, and tried nothing else that was noticed")


def recorded_check(rewards: Sequence[float], recorded: Recorded, level: float) -> Check:
    """Whether the mean reward has dropped from what the bundle says: Welch's t-test, one-sided, at 1 - `level`."""
    metric = recorded.metric
    if metric is None:
        return Check(name="score, recorded", status="passed", why=f"not compared: {recorded.why_not}")
    mean = fmean(rewards)
    shown = f"{mean:.4g} now ({_episodes(len(rewards))}), {metric.mean:.4g} recorded ({_episodes(len(metric.seeds))})"
    if metric.low is None or metric.high is None or len(rewards) < 2:
        status: Status = "passed" if mean >= metric.mean else "warning"
        return Check(name="score, recorded", status=status, why=f"{shown}; one episode proves nothing")
    p = drop_p_value(rewards, metric)
    if p < 1 - level:
        return Check(name="score, recorded", status="failed", why=f"{shown}: a significant drop (p = {p:.2g})")
    return Check(name="score, recorded", status="passed", why=f"{shown}: no significant drop (p = {p:.2g})")


def drop_p_value(rewards: Sequence[float], metric: BundleMetric) -> float:
    """Probability of such a drop by chance; the recorded standard deviation is taken from the interval's width."""
    from scipy.stats import t, ttest_ind_from_stats

    count = len(metric.seeds)
    assert metric.low is not None and metric.high is not None, "asked before"
    half_widths = float(t.ppf((1 + metric.level) / 2, count - 1))
    deviation = (metric.high - metric.low) / 2 / half_widths * math.sqrt(count)
    own, mean = stdev(rewards), fmean(rewards)
    if own == 0 and deviation == 0:
        return 1.0 if mean >= metric.mean or math.isclose(mean, metric.mean, rel_tol=1e-6) else 0.0
    found = ttest_ind_from_stats(
        mean, own, len(rewards), metric.mean, deviation, count, equal_var=False, alternative="less"
    )
    return float(found.pvalue)


def noop_check(rewards: Sequence[float], noops: Sequence[float], level: float) -> Check:
    """Whether it does better than doing nothing on the same seeds: a paired t-test at 1 - `level`."""
    if len(noops) != len(rewards):
        return Check(name="score, noop", status="warning", why="not compared: noop could not be played")
    difference = [own - noop for own, noop in zip(rewards, noops, strict=True)]
    mean = fmean(difference)
    shown = f"{fmean(rewards):.4g}, noop {fmean(noops):.4g} on the same {_episodes(len(rewards))}"
    better, worse = _paired_p_values(difference)
    if worse < 1 - level:
        return Check(name="score, noop", status="failed", why=f"{shown}: significantly worse (p = {worse:.2g})")
    if mean <= 0 or better >= 1 - level:
        why = f"{shown}: not shown to be better; CoGames' own reward hardly tells policies apart"
        return Check(name="score, noop", status="warning", why=why)
    return Check(name="score, noop", status="passed", why=f"{shown}: better (p = {better:.2g})")


def _paired_p_values(difference: Sequence[float]) -> tuple[float, float]:
    """One-sided p-values of being better, and of being worse; 1 where one episode, or no difference, tells nothing."""
    from scipy.stats import ttest_1samp

    if len(difference) < 2:
        return 1.0, 1.0
    if len(set(difference)) == 1:
        return (0.0 if difference[0] > 0 else 1.0), (0.0 if difference[0] < 0 else 1.0)
    better = float(ttest_1samp(difference, 0, alternative="greater").pvalue)
    return better, 1 - better


def survival_check(trial: Trial) -> Check:
    """Whether its agents are alive at the end of whole episodes."""
    alive = survival(trial.self_play)
    if alive is None:
        return Check(name="survival", status="passed", why="this mission's agents have no health")
    status: Status = "passed" if alive > 0 else "warning"
    return Check(name="survival", status=status, why=f"{alive:.0%} of its agents are alive after {trial.steps:,} steps")


def junctions_check(trial: Trial) -> Check:
    """Whether it holds junctions, which is what the season is about, whatever the reward says."""
    held = junctions_held(trial.self_play)
    if held is None:
        return Check(name="junctions", status="passed", why="this mission has none to hold")
    status: Status = "passed" if held > 0 else "warning"
    return Check(name="junctions", status=status, why=f"game/{JUNCTIONS_HELD} is {held:.4g} on average")


def survival(episodes: Sequence[PlayedEpisode]) -> float | None:
    """Share of the tested agents that have health left at the end."""
    left = [
        stats[HEALTH] > 0
        for episode in episodes
        for agent in own_agents(episode)
        if HEALTH in (stats := episode.stats["agent"][agent])
    ]
    return fmean(left) if left else None


def junctions_held(episodes: Sequence[PlayedEpisode]) -> float | None:
    """Mean of the steps for which junctions were held, summed over junctions."""
    held = [episode.stats["game"][JUNCTIONS_HELD] for episode in episodes if JUNCTIONS_HELD in episode.stats["game"]]
    return fmean(held) if held else None


def own_agents(episode: PlayedEpisode) -> list[int]:
    """The agents of the policy under test; of noop, where it plays alone."""
    return [agent for agent, policy in enumerate(episode.assignments) if policy == episode.assignments[0]]


def own_timeouts(episode: PlayedEpisode) -> int:
    """Timed-out actions of the policy under test."""
    return sum(episode.timeouts[agent] for agent in own_agents(episode)) if episode.timeouts else 0


def own_rewards(episodes: Sequence[PlayedEpisode]) -> list[float]:
    """Mean reward of the tested agents, for every episode that was played."""
    played = [episode for episode in episodes if episode.error_kind is None]
    return [fmean(episode.rewards[agent] for agent in own_agents(episode)) for episode in played]


def checks_table(checks: Sequence[Check]) -> ResultTable:
    """The answers, one a line."""
    rows = tuple((check.name, check.status, check.why) for check in checks)
    return ResultTable("Validation", ("check", "result", "why"), rows)


def matches_table(trial: Trial) -> ResultTable:
    """Reward, survival and junctions of every formation: self-play, splits and noop."""
    return ResultTable(
        "Matches",
        ("match", "episodes", "reward", "others' reward", "alive", "junctions held"),
        tuple(_match_rows(trial)),
    )


def _match_rows(trial: Trial) -> Iterator[tuple[str, ...]]:
    groups: dict[str, list[PlayedEpisode]] = {}
    for episode in (*trial.tested, *trial.noops):
        if episode.error_kind is None:
            name = episode.label if episode.label in trial.pool else episode.label.rpartition(" ")[0]
            groups.setdefault(name, []).append(episode)
    for name, episodes in groups.items():
        others = [r for e in episodes for a, r in enumerate(e.rewards) if e.assignments[a] != e.assignments[0]]
        cells = (fmean(own_rewards(episodes)), fmean(others) if others else None, survival(episodes))
        yield (name, count_text(len(episodes)), *map(_number, (*cells, junctions_held(episodes))))


def _number(value: float | None) -> str:
    return NO_VALUE if value is None else f"{value:.4g}"


def _episodes(count: int) -> str:
    return "1 episode" if count == 1 else f"{count} episodes"


def figures(trial: Trial) -> dict[str, float]:
    """What was measured, by the metric's name."""
    measured = [episode.latency for episode in trial.tested if episode.latency is not None]
    found: dict[str, float | None] = {
        "validation/reward": _mean(own_rewards(trial.self_play)),
        "validation/noop_reward": _mean(own_rewards(trial.noops)),
        "validation/survival": survival([e for e in trial.self_play if e.error_kind is None]),
        "validation/junctions_held": junctions_held([e for e in trial.self_play if e.error_kind is None]),
        "validation/timeouts": float(sum(map(own_timeouts, trial.tested))),
        "validation/episodes": float(len(trial.tested)),
        "validation/failed_episodes": float(sum(e.error_kind is not None for e in trial.tested)),
        "validation/peak_memory_mib": trial.peak_bytes / 2**20,
        **_latencies(measured),
    }
    return {name: value for name, value in found.items() if value is not None}


def _latencies(measured: Sequence[Latency]) -> dict[str, float | None]:
    """The worst episode's."""
    return {
        f"validation/latency_{name}": max((getattr(latency, name) for latency in measured), default=None)
        for name in ("p50_ms", "p95_ms", "max_ms")
    }


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
