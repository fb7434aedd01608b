"""What a verdict about trained weights is about."""

from collections.abc import Iterable

from daf.records import PolicySpec


def weights_notes(policies: Iterable[PolicySpec]) -> list[str]:
    """A sentence about the policies that are one training's weights, if there are any."""
    names = [policy.name for policy in policies if policy.weights is not None]
    if not names:
        return []
    return [
        f"Trained weights: {', '.join(names)}. What is said here is about these weights, not about the config that they"
        " were trained with, whose next training may play better or worse (task=compare comparison.trainings=5 compares"
        " configs)."
    ]
