"""Can this experiment run here? Every check gathers what it finds; none stops at the first."""

from daf.environment_checks.account import daf_check_auth
from daf.environment_checks.device import daf_check_cuda_availability
from daf.environment_checks.disk import daf_check_disk_space
from daf.environment_checks.environment import daf_check_environment
from daf.environment_checks.files import daf_check_files
from daf.environment_checks.missions import daf_check_mission_configs, daf_check_policies
from daf.environment_checks.packages import daf_check_dependencies
from daf.environment_checks.result import CheckRow, EnvironmentCheckResult
from daf.environment_checks.task import CHECK, CheckResult, daf_check

__all__ = [
    "CHECK",
    "CheckResult",
    "CheckRow",
    "EnvironmentCheckResult",
    "daf_check",
    "daf_check_auth",
    "daf_check_cuda_availability",
    "daf_check_dependencies",
    "daf_check_disk_space",
    "daf_check_environment",
    "daf_check_files",
    "daf_check_mission_configs",
    "daf_check_policies",
]
