"""How a policy leaves the house: packed, checked, served, watched, rolled back and submitted."""

from daf.deployment.package import daf_package_policy
from daf.deployment.results import DeploymentResult

__all__ = ["DeploymentResult", "daf_package_policy"]
