"""What becomes of runs afterwards: they are listed, compared, reported again, delivered, cleaned away."""

from daf.runs.deliver import daf_deliver
from daf.runs.listing import daf_list_runs
from daf.runs.report import daf_report

__all__ = ["daf_deliver", "daf_list_runs", "daf_report"]
