"""Where the shipped config lies."""

from pathlib import Path

_PACKAGED = Path(__file__).parents[1] / "conf"
#: The folder of the shipped config: inside the installed package, or beside it in a checkout.
CONF_DIR = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "conf"
