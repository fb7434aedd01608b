"""The bundle that a config asks for: one that exists, or one that is packed first."""

from pathlib import Path

from daf.bridge.bundles import is_bundle
from daf.config.schemas import DAFConfig
from daf.deployment.package import daf_package_policy
from daf.errors import DAFConfigError, Problem
from daf.tracking.tracker import Tracker


def asked_bundle(config: DAFConfig, tracker: Tracker) -> Path:
    """`deployment.bundle`, or `deployment.policy` (or `policy`) packed into the output folder, as a ``.zip``.

    Raises:
        DAFConfigError: there is no such bundle, or the policy cannot be packed.
    """
    asked = config.deployment.bundle
    if asked is None:
        packed = daf_package_policy(config, tracker).bundle
        assert packed is not None, "packing makes one or raises"
        return packed
    bundle = Path(asked).expanduser().absolute()
    if not (bundle.is_file() and is_bundle(bundle)):
        what = f"{asked!r} is no bundle."
        raise DAFConfigError([Problem("deployment.bundle", what, "Give a .zip or .tar.gz that task=package wrote.")])
    return bundle
