"""Pipelines: several tasks, one after the other."""

from daf.orchestrators.quickstart import QuickstartResult, daf_quickstart

__all__ = ["QuickstartResult", "daf_quickstart"]
