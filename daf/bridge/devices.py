"""Which device torch computes on."""

import io
from dataclasses import dataclass

from daf.bridge.imports import contained


@dataclass(frozen=True)
class Devices:
    """What torch can compute on here, beside the CPU.

    Attributes:
        torch: version of torch.
        cuda: number of CUDA devices.
        mps: whether there is Apple's GPU.
        names: those of the CUDA devices.
    """

    torch: str
    cuda: int
    mps: bool
    names: tuple[str, ...]

    def __str__(self) -> str:
        cuda = f"CUDA: {', '.join(self.names)}" if self.cuda else "no CUDA"
        return f"{cuda}, {'MPS' if self.mps else 'no MPS'}, torch {self.torch}"


def devices_here() -> Devices:
    """What torch finds."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = tuple(torch.cuda.get_device_name(index) for index in range(count))
    return Devices(str(torch.__version__), count, torch.backends.mps.is_available(), names)


def resolve_device(device: str) -> str:
    """The torch device behind ``auto``; any other name is returned as it is."""
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def training_device(device: str) -> str:
    """What a training would use in the end: CoGames falls back to the CPU where what is asked for is not there."""
    with contained():
        from cogames.device import resolve_training_device
    from rich.console import Console

    return str(resolve_training_device(Console(file=io.StringIO()), resolve_device(device)))
