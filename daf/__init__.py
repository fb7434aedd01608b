"""DAF, the Distributed Agent Framework: Hydra-configured, MLflow-tracked experiments for CoGames.

The names that are used most can be taken from here. Each is loaded when it is first used: `import daf` loads none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daf.comparison import daf_benchmark_suite as daf_benchmark_suite
    from daf.comparison import daf_compare_policies as daf_compare_policies
    from daf.comparison import daf_compare_with_vor as daf_compare_with_vor
    from daf.comparison import daf_policy_ablation as daf_policy_ablation
    from daf.comparison import daf_required_episodes as daf_required_episodes
    from daf.comparison import daf_run_tournament as daf_run_tournament
    from daf.config import DAFConfig as DAFConfig
    from daf.config import daf_load_config as daf_load_config
    from daf.config import daf_save_config as daf_save_config
    from daf.environment_checks import daf_check_environment as daf_check_environment
    from daf.evaluation import daf_evaluate as daf_evaluate
    from daf.results import TaskResult as TaskResult
    from daf.run import daf_run as daf_run
    from daf.sweeps import daf_grid_search as daf_grid_search
    from daf.sweeps import daf_launch_sweep as daf_launch_sweep
    from daf.sweeps import daf_random_search as daf_random_search
    from daf.sweeps import daf_sweep_best_config as daf_sweep_best_config
    from daf.sweeps import daf_sweep_status as daf_sweep_status
    from daf.sweeps import daf_variant_sweep as daf_variant_sweep
    from daf.training import daf_train as daf_train

# The one place where the version is written; pyproject.toml reads it from here.
__version__ = "0.1.0"

_HOME = {
    "DAFConfig": "daf.config",
    "TaskResult": "daf.results",
    "daf_benchmark_suite": "daf.comparison",
    "daf_check_environment": "daf.environment_checks",
    "daf_compare_policies": "daf.comparison",
    "daf_compare_with_vor": "daf.comparison",
    "daf_evaluate": "daf.evaluation",
    "daf_grid_search": "daf.sweeps",
    "daf_launch_sweep": "daf.sweeps",
    "daf_load_config": "daf.config",
    "daf_policy_ablation": "daf.comparison",
    "daf_random_search": "daf.sweeps",
    "daf_required_episodes": "daf.comparison",
    "daf_run": "daf.run",
    "daf_run_tournament": "daf.comparison",
    "daf_save_config": "daf.config",
    "daf_sweep_best_config": "daf.sweeps",
    "daf_sweep_status": "daf.sweeps",
    "daf_train": "daf.training",
    "daf_variant_sweep": "daf.sweeps",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'daf' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
