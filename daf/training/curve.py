"""A training's learning curve, beside those of other trainings of the same config, which show what a seed is worth."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daf.config.schemas import DAFConfig
from daf.config.sections import EXPERIMENT
from daf.records import digest
from daf.redaction import redactor
from daf.tracking.tracker import Tracker
from daf.visualization.curves import daf_plot_training_curves

if TYPE_CHECKING:
    from mlflow.entities import Run

#: Of a training's run: the digest of everything that decides it but its seed.
CONFIG_TAG = "daf.training_config"
#: Other trainings that a picture still shows legibly.
MOST_OTHERS = 6

type Curve = Sequence[tuple[int, float]]


def config_tag(config: DAFConfig) -> dict[str, str]:
    """The tag by which other trainings of a config are found."""
    parts = set(EXPERIMENT) - {"seed", "evaluation"}
    data = config.model_dump(mode="json", include=parts, exclude={"training": {"resume"}})
    return {CONFIG_TAG: digest(redactor().tree(data))}


def draw_curve(config: DAFConfig, tracker: Tracker, curve: Curve, path: Path) -> Path:
    """Draws the curve of a training and those of earlier ones in the same experiment with the same config."""
    mine = {f"this training (seed {config.seed})": curve}
    window = max(1, len(curve) // 20) | 1
    return daf_plot_training_curves({**mine, **_others(config, tracker)}, path, window=window)


def curve_pictures(config: DAFConfig, tracker: Tracker, curve: Curve) -> "Mapping[str, partial[Path]]":
    """What there is to draw of a training: nothing where no episode ended."""
    return {"learning_curve.png": partial(draw_curve, config, tracker, curve)} if curve else {}


def _others(config: DAFConfig, tracker: Tracker) -> dict[str, Curve]:
    """Names and curves of the newest other trainings of the config, those that ended well."""
    tag = config_tag(config)[CONFIG_TAG]
    found = tracker.client.search_runs(
        [tracker.experiment_id],
        f"tags.`{CONFIG_TAG}` = '{tag}' and attributes.status = 'FINISHED'",
        max_results=MOST_OTHERS + 1,
    )
    others = [run for run in found if run.info.run_id != tracker.run_id][:MOST_OTHERS]
    return dict(_curves(tracker, others))


def _curves(tracker: Tracker, runs: "Sequence[Run]") -> Iterator[tuple[str, Curve]]:
    for run in runs:
        history = tracker.client.get_metric_history(run.info.run_id, "reward")
        if points := sorted((point.step, point.value) for point in history):
            yield f"seed {run.data.tags.get('daf.seed', '?')}, run {run.info.run_id[:8]}", points
