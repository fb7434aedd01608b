"""A sweep's pictures: which there are, and what stands in them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from daf.visualization import COLOURS
from daf.visualization.sweep_pictures import plot_importances, plot_pairs, sweep_pictures
from tests.visualization import sweeps
from tests.visualization.test_plots import has_colour

ALL = ["history", "slice", "parallel_coordinates", "contour", "intermediate_values"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *arguments: Any, **options: Any) -> None:
        figures.append(self)
        save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def test_every_picture_is_drawn_and_shows_the_best(tmp_path: Path) -> None:
    pictures = sweep_pictures(sweeps.findings())
    assert list(pictures) == ALL
    for name, draw in pictures.items():
        path = draw(tmp_path / f"{name}.png")
        assert imread(path).shape[1] >= 600
        assert name == "contour" or has_colour(path, COLOURS[1])


def test_a_line_for_each_training_and_none_leads_from_one_to_the_next(tmp_path: Path, drawn: list[Figure]) -> None:
    sweep_pictures(sweeps.findings())["intermediate_values"](tmp_path / "reports.png")
    (axes,) = drawn[0].axes
    lines = [line for line in axes.get_lines() if len(line.get_xdata()) > 1]  # type: ignore[arg-type]
    assert len(lines) == 12 * 2 + 2
    assert all((np.diff(np.asarray(line.get_xdata())) > 0).all() for line in lines)
    crosses = [line for line in axes.get_lines() if line.get_marker() == "x"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in crosses] == [(400, -49.0), (400, -4.0)]  # type: ignore[index]
    assert "2 trainings a trial" in axes.get_xlabel()


def test_pruned_trials_stand_hollow_at_their_last_report(tmp_path: Path, drawn: list[Figure]) -> None:
    sweep_pictures(sweeps.findings())["history"](tmp_path / "history.png")
    (axes,) = drawn[0].axes
    labels = [line.get_label() for line in axes.get_lines()]
    assert labels[0] == "best so far (maximize): 0.0000"
    assert labels[1:4] == ["complete (n = 12)", "pruned, at its last report (n = 2)", "failed (n = 1)"]
    assert axes.get_lines()[2].get_markerfacecolor() == "none"
    assert list(axes.get_lines()[2].get_ydata()) == [-49.0, -4.0]  # type: ignore[arg-type]


def test_magnitudes_have_several_ticks_on_an_axis_of_their_own(tmp_path: Path, drawn: list[Figure]) -> None:
    sweep_pictures(sweeps.findings())["slice"](tmp_path / "slice.png")
    panel = drawn[0].axes[0]
    assert (panel.get_xscale(), panel.get_xlabel()) == ("log", "lr (logarithmic)")
    low, high = panel.get_xlim()
    assert sum(low <= tick <= high for tick in panel.get_xticks()) >= 2
    assert [text.get_text() for text in drawn[0].axes[2].get_xticklabels()] == ["lstm", "<b>stateless<…"]


def test_importances_say_from_how_many_trials(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_importances(sweeps.SHARES, tmp_path / "importances.png", metric="reward", trials=12)
    (axes,) = drawn[0].axes
    assert axes.get_xlabel().endswith("from 12 complete trials")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["policy", "lr", "clip_coef"]
    assert {text.get_text() for text in axes.texts} == {"70%", "25%", "5%"}


def test_what_matters_most_comes_first_among_pairs(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_pairs(sweeps.findings(), 0, tmp_path / "contour.png", list(sweeps.SHARES))
    shown = [axes.get_xlabel() for axes in drawn[0].axes if axes.get_visible()]
    assert shown[1:3] == ["clip_coef", "lr (logarithmic)"]


def test_several_objectives_have_a_picture_each_and_a_front(tmp_path: Path) -> None:
    pictures = sweep_pictures(sweeps.two_objectives())
    each = [f"{name}_{metric}" for metric in ("reward", "train_seconds") for name in ALL[:4]]
    assert list(pictures) == [*each, "intermediate_values", "pareto_front"]
    assert has_colour(pictures["pareto_front"](tmp_path / "front.png"), COLOURS[0])


def test_a_sweep_without_a_result_has_a_history_and_nothing_made_up(tmp_path: Path) -> None:
    trials = (sweeps.trial(0, "failed"), sweeps.trial(1, "running"))
    pictures = sweep_pictures(replace(sweeps.findings(), trials=trials, best=None))
    assert list(pictures) == ["history"]
    assert pictures["history"](tmp_path / "history.png").is_file()
