"""The stored study: what it refuses, how it goes on, what it never does twice."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution

from daf.config import DAFConfig, daf_load_config, daf_save_config
from daf.errors import DAFConfigError
from daf.sweeps.api import with_sweep
from daf.sweeps.composition import compose_onto
from daf.sweeps.identity import default_storage, study_name
from daf.sweeps.owners import is_dead, new_owner
from daf.sweeps.space import Space
from daf.sweeps.study import StoredStudy, open_storage
from tests.sweeps.support import open_study

LR = {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


def _sampled(stored: StoredStudy, config: DAFConfig) -> Any:
    trial = stored.next_trial()
    if trial is None:
        return None
    values = trial.suggest(Space.from_config(config.sweep.space), compose_onto(config))
    trial.complete([values["optimizer.lr"]])
    return values["optimizer.lr"]


def test_the_same_command_has_the_same_name_and_another_has_not(tiny: Callable[..., DAFConfig]) -> None:
    config = with_sweep(tiny(), space=LR)
    same = config.model_copy(update={"output_dir": "elsewhere", "device": "auto"})
    assert study_name(config) == study_name(same)
    assert study_name(config) != study_name(with_sweep(tiny("training.gamma=0.9"), space=LR))
    assert study_name(config) != study_name(with_sweep(tiny(), space=LR, sampler="random"))


@pytest.mark.parametrize("storage", ["null", "sqlite:///{folder}/study.db", "{folder}/named.journal"])
def test_a_grid_is_walked_through_once_over_several_runs(
    tiny: Callable[..., DAFConfig], tmp_path: Path, storage: str
) -> None:
    base = tiny(f"sweep.storage={storage.format(folder=tmp_path)}")
    config = with_sweep(base, space={"optimizer.lr": [1e-4, 3e-4, 1e-3]})
    first = open_study(config)
    seen = [_sampled(first, config), _sampled(first, config)]
    again = open_study(config)
    seen.append(_sampled(again, config))
    assert sorted(seen) == [1e-4, 3e-4, 1e-3]
    assert _sampled(again, config) is None


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc"])
def test_a_resumed_sampler_draws_new_numbers(tiny: Callable[..., DAFConfig], sampler: str) -> None:
    config = with_sweep(tiny(), space=LR, sampler=sampler, n_trials=6)
    seen = [_sampled(open_study(config), config) for _ in range(6)]
    assert len(set(seen)) == 6
    assert _sampled(open_study(config), config) is None


def test_two_processes_at_once_draw_different_numbers(tiny: Callable[..., DAFConfig]) -> None:
    """A team works on one study: whoever comes second must not repeat what the first one draws."""
    config = with_sweep(tiny(), space=LR, sampler="random", n_trials=6)
    script = f"""
import sys, time
from daf.config import daf_load_config
from tests.sweeps.support import open_study
stored = open_study(daf_load_config({str(daf_save_config(config, Path(config.output_dir).with_suffix(".yaml")))!r}))
print("open", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        second = open_study(config)
        other.communicate()
    values = _sampled(second, config)
    alone = with_sweep(tiny(), space=LR, sampler="random", n_trials=6, name="alone")
    assert values != _sampled(open_study(alone), alone)


def test_the_same_seed_gives_the_same_trials(tiny: Callable[..., DAFConfig]) -> None:
    configs = [with_sweep(tiny(), space=LR, sampler="random", name=name) for name in ("one", "two")]
    assert len({tuple(_sampled(open_study(c), c) for _ in range(3)) for c in configs}) == 1


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ("training.gamma=0.9", "training.gamma"),
        ("objective.metric=steps", "objective.metric"),
        ("sweep.seeds_per_trial=2", "sweep.seeds_per_trial"),
    ],
)
def test_a_changed_sweep_is_refused_with_the_difference(
    tiny: Callable[..., DAFConfig], change: str, where: str
) -> None:
    open_study(with_sweep(tiny(), space=LR, name="mine"))
    changed = with_sweep(tiny(change), space=LR, name="mine")
    with pytest.raises(DAFConfigError) as caught:
        open_study(changed)
    assert [problem.where for problem in caught.value.problems] == [where]
    open_study(with_sweep(changed, space=LR, allow_change=True))


def test_a_changed_space_is_refused(tiny: Callable[..., DAFConfig]) -> None:
    open_study(with_sweep(tiny(), space=LR, name="mine"))
    wider = {"optimizer.lr": {"low": 1e-5, "high": 1e-2, "log": True}}
    with pytest.raises(DAFConfigError, match=r"was 0\.0001, is 1e-05"):
        open_study(with_sweep(tiny(), space=wider, name="mine"))


def test_choices_of_a_begun_study_cannot_change(tiny: Callable[..., DAFConfig]) -> None:
    config = with_sweep(tiny(), space={"optimizer.lr": [1e-4, 3e-4]}, name="mine")
    _sampled(open_study(config), config)
    with pytest.raises(DAFConfigError, match=r"another sweep\.name"):
        open_study(with_sweep(tiny(), space={"optimizer.lr": [1e-4, 3e-3]}, name="mine", allow_change=True))


def test_a_dead_process_leaves_its_trial_to_the_next(tiny: Callable[..., DAFConfig]) -> None:
    config = with_sweep(tiny(), space=LR, sampler="random", n_trials=3)
    stored = open_study(config)
    left = stored.next_trial()
    assert left is not None
    values = left.suggest(Space.from_config(config.sweep.space), compose_onto(config))
    assert stored.next_trial().number == 1, "its process lives, so it is left alone"  # type: ignore[union-attr]
    left.record(owner=_dead(new_owner()))
    again = open_study(config)
    adopted = again.next_trial()
    assert adopted is not None
    assert adopted.number == left.number
    assert adopted.suggest(Space.from_config(config.sweep.space), compose_onto(config)) == values


def _dead(who: str) -> str:
    host, pid, _, name = who.rsplit(" ", 3)
    return f"{host} {pid} 1.00 {name}"


def test_a_process_leaves_the_trials_of_its_interrupted_sweep_to_its_next(tiny: Callable[..., DAFConfig]) -> None:
    """A notebook lives on after Ctrl-C."""
    config = with_sweep(tiny(), space=LR, sampler="random", n_trials=3)
    with closing(open_study(config)) as stored:
        left = stored.next_trial()
    adopted = open_study(config).next_trial()
    assert left is not None
    assert adopted is not None
    assert adopted.number == left.number


def test_enqueued_points_of_a_grid_are_run_first_and_once(tiny: Callable[..., DAFConfig]) -> None:
    config = with_sweep(tiny(), space={"optimizer.lr": [1e-4, 3e-4, 1e-3]}, enqueue=[{"optimizer.lr": 3e-4}])
    stored = open_study(config)
    assert stored.n_trials == 3
    assert [_sampled(stored, config) for _ in range(4)] == [3e-4, 1e-4, 1e-3, None]


def test_what_is_enqueued_later_is_run_too_and_is_the_baseline(tiny: Callable[..., DAFConfig]) -> None:
    config = with_sweep(tiny(), space=LR, sampler="random", n_trials=1, name="mine")
    _sampled(open_study(config), config)
    more = with_sweep(config, space=LR, n_trials=3, enqueue=[{"optimizer.lr": 5e-4}])
    stored = open_study(more)
    assert _sampled(stored, more) == 5e-4
    _sampled(stored, more)
    assert [trial.facts.baseline for trial in stored.trials()] == [False, True, False]


def test_a_grid_loses_no_point_to_a_second_process(tiny: Callable[..., DAFConfig]) -> None:
    """Two that ask at the same time may be given the same point; all others are still run."""
    config = with_sweep(tiny(), space={"optimizer.lr": [1e-4, 3e-4, 1e-3]})
    stored = open_study(config)
    stored.study.tell(stored.study.ask({"optimizer.lr": CategoricalDistribution([1e-4, 3e-4, 1e-3])}), 0.0)
    assert [_sampled(stored, config) for _ in range(4)] == [1e-4, 3e-4, 1e-3, None]


def test_who_is_dead(tiny: Callable[..., DAFConfig]) -> None:
    stored = open_study(with_sweep(tiny(), space=LR))
    (alive,) = stored.facts.heartbeats
    assert not is_dead(alive, {})
    stored.close()
    assert is_dead(alive, {})
    assert is_dead(_dead(new_owner()), {})
    assert is_dead(None, {})
    elsewhere = "elsewhere 1 1.00 name"
    assert is_dead(elsewhere, {})
    assert not is_dead(elsewhere, {elsewhere: time.time()})


def test_a_line_that_a_dying_process_left_half_written_is_no_end(tiny: Callable[..., DAFConfig]) -> None:
    config = with_sweep(tiny(), space=LR, sampler="random", n_trials=3)
    _sampled(open_study(config), config)
    with default_storage(config).open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    stored = open_study(config)
    _sampled(stored, config)
    assert [trial.state for trial in stored.trials()] == ["COMPLETE"] * 2


def test_secrets_stay_out_of_the_study(tiny: Callable[..., DAFConfig]) -> None:
    config = with_sweep(tiny("+policy.init_kwargs.api_key=hunter2hunter2"), space=LR)
    open_study(config)
    assert b"hunter2" not in default_storage(config).read_bytes()


@pytest.mark.parametrize(
    "storage",
    [
        "/proc/none/x",
        "file/below",
        "folder",
        "pipe",
        "loop",
        "x" * 300,
        "sqlite:////proc/x.db",
        "nothing://x",
        "pg://x:y",
    ],
)
def test_a_storage_that_cannot_be_used_is_told(storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("folder").mkdir()
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    config = daf_load_config(overrides=[f"sweep.storage='{storage}'"])
    with pytest.raises(DAFConfigError, match=r"sweep\.storage: .* (used|opened): .* Give the path of a journal"):
        open_storage(config)
    assert len(list(tmp_path.iterdir())) == 4
