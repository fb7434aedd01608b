r"""A task of your own: a function of the config and the run's tracker, and a `Task` that says what it needs.

    python -m daf.run task=train task.name=gain task.function=examples.my_task.gain \
        'evaluation.baselines=[noop,random]' training.num_steps=20000

Because of the `Task`, a policy without a network, a baseline that does not load and a missing baseline are found
before anything starts.
"""

from collections.abc import Sequence
from statistics import fmean

from daf import DAFConfig, TaskResult, daf_evaluate, daf_train
from daf.errors import Problem
from daf.results import ResultTable
from daf.tasks import KeyedPolicy, Task, keyed
from daf.tracking import Tracker


def gain(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Trains `policy`, plays it beside `evaluation.baselines`, and returns what it earns beyond the best of them."""
    training = daf_train(config, tracker)
    trained = config.policy.model_copy(update={"name": "trained", "weights": str(training.checkpoint_dir)})
    options = config.evaluation.model_copy(update={"policies": (trained,)})
    evaluation = daf_evaluate(config.model_copy(update={"evaluation": options}), tracker)
    mean = {name: _mean(evaluation.rewards(name, config.mission.name)) for name in evaluation.policies}
    difference = mean["trained"] - max(reward for name, reward in mean.items() if name != "trained")
    tracker.log_metrics({"gain": difference})
    rows = tuple((name, f"{reward:.4f}") for name, reward in mean.items())
    return TaskResult(
        objective=difference,
        tables=(ResultTable("Gain", ("policy", "reward"), rows),),
        notes=(f"The training gained {difference:+.4f} over the best baseline.",),
    )


def _mean(rewards: dict[int, float]) -> float:
    return fmean(rewards.values())


def _policies(config: DAFConfig) -> Sequence[KeyedPolicy]:
    return [("policy", config.policy), *keyed("evaluation.baselines", config.evaluation.baselines)]


def _problems(config: DAFConfig) -> list[Problem]:
    problems = []
    if not config.evaluation.baselines:
        hint = "For example: evaluation.baselines=[noop,random]."
        problems.append(Problem("evaluation.baselines", "holds nothing to compare the training with.", hint))
    if config.evaluation.missions:
        problems.append(Problem("evaluation.missions", "must be empty: this task plays the one in `mission`."))
    return problems


GAIN = Task(name="gain", run=gain, policies=_policies, problems=_problems, trains=lambda config: True)
