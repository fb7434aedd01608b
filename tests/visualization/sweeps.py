"""A sweep to be shown: trials in every state, with two trainings each."""

import math
from dataclasses import replace

from daf.results import ResultTable
from daf.visualization.sweep_findings import ParameterAxis, ShownTrial, SweepFindings

AXES = (
    ParameterAxis(name="lr", log=True),
    ParameterAxis(name="clip_coef"),
    ParameterAxis(name="policy", choices=("lstm", "<b>stateless</b>")),
)
SHARES = {"clip_coef": 0.7, "lr": 0.25, "policy": 0.05}


def trial(number: int, state: str = "complete") -> ShownTrial:
    """Trial 10 is the best of the complete ones: its objective is -(number - 10)^2."""
    value = 0.0 - (number - 10) ** 2
    lr, clip, policy = 1e-4 * 1.5**number, 0.05 + 0.01 * (number * 7 % 16), number % 2
    lines = tuple(tuple((100 * step, value * step / 4) for step in range(1, 5)) for _ in range(2))
    return ShownTrial(
        number=number,
        state=state,  # type: ignore[arg-type]
        values=(value,) if state == "complete" else (),
        last=value if state == "pruned" else None,
        places={"lr": lr, "clip_coef": clip, "policy": float(policy)},
        varied={"lr": f"{lr:.4g}", "clip_coef": f"{clip:g}", "policy": AXES[2].choices[policy]},
        lines=lines if state == "complete" else lines[:1] if state == "pruned" else (),
        seconds=3.25,
        baseline=number == 0,
        run_id="abc",
        about="failed: <script>window.hacked = 1</script>" if state == "failed" else "",
    )


def findings() -> SweepFindings:
    """Twelve complete trials, two pruned ones and a failed one."""
    states = {3: "pruned", 5: "failed", 8: "pruned"}
    return SweepFindings(
        name="mine",
        metrics=("reward",),
        directions=("maximize",),
        trials=tuple(trial(number, states.get(number, "complete")) for number in range(15)),
        axes=AXES,
        facts={"mission": "hello_world", "nothing": ""},
        tables=[ResultTable("Space", ("key", "values"), (("optimizer.lr", "0.0001 to 0.01"),))],
        notes=["The winner is trial 10."],
        best=10,
        command="python -m daf.run -m 'optimizer.lr=interval(1e-4,1e-2)'",
    )


def two_objectives() -> SweepFindings:
    """The same with a second objective, which is better where the first one is worse."""
    one = findings()
    trials = [
        replace(each, values=(*each.values, math.sqrt(-each.values[0]))) if each.values else each for each in one.trials
    ]
    return replace(
        one,
        metrics=("reward", "train/seconds"),
        directions=("maximize", "maximize"),
        trials=tuple(trials),
        best=None,
        front=tuple(each.number for each in trials if each.values),
    )
