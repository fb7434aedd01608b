"""Seeds of a study's own: two studies that tune to the same maps would find what suits these maps."""

import hashlib
from dataclasses import dataclass

from daf.config.schemas import DAFConfig

#: Above every seed that a study draws, and below the end of what a seed may be, with room for the episodes.
END = 2**31 - 2**24


@dataclass(frozen=True)
class StudySeeds:
    """How far a study's seeds lie from those of the config.

    Attributes:
        evaluation: from `evaluation.seed`, for the episodes of trials.
        confirmation: from `evaluation.seed`, for the episodes of the confirmation.
        training: from `seed`, for the trainings of the confirmation.
    """

    evaluation: int
    confirmation: int
    training: int

    def of_trial(self, config: DAFConfig) -> DAFConfig:
        """A trial's config with the study's evaluation seeds."""
        return with_evaluation(config, seed=(config.evaluation.seed + self.evaluation) % END)


#: What all studies had before each had its own.
SHARED = StudySeeds(evaluation=0, confirmation=10_000_000, training=100_000)


def study_seeds(name: str) -> StudySeeds:
    """The seeds of a new study: the same for the same name, in ranges apart from each other and from small seeds."""
    hashed = hashlib.sha256(name.encode()).digest()
    first, second, third = (int.from_bytes(hashed[start : start + 8]) for start in (0, 8, 16))
    return StudySeeds(
        evaluation=300_000_000 + first % 800_000_000,
        confirmation=1_100_000_000 + second % 900_000_000,
        training=100_000 + third % 900_000,
    )


def with_evaluation(config: DAFConfig, **changes: int) -> DAFConfig:
    """The config with other evaluation episodes."""
    return config.model_copy(update={"evaluation": config.evaluation.model_copy(update=changes)})
