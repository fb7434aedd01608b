"""What is put into `cogames.train` for the duration of one training."""

import functools
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from daf.bridge.policies import constructing
from daf.bridge.training.session import Session


@contextmanager
def installed(cogames_train: Any, trainer_class: Callable[..., Any], session: Session) -> Iterator[None]:
    """Puts our trainer, loaders and a silent console into `cogames.train`, and takes them out again.

    Args:
        cogames_train: the module.
        trainer_class: makes the trainer from the session and what CoGames gives to PufferLib's.
    """
    console = cogames_train.Console
    replacements = (
        (cogames_train.pvector, "make", _environment_maker(cogames_train.pvector, session)),
        (cogames_train.pufferl, "PuffeRL", functools.partial(trainer_class, session)),
        (cogames_train, "initialize_or_load_policy", _loader(cogames_train.initialize_or_load_policy, session)),
        # CoGames would let a second Ctrl-C through into the checkpoint that the first one saves.
        (cogames_train, "DeferSigintContextManager", nullcontext),
        (cogames_train, "Console", lambda: console(file=io.StringIO())),
    )
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements]
    for owner, name, replacement in replacements:
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _loader(load: Callable[[Any, Any], Any], session: Session) -> Callable[[Any, Any], Any]:
    """Loads the policy with its init arguments: `cogames.train.train` makes a spec without them."""

    def load_with_arguments(interface: Any, spec: Any) -> Any:
        spec.init_kwargs = dict(session.policy.init_kwargs)
        with constructing(spec, session.plan.policy.trust):
            return load(interface, spec)

    return load_with_arguments


def _environment_maker(pvector: Any, session: Session) -> Callable[..., Any]:
    """Makes PufferLib's environments known to the session, and their processes deaf to Ctrl-C."""
    make = pvector.make

    def make_environments(*args: Any, backend: Any, **kwargs: Any) -> Any:
        forks = backend is pvector.Multiprocessing
        # Forked processes keep the handler that holds it back: a terminal sends Ctrl-C to all, the trainer alone acts.
        with session.hold_interrupts() if forks else nullcontext():
            session.vecenv = make(*args, backend=backend, **kwargs)
        return session.vecenv

    return make_environments
