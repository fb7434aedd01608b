"""How a policy leaves the house: packed, checked, served, watched, rolled back and submitted."""

from daf.deployment.package import daf_package_policy
from daf.deployment.results import DeploymentResult
from daf.deployment.submit import daf_submit_policy
from daf.deployment.validate import daf_validate_deployment

__all__ = ["DeploymentResult", "daf_package_policy", "daf_submit_policy", "daf_validate_deployment"]
