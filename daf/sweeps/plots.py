"""What is drawn of a study: pictures, what mattered, and a page with all of it to be looked into."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from daf.config.schemas import DAFConfig
from daf.sweeps.findings import sweep_findings
from daf.sweeps.importance import importances
from daf.sweeps.status import in_state
from daf.sweeps.study import StudyView
from daf.visualization.sweep_findings import FEWEST_FOR_IMPORTANCE, SweepFindings
from daf.visualization.sweep_page import write_sweep_page
from daf.visualization.sweep_pictures import plot_importances, plot_pairs, suffix, sweep_pictures

#: The page's file.
PAGE = "sweep.html"


def sweep_plots(study: StudyView, folder: Path, config: DAFConfig) -> dict[str, Callable[[], Path | None]]:
    """What can be drawn of a study, finished or not; what it has too few trials or parameters for is left out.

    Args:
        folder: takes the files; it is made.
        config: of the sweep.

    Returns:
        Name to what draws it, as a PNG file in `folder`, and as a page (`PAGE`) the last. One that finds nothing to
        draw gives no file.
    """
    if not study.ran():
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    findings = sweep_findings(study, config)
    pictures = {name: partial(draw, folder / f"{name}.png") for name, draw in sweep_pictures(findings).items()}
    return {
        **pictures,
        **_of_importances(study, folder, findings),
        "sweep": partial(_page, study, findings, folder / PAGE),
    }


def _of_importances(study: StudyView, folder: Path, findings: SweepFindings) -> dict[str, Callable[[], Path | None]]:
    """Importances, and the contours of the parameters that matter most."""
    if not findings.axes or len(in_state(study.ran(), "COMPLETE")) < FEWEST_FOR_IMPORTANCE:
        return {}
    drawn: dict[str, Callable[[], Path | None]] = {}
    for index, metric in enumerate(findings.metrics):
        ending = suffix(metric, findings.metrics)
        drawn[f"importances{ending}"] = partial(
            _importances, study, findings, index, folder / f"importances{ending}.png"
        )
        if len(findings.axes) > 1:
            drawn[f"contour{ending}"] = partial(_contour, study, findings, index, folder / f"contour{ending}.png")
    return drawn


def _importances(study: StudyView, findings: SweepFindings, index: int, path: Path) -> Path | None:
    if not (shares := importances(study, index)):
        return None
    return plot_importances(shares, path, metric=findings.metrics[index], trials=len(findings.complete()))


def _contour(study: StudyView, findings: SweepFindings, index: int, path: Path) -> Path:
    return plot_pairs(findings, index, path, list(importances(study, index)))


def _page(study: StudyView, findings: SweepFindings, path: Path) -> Path:
    return write_sweep_page(findings, [importances(study, index) for index in range(len(findings.metrics))], path)
