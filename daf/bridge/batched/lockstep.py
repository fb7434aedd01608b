"""Many episodes of one kind at the same time, step by step."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from daf.bridge.batched.actors import Actor
from daf.bridge.batched.draws import Draws, load_seeded
from daf.bridge.batched.game_stats import TimeAverages, UnforeseenStatsError
from daf.bridge.batched.support import Manner, manner_of
from daf.bridge.episode import loaded_digests, make_record, write_replay
from daf.bridge.imports import contained
from daf.bridge.simulations import PreparedMission, prepare_mission, translated_once
from daf.records import EpisodePlan, EpisodeRecord

if TYPE_CHECKING:
    from mettagrid.simulator.replay_log_writer import InMemoryReplayWriter


class Team:
    """The actors of a group of plans: same mission, same policies, same number of agents for each of them."""

    def __init__(self, plan: EpisodePlan, lanes: int) -> None:
        with contained():
            from mettagrid.policy.policy_env_interface import PolicyEnvInterface
        self.digests = loaded_digests(plan)
        self.prepared = prepared = prepare_mission(plan.mission)
        self.interface = PolicyEnvInterface.from_mg_cfg(prepared.config)
        policies, _ = load_seeded(plan, self.interface)
        self.actors: dict[int, Actor] = {}
        for index in sorted(set(plan.assignments)):
            manner = manner_of(plan.mission, plan.policies[index])
            assert isinstance(manner, Manner)
            self.actors[index] = manner.actor(policies[index], self.interface, plan.assignments.count(index), lanes)
        engine_ids = {action.name: i for i, action in enumerate(prepared.config.game.actions.actions())}
        primary, vibes = self.interface.action_names, self.interface.vibe_action_names
        # The engine reads primary and vibe actions from two buffers; 0 in the other one means nothing to do.
        self.action_ids = np.array([*(engine_ids[name] for name in primary), *(0 for _ in vibes)], dtype=np.int32)
        self.vibe_ids = np.array([*(0 for _ in primary), *(engine_ids[name] for name in vibes)], dtype=np.int32)


class Lane:
    """One episode in progress, in one slot of its team's actors."""

    def __init__(self, slot: int, plan: EpisodePlan, team: Team, likely_stats: set[str]) -> None:
        started = time.perf_counter()
        self.slot = slot
        self.plan = plan
        self._team = team
        policies, generator = load_seeded(plan, team.interface)
        self._replay_writer = _replay_writer(plan)
        self._simulation = _simulate(plan, team.prepared, self._replay_writer)
        engine = self._simulation._c_sim
        # Handlers run inside the slower `Simulation.step`, and only a replay needs one.
        self._step = engine.step if self._replay_writer is None else self._simulation.step
        # The engine's own buffers: giving it others makes it write the first observation, and count its tokens, twice.
        self._observations, self._actions, self._vibes = engine.observations(), engine.actions(), engine.vibe_actions()
        self._truncations, self._terminals = engine.truncations(), engine.terminals()
        self._averages = TimeAverages(engine, likely_stats)
        self._agents = {index: _agents_of(plan, index) for index in team.actors}
        widths = [team.actors[index].width for index in plan.assignments]
        ends = np.cumsum(widths)
        self._draws = Draws(generator, widths)
        self._columns = {
            index: np.array([range(ends[a] - widths[a], ends[a]) for a, i in enumerate(plan.assignments) if i == index])
            for index in team.actors
        }
        for index, actor in team.actors.items():
            actor.start_episode(slot, policies[index])
        self.wall_time_s = time.perf_counter() - started

    def observe(self) -> None:
        """Hands the actors what they need for their next actions."""
        draws = self._draws.step()
        for index, actor in self._team.actors.items():
            actor.observations[self.slot] = self._observations[self._agents[index]]
            if actor.width:
                actor.draws[self.slot] = draws[self._columns[index]]

    def step(self, actions: dict[int, np.ndarray], vibes: dict[int, np.ndarray]) -> None:
        """Takes one step with the actors' actions, given as the engine's numbers (episodes, agents)."""
        for index, agents in self._agents.items():
            self._actions[agents] = actions[index][self.slot]
            self._vibes[agents] = vibes[index][self.slot]
        self._step()
        self._averages.sample()

    def is_done(self) -> bool:
        """Whether the episode is over."""
        return bool(self._truncations[0] or self._terminals[0]) and self._simulation.is_done()

    def record(self) -> EpisodeRecord:
        """The record of the finished episode.

        Raises:
            UnforeseenStatsError: the averages are incomplete.
        """
        stats: Any = self._simulation.episode_stats
        averages = self._averages.result(stats["game"])
        replay_path = None
        if self._replay_writer is not None and self.plan.replay_dir is not None:
            replay_path = write_replay(self._replay_writer.get_completed_replays()[0], self.plan.replay_dir)
        return make_record(
            self.plan,
            self._team.digests,
            label=self._team.prepared.label,
            rewards=self._simulation.episode_rewards,
            action_timeouts=[0] * len(self.plan.assignments),
            stats=stats,
            time_averaged_game_stats=averages,
            steps=self._simulation.current_step,
            max_steps=self._team.prepared.config.game.max_steps,
            wall_time_s=self.wall_time_s,
            backend="batched",
            replay_path=replay_path,
        )

    def close(self) -> None:
        """Lets go of the simulation, which would otherwise wait for the garbage collector with some megabytes."""
        self._simulation.close()


def _agents_of(plan: EpisodePlan, index: int) -> "slice | np.ndarray":
    agents = [agent for agent, assigned in enumerate(plan.assignments) if assigned == index]
    # A slice is copied faster than a selection.
    return slice(None) if len(agents) == len(plan.assignments) else np.array(agents)


def _replay_writer(plan: EpisodePlan) -> "InMemoryReplayWriter | None":
    from mettagrid.simulator.replay_log_writer import InMemoryReplayWriter

    return None if plan.replay_dir is None else InMemoryReplayWriter()


def _simulate(plan: EpisodePlan, prepared: PreparedMission, handler: "InMemoryReplayWriter | None") -> Any:
    from mettagrid.simulator import Simulator

    simulator = Simulator()
    if handler is not None:
        simulator.add_event_handler(handler)
    return simulator.new_simulation(prepared.config_for(plan.seed), plan.seed)


def play_group(
    plans: Sequence[EpisodePlan],
    lanes: int,
    likely_stats: set[str],
    on_step: Callable[[int], None] = lambda playing: None,
) -> Iterator[EpisodeRecord]:
    """Plays plans that differ in nothing but seed, order of assignments and replay folder.

    Args:
        likely_stats: game stats to sample at every step; those that turn out to be missing are added.
        on_step: called after every step with the number of episodes that took it.

    Yields:
        Records, in the order in which the episodes end.
    """
    waiting = deque(plans)
    team = Team(plans[0], min(lanes, len(plans)))
    free = list(reversed(range(min(lanes, len(plans)))))
    playing: dict[int, Lane] = {}
    while waiting or playing:
        with translated_once(team.prepared):
            while waiting and free:
                slot = free.pop()
                playing[slot] = Lane(slot, waiting.popleft(), team, likely_stats)
        _step_all(list(playing.values()), team)
        on_step(len(playing))
        for lane in [lane for lane in playing.values() if lane.is_done()]:
            free.append(lane.slot)
            del playing[lane.slot]
            try:
                yield lane.record()
            except UnforeseenStatsError as error:
                # Its averages lack steps that are gone; the same plan gives the same episode again.
                likely_stats |= error.names
                waiting.append(lane.plan)
            lane.close()


def _step_all(lanes: list[Lane], team: Team) -> None:
    started = time.perf_counter()
    for lane in lanes:
        lane.observe()
    slots = [lane.slot for lane in lanes]
    chosen = {index: actor.act(slots) for index, actor in team.actors.items()}
    actions = {index: team.action_ids[choices] for index, choices in chosen.items()}
    vibes = {index: team.vibe_ids[choices] for index, choices in chosen.items()}
    for lane in lanes:
        lane.step(actions, vibes)
    share = (time.perf_counter() - started) / len(lanes)
    for lane in lanes:
        lane.wall_time_s += share
