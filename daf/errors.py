"""The errors that DAF raises on purpose, each with the exit code that a shell script sees."""

import importlib.metadata
import re
import shlex
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from daf.redaction.names import is_telling

#: Modules whose package, or the one that brings it, has another name.
PACKAGES = {
    "PIL": "pillow",
    "hydra": "hydra-core",
    "metta_alo": "cogames",
    "mettagrid": "cogames",
    "pufferlib": "cogames",
    "yaml": "pyyaml",
}


def first_line(error: BaseException) -> str:
    """What an error says first, or what it is."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def install_command(package: str) -> str:
    """How a package comes into the environment that runs this.

    Args:
        package: what pip is to install, behind pip's own options where it needs some.
    """
    python = sys.executable or "python"
    if find_spec("pip"):
        return shlex.join([python, "-m", "pip", "install", *package.split()])
    # As ./scripts/setup makes it, with uv beside it where there was none.
    uv = Path(sys.prefix).parent / ".uv" / "bin" / "uv"
    return shlex.join([str(uv) if uv.is_file() else "uv", "pip", "install", "--python", python, *package.split()])


def needs_package(feature: str, package: str) -> str:
    """The sentence on an optional package that is missing: what needs it, and the command that installs it."""
    return f"{feature} needs {package.split()[-1]}, which is not installed. Install it: {install_command(package)}"


def missing_requirement(error: BaseException | None) -> str | None:
    """The sentence on a package that DAF requires, where an import of it is behind an error; else None."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, ImportError) and (package := _required(error.name or "")):
            what = "is not installed" if isinstance(error, ModuleNotFoundError) else f"is broken: {first_line(error)}"
            return f"{package}, which DAF requires, {what}. Install it: {install_command(package)}, or ./scripts/setup"
        error = error.__cause__ or error.__context__
    return None


def _required(module: str) -> str | None:
    """The requirement that a module belongs to, if it is one of DAF's, as it is written there."""
    top = module.partition(".")[0]
    name = PACKAGES.get(top, top)
    try:
        listed = importlib.metadata.requires("daf") or ()
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        return name if name in PACKAGES.values() else None
    wanted = (line.partition(";") for line in listed)
    names = {re.split(r"[^A-Za-z0-9._-]", text)[0].lower(): text.strip() for text, _, marker in wanted if not marker}
    return names.get(name.lower().replace("_", "-"))


class DAFError(Exception):
    """The work failed. The message is for a person: what was wrong, where, what would be right."""

    exit_code = 1


class DAFTrainingDivergedError(DAFError):
    """A parameter of the network, or what is optimised, became NaN or infinite."""


class DAFInterruptedError(DAFError):
    """The user pressed Ctrl-C; everything finished so far is on disk."""

    exit_code = 130


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a request.

    Attributes:
        where: the config key or the object concerned, such as ``optimizer.lr``.
        what: what is wrong with it, in one sentence.
        hint: what would be right, or an empty string.
    """

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" {self.hint}" if self.hint else ""
        # Behind a name that tells, the gate before the terminal would take the sentence for a secret.
        separator = " -" if is_telling(self.where) else ":"
        return f"{self.where}{separator} {self.what}{hint}"


class DAFConfigError(DAFError):
    """The request itself was wrong: nothing was started and nothing was written."""

    exit_code = 2

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{count} in the request:", *(f"  - {problem}" for problem in problems)]))
