"""What each section of the config decides, and where defaults live."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from daf.config import DAFConfig, daf_load_config
from daf.config import schemas as all_schemas
from daf.config.sections import (
    EXPERIMENT,
    FREE,
    NOT_ENVIRONMENT,
    OF_TRIALS,
    SAME_FOR_ALL_TRIALS,
    SECTIONS,
    VALUE_KEYS,
)
from daf.errors import DAFConfigError


def test_every_section_of_the_config_is_classified() -> None:
    assert SECTIONS.keys() == DAFConfig.model_fields.keys()
    for name, section in SECTIONS.items():
        field = DAFConfig.model_fields[name].annotation
        assert section.free_keys <= (field.model_fields.keys() if isinstance(field, type(BaseModel)) else set())


def test_the_lists_that_are_derived() -> None:
    """Stored studies and written winners depend on them."""
    assert EXPERIMENT == ("mission", "variant", "policy", "optimizer", "training", "evaluation", "seed")
    assert {*EXPERIMENT, "objective", "task"} == OF_TRIALS
    assert {
        "policy": {"trust", "trusted"},
        "output_dir": True,
        "tracking": True,
        "device": True,
        "evaluation": {"workers", "cache", "time_limit_s", "start_limit_s", "replays"},
        "sweep": True,
        "notify": True,
        "watch": True,
        "result_format": True,
    } == FREE
    assert set(SAME_FOR_ALL_TRIALS) == {
        "output_dir",
        "tracking",
        "sweep",
        "objective",
        "notify",
        "watch",
        "result_format",
    }
    assert set(NOT_ENVIRONMENT) == {
        "optimizer",
        "training",
        "seed",
        "power",
        "level",
        "output_dir",
        "tracking",
        "sweep",
        "runs",
        "clean",
        "run",
        "notify",
        "watch",
        "result_format",
    }
    assert set(VALUE_KEYS) == {"seed", "level", "device", "output_dir", "run", "result_format"}


def _schemas() -> Iterator[type[all_schemas.Schema]]:
    for name in all_schemas.__all__:
        item = getattr(all_schemas, name)
        if isinstance(item, type) and issubclass(item, all_schemas.Schema):
            yield item


def test_only_what_a_user_writes_item_by_item_has_defaults_in_its_schema() -> None:
    with_defaults = {
        schema.__name__
        for schema in _schemas()
        if any(not field.is_required() for field in schema.model_fields.values())
    }
    assert with_defaults == {"DAFPolicyConfig", "DAFParameterConfig", "DAFPartConfig", "DAFStageConfig"}


LEVELS = ("comparison", "vor", "tournament", "benchmark", "ablation")


def test_level_is_one_key_that_a_section_may_replace() -> None:
    config = daf_load_config(overrides=["level=0.9", "vor.level=0.8"])
    assert config.level == 0.9
    assert {name: getattr(config, name).level for name in LEVELS} == {**dict.fromkeys(LEVELS, 0.9), "vor": 0.8}
    assert daf_load_config(overrides=["comparison.level=0.9"]).level == 0.95


def test_a_level_that_is_none() -> None:
    with pytest.raises(DAFConfigError) as caught:
        daf_load_config(overrides=["level=1.5"])
    assert "level" in {problem.where for problem in caught.value.problems}
