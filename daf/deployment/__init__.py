"""How a policy leaves the house: packed, checked, served, watched, rolled back and submitted."""

from daf.deployment.deploy import daf_deploy_policy
from daf.deployment.gate import GateResult, daf_gate_policy
from daf.deployment.monitor import MonitoringResult, daf_monitor_deployment
from daf.deployment.package import daf_package_policy
from daf.deployment.results import DeploymentResult
from daf.deployment.rollback import daf_rollback_deployment
from daf.deployment.submit import daf_submit_policy
from daf.deployment.validate import daf_validate_deployment

__all__ = [
    "DeploymentResult",
    "GateResult",
    "MonitoringResult",
    "daf_deploy_policy",
    "daf_gate_policy",
    "daf_monitor_deployment",
    "daf_package_policy",
    "daf_rollback_deployment",
    "daf_submit_policy",
    "daf_validate_deployment",
]
