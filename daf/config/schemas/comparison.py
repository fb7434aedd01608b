"""Comparison, power, value over replacement, tournament, benchmark suite, ablation and analysis."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from daf.config.schemas.deployment import DAFSeasonConfig
from daf.config.schemas.policies import ListedPolicy
from daf.config.schemas.values import (
    EpisodeMetric,
    Episodes,
    Label,
    Level,
    Positive,
    Real,
    Repeats,
    Schema,
    Text,
)


def _one_or_more(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


class DAFComparisonConfig(Schema):
    """Which policies are compared, by what, and when to stop."""

    policies: tuple[ListedPolicy, ...]
    algorithms: dict[Label, dict[str, Any]]
    trainings: Repeats
    metric: EpisodeMetric
    direction: Literal["auto", "maximize", "minimize"]
    range: tuple[Real, Real] | None
    level: Level
    stopping: Literal["fixed", "sequential"]
    margin: Positive | None
    round_episodes: Episodes
    max_episodes: Episodes

    @model_validator(mode="after")
    def _algorithms_train(self) -> "DAFComparisonConfig":
        if self.algorithms and not self.trainings:
            raise ValueError("algorithms need trainings, such as trainings: 5")
        if self.trainings and self.stopping == "sequential":
            raise ValueError("stopping=sequential compares policies as they are; with trainings use stopping=fixed")
        if self.trainings and self.range:
            raise ValueError("range serves comparisons of policies as they are; leave it out with trainings")
        for name, values in self.algorithms.items():
            for key in values:
                if key.partition(".")[0] not in {"policy", "optimizer", "training"}:
                    raise ValueError(f"algorithms.{name}: {key} is no key of policy, optimizer or training")
        return self

    @field_validator("range")
    @classmethod
    def _goes_up(cls, ends: tuple[float, float] | None) -> tuple[float, float] | None:
        if ends and not -1e30 <= ends[0] < ends[1] <= 1e30:
            raise ValueError("holds the lowest and then the highest score that there can be, such as [0,1]")
        return ends

    @model_validator(mode="after")
    def _sequential_needs_a_margin(self) -> "DAFComparisonConfig":
        if self.stopping == "sequential" and self.margin is None:
            raise ValueError(
                "stopping=sequential needs margin: the smallest difference that matters, in the unit of the metric"
            )
        return self


class DAFPowerConfig(Schema):
    """The difference that is to be found, and how surely."""

    difference: Positive | None
    power: Level


class DAFVorConfig(Schema):
    """Against whom the configured policy's value over replacement is measured."""

    pool: tuple[ListedPolicy, ...]
    fixed_map: bool
    level: Level


class DAFTournamentConfig(Schema):
    """Who meets in mixed teams, and how often; and the season on a server."""

    policies: tuple[ListedPolicy, ...]
    seeds: Episodes
    level: Level
    season: DAFSeasonConfig


class DAFBenchmarkConfig(Schema):
    """A suite of missions, and the algorithms that are scored on it."""

    suite: Literal["quick", "diagnostic", "integrated", "spanning", "cogsguard", "all"]
    algorithms: dict[Label, Annotated[tuple[ListedPolicy, ...], BeforeValidator(_one_or_more), Field(min_length=1)]]
    scripted: Annotated[tuple[ListedPolicy, ...], Field(min_length=1)]
    level: Level


class DAFPartConfig(Schema):
    """One part of an ablation: what happens when it is switched off.

    Attributes:
        set: dotted keys of `policy`, `mission` or `variant` (where the ablation trains also `optimizer` and `training`)
            to the values that replace theirs; `policy` itself takes another policy.
        without_variants: variants that are left out.
        without_rewards: terms that are taken out of every agent's reward.
        zero: modules or parameters of the policy's weights that become 0.
    """

    set: dict[str, Any] = Field(default_factory=dict)
    without_variants: tuple[Text, ...] = ()
    without_rewards: tuple[Text, ...] = ()
    zero: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _switches_something_off(self) -> "DAFPartConfig":
        if not (self.set or self.without_variants or self.without_rewards or self.zero):
            raise ValueError("a part needs set, without_variants, without_rewards or zero")
        return self


class DAFAblationConfig(Schema):
    """Parts to switch off, and what is measured."""

    parts: dict[Label, DAFPartConfig]
    pairs: bool
    trainings: Repeats
    metric: EpisodeMetric
    level: Level

    @model_validator(mode="after")
    def _parts_have_an_effect(self) -> "DAFAblationConfig":
        groups = {"policy", "mission", "variant"} | ({"optimizer", "training"} if self.trainings else set())
        for name, part in self.parts.items():
            for key in part.set:
                if key in {"mission", "mission.name"}:
                    raise ValueError(
                        f"parts.{name}: {key} cannot be a part, since another mission is another experiment"
                    )
                if key.partition(".")[0] not in groups:
                    raise ValueError(f"parts.{name}: {key} does not change how a trained policy plays; see trainings")
            if part.zero and self.trainings:
                raise ValueError(f"parts.{name}: zero changes trained weights; it needs trainings: 0")
        return self


class DAFAnalysisConfig(Schema):
    """What `task=missions` checks, and what it calls a success."""

    check: Literal["selected", "all"]
    success_metric: EpisodeMetric
    success_threshold: Real | None
