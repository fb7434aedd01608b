"""What a task reads of the config, and what is refused since it reads it not."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from daf.cli.task_sections import INSTEAD, READS, given_in_vain
from daf.config.paths import CONF_DIR
from tests.cli.support import run

SECTIONS = {path.name for path in CONF_DIR.iterdir() if path.is_dir()}
#: Read whatever the task is: where things are kept, how a sweep judges, what is said at the end.
EVERYWHERE = {"tracking", "objective", "sweep", "task", "experiment", "hydra", "notify", "check", "pipeline", "watch"}


#: Read for the command that goes on from the result, and for nothing else.
FOR_NEXT = {"evaluate": {"comparison"}}


@pytest.mark.parametrize("task", READS)
def test_a_task_reads_no_section_that_is_not_said(task: str) -> None:
    """Found in the text of its module, or of its package where it has one of its own."""
    file = CONF_DIR / "task" / f"{task}.yaml"
    asked = yaml.safe_load(file.read_text())
    module, _, name = asked.get("task", asked)["function"].rpartition(".")
    home = Path(str(import_module(getattr(import_module(module), name).__module__).__file__))
    files = home.parent.glob("*.py") if home.stem == "task" else [home]
    read = {found for path in files for found in re.findall(r"\bconfig\.(\w+)", path.read_text())} & SECTIONS
    assert read - EVERYWHERE - FOR_NEXT.get(task, set()) <= set(READS[task])


def test_every_key_in_the_tables_is_a_key() -> None:
    assert set(INSTEAD) <= set(READS)
    for sections in READS.values():
        assert set(sections) <= SECTIONS


@pytest.mark.parametrize(
    ("task", "override", "told"),
    [
        ("benchmark", "evaluation.missions=[arena]", "Write benchmark.suite=..."),
        ("benchmark", "mission=machina_1", "Write benchmark.suite=..."),
        ("benchmark", "evaluation.policies=[noop]", "Write benchmark.algorithms=..."),
        ("compare", "evaluation.policies=[noop]", "Write comparison.policies=..."),
        ("vor", "++evaluation.baselines=[noop]", "Write vor.pool=..."),
        ("tournament", "policy=lstm", "Write tournament.policies=..."),
        ("tournament", "evaluation.episodes=20", "Write tournament.seeds=..."),
        ("train", "evaluation.missions=[arena]", "task=evaluate"),
        ("evaluate", "comparison.policies=[noop]", "task=compare or task=power"),
        ("compare", "vor.pool=[noop]", "write task=vor"),
        ("train", "benchmark.suite=all", "write task=benchmark"),
        ("train", "sweep=asha", "Add -m"),
        ("evaluate", "sweep.n_trials=20", "Add -m"),
    ],
)
def test_what_would_be_ignored_is_refused(task: str, override: str, told: str) -> None:
    (problem,) = given_in_vain(task, ["seed=1", override])
    assert problem.where == override.lstrip("+").partition("=")[0]
    assert told in str(problem)


@pytest.mark.parametrize(
    ("task", "override"),
    [
        ("benchmark", "mission.cogs=4"),
        ("tournament", "policy.trust=true"),
        ("train", "evaluation.episodes=2"),
        ("evaluate", "optimizer.lr=1"),
        ("compare", "policy=lstm"),
        ("quickstart", "vor.pool=[noop]"),
        ("mine", "vor.pool=[noop]"),
        ("gate", "comparison.metric=steps"),
        ("train", "sweep.n_jobs=2"),
        ("train", "tournament.season.server=https://x"),
    ],
)
def test_what_is_read_or_does_no_harm_is_taken(task: str, override: str) -> None:
    assert given_in_vain(task, [override]) == []


def test_a_sweep_scores_its_trials_by_itself() -> None:
    assert given_in_vain("train", ["sweep=asha", "vor.pool=[noop]", "evaluation.missions=[arena]"], sweeps=True) == []
    assert given_in_vain("train", ["vor.pool=[noop]"])
    assert given_in_vain("benchmark", ["evaluation.missions=[arena]"], sweeps=True)


@pytest.mark.parametrize("flags", [[], ["-m", "seed=1,2"]])
def test_the_command_line_refuses_it_before_anything_is_made(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "task=benchmark", "evaluation.missions=[miner_tutorial]", *flags) == 2
    assert "evaluation.missions: is not read by task=benchmark. Write benchmark.suite=..." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
