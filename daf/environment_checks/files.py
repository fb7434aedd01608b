"""Files that a config names: weights, and what a training goes on from."""

from daf.config.schemas import DAFConfig
from daf.environment_checks.requested import task_of, used_policies
from daf.environment_checks.result import EnvironmentCheckResult, checked, skipped
from daf.errors import Problem
from daf.files import is_file, is_there, user_path
from daf.tasks import Task
from daf.tracking.store import is_run_id
from daf.training.resume import resume_problems, resume_warnings

FILES = "files"


def daf_check_files(config: DAFConfig) -> EnvironmentCheckResult:
    """Weights that are named must exist, and a training must be able to go on from what `training.resume` names."""
    task = task_of(config)
    if task is None:
        return skipped(FILES, "which policies are used is not known without a task")
    missing = missing_weights(config, task)
    errors = [Problem(key, what) for key, what in missing.items()]
    errors += _resume_problems(config, task)
    named = sum(bool(policy.weights) for _, policy in used_policies(config, task))
    found = f"weights: {named} named, all there"
    warnings = resume_warnings(config) if task.trains(config) else []
    return checked(FILES, found, errors, warnings, remedy="Give a file or folder that is there.")


def missing_weights(config: DAFConfig, task: Task) -> dict[str, str]:
    """Key of weights that cannot be read to what is wrong with them."""
    return {
        f"{key}.weights": problem
        for key, policy in used_policies(config, task)
        if policy.weights and (problem := _weights_problem(policy.weights))
    }


def _resume_problems(config: DAFConfig, task: Task) -> list[Problem]:
    resume = config.training.resume
    if resume and not is_run_id(resume) and not is_file(user_path(resume) / "trainer_state.pt"):
        hint = "Give an MLflow run id or a checkpoint folder (<output_dir>/checkpoints)."
        return [Problem("training.resume", f"{resume!r} holds no trainer_state.pt.", hint)]
    return resume_problems(config) if resume and task.trains(config) else []


def _weights_problem(weights: str) -> str | None:
    path = user_path(weights)
    if not is_there(path):
        return f"there is nothing at {weights!r}."
    if not (path.is_file() or path.is_dir()):  # a pipe would keep its reader waiting for ever
        return f"{weights!r} is neither a file nor a folder."
    return None
