"""`task=ablation`: what each part of a policy, a mission or a reward contributes, by switching it off.

A part's contribution is the metric with everything on, less the metric without the part, on the same seed. Two parts
interact by as much as their joint contribution differs from the sum of the two.

Either a policy plays with a part off: then seeds are those of episodes. Or it is trained with the part off, and plays
with everything on: then seeds are those of trainings.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from daf.config.explain import explain_validation
from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig, DAFPartConfig, policy_from_text
from daf.episodes.plans import plan_episodes, warn_about_untrained
from daf.episodes.played import Played, log_episodes, play_matches, reliability, tell_timeouts
from daf.errors import DAFConfigError, DAFError, Problem
from daf.records import EpisodeRecord, MissionSpec, PolicySpec, digest
from daf.results import ResultTable, TaskResult
from daf.tasks import Task
from daf.tracking.provenance import log_provenance
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization import daf_plot_policy_comparison
from daf.visualization.text import estimate_cells, level_text

if TYPE_CHECKING:
    from daf.statistics import Effect, Estimate

Array = NDArray[np.float64]
Parts = tuple[str, ...]

#: Written into a training's folder when all is done; without it the training is done again.
FINISHED = "mlflow_run_id"
# Contrasts that are smaller, relative to the values that they come from, are rounding noise.
ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What is played with some parts off.

    Attributes:
        off: names of the parts that are off; none for the baseline.
        config: the experiment with these parts off.
        missions: what is played.
        policies: who plays, named after `off`; one for each training, if there are any.
    """

    off: Parts
    config: DAFConfig
    missions: tuple[MissionSpec, ...]
    policies: tuple[PolicySpec, ...]


@dataclass(frozen=True, kw_only=True)
class AblationResult(TaskResult):
    """What each part contributes.

    Attributes:
        parts: one effect a part, the largest contribution first; positive where the part raises the metric.
        interactions: one effect for every two parts (``a + b``), the strongest first. Positive: switching both off
            costs more than the sum, since each makes up for the other. Negative: each needs the other.
        means: parts that are off to the mean of the metric, missions weighing equally; ``()`` is the baseline.
        records: every finished episode.
    """

    parts: "tuple[Effect, ...]"
    interactions: "tuple[Effect, ...]"
    means: "dict[Parts, Estimate]"
    records: tuple[EpisodeRecord, ...]


def daf_policy_ablation(config: DAFConfig, tracker: Tracker) -> AblationResult:
    """Measures the configured policy as it is, without each part, and without every two of them; ranks what they give.

    All conditions share their seeds, missions are blocks, and the p-values of all contributions and interactions are
    corrected together. With `ablation.trainings`, every condition is trained so many times, each time in a run of its
    own, and the unit is the training. Run again in the same output folder, it trains only what is missing there.

    Raises:
        DAFConfigError: parts that cannot be switched off, all of them named, before anything is trained or played.
        DAFError: no seed that could be finished in every condition.
    """
    conditions = build_conditions(config, tracker)
    if config.ablation.trainings:
        conditions = [_trained(condition, conditions[0].missions, tracker) for condition in conditions]
    warn_about_untrained(conditions[0].policies, tracker)
    plans = [
        plan
        for condition in conditions
        for mission in condition.missions
        for policy in condition.policies
        for plan in plan_episodes(config, mission, policy)
    ]
    played = play_matches(config, plans)
    log_episodes(tracker, "ablation", played.records, played.failures)
    values = _values(played, conditions, config)
    result = analyse(values, list(config.ablation.parts), level=config.ablation.level, metric=config.ablation.metric)
    unit = "trainings" if config.ablation.trainings else "seeds a mission"
    notes = [*played.notes("ablation"), *tell_timeouts(played.records), *result.notes]
    notes += reliability(values[()].shape[1], unit)
    result = replace(result, notes=tuple(notes), records=played.records)
    _log(result, values, config, tracker)
    return result


def _trained(condition: Condition, missions: tuple[MissionSpec, ...], tracker: Tracker) -> Condition:
    """The condition's policies after training, ready to play with everything on."""
    first = condition.config.seed
    seeds = range(first, first + condition.config.ablation.trainings)
    policies = tuple(_train(condition, seed, tracker) for seed in seeds)
    return replace(condition, missions=missions, policies=policies)


def _train(condition: Condition, seed: int, tracker: Tracker) -> PolicySpec:
    """The condition's policy as a training leaves it, or as the same training left it in an earlier run of the task."""
    from daf.training.task import CHECKPOINTS, daf_train

    name = f"{label(condition.off)}, seed {seed}"
    config = condition.config.model_copy(update={"seed": seed})
    folder = tracker.output_dir / "trainings" / _training_digest(name, config)[:16]
    finished = folder / FINISHED
    if finished.is_file():
        tracker.warn(f"{name} was trained before, in MLflow run {finished.read_text()}; its weights are used again.")
    else:
        shutil.rmtree(folder, ignore_errors=True)  # what an interrupted training left
        folder.mkdir(parents=True)
        config = config.model_copy(update={"output_dir": str(folder)})
        with Tracker(tracker.client, tracker.experiment_id, name, folder, parent_run_id=tracker.run_id) as own:
            log_provenance(own, config, overrides=())
            daf_train(config, own)
        finished.write_text(own.run_id)
    return replace(condition.policies[0], name=name, weights=str(folder / CHECKPOINTS))


def _training_digest(name: str, config: DAFConfig) -> str:
    """SHA-256 of everything that decides what a training gives."""
    from daf.bridge.missions import mission_digest
    from daf.bridge.policies import code_digest, policy_digest

    policy, options = config.policy.spec(), config.model_dump(mode="json", include={"optimizer", "training"})
    made_of = [mission_digest(config.mission_spec()), policy_digest(policy), code_digest(policy.class_path)]
    return digest([name, *made_of, options, config.device, config.seed])


def build_conditions(config: DAFConfig, tracker: Tracker) -> list[Condition]:
    """The baseline first, then every part and, if asked for, every two parts.

    Raises:
        DAFConfigError: naming every part that cannot be switched off.
    """
    parts = config.ablation.parts
    conditions = _conditions(config, [(), *((name,) for name in parts)], tracker)
    pairs = combinations(parts, 2) if config.ablation.pairs else ()
    return conditions + _conditions(config, list(pairs), tracker)


def _conditions(config: DAFConfig, switched: Sequence[Parts], tracker: Tracker) -> list[Condition]:
    conditions: list[Condition] = []
    problems: list[Problem] = []
    for off in switched:
        try:
            conditions.append(_condition(config, off, tracker))
        except DAFConfigError as error:
            problems += error.problems
        else:
            problems += _unplayable(conditions[-1])
    if problems:
        raise DAFConfigError(problems)
    return conditions


def label(off: Parts) -> str:
    """How a condition is called."""
    return f"without {' and '.join(off)}" if off else "everything on"


def _where(off: Parts) -> str:
    return ", ".join(f"ablation.parts.{name}" for name in off) or "config"


def _condition(config: DAFConfig, off: Parts, tracker: Tracker) -> Condition:
    parts = [config.ablation.parts[name] for name in off]
    changed = _with_values(config, off, parts)
    policy = replace(changed.policy.spec(), name=label(off))
    zeroed = [name for part in parts for name in part.zero]
    if zeroed:
        policy = _zero(policy, zeroed, off, tracker)
    return Condition(off=off, config=changed, missions=tuple(mission_specs(changed)), policies=(policy,))


def _with_values(config: DAFConfig, off: Parts, parts: Sequence[DAFPartConfig]) -> DAFConfig:
    changed = _with_set_values(config, off, parts)
    names = list(changed.variant.names)
    for name in dict.fromkeys(name for part in parts for name in part.without_variants):
        if name not in names:
            raise DAFConfigError([Problem(_where(off), f"variant {name} is not on, so it cannot be left out.")])
        names.remove(name)
    terms = [*changed.variant.without_rewards, *(term for part in parts for term in part.without_rewards)]
    variant = changed.variant.model_copy(update={"names": tuple(names), "without_rewards": tuple(dict.fromkeys(terms))})
    return changed.model_copy(update={"variant": variant})


def _with_set_values(config: DAFConfig, off: Parts, parts: Sequence[DAFPartConfig]) -> DAFConfig:
    where, data = f"{_where(off)}.set", config.model_dump()
    try:
        for part in parts:
            for key, value in part.set.items():
                _set(data, key, policy_from_text(value) if key == "policy" else value)
        return DAFConfig.model_validate(data)
    except ValidationError as error:
        problems = [Problem(where, f"{found.where}: {found.what}", found.hint) for found in explain_validation(error)]
        raise DAFConfigError(problems) from error
    except ValueError as error:
        raise DAFConfigError([Problem(where, str(error))]) from error


def _set(data: dict[str, Any], key: str, value: Any) -> None:
    """Sets a dotted key. ValueError where keys and values are mixed up."""
    if key in data and not isinstance(value, dict):
        raise ValueError(f"{key} is a group of keys; set one of them, such as {key}.{next(iter(data[key]))}.")
    *groups, last = key.split(".")
    node = data
    for name in groups:
        node = node.setdefault(name, {})
        if not isinstance(node, dict):
            raise ValueError(f"{key}: {name} is a value and has no keys.")
    node[last] = value


def _zero(policy: PolicySpec, parts: Sequence[str], off: Parts, tracker: Tracker) -> PolicySpec:
    from daf.bridge.weights import zero_weights

    path = tracker.output_dir / "ablation" / f"weights-{digest(list(off))[:16]}.pt"
    try:
        return zero_weights(policy, parts, path)
    except (ValueError, FileNotFoundError) as error:
        raise DAFConfigError([Problem(f"{_where(off)}.zero", str(error))]) from error


def _unplayable(condition: Condition) -> list[Problem]:
    """What would make every episode of the condition fail."""
    from daf.bridge.episode import policy_interface
    from daf.bridge.missions import why_unplayable
    from daf.bridge.policies import load_policy

    problems = []
    for mission in condition.missions:
        why = why_unplayable(mission)
        if why is None:
            try:
                load_policy(policy_interface(mission), condition.policies[0])
            except Exception as error:  # a policy is anybody's code
                why = f"the policy cannot be loaded: {error}"
        if why:
            problems.append(Problem(_where(condition.off), f"{mission.name} cannot be played: {why}"))
    return problems


def _values(played: Played, conditions: Sequence[Condition], config: DAFConfig) -> dict[Parts, Array]:
    """Parts that are off to the metric, paired by seed.

    (M, E) on the seeds that every condition finished on every mission; with trainings their means, (1, trainings).
    """
    seeds = played.seeds
    if not seeds:
        names = dict.fromkeys(f"{failure.plan.policies[0].name}: {failure.reason}" for failure in played.failures)
        raise DAFError("no seed was finished in every condition:" + "".join(f"\n  - {name}" for name in names))
    found = {
        (record.policies[0], record.mission_name, record.seed): record.value(config.ablation.metric)
        for record in played.records
    }

    def scores(condition: Condition, policy: PolicySpec) -> Array:
        return np.array([[found[policy.name, mission.name, seed] for seed in seeds] for mission in condition.missions])

    if config.ablation.trainings:
        return {c.off: np.array([[scores(c, policy).mean() for policy in c.policies]]) for c in conditions}
    return {condition.off: scores(condition, condition.policies[0]) for condition in conditions}


def analyse(values: Mapping[Parts, Array], parts: Sequence[str], *, level: float, metric: str) -> AblationResult:
    """Contributions and interactions.

    Args:
        values: parts that are off to the metric, (M, E), paired by seed: ``()`` for the baseline, one entry a part and,
            for interactions, one for every two parts in the order of `parts`.
    """
    from daf.statistics import mean_with_interval, paired_effects

    rng = np.random.default_rng(0)
    baseline = values[()]
    pairs = [off for off in values if len(off) == 2]
    contrasts = [baseline - values[part,] for part in parts]
    contrasts += [values[first,] + values[second,] - baseline - values[first, second] for first, second in pairs]
    grid = ROUNDING * max(float(np.abs(own).max()) for own in values.values())
    rounded = np.array([np.round(contrast / grid) * grid if grid else contrast for contrast in contrasts])
    effects = paired_effects(rounded, [*parts, *map(" + ".join, pairs)], level=level, rng=rng)
    means = {off: mean_with_interval(own, level=level, rng=rng) for off, own in values.items()}
    contributions = sorted(effects[: len(parts)], key=lambda effect: -effect.value.value)
    interactions = sorted(effects[len(parts) :], key=lambda effect: -abs(effect.value.value))
    tables = [_contribution_table(contributions, means, metric, level)]
    if interactions:
        tables.append(_interaction_table(interactions, means))
    return AblationResult(
        objective=means[()].value,
        tables=tuple(tables),
        notes=(f"Everything on: {metric} {means[()].value:.4f}. p-values are corrected for all effects together.",),
        parts=tuple(contributions),
        interactions=tuple(interactions),
        means=means,
        records=(),
    )


def _contribution_table(
    effects: "Sequence[Effect]", means: "Mapping[Parts, Estimate]", metric: str, level: float
) -> ResultTable:
    # Of a stat, such as deaths, more need not be better.
    words = ("helps", "harms") if metric == "reward" else ("raises", "lowers")
    rows = [
        (
            effect.name,
            *estimate_cells(effect.value, "+"),
            f"{means[effect.name,].value:.4f}",
            _p_cell(effect),
            _verdict(effect, *words),
        )
        for effect in effects
    ]
    interval = f"{level_text(level)} interval"
    head = ("part", f"contribution to {metric}", interval, "without it", "p (corrected)", "verdict")
    return ResultTable("Ablation", head, tuple(rows))


def _interaction_table(effects: "Sequence[Effect]", means: "Mapping[Parts, Estimate]") -> ResultTable:
    by_name = {" + ".join(off): mean for off, mean in means.items() if len(off) == 2}
    baseline = means[()].value
    rows = [
        (
            effect.name,
            f"{baseline - by_name[effect.name].value:+.4f}",
            *estimate_cells(effect.value, "+"),
            _p_cell(effect),
            _verdict(effect, "each makes up for the other", "each needs the other"),
        )
        for effect in effects
    ]
    head = ("parts", "joint contribution", "interaction", "interval", "p (corrected)", "verdict")
    return ResultTable("Ablation, parts in pairs", head, tuple(rows))


def _p_cell(effect: "Effect") -> str:
    return "-" if effect.p_value is None else f"{effect.p_value:.2g}"


def _verdict(effect: "Effect", positive: str, negative: str) -> str:
    if not effect.significant:
        return effect.note or "no significant effect"
    return positive if effect.value.value > 0 else negative


def _log(result: AblationResult, values: Mapping[Parts, Array], config: DAFConfig, tracker: Tracker) -> None:
    metrics = {metric_name("ablation/contribution", effect.name): effect.value.value for effect in result.parts}
    metrics |= {metric_name("ablation/interaction", e.name): e.value.value for e in result.interactions}
    metrics |= {metric_name("ablation/mean", label(off)): mean.value for off, mean in result.means.items()}
    tracker.log_metrics(metrics)
    data = {
        "metric": config.ablation.metric,
        "means": {label(off): asdict(mean) for off, mean in result.means.items()},
        "parts": [asdict(effect) for effect in result.parts],
        "interactions": [asdict(effect) for effect in result.interactions],
    }
    tracker.log_text(json.dumps(data, indent=1) + "\n", "ablation/ablation.json")
    contributions = {effect.name: effect.value for effect in result.parts}
    plot = daf_plot_policy_comparison(
        {name: (values[()] - values[name,]).mean(axis=0).tolist() for name in contributions},
        tracker.output_dir / "plots" / "ablation.png",
        intervals={name: (v.interval.low, v.interval.high) for name, v in contributions.items() if v.interval},
        level=config.ablation.level,
        metric=f"contribution to {config.ablation.metric}",
        units="seeds",
        title=config.policy.spec().name,
    )
    tracker.log_file(plot, "plots")


def _problems(config: DAFConfig) -> list[Problem]:
    if config.ablation.parts:
        return []
    hint = "For example: +ablation.parts.memory.zero=[_rnn]."
    return [Problem("ablation.parts", "names nothing to switch off.", hint)]


def _trains(config: DAFConfig) -> bool:
    return config.ablation.trainings > 0


ABLATION = Task(name="ablation", run=daf_policy_ablation, problems=_problems, trains=_trains)
