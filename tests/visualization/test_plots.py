"""Plots: the file, its resolution and what is drawn."""

import csv
import json
from pathlib import Path

import numpy as np
from matplotlib.image import imread

from daf.statistics import Estimate, compare, performance_profiles
from daf.visualization import (
    COLOURS,
    DASHES,
    DPI,
    daf_generate_leaderboard,
    daf_plot_pair_differences,
    daf_plot_performance_profiles,
    daf_plot_policy_comparison,
    daf_plot_sweep_results,
    daf_plot_training_curves,
    moving_mean,
)
from daf.visualization.comparison_plots import daf_plot_groups


def has_colour(path: Path, colour: str) -> bool:
    """Whether a picture holds pixels of exactly this colour."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    pixels = (imread(path)[..., :3] * 255).round().astype(int)
    return bool((pixels == wanted).all(axis=-1).any())


def test_learning_curve(tmp_path: Path) -> None:
    path = daf_plot_training_curves(
        {"lstm": [(100, 1.0), (200, 1.5)]}, tmp_path / "deep" / "curve.png", references={"noop": 1.0}
    )
    image = imread(path)
    assert image.shape[:2] == (4.5 * DPI, 9.5 * DPI)
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


def test_every_mix_of_colour_and_dashes_is_its_own() -> None:
    count = len(COLOURS) * len(DASHES)
    assert len({(index % len(COLOURS), index % len(DASHES)) for index in range(count)}) == count


def test_only_decided_differences_are_filled(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(2, 1, 20))
    for name, shift in (("same", 0.0), ("apart", 9.0)):
        shifts = np.array([0.0, shift])[:, None, None]
        pairs = compare(scores + shifts, ("a", "b"), ("m",), rng=generator).pairs[:1]
        path = daf_plot_pair_differences(pairs, tmp_path / f"{name}.png", level=0.95, metric="reward")
        assert has_colour(path, COLOURS[0]) == pairs[0].significant == (name == "apart")


def test_profiles_show_every_policy(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(size=(3, 2, 20))
    profiles = performance_profiles(scores, ("a", "<b>", "c"), np.linspace(-3, 3, 50))
    path = daf_plot_performance_profiles(profiles, tmp_path / "profiles.png", metric="reward", episodes=40)
    assert all(has_colour(path, colour) for colour in COLOURS[:3])


def test_sweep_results_show_trials_in_any_state(tmp_path: Path) -> None:
    trials = [(2, None, "FAIL"), (0, 0.1, "COMPLETE"), (1, 0.4, "COMPLETE"), (3, 9.0, "PRUNED")]
    both = daf_plot_sweep_results(trials, tmp_path / "sweep.png", metric="reward")
    assert has_colour(both, COLOURS[0])
    assert has_colour(both, COLOURS[1])
    nothing = daf_plot_sweep_results([(0, None, "FAIL")], tmp_path / "nothing.png", direction="minimize")
    assert not has_colour(nothing, COLOURS[1])


def test_policies_that_cannot_be_told_apart_are_joined_by_bars(tmp_path: Path) -> None:
    means = {name: Estimate(value) for name, value in (("a", 3.0), ("b", 2.0), ("c", 1.0))}

    def picture(groups: dict[str, str], metric: str = "reward") -> np.ndarray:
        return imread(daf_plot_groups(means, groups, tmp_path / "groups.png", level=0.95, metric=metric))

    apart, joined = (picture(dict(zip("abc", letters, strict=True))) for letters in ("abc", ("a", "ab", "b")))
    grey = [np.isclose(image[..., :3], 0.35, atol=0.02).all(axis=-1).sum() for image in (apart, joined)]
    assert grey[1] > 1.5 * grey[0] > 0


def test_leaderboard_ranks_only_what_is_decided(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(3, 1, 30))
    scores = noise + np.array([0.0, 9.0, 9.1])[:, None, None]
    comparison = compare(scores, ("last", "a|b", "<c>"), ("m",), rng=np.random.default_rng(1))
    table = daf_generate_leaderboard(comparison, tmp_path, metric="reward")
    assert {row[0]: row[1] for row in table.rows} == {"a|b": "1-2", "<c>": "1-2", "last": "3"}
    means = [float(row[2]) for row in table.rows]
    assert means == sorted(means, reverse=True)
    with (tmp_path / "leaderboard.csv").open() as file:
        assert [tuple(row) for row in csv.reader(file)] == [table.columns, *table.rows]
    entries = json.loads((tmp_path / "leaderboard.json").read_text())["entries"]
    assert entries[-1]["rank"] == [3, 3]
    assert entries[-1]["mean"] == comparison.summary("last").mean.value
    assert "a\\|b" in (tmp_path / "leaderboard.md").read_text()
    assert table.title == "Leaderboard"
    assert table.columns[3] == "95% interval"
    deaths = daf_generate_leaderboard(comparison, tmp_path, metric="agent/death", direction="minimize")
    assert deaths.title.endswith("lowest first")
    assert [row[:2] for row in deaths.rows] == [("last", "1"), ("<c>", "2-3"), ("a|b", "2-3")]
    assert json.loads((tmp_path / "leaderboard.json").read_text())["direction"] == "minimize"
    nobody_knows = daf_generate_leaderboard(comparison, tmp_path, metric="agent/death", direction=None)
    assert nobody_knows.title.endswith("highest first")
    assert nobody_knows.rows[0][0] == "a|b"
