"""`task=vor`: value over replacement of a policy in mixed teams."""

from daf.comparison.vor.task import VorResult, daf_compare_with_vor

__all__ = ["VorResult", "daf_compare_with_vor"]
