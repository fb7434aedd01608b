"""A study's journal after crashes, full disks and editors."""

from collections.abc import Callable
from pathlib import Path

import pytest

from daf.config import DAFConfig
from daf.errors import DAFConfigError
from daf.sweeps.api import with_sweep
from daf.sweeps.identity import default_storage
from daf.sweeps.jobs import OUTCOME_FILE, TrialOutcome
from daf.sweeps.study import load_stored
from tests.sweeps.support import open_study

Load = Callable[..., DAFConfig]


def _study(tiny: Load) -> tuple[DAFConfig, Path]:
    """A study with one finished trial, and its journal."""
    config = with_sweep(tiny(), space={"optimizer.lr": [1e-4, 1e-3]}, name="mine")
    stored = open_study(config)
    trial = stored.next_trial()
    assert trial is not None
    trial.complete([1.0])
    return config, default_storage(config)


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [*lines[:1], b"", *lines[1:]],
        lambda lines: [*lines[:2], b" \t", *lines[2:]],
        lambda lines: [*lines, b"\0" * 400],
        lambda lines: [lines[0], b"\0" * 40 + lines[1], *lines[2:]],
        lambda lines: [*lines[:-1], b'{"op_code": 4, "wor'],
        lambda lines: [*lines[:-1], b'{"op_code": 4, "wor\n'],
        lambda lines: [*lines[:-1], b"garbage", b"\xff\xfe more of it", b""],
        lambda lines: [line + b"\r" for line in lines],
    ],
)
def test_what_holds_nothing_is_left_out_and_kept_beside_it(
    tiny: Load, damage: Callable[[list[bytes]], list[bytes]]
) -> None:
    config, journal = _study(tiny)
    torn = b"\n".join(damage(journal.read_bytes().split(b"\n")))
    journal.write_bytes(torn)
    assert [trial.state for trial in load_stored(config).trials()] == ["COMPLETE"]
    assert [path.read_bytes() for path in journal.parent.glob("*.damaged-1")] == [torn]
    assert open_study(config).next_trial() is not None
    assert len(list(journal.parent.glob("*.damaged-*"))) == 1, "a journal in order is left alone"


@pytest.mark.parametrize("line", [b"garbage", b"[1, 2]", b'{"no": "entry"}', b'{"op_code": 4, "wor'])
def test_a_damaged_line_that_others_follow_is_named(tiny: Load, line: bytes) -> None:
    config, journal = _study(tiny)
    lines = journal.read_bytes().split(b"\n")
    damaged = b"\n".join([*lines[:2], line, *lines[2:]])
    journal.write_bytes(damaged)
    with pytest.raises(DAFConfigError, match=r"line 3 of the study's journal .*mine\.journal is damaged"):
        open_study(config)
    assert journal.read_bytes() == damaged


def test_an_entry_that_optuna_stumbles_over_is_a_sentence(tiny: Load) -> None:
    config, journal = _study(tiny)
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 4}\n')
    with pytest.raises(DAFConfigError, match=r"mine\.journal cannot be read"):
        open_study(config)


@pytest.mark.parametrize("content", [b"", b"{", b'{"state": "complete"', b"[]", b"null", b"{}", b"\0\0\0", b"\xff"])
def test_a_torn_outcome_is_not_there(tmp_path: Path, content: bytes) -> None:
    (tmp_path / OUTCOME_FILE).write_bytes(content)
    assert TrialOutcome.load(tmp_path) is None
