"""Plots of a study, as PNG files: Optuna's own, drawn with matplotlib."""

import logging
import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.sweeps.state import in_state
from daf.visualization import DPI

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

#: Parameters that a contour plot still shows legibly.
MOST_CONTOURS = 4


def daf_plot_sweep(study: "optuna.Study", folder: Path, metrics: Sequence[str]) -> list[Path]:
    """Draws history, importances (fANOVA), parallel coordinates, slices, contours and intermediate values.

    With several objectives there is a plot of each kind for each of them, and the Pareto front. What a study has too
    few trials or parameters for is left out.

    Returns:
        The files.
    """
    complete = in_state(study.get_trials(deepcopy=False), "COMPLETE")
    if not complete:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [_draw(folder / f"{name}.png", plot) for name, plot in _plots(study, metrics, complete).items()]
    return [path for path in drawn if path]


def _plots(study: "optuna.Study", metrics: Sequence[str], complete: Sequence[Any]) -> dict[str, Callable[[], Any]]:
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.visualization import matplotlib as plots

    varied = sorted({name for trial in complete for name in trial.params if _varies(name, complete)})
    chosen: dict[str, Callable[[], Any]] = {}
    several = len(metrics) > 1
    for index, metric in enumerate(metrics):
        suffix = f"_{''.join(c if c.isalnum() else '_' for c in metric)}" if several else ""
        what: dict[str, Any] = {"target_name": metric}
        if several:
            what["target"] = partial(_value_at, index)
        chosen[f"history{suffix}"] = partial(plots.plot_optimization_history, study, **what)
        if not varied or len(complete) < 2:
            continue
        chosen[f"slice{suffix}"] = partial(plots.plot_slice, study, params=varied, **what)
        fanova = FanovaImportanceEvaluator(seed=0)
        chosen[f"importances{suffix}"] = partial(
            plots.plot_param_importances, study, evaluator=fanova, params=varied, **what
        )
        if len(varied) > 1:
            chosen[f"parallel_coordinates{suffix}"] = partial(
                plots.plot_parallel_coordinate, study, params=varied, **what
            )
            chosen[f"contour{suffix}"] = partial(plots.plot_contour, study, params=varied[:MOST_CONTOURS], **what)
    if any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
        chosen["intermediate_values"] = partial(plots.plot_intermediate_values, study)
    if len(metrics) in (2, 3):
        chosen["pareto_front"] = partial(plots.plot_pareto_front, study, target_names=list(metrics))
    return chosen


def _value_at(index: int, trial: "FrozenTrial") -> float:
    return float(trial.values[index])


def _varies(name: str, trials: Sequence[Any]) -> bool:
    return len({repr(trial.params[name]) for trial in trials if name in trial.params}) > 1


def _draw(path: Path, plot: Callable[[], Any]) -> Path | None:
    """Draws one plot; what Optuna cannot draw for this study is left out rather than ending a finished sweep."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    with pyplot.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            drawn = plot()
            axes = drawn.flat[0] if hasattr(drawn, "flat") else drawn
            figure = axes.figure
            if hasattr(drawn, "flat"):
                side = max(6.0, 3.0 * math.sqrt(drawn.size) if drawn.ndim > 1 else 3.0 * drawn.size)
                figure.set_size_inches(side, side if drawn.ndim > 1 else 4.5)
            figure.savefig(path, dpi=DPI, bbox_inches="tight")
        except Exception as error:
            log.debug("the plot %s was left out: %s", path.name, error)
            return None
        finally:
            pyplot.close("all")
    return path
