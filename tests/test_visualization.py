"""Plots: the file, its resolution and what is drawn."""

from pathlib import Path

import numpy as np
from matplotlib.image import imread

from daf.visualization import DPI, daf_plot_policy_comparison, daf_plot_training_curves, moving_mean


def test_learning_curve(tmp_path: Path) -> None:
    path = daf_plot_training_curves(
        {"lstm": [(100, 1.0), (200, 1.5)]}, tmp_path / "deep" / "curve.png", references={"noop": 1.0}
    )
    image = imread(path)
    assert image.shape[:2] == (4.5 * DPI, 8 * DPI)
    assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 50


def test_the_moving_mean_keeps_its_ends() -> None:
    assert moving_mean([0.0, 3.0, 6.0, 3.0], 3) == [1.5, 3.0, 4.0, 4.5]
    assert moving_mean([1.0, 2.0], 1) == [1.0, 2.0]


def test_comparison_grows_with_its_policies_and_accepts_any_name(tmp_path: Path) -> None:
    samples = {"<script>": [1.0, 1.2, 1.1], "noop": [1.0, 1.0, 1.0]}
    two = daf_plot_policy_comparison(samples, tmp_path / "two.png", intervals={"noop": (1.0, 1.0)}, level=0.95)
    four = daf_plot_policy_comparison(
        {**samples, "a$b_": [0.5], "c": [0.1, 0.2]}, tmp_path / "four.png", intervals={}, level=0.95
    )
    assert imread(four).shape[0] > imread(two).shape[0]
