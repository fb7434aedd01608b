"""Which target a config names."""

from daf.config.schemas import DAFConfig
from daf.deployment.addresses import address_problem, deployment_token
from daf.deployment.targets import Target
from daf.errors import DAFConfigError
from daf.tracking.tracker import Tracker


def open_target(config: DAFConfig, name: str, tracker: Tracker) -> Target:
    """The target of `deployment.target` for the policy called `name`.

    Raises:
        DAFConfigError: its address is missing or wrong.
    """
    options = config.deployment
    if options.target == "registry":
        from daf.deployment.registry import RegistryTarget

        return RegistryTarget(name, options.alias, tracker)
    from daf.deployment.http import HttpTarget

    if problem := address_problem(options.url):
        raise DAFConfigError([problem])
    return HttpTarget(
        str(options.url),
        name,
        options.alias,
        attempts=options.retries,
        timeout_s=options.timeout_s,
        token=deployment_token(),
    )
