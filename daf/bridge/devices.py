"""Which device torch computes on."""


def resolve_device(device: str) -> str:
    """The torch device behind ``auto``; any other name is returned as it is."""
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"
