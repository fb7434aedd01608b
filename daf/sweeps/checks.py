"""Whether a sweep can run, found out before anything is created: every problem at once."""

import functools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from daf.bridge.inspection import reward_variant_names
from daf.config.held_out import held_out_problems
from daf.config.missions import mission_specs
from daf.config.override_secrets import swept_secrets
from daf.config.schemas import DAFConfig
from daf.config.sections import NOT_ENVIRONMENT, SAME_FOR_ALL_TRIALS
from daf.errors import DAFConfigError, Problem
from daf.sweeps.identity import study_name
from daf.sweeps.jobs import seeds_from
from daf.sweeps.seeds import StudySeeds, study_seeds
from daf.sweeps.space import Assignments, Compose, Parameter, Space, has_value
from daf.sweeps.strategies import make_pruner, make_sampler
from daf.sweeps.study import quiet_optuna
from daf.tasks import find_task

#: Metrics in the unit of the reward.
IN_REWARDS = ("reward", "vor", "train/reward")
#: Sections that say what the reward is, and where it is earned.
DECIDES_REWARDS = ("variant", "mission", "evaluation")
#: Values of one key that are tried.
MOST_PROBES = 64
#: Combinations with other keys' values that are tried before a value counts as impossible.
COMBINATIONS = 8


def check_sweep(
    config: DAFConfig, space: Space, compose: Compose, check_environment: Callable[[DAFConfig], list[Problem]]
) -> list[Problem]:
    """Everything that is wrong with a sweep: its keys, its values, its enqueued trials, its environment."""
    if not space.parameters:
        return [Problem("sweep.space", "nothing is swept.", "Sweep a key: optimizer.lr=1e-4,3e-4, or sweep=ppo.")]
    problems = [
        *swept_secrets({parameter.key: parameter.config.choices or () for parameter in space.parameters}),
        *_check_strategies(config),
        *_check_references(config, space, compose),
        *_check_grid(config, space, compose),
        *_check_units(config, space, compose),
    ]
    check = _Feasibility(config, check_environment)
    problems += check.problems(lambda: config)
    for parameter in space.parameters:
        for problem in _check_values(parameter, space, compose, check):
            if problem not in problems:
                problems.append(problem)
    return problems


def _check_strategies(config: DAFConfig) -> Iterator[Problem]:
    """Sampler and pruner must take their arguments."""
    quiet_optuna()
    sampler = partial(make_sampler, config, config.sweep.sampler or "tpe", 0)
    for make in (sampler, partial(make_pruner, config)):
        try:
            make()
        except DAFConfigError as error:
            yield from error.problems


def _check_references(config: DAFConfig, space: Space, compose: Compose) -> Iterator[Problem]:
    """Conditions and enqueued trials must name keys that exist, and enqueued values must lie in the space."""
    swept = {parameter.path: parameter for parameter in space.parameters}
    configs = [config, *_of_each_option(space, compose)]
    for parameter in space.parameters:
        if parameter.path.partition(".")[0] in SAME_FOR_ALL_TRIALS:
            hint = "Is there a comma that should stand in quotes?"
            yield Problem(parameter.path, "is the same for all trials and cannot be swept.", hint)
        for key in parameter.config.when:
            if key not in swept and not any(has_value(option, key) for option in configs):
                yield Problem(f"sweep.space.{parameter.path}.when", f"there is no key {key}.")
    for index, point in enumerate(config.sweep.enqueue):
        for key, value in point.items():
            named = swept.get(key.lstrip("+"))
            where = f"sweep.enqueue.{index}.{key}"
            if named is None:
                yield Problem(where, "is not swept.", f"Swept: {', '.join(swept)}.")
            elif not named.contains(value):
                yield Problem(where, f"{value!r} is not among what the key ranges over.")


def _of_each_option(space: Space, compose: Compose) -> Iterator[DAFConfig]:
    """The config with every option of a swept group: some keys exist in one of them only."""
    for parameter in space.parameters:
        for option in parameter.probes() if parameter.is_group else ():
            with suppress(DAFConfigError):  # reported with the values
                yield compose({parameter.key: option})


def is_grid(config: DAFConfig, space: Space) -> bool:
    """Whether every point is tried once: on request, or where there are finitely many and no sampler is named."""
    return config.sweep.sampler == "grid" or (config.sweep.sampler is None and space.is_finite)


def _check_grid(config: DAFConfig, space: Space, compose: Compose) -> Iterator[Problem]:
    if is_grid(config, space):
        try:
            space.grid(compose)
        except ValueError as error:
            yield Problem("sweep.sampler", f"{error}.")
        except DAFConfigError:
            return  # reported with the values below


def _check_units(config: DAFConfig, space: Space, compose: Compose) -> Iterator[Problem]:
    """Rewards of other reward variants or missions are other quantities: the larger scale would win."""
    metrics = [metric for metric in config.objective.metric if metric in IN_REWARDS]
    swept = [each for each in space.parameters if each.path.partition(".")[0] in DECIDES_REWARDS]
    if not metrics or not swept or not _is_scored(config):
        return
    configs = list(_of_each_value(swept, compose))
    if len(set(map(_rewards, configs))) > 1:
        what = f"{metrics[0]} is another quantity under each reward variant, so trials cannot be ranked by it."
        hint = "Take a stat of the game (objective.metric=game/...), or one sweep for each reward variant."
        yield Problem("objective.metric", what, hint)
    for metric in metrics:
        if len({_scored_missions(each, metric) for each in configs}) > 1:
            what = f"{metric} has another scale on each mission, so trials on different ones cannot be ranked by it."
            hint = (
                "evaluation.missions=[...] plays the same missions in every trial; or run one sweep for each mission;"
                " hydra/sweeper=basic runs them all and ranks none."
            )
            yield Problem("objective.metric", what, hint)
            return


def _is_scored(config: DAFConfig) -> bool:
    """Whether trials are ranked by `objective.metric`; a task that is not there is reported with the environment."""
    with suppress(DAFConfigError):
        return find_task(config.task).scored_by_sweeps
    return False


def _of_each_value(swept: Sequence[Parameter], compose: Compose) -> Iterator[DAFConfig]:
    """The config with every value of some keys that gives one; the others are reported with the values."""
    for parameter in swept:
        for value in parameter.probes():
            with suppress(DAFConfigError, ValueError):
                yield compose({parameter.key: parameter.value(value)})


def _rewards(config: DAFConfig) -> tuple[frozenset[str], frozenset[str]]:
    """What the reward consists of."""
    variant = config.variant
    return frozenset(variant.names) & set(reward_variant_names()), frozenset(variant.without_rewards)


def _scored_missions(config: DAFConfig, metric: str) -> frozenset[str]:
    """Where the rewards of a metric are earned."""
    if metric.startswith("train/"):
        return frozenset({config.mission.name})
    return frozenset(mission.name for mission in mission_specs(config))


class _Feasibility:
    """Tries configs; equal environments are checked once."""

    def __init__(self, base: DAFConfig, check_environment: Callable[[DAFConfig], list[Problem]]) -> None:
        self._base = base
        self._check_environment = check_environment
        self._known: dict[str, list[Problem]] = {}
        self._seeds = functools.cache(lambda: study_seeds(study_name(base)))

    def problems(self, make: Callable[[], DAFConfig]) -> list[Problem]:
        try:
            config = make()
        except DAFConfigError as error:
            return error.problems
        except ValueError as error:
            return [Problem("sweep.space", f"{error}.")]
        if problems := _not_held_out(config, self._seeds):
            return problems
        # Everything else as in the base: a thousand learning rates need one environment.
        environment = config.model_dump(mode="json", exclude=set(NOT_ENVIRONMENT))
        training = config.training
        key = repr((environment, training.resume, training.num_steps if training.resume else None))
        if key not in self._known:
            like_base = config.model_copy(update={"output_dir": self._base.output_dir})
            self._known[key] = self._check_environment(like_base)
        return self._known[key]


def _not_held_out(config: DAFConfig, seeds_of_study: Callable[[], StudySeeds]) -> list[Problem]:
    """What is wrong with the seeds of a trial's trainings, beside the episodes of the trial and those asked for."""
    with suppress(DAFConfigError):  # a task that is not there is reported with the environment
        if find_task(config.task).trains(config):
            moved = seeds_of_study().of_trial(config)
            seeds = seeds_from(config.seed, config.sweep.seeds_per_trial)
            trainings = [each.model_copy(update={"seed": seed}) for each in (config, moved) for seed in seeds]
            return next(filter(None, map(held_out_problems, trainings)), [])
    return []


def _check_values(parameter: Parameter, space: Space, compose: Compose, check: _Feasibility) -> Iterator[Problem]:
    """The problems of values that no trial could validate."""
    for sampled in parameter.probes()[:MOST_PROBES]:
        problems = check.problems(lambda sampled=sampled: compose({parameter.key: parameter.value(sampled)}))  # type: ignore[misc]
        # What is wrong with the value itself cannot be mended by other keys' values.
        itself = any(problem.where == parameter.path for problem in problems)
        if problems and (itself or not _goes_with_others(parameter, sampled, space, compose, check)):
            yield from problems


def _goes_with_others(parameter: Parameter, sampled: Any, space: Space, compose: Compose, check: _Feasibility) -> bool:
    """Whether some combination with values of the other keys is valid."""
    others = [other for other in space.parameters if other is not parameter]
    if not others:
        return False
    generator = random.Random(0)
    for _ in range(COMBINATIONS):
        chosen = [(other.key, other, generator.choice(other.probes())) for other in others]
        chosen.append((parameter.key, parameter, sampled))
        if not check.problems(lambda chosen=chosen: compose(_values(chosen))):  # type: ignore[misc]
            return True
    return False


def _values(chosen: Sequence[tuple[str, Parameter, Any]]) -> Mapping[str, Any]:
    ordered: Assignments = {key: parameter.value(sampled) for key, parameter, sampled in chosen if parameter.is_group}
    ordered.update({key: parameter.value(sampled) for key, parameter, sampled in chosen})
    return ordered
