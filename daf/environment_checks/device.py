"""Where networks would run."""

from daf.bridge.devices import devices_here, training_device
from daf.config.schemas import DAFConfig
from daf.environment_checks.result import EnvironmentCheckResult, checked
from daf.errors import Problem

DEVICE = "device"


def daf_check_cuda_availability(config: DAFConfig) -> EnvironmentCheckResult:
    """The device that is asked for must exist. Says what there is (CUDA, MPS, CPU) and what training would use."""
    here = devices_here()
    if config.device == "auto":
        missing = False
    elif config.device.startswith("cuda"):
        missing = int(config.device.partition(":")[2] or 0) >= here.cuda
    else:
        missing = config.device == "mps" and not here.mps
    found = f"{training_device(config.device)} for training; {here}"
    problem = Problem("device", f"torch finds no {config.device!r} here: {here}.", "Use device=auto or device=cpu.")
    return checked(DEVICE, found, [problem] if missing else [])


def device_named(config: DAFConfig) -> EnvironmentCheckResult:
    """The same, without torch for a device that every machine has."""
    if config.device in {"auto", "cpu"}:
        return checked(DEVICE, config.device)
    return daf_check_cuda_availability(config)
