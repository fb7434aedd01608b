"""Requests that nobody can mean: a sentence and exit code 2, no traceback, no file left, nothing started."""

from pathlib import Path

import pytest

from daf import environment_checks
from daf.cli.command_line import read_command_line
from daf.config import DAFConfig
from daf.sweeps import hydra_sweep
from tests.cli.support import run

GROUPS = ("policy", "mission", "task", "optimizer", "sweep", "objective", "tracking", "variant", "experiment")
BAD: list[list[str]] = [
    *([f"{group}={value}"] for group in GROUPS for value in ("null", "1", "nope")),
    *(["+policy=lstm"], ["++policy=starter"], ["policy="], ["policy=true"], ["experiment=[smoke,nope]"]),
    *(["=x"], ["a="], ["a"], ["++"], ["~"], ["~policy"], ["~seed"], ["é=1"], ["\n"], ["x" * 10_000]),
    *(["seed=1,2"], ["seed=[1,2]"], ["optimizer.lr=interval(1,2)"], ["seed=" + "9" * 10_000], ["seed=a\nb"]),
    *(["seed=${seed}"], ["seed=${nope}"], ["seed=${optimizer.lr}", "optimizer.lr=${seed}"], ["seed=${nope:1}"]),
    *([f"optimizer.lr={value}"] for value in ("${", "[1", "'1", '"1', "{a:1", "é", "1 2", "${oc.env:NOT_THERE}")),
    *(["hydra.foo=1"], ["hydra/launcher=nope"], ["hydra/sweeper=nope"], ["hydra/job_logging=nope"]),
    *(["--foo"], ["--cfg"], ["--cfg", "nope"], ["--info", "nope"], ["--package", "x"], ["--resolve"]),
    *(["--config-name", ""], ["--config-path", ""], ["--config-dir", ""], ["--config-dir", "x" * 300]),
    *(["--config-name", "nope"], ["--config-path", "nope"], ["--config-dir", "nope"]),
    *(["--cfg", "job", "policy=nope"], ["--cfg", "job", "policy=null"], ["-m", "--cfg", "job", "sweep=pareto"]),
    *(["--cfg", "job", "--package", "nope"], ["-c", "all", "-p", "hydra.nope"], ["hydra.job.chdir=true"]),
    *(["-m", "hydra.job.chdir=true", "seed=1,2"], ["hydra.run.dir="], ["-m", "hydra.sweep.dir=${nope}", "seed=1,2"]),
    *(["--experimental-rerun", "nope.pkl"], ["--info", "all", "--cfg", "job"]),
    *(["-m", override] for override in ("seed=range(1,5,0)", "seed=range(5,1)", "seed=choice()", "seed=")),
    *(["-m", override] for override in ("optimizer.lr=interval(5,1)", "policy=nope", "policy=null")),
    *(["-m", "hydra/sweeper=basic", override] for override in ("seed=range(1,5,0)", "policy=nope", "task=1")),
]


@pytest.fixture(autouse=True)
def nothing_may_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("the request was taken for a good one")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment_checks, "daf_check_environment", started)
    monkeypatch.setattr(hydra_sweep, "daf_launch_sweep", started)


@pytest.mark.parametrize("arguments", BAD, ids=lambda arguments: " ".join(arguments)[:40].encode().hex()[:24])
def test_it_is_refused_in_a_sentence(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(monkeypatch, *arguments)
    told = capsys.readouterr().err
    assert (code, "Traceback" in told) == (2, False), (arguments, told)
    assert told.strip()
    assert len(told) < 3000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"a: [", b"- a\n- b\n", b"\x00\xff\xfe", b"seed: ${seed}\n", b"defaults: [nope]\n"]
)
def test_a_broken_config_file_is_refused(
    content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    assert run(monkeypatch, "--config-dir", str(tmp_path), "--config-name", "mine", "seed=1", "level=0.9") == 2
    assert "Traceback" not in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_wrong_key_is_not_blamed_on_groups_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "mine.yaml").write_text("defaults: [adam]\n")
    for flags in ([], ["-m"]):
        assert run(monkeypatch, *flags, "--config-dir", str(tmp_path), "optimizer=mine", "optimizer.lrr=1") == 2
        told = capsys.readouterr().err
        assert "optimizer.lrr: there is no such key" in told
        assert "no option 'mine'" not in told


def test_hydras_own_way_to_write_a_sweep_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[DAFConfig] = []

    def launch(config: DAFConfig, **_: object) -> None:
        asked.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(hydra_sweep, "daf_launch_sweep", launch)
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params: {seed: '1,2'}\n"
    )
    assert run(monkeypatch, "--config-dir", str(tmp_path), "experiment=mine") == 130
    assert run(monkeypatch, "-m", "+hydra.sweeper.params.seed='1,2'") == 130
    assert [config.sweep.space["seed"].choices for config in asked] == [(1, 2), (1, 2)]


def test_a_primary_config_of_ones_own_is_swept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[DAFConfig] = []

    def launch(config: DAFConfig, **_: object) -> None:
        asked.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(hydra_sweep, "daf_launch_sweep", launch)
    (tmp_path / "mine.yaml").write_text("defaults: [config, _self_]\nlevel: 0.75\n")
    flags = ["-m", "--config-dir", str(tmp_path), "--config-name", "mine"]
    assert run(monkeypatch, *flags, "optimizer.lr=0.1,0.2") == 130
    (config,) = asked
    assert (config.level, config.sweep.space["optimizer.lr"].choices) == (0.75, (0.1, 0.2))
    command = read_command_line([*flags, "optimizer.lr=0.1,0.2"])
    assert [(each.level, each.optimizer.lr) for each in command.configs()] == [(0.75, 0.1), (0.75, 0.2)]


@pytest.mark.parametrize("package", ["_global_", "optimizer", "optimizer.lr"])
def test_a_package_that_is_there_is_shown(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--cfg", "job", "--package", package) == 0
    assert "0.002\n" in capsys.readouterr().out
