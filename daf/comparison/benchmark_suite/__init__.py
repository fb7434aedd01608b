"""`task=benchmark`: algorithms on a fixed set of missions, scored between noop (0) and the best scripted policy (1)."""

from daf.comparison.benchmark_suite.task import BenchmarkResult, daf_benchmark_suite

__all__ = ["BenchmarkResult", "daf_benchmark_suite"]
