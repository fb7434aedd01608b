"""Files that torch wrote, read so that nothing in them can run."""

from pathlib import Path
from typing import Any

from daf.errors import first_line


def read_tensors(path: Path) -> Any:
    """What a file holds: tensors and plain values. Any other pickle is refused, since it could run anything.

    Raises:
        ValueError: why it cannot be read; the message names no file.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of torch's, of pickle's and of zip's: the file may hold anything
        raise ValueError(first_line(error)) from error
