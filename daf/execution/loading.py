"""Somebody else's policies are loaded in a process of their own first: what ends that process does not end this one."""

import pkgutil
from typing import Any

from daf.bridge.bundles import clean_environment
from daf.bridge.episode import policy_interface
from daf.bridge.imports import main_file
from daf.bridge.policies import brings_code, class_offers_network, code_digest, is_cogames_own, load_policy
from daf.errors import DAFError
from daf.execution.executor import JobContext, JobDone, JobFailed
from daf.execution.processes import ProcessExecutor
from daf.execution.progress import say
from daf.records import MissionSpec, PolicySpec

LOAD_LIMIT_S = 300.0
#: What classes said when they were asked, for as long as their code stays the same: asking a foreign one takes seconds.
_OFFERS: dict[tuple[str, str | None], bool] = {}


def has_network(mission: MissionSpec, policy: PolicySpec) -> bool:
    """Loads a policy for a mission, here if it is CoGames' own, and says whether it has a network.

    Raises:
        Exception: whatever the policy raises.
        DAFError: it fails, ends its process or hangs in the process that it is loaded in.
    """
    say(f"loading {policy.name}")
    loaded, offers = where_it_belongs(policy, f"{__name__}:load", mission, policy)
    if policy.weights is None:
        _OFFERS[_asked(policy)] = offers
    return bool(loaded)


def offers_network(policy: PolicySpec) -> bool:
    """Whether its class offers a network, asked like `has_network` but without a mission, and only once.

    Raises:
        Exception: as for `has_network`.
    """
    if policy.weights is not None:
        return _ask(policy)
    asked = _asked(policy)
    if asked not in _OFFERS:
        _OFFERS[asked] = _ask(policy)
    return _OFFERS[asked]


def _asked(policy: PolicySpec) -> tuple[str, str | None]:
    return policy.class_path, code_digest(policy.class_path)


def _ask(policy: PolicySpec) -> bool:
    return bool(where_it_belongs(policy, "daf.bridge.policies:has_network", policy.class_path))


def lives_only_here(class_path: str) -> bool:
    """Whether no other process can import a class: it was typed into a notebook, or made without a file."""
    if class_path.startswith("__main__."):
        return main_file() is None
    return code_digest(class_path) is None


def where_it_belongs(policy: PolicySpec, function: str, *arguments: Any) -> Any:
    """What ``module:function`` returns: here for CoGames' own policy, in a process of its own for anybody else's.

    A class that only this process knows is asked here, too.

    Raises:
        Exception: whatever it raises here.
        DAFError: it raises, ends its process or hangs there; the message says which.
    """
    foreign = brings_code(policy)
    if not foreign and (is_cogames_own(policy.class_path) or lives_only_here(policy.class_path)):
        return pkgutil.resolve_name(function)(*arguments)
    with ProcessExecutor(f"{__name__}:call", 1, environment=clean_environment() if foreign else None) as executor:
        executor.submit((function, arguments), time_limit_s=LOAD_LIMIT_S)
        event = next(iter(executor.events()))
    if isinstance(event, JobFailed):
        raise DAFError(" ".join(event.traceback.strip().splitlines()[:2]))
    assert isinstance(event, JobDone), "a plain function reports nothing"
    result, error = event.result
    if error is not None:
        raise DAFError(error)
    return result


def call(payload: tuple[str, tuple[Any, ...]], context: JobContext) -> tuple[Any, str | None]:
    """What the process does: the result and no error, or no result and what went wrong."""
    function, arguments = payload
    try:
        return pkgutil.resolve_name(function)(*arguments), None
    except Exception as error:  # a policy is anybody's code
        return None, str(error) or type(error).__name__


def load(mission: MissionSpec, policy: PolicySpec) -> tuple[bool, bool]:
    """Loads a policy here; whether it has a network, and whether its class offers one."""
    loaded = load_policy(policy_interface(mission), policy)
    return loaded.network() is not None, class_offers_network(type(loaded))
