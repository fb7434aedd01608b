"""Which of the swept keys explains how much of an objective."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from daf.sweeps.findings import axes_of
from daf.sweeps.status import in_state
from daf.sweeps.study import StudyView
from daf.visualization.sweep_findings import FEWEST_FOR_IMPORTANCE, spread_over_magnitudes

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.importance import BaseImportanceEvaluator
    from optuna.trial import FrozenTrial

#: Categories of one parameter that fANOVA handles in a second or so.
MOST_CATEGORIES = 8


def importances(study: StudyView, index: int = 0) -> dict[str, float]:
    """Name of an axis to the share of an objective's variation that it explains, the most first.

    Empty from fewer than `FEWEST_FOR_IMPORTANCE` complete trials: two trials explain whatever one wants. Keys that
    apply to some trials only are left out, and so are all where the objective does not vary.

    Args:
        index: of the objective.
    """
    from optuna.importance import get_param_importances

    complete = in_state(study.ran(), "COMPLETE")
    if len(complete) < FEWEST_FOR_IMPORTANCE or len({trial.values[index] for trial in complete}) < 2:
        return {}
    # Of the complete trials: of what the others tried nothing is known.
    axes = {name: axis for name, axis in axes_of(complete).items() if all(name in trial.params for trial in complete)}
    if not axes:
        return {}

    # PED-ANOVA asks what leads to low values.
    sign = -1.0 if study.directions[index] == "maximize" else 1.0

    def value(trial: "FrozenTrial") -> float:
        return sign * float(trial.values[index])

    copy = _numeric_copy(study.study)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it does
        shares = get_param_importances(copy, evaluator=_evaluator(copy), params=list(axes), target=value)
    return {axes[name].name: share for name, share in sorted(shares.items(), key=lambda item: -item[1])}


def _evaluator(study: "optuna.Study") -> "BaseImportanceEvaluator":
    """By fANOVA (Hutter et al. 2014), or by PED-ANOVA (Watanabe et al. 2023) where categories would take it hours."""
    from optuna.distributions import CategoricalDistribution
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    distributions = {d for trial in study.get_trials(deepcopy=False) for d in trial.distributions.values()}
    categories = [len(d.choices) for d in distributions if isinstance(d, CategoricalDistribution)]
    many = max(categories, default=0) > MOST_CATEGORIES
    return PedAnovaImportanceEvaluator() if many else FanovaImportanceEvaluator(seed=0)


def _numeric_copy(study: "optuna.Study") -> "optuna.Study":
    """A copy in memory of what ended well, where choices that are numbers are a range of numbers."""
    import optuna

    trials = [trial for trial in study.get_trials() if trial.state.name == "COMPLETE"]
    numeric = _numeric({name: d for trial in trials for name, d in trial.distributions.items()})
    copy = optuna.create_study(directions=study.directions)
    for trial in trials:
        trial.distributions = {name: numeric.get(name, d) for name, d in trial.distributions.items()}
        copy.add_trial(trial)
    return copy


def _numeric(distributions: "Mapping[str, BaseDistribution]") -> "dict[str, BaseDistribution]":
    """What stands for choices that are all numbers: they have an order."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    found: dict[str, BaseDistribution] = {}
    for name, distribution in distributions.items():
        choices = distribution.choices if isinstance(distribution, CategoricalDistribution) else ("",)
        numbers = [choice for choice in choices if isinstance(choice, int | float) and not isinstance(choice, bool)]
        if len(numbers) == len(choices):
            low, high = float(min(numbers)), float(max(numbers))
            found[name] = FloatDistribution(low, high, log=spread_over_magnitudes(numbers))
    return found
