"""The names that users were promised, where they were promised, and what `import daf` offers."""

import ast
import importlib.metadata
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

import daf

ROOT = Path(__file__).parents[1]

PROMISED = {
    "daf.config": (
        "DAFConfig DAFSweepConfig DAFDeploymentConfig DAFComparisonConfig DAFPipelineConfig DAFTournamentConfig "
        "DAFVariantConfig"
    ),
    "daf.environment_checks": (
        "EnvironmentCheckResult daf_check_cuda_availability daf_check_disk_space daf_check_dependencies "
        "daf_check_mission_configs daf_check_auth daf_check_environment"
    ),
    "daf.distributed_training": (
        "DistributedTrainingResult daf_launch_distributed_training daf_create_training_cluster "
        "daf_aggregate_training_stats daf_get_training_status"
    ),
    "daf.sweeps": (
        "SweepTrialResult SweepResult daf_grid_search daf_random_search daf_launch_sweep daf_sweep_best_config "
        "daf_sweep_status daf_variant_sweep"
    ),
    "daf.comparison": (
        "PolicyComparisonResult ComparisonReport daf_compare_policies daf_policy_ablation daf_benchmark_suite "
        "daf_compare_with_vor"
    ),
    "daf.visualization": (
        "daf_plot_training_curves daf_plot_policy_comparison daf_plot_sweep_results daf_export_comparison_html "
        "daf_generate_leaderboard"
    ),
    "daf.deployment": (
        "DeploymentResult daf_package_policy daf_validate_deployment daf_deploy_policy daf_monitor_deployment "
        "daf_rollback_deployment daf_submit_policy"
    ),
    "daf.orchestrators": (
        "PipelineResult daf_run_training_pipeline daf_run_sweep_pipeline daf_run_comparison_pipeline "
        "daf_run_benchmark_pipeline"
    ),
    "daf.auth_integration": "daf_login daf_check_auth_status daf_get_auth_token",
    "daf.scoring_analysis": "daf_compute_vor daf_compute_weighted_score daf_allocate_agents daf_validate_proportions",
    "daf.policy_analysis": "daf_list_available_policies daf_analyze_policy daf_compare_policy_architectures",
    "daf.mission_analysis": "daf_list_missions daf_list_variants daf_analyze_mission",
}
COMMANDS = ["daf-check", "daf-train", "daf-sweep", "daf-compare", "daf-deploy", "daf-validate", "daf-pipeline"]

# What comes with rooms that do not exist yet. A name leaves this list with the change that brings it.
MISSING_ROOMS = {"daf.distributed_training"}

NAMES = [f"{module}.{name}" for module, names in PROMISED.items() for name in names.split()]


def _is_missing(name: str) -> bool:
    return name.rpartition(".")[0] in MISSING_ROOMS


def _is_there(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return False


@pytest.mark.parametrize("name", [name for name in NAMES if not _is_missing(name)])
def test_a_promised_name_can_be_imported(name: str) -> None:
    assert _is_there(name)


@pytest.mark.parametrize("name", [name for name in NAMES if _is_missing(name)])
def test_the_list_of_missing_names_shrinks(name: str) -> None:
    assert not _is_there(name), f"{name} is there: take it off the list of what is missing"


def test_only_promised_rooms_can_be_missing() -> None:
    assert set(PROMISED) >= MISSING_ROOMS


def test_promised_commands_are_installed() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(COMMANDS) <= set(scripts)


@pytest.mark.parametrize("name", daf.__all__)
def test_the_package_offers_the_most_used_names(name: str) -> None:
    value = getattr(daf, name)
    assert name in dir(daf)
    assert name == "__version__" or value.__name__ == name


def test_type_checkers_see_what_the_package_offers() -> None:
    """The package's names are written twice: for type checkers as imports, for Python as a table."""
    tree = ast.parse((ROOT / "daf/__init__.py").read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in ast.walk(blocks[0]) if isinstance(node, ast.ImportFrom)]
    assert {alias.asname: node.module for node in imports for alias in node.names} == daf._HOME


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'daf_trian'"):
        _ = daf.daf_trian


def test_importing_the_package_loads_nothing_else() -> None:
    code = "import sys; old = set(sys.modules); import daf; print(*sorted(set(sys.modules) - old))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)}
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded - set(sys.stdlib_module_names) == {"daf"}
    assert not [name for name in done.stdout.split() if name.startswith("daf.")]


def test_the_version_is_written_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "daf/__init__.py"
    assert importlib.metadata.version("daf") == daf.__version__


def test_the_wheel_is_typed_licensed_and_holds_the_config(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob(f"daf-{daf.__version__}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())
        metadata = archive.read(f"daf-{daf.__version__}.dist-info/METADATA").decode()
    assert {"daf/py.typed", "daf/conf/config.yaml", "hydra_plugins/daf_sweeper.py"} <= files
    assert f"daf-{daf.__version__}.dist-info/licenses/LICENSE" in files
    assert "License-Expression: MIT" in metadata
    assert not [name for name in files if name.startswith(("tests/", "benchmarks/"))]
