"""What a shell script sees where a policy does more than act."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daf.episodes.kept import daf_read_records
from tests.conftest import TINY

POLICIES = """
import os, sys
from mettagrid.policy.noop import NoopAgentPolicy, NoopPolicy

class Agent(NoopAgentPolicy):
    def step(self, obs):
        sys.exit(0)

class Exits(NoopPolicy):
    def agent_policy(self, agent_id):
        return Agent(self._policy_env_info)

class Wanders(NoopPolicy):
    def __init__(self, info, device="cpu"):
        super().__init__(info, device=device)
        os.chdir("/")
"""


@pytest.mark.slow
def test_a_policy_moves_no_output_and_its_exit_is_no_success(tmp_path: Path, store: str) -> None:
    (tmp_path / "daf_test_ends.py").write_text(POLICIES)
    options = ("task=evaluate", *TINY, f"tracking.uri={store}", "output_dir=out", "evaluation.backend=official")
    policies = "evaluation.policies=[daf_test_ends.Wanders,daf_test_ends.Exits]"
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), root))}
    command = [sys.executable, "-m", "daf.run", *options, policies]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1, done.stderr
    assert "2 episodes could not be played" in done.stderr
    assert "SystemExit: 0" in done.stdout
    records = daf_read_records(tmp_path / "out" / "evaluation" / "episodes.jsonl")
    assert [record.policies[0] for record in records] == ["Wanders"] * 2
