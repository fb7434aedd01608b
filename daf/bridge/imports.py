"""Importing CoGames without what importing it does to the process."""

import importlib
import logging
import multiprocessing.spawn
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

# CoGames' map configs make pydantic warn about its own serialisation on every build; nothing is lost by it.
NOISE = "Pydantic serializer warnings"


@contextmanager
def contained() -> Iterator[None]:
    """Undoes the side effects of the imports inside it.

    `pufferlib.pufferl` turns RuntimeWarning into an error, installs a traceback hook and makes Ctrl-C end the process
    with exit code 0; `mettagrid` attaches a handler to the root logger when it has none.
    """
    filters, hook = warnings.filters[:], sys.excepthook
    root = logging.getLogger()
    placeholder = None if root.handlers else logging.NullHandler()
    if placeholder:
        root.addHandler(placeholder)
    # torch complains at import where no CUDA toolkit is installed, which is no news to anyone without a GPU.
    cpp_logger = logging.getLogger("torch.utils.cpp_extension")
    level = cpp_logger.level
    cpp_logger.setLevel(logging.ERROR)
    try:
        with _ctrl_c_kept():
            yield
    finally:
        _drop_torchs_folder()
        cpp_logger.setLevel(level)
        if placeholder:
            root.removeHandler(placeholder)
        warnings.filters[:] = filters  # type: ignore[index]
        warnings.filterwarnings("ignore", message=NOISE, category=UserWarning)
        sys.excepthook = hook


def _drop_torchs_folder() -> None:
    """Removes the temporary folder that torch makes when it is imported, which a process that is killed would leave.

    It holds a template of remote modules, which is of no use once it is imported.
    """
    module = sys.modules.get("torch.distributed.nn.api.remote_module")
    if hasattr(module, "_NON_SCRIPTABLE_REMOTE_MODULE_MODULE"):
        sys.modules["torch.distributed.nn.jit.instantiator"]._TEMP_DIR.cleanup()


@contextmanager
def _ctrl_c_kept() -> Iterator[None]:
    """Keeps what is imported from taking Ctrl-C over, even for the moment of the import, and from swallowing one.

    An import lasts seconds, in which PufferLib's handler would end the process with exit code 0; and not all of what is
    imported lets a KeyboardInterrupt through.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    set_handler, handler = signal.signal, signal.getsignal(signal.SIGINT)
    raised: list[BaseException] = []
    kept = True

    def hand_on(number: int, frame: FrameType | None) -> None:
        try:
            if callable(handler):
                handler(number, frame)
        except BaseException as error:
            raised.append(error)
            raise

    def set_another(number: int, wanted: Any) -> Any:
        mine = kept and number == signal.SIGINT
        return signal.getsignal(number) if mine else set_handler(number, wanted)

    if callable(handler):
        set_handler(signal.SIGINT, hand_on)
    signal.signal = set_another  # type: ignore[assignment]
    try:
        yield
    finally:
        kept = False
        signal.signal = set_handler
        if handler is not None:  # of a program that embeds Python
            set_handler(signal.SIGINT, handler)
        # One that came before the block had begun is on its way already, and this generator is only cleaned up.
        if raised and not isinstance(sys.exception(), GeneratorExit):
            raise raised[0]


class ForeignExitError(ImportError):
    """Somebody else's code wanted to end the program."""


@contextmanager
def surviving(what: str) -> Iterator[None]:
    """Keeps somebody else's code from ending this process while it is imported or constructed.

    `sys.exit` and its kin, `os._exit` and an exception of a kind that nobody catches become an `ImportError`. What ends
    a process below Python can only be met in a child.

    Args:
        what: names the code in the error, such as ``the policy mine.Policy``.
    """
    owner, leave = os.getpid(), os._exit

    def refuse(status: int = 0) -> NoReturn:
        if os.getpid() != owner:  # a fork of this process may end
            leave(status)
        raise SystemExit(status)

    os._exit = refuse
    try:
        yield
    except SystemExit as error:
        raise ForeignExitError(f"{what} ends the program (exit code {error.code or 0})") from error
    except BaseException as error:
        if isinstance(error, Exception | KeyboardInterrupt):
            raise
        raise ForeignExitError(f"{what} raises {type(error).__name__}: {error}") from error
    finally:
        os._exit = leave


def import_by_name(path: str) -> Any:
    """What a dotted path names: a module's attribute, of which the module may be anybody's.

    Raises:
        ImportError: there is no such module, or it fails when it is imported, in whatever way.
        AttributeError: the module has nothing of the name.
    """
    module, _, name = path.rpartition(".")
    if not module:
        raise ImportError(f"{path!r} is no dotted path")
    with contained(), surviving(f"importing {module}"):
        try:
            if module == "__main__":
                prepare_main(name)
            found = importlib.import_module(module)
        except (ImportError, AttributeError):
            raise
        except Exception as error:  # a module is anybody's code
            raise ImportError(f"{module} fails with {type(error).__name__}: {error}") from error
        return getattr(found, name)


class _Main:
    """The user's script, for classes in it: worker processes have another ``__main__``."""

    file: str | None = None
    being_read = False


def main_file() -> str | None:
    """The script that ``__main__`` means here, or None: there is none, as in a notebook or an interpreter."""
    file = _Main.file or getattr(sys.modules["__main__"], "__file__", None)
    return file if file and Path(file).is_file() else None


def take_main_from(file: str | None) -> None:
    """Says, in a worker process, which script ``__main__`` means."""
    _Main.file = file


def prepare_main(name: str) -> None:
    """Reads the user's script as ``__mp_main__``, as multiprocessing does, where this process has not run it.

    Raises:
        ImportError: it starts the work again, since that stands outside of ``if __name__ == "__main__":``.
    """
    if _Main.being_read:
        raise ImportError('the script starts work whenever it is imported; put that under if __name__ == "__main__":')
    if _Main.file and not hasattr(sys.modules["__main__"], name):
        _Main.being_read = True
        try:
            multiprocessing.spawn.prepare({"init_main_from_path": _Main.file})
        finally:
            _Main.being_read = False


def seed_everything(seed: int) -> None:
    """Seeds `random`, numpy and torch, which CoGames' policies draw from and `evaluate` and `train` leave unseeded."""
    with contained():
        from cogames.seed import seed_rollout_rng
    seed_rollout_rng(seed)
