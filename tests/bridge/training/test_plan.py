"""A plan is all that a training needs, wherever it is carried out."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from daf.bridge.file_digests import file_digest
from daf.bridge.training import train
from daf.config.plans import training_plan
from daf.execution.interrupts import interrupt_deferred
from tests.bridge.training.support import Load

ELSEWHERE = """
import pickle, sys
from daf.bridge.file_digests import file_digest
from daf.bridge.training import train
from daf.execution.interrupts import interrupt_deferred

outcome = train(pickle.load(sys.stdin.buffer), hold_interrupts=interrupt_deferred)
print(file_digest(outcome.model), outcome.model, any(name.startswith("daf.config") for name in sys.modules))
"""


def test_a_plan_gives_the_same_weights_in_another_process(tiny: Load, tmp_path: Path) -> None:
    plan = training_plan(tiny("training.num_steps=256"), tmp_path / "here" / "checkpoints")
    assert pickle.loads(pickle.dumps(plan)) == plan
    here = train(plan, hold_interrupts=interrupt_deferred)
    there = replace(plan, checkpoint_dir=str(tmp_path / "there" / "checkpoints"))
    process = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], input=pickle.dumps(there), stdout=subprocess.PIPE, check=True
    )
    model = tmp_path / "there" / "checkpoints" / here.model.name
    # The same weights, written by a process that never saw a config.
    assert process.stdout.decode().split() == [file_digest(here.model), str(model), "False"]
