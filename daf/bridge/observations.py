"""The observations that CoGames hands to policies, made in less time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mettagrid.simulator.interface import AgentObservation, Location, ObservationToken
    from mettagrid.simulator.simulator import SimulationAgent

NO_TOKEN = 255


@contextmanager
def quick_observations() -> Iterator[None]:
    """Replaces two properties of mettagrid by equal ones that take a fraction of the time.

    `SimulationAgent.observation` goes through numpy scalars for every byte of a token, and `ObservationToken.location`
    asks the C++ side about one of 256 possible bytes, up to 200 times per agent and step. Together they are most of
    the time of an episode of a scripted policy.
    """
    from mettagrid.mettagrid_c import PackedCoordinate
    from mettagrid.simulator.interface import AgentObservation, Location, ObservationToken
    from mettagrid.simulator.simulator import SimulationAgent

    unpacked = [PackedCoordinate.unpack(byte) for byte in range(256)]
    locations = [None if place is None else Location(*place) for place in unpacked]

    def location(token: "ObservationToken") -> "Location | None":
        return locations[token.raw_token[0]]

    def observation(agent: "SimulationAgent") -> "AgentObservation":
        rows = agent._sim._c_sim.observations()[agent.id]
        features: list[int] = rows[:, 1].tolist()
        count = features.index(NO_TOKEN) if NO_TOKEN in features else len(features)
        specs = map(agent._sim._features.__getitem__, features[:count])
        # Each token keeps its row of the engine's buffer, as it does in mettagrid.
        tokens = list(map(ObservationToken, specs, rows[:count, 2].tolist(), rows[:count]))
        return AgentObservation(agent_id=agent.id, tokens=tokens)

    originals = SimulationAgent.observation, ObservationToken.location
    SimulationAgent.observation = property(observation)
    ObservationToken.location = property(location)
    try:
        yield
    finally:
        SimulationAgent.observation, ObservationToken.location = originals
