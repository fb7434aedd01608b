"""Importing CoGames without what importing it does to the process."""

import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# CoGames' map configs make pydantic warn about its own serialisation on every build; nothing is lost by it.
NOISE = "Pydantic serializer warnings"


@contextmanager
def contained() -> Iterator[None]:
    """Undoes the side effects of the imports inside it.

    `pufferlib.pufferl` turns RuntimeWarning into an error, installs a traceback hook and makes Ctrl-C end the process
    with exit code 0; `mettagrid` attaches a handler to the root logger when it has none.
    """
    filters, hook = warnings.filters[:], sys.excepthook
    in_main_thread = threading.current_thread() is threading.main_thread()
    on_interrupt = signal.getsignal(signal.SIGINT) if in_main_thread else None
    root = logging.getLogger()
    placeholder = None if root.handlers else logging.NullHandler()
    if placeholder:
        root.addHandler(placeholder)
    # torch complains at import where no CUDA toolkit is installed, which is no news to anyone without a GPU.
    cpp_logger = logging.getLogger("torch.utils.cpp_extension")
    level = cpp_logger.level
    cpp_logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        cpp_logger.setLevel(level)
        if placeholder:
            root.removeHandler(placeholder)
        warnings.filters[:] = filters  # type: ignore[index]
        warnings.filterwarnings("ignore", message=NOISE, category=UserWarning)
        sys.excepthook = hook
        if in_main_thread:
            signal.signal(signal.SIGINT, on_interrupt)


def seed_everything(seed: int) -> None:
    """Seeds `random`, numpy and torch, which CoGames' policies draw from and `evaluate` and `train` leave unseeded."""
    with contained():
        from cogames.seed import seed_rollout_rng
    seed_rollout_rng(seed)
