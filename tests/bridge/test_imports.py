"""Somebody else's module cannot end this process, whatever it tries."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from daf.bridge import imports
from daf.bridge.imports import ForeignExitError, contained, import_by_name, surviving
from daf.bridge.missions import why_unplayable
from daf.bridge.policies import policy_class
from daf.config import DAFConfig
from daf.environment_checks import daf_check_environment
from daf.errors import DAFConfigError
from daf.execution.interrupts import interrupt_deferred
from daf.records import MissionSpec
from daf.sweeps.api import with_sweep
from daf.sweeps.strategies import make_sampler

Load = Callable[..., DAFConfig]
ENDINGS = {
    "sys_exit": "import sys; sys.exit(0)",
    "system_exit": "raise SystemExit",
    "exit": "exit()",
    "os_exit": "import os; os._exit(0)",
    "os_exit_by_name": "from os import _exit; _exit(0)",
    "base": "class Odd(BaseException): ...\nraise Odd('no')",
}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ENDINGS)
def test_a_module_that_ends_the_program_when_it_is_imported(name: str, modules: Path) -> None:
    (modules / f"ends_{name}.py").write_text(f"{ENDINGS[name]}\n")
    with pytest.raises(ForeignExitError, match=f"importing ends_{name} (ends the program|raises Odd)"):
        import_by_name(f"ends_{name}.Policy")
    with pytest.raises(ValueError, match="cannot be imported"):
        policy_class(f"ends_{name}.Policy")
    assert os._exit.__module__ == "posix"


def test_a_fork_may_end_itself() -> None:
    with surviving("it"):
        child = os.fork()
        if child == 0:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


SWALLOWS = """
import signal
signal.signal(signal.SIGINT, lambda *_: print("mine"))
try:
    signal.raise_signal(signal.SIGINT)
except BaseException as error:
    {then}
"""


@pytest.mark.parametrize("then", ["pass", "raise ImportError('no') from error", "raise"])
def test_a_module_cannot_have_ctrl_c_for_itself(then: str, modules: Path) -> None:
    name = f"swallows_{len(then)}"
    (modules / f"{name}.py").write_text(SWALLOWS.format(then=then))
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        import_by_name(f"{name}.Policy")
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.signal.__module__ == "signal"


def test_a_ctrl_c_that_came_before_the_block_began_is_not_told_again_when_all_is_over() -> None:
    kept = imports._ctrl_c_kept()
    kept.__enter__()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    kept.gen.close()  # as when nobody holds it any more
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_torch_leaves_no_folder_that_a_killed_process_could_not_remove() -> None:
    with contained():
        import torch.distributed.nn  # noqa: F401
        from torch.distributed.nn.jit import instantiator
    assert not Path(instantiator.INSTANTIATED_TEMPLATE_DIR_PATH).exists()


def test_a_ctrl_c_that_is_held_back_stays_so_during_an_import(modules: Path) -> None:
    (modules / "swallows_none.py").write_text(SWALLOWS.format(then="raise") + "Policy = 1\n")
    done = []
    with pytest.raises(KeyboardInterrupt), interrupt_deferred():
        done.append(import_by_name("swallows_none.Policy"))
    assert done == [1]


def test_samplers_missions_and_tasks(modules: Path, tiny: Load) -> None:
    (modules / "leaves_on_import.py").write_text("import os\nos._exit(0)\n")
    (modules / "leaves_when_made.py").write_text(
        "import optuna, sys\nclass Sampler(optuna.samplers.RandomSampler):\n    def __init__(self): sys.exit(0)\n"
    )
    for path in ("leaves_on_import.Sampler", "leaves_when_made.Sampler"):
        config = with_sweep(tiny(), space={}, sampler=path)
        with pytest.raises(DAFConfigError, match="ends the program"):
            make_sampler(config, path, 0)
    found = daf_check_environment(tiny("task.name=mine", "task.function=leaves_on_import.task"))
    assert "ends the program" in str(found.errors[0])
    assert "ends the program" in str(why_unplayable(MissionSpec(name=str(modules / "leaves_on_import.py"))))


POLICY = """
import os, sys
from mettagrid.policy.noop import NoopPolicy
class Exits(NoopPolicy):
    def __init__(self, *args, **kwargs):
        sys.exit(0)
class Dies(NoopPolicy):
    def __init__(self, *args, **kwargs):
        os.execv(sys.executable, [sys.executable, "-c", ""])
"""


@pytest.mark.slow
def test_a_policy_is_loaded_in_a_process_of_its_own_first(modules: Path, tiny: Load) -> None:
    (modules / "leaving_policies.py").write_text(POLICY)
    for name, sentence in (("Exits", "ends the program"), ("Dies", "exit code 0")):
        options = ("task=evaluate", f"policy.class_path=leaving_policies.{name}")
        (problem,) = daf_check_environment(tiny(*options)).errors
        assert problem.where == "policy"
        assert sentence in str(problem)
    assert "leaving_policies" not in sys.modules


SCRIPT = """
import sys
from mettagrid.policy.noop import NoopPolicy
from daf.episodes.play import daf_play_episodes
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec

class Mine(NoopPolicy):
    pass

if __name__ == "__main__":
    mission = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=5)
    policy = PolicySpec(name="mine", class_path="__main__.Mine")
    plans = [EpisodePlan(mission=mission, policies=(policy,), assignments=(0, 0), seed=seed) for seed in (1, 2)]
    outcomes = daf_play_episodes(plans, workers=2)
    print([outcome.steps if isinstance(outcome, EpisodeRecord) else outcome for outcome in outcomes])
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["script", "typed in"])
def test_a_class_of_the_users_script_plays(way: str, tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    command = [sys.executable, str(path)] if way == "script" else [sys.executable, "-c", SCRIPT]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.stdout.strip() == "[5, 5]", done.stderr
    assert ("no other knows" in done.stderr) == (way == "typed in")
