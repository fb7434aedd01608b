"""What becomes of runs afterwards: they are listed, compared, reported again, delivered, cleaned away."""

from daf.runs.deliver import daf_deliver

__all__ = ["daf_deliver"]
