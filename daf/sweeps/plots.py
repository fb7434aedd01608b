"""Plots of a study, as PNG files: those of Optuna, drawn with matplotlib, and the history."""

import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.sweeps.status import in_state
from daf.sweeps.study import StudyTrial, StudyView
from daf.visualization import DPI, daf_plot_sweep_results
from daf.visualization.style import COLOURS

if TYPE_CHECKING:
    import optuna
    from matplotlib.axes import Axes
    from optuna.distributions import BaseDistribution
    from optuna.importance import BaseImportanceEvaluator
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

#: Parameters that a contour plot still shows legibly.
MOST_CONTOURS = 4
#: Categories of one parameter that fANOVA handles in a second or so.
MOST_CATEGORIES = 8


def sweep_plots(study: StudyView, folder: Path, metrics: Sequence[str]) -> dict[str, Callable[[], Path | None]]:
    """What can be drawn: history, importances, parallel coordinates, slices, contours, intermediate values.

    With several objectives there is a plot of each kind for each of them, and the Pareto front. What a study has too
    few trials or parameters for is left out.

    Returns:
        Name to what draws it, as a PNG file in `folder`; that gives no file where Optuna cannot draw it.
    """
    if not in_state(study.trials(), "COMPLETE"):
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    best = study.best_trials(1)[0].number if len(metrics) == 1 else None
    return {
        **_histories(study, folder, metrics),
        **{name: partial(_draw, folder / f"{name}.png", plot, best) for name, plot in _plots(study, metrics).items()},
    }


def _histories(study: StudyView, folder: Path, metrics: Sequence[str]) -> dict[str, Callable[[], Path | None]]:
    """The objective of every trial, in the order of their numbers; a file for each objective."""
    names = [f"history{_suffix(metric, metrics)}" for metric in metrics]
    return {
        name: partial(_history, study, folder / f"{name}.png", index, metrics[index])
        for index, name in enumerate(names)
    }


def _history(study: StudyView, path: Path, index: int, metric: str) -> Path | None:
    trials = [(trial.number, trial.values[index] if trial.values else None, trial.state) for trial in study.trials()]
    try:
        return daf_plot_sweep_results(trials, path, metric=metric, direction=study.directions[index])
    except Exception as error:
        _note_left_out(path, error)
        return None


def _suffix(metric: str, metrics: Sequence[str]) -> str:
    """What tells the files of several objectives apart."""
    return f"_{''.join(c if c.isalnum() else '_' for c in metric)}" if len(metrics) > 1 else ""


def _plots(stored: StudyView, metrics: Sequence[str]) -> dict[str, Callable[[], Any]]:
    """Name of a file to what draws it with Optuna."""
    from optuna.visualization import matplotlib as plots

    study = _with_short_names(stored.study)
    trials = [StudyTrial(trial) for trial in study.get_trials(deepcopy=False)]
    complete = in_state(trials, "COMPLETE")
    varied = sorted({name for trial in complete for name in trial.params if _varies(name, complete)})
    chosen: dict[str, Callable[[], Any]] = {}
    if varied and len(complete) > 1:
        for index, metric in enumerate(metrics):
            target = {"target": partial(_value_at, index)} if len(metrics) > 1 else {}
            of_metric = _plots_of_metric(study, varied, {"target_name": metric, **target})
            chosen |= {f"{name}{_suffix(metric, metrics)}": plot for name, plot in of_metric.items()}
    if any(trial.intermediate_values for trial in trials):
        chosen["intermediate_values"] = partial(plots.plot_intermediate_values, study)
    if len(metrics) in (2, 3):
        chosen["pareto_front"] = partial(plots.plot_pareto_front, study, target_names=list(metrics))
    return chosen


def _plots_of_metric(
    study: "optuna.Study", varied: Sequence[str], what: Mapping[str, Any]
) -> dict[str, Callable[[], Any]]:
    """The plots of one objective over the parameters that vary."""
    from optuna.visualization import matplotlib as plots

    evaluator, params = _importance_evaluator(study), list(varied)
    chosen: dict[str, Callable[[], Any]] = {
        "slice": partial(plots.plot_slice, study, params=params, **what),
        "importances": partial(plots.plot_param_importances, study, evaluator=evaluator, params=params, **what),
    }
    if len(varied) > 1:
        chosen["parallel_coordinates"] = partial(plots.plot_parallel_coordinate, study, params=params, **what)
        chosen["contour"] = partial(_contour, study, evaluator, varied, what)
    return chosen


def _importance_evaluator(study: "optuna.Study") -> "BaseImportanceEvaluator":
    """By fANOVA (Hutter et al. 2014), or by PED-ANOVA (Watanabe et al. 2023) where categories would take it hours."""
    from optuna.distributions import CategoricalDistribution
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    distributions = {d for trial in study.get_trials(deepcopy=False) for d in trial.distributions.values()}
    categories = [len(d.choices) for d in distributions if isinstance(d, CategoricalDistribution)]
    many = max(categories, default=0) > MOST_CATEGORIES
    return PedAnovaImportanceEvaluator() if many else FanovaImportanceEvaluator(seed=0)


def _value_at(index: int, trial: "FrozenTrial") -> float:
    return float(trial.values[index])


def _varies(name: str, trials: Sequence[StudyTrial]) -> bool:
    return len({repr(trial.params[name]) for trial in trials if name in trial.params}) > 1


def _contour(
    study: "optuna.Study", evaluator: "BaseImportanceEvaluator", varied: Sequence[str], what: Mapping[str, Any]
) -> Any:
    """Contours of the parameters that explain most of the objective, as many as there is room for."""
    from optuna.importance import get_param_importances
    from optuna.visualization.matplotlib import plot_contour

    if len(varied) > MOST_CONTOURS:
        target = what.get("target")
        varied = list(get_param_importances(study, evaluator=evaluator, params=list(varied), target=target))
    return plot_contour(study, params=varied[:MOST_CONTOURS], **what)


def _with_short_names(study: "optuna.Study") -> "optuna.Study":
    """A copy in memory whose parameters are called by the last part of their key, where that is clear.

    Choices that are numbers become a range of numbers.
    """
    import optuna

    trials = study.get_trials()
    names = {name for trial in trials for name in trial.params}
    last = [_last_part(name) for name in names]
    short = {name: _last_part(name) if last.count(_last_part(name)) == 1 else name for name in names}
    numeric = _numeric({name: d for trial in trials for name, d in trial.distributions.items()})
    copy = optuna.create_study(directions=study.directions)
    for trial in trials:
        distributions = {short[name]: numeric.get(name, d) for name, d in trial.distributions.items()}
        # The parameters follow the distributions' names, so both change at once.
        trial.params, trial.distributions = {short[n]: value for n, value in trial.params.items()}, distributions
        copy.add_trial(trial)
    return copy


def _numeric(distributions: "Mapping[str, BaseDistribution]") -> "dict[str, BaseDistribution]":
    """What stands for choices that are all numbers: they have an order, and lie on an axis."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    found: dict[str, BaseDistribution] = {}
    for name, distribution in distributions.items():
        choices = distribution.choices if isinstance(distribution, CategoricalDistribution) else ("",)
        if all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices):
            low, high = float(min(choices)), float(max(choices))
            found[name] = FloatDistribution(low, high, log=0 < 20 * low < high)
    return found


def _last_part(name: str) -> str:
    """``training.gamma (x of 1 - x)`` is ``gamma (x of 1 - x)``."""
    path, bracket, rest = name.partition(" (")
    return f"{path.rpartition('.')[2]}{bracket}{rest}"


def _draw(path: Path, plot: Callable[[], Any], best: int | None) -> Path | None:
    """Draws one plot; what Optuna cannot draw for this study is left out rather than ending a finished sweep."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    with pyplot.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            drawn = plot()
            panels = list(drawn.flat) if hasattr(drawn, "flat") else [drawn]
            figure = panels[0].figure
            figure.set_size_inches(*_size(path.stem, len(figure.axes), getattr(drawn, "ndim", 0)))
            for axes in figure.axes:
                axes.tick_params(labelsize=8)
                axes.xaxis.label.set_size(9)
                _space_out_logarithms(axes)
            if path.stem == "intermediate_values":
                _mark_best(panels[0], best)
            figure.savefig(path, dpi=DPI, bbox_inches="tight")
        except Exception as error:
            _note_left_out(path, error)
            return None
        finally:
            pyplot.close("all")
    return path


def _note_left_out(path: Path, error: Exception) -> None:
    """A picture that cannot be drawn ends no finished sweep."""
    log.debug("the plot %s was left out: %s", path.name, error)


def _size(name: str, panels: int, dimensions: int) -> tuple[float, float]:
    """Width and height in inches: contours are a square of panels, slices a row, parallel coordinates a row of axes."""
    if dimensions == 2:
        side = max(6.0, 2.6 * math.sqrt(panels))
        return 1.25 * side, side
    if dimensions == 1:
        return max(6.0, 2.2 * panels), 3.6
    if name.startswith("parallel_coordinates"):
        return max(6.0, 1.3 * panels), 4.5
    return 8.0, 4.5


def _space_out_logarithms(axes: "Axes") -> None:
    """Few ticks, so that narrow panels do not write over each other."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis, scale, (low, high) in (
        (axes.xaxis, axes.get_xscale(), axes.get_xlim()),
        (axes.yaxis, axes.get_yscale(), axes.get_ylim()),
    ):
        if scale == "log":
            axis.set_major_locator(LogLocator(subs=(1.0,) if high > 50 * low else (1.0, 3.0)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())


def _mark_best(axes: "Axes", best: int | None) -> None:
    """The best trial stands out of the others; a legend of all of them would be longer than the plot."""
    for line in axes.get_lines():
        is_best = line.get_label() == f"Trial{best}"
        if is_best:
            line.set(color=COLOURS[1], alpha=1.0, zorder=3, markersize=3, label=f"trial {best}, the best")
        else:
            line.set(color="0.6", alpha=0.5, zorder=2, markersize=3, label="_")
    axes.legend(loc="best")
