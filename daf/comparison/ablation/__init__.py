"""`task=ablation`: what each part of a policy, a mission or a reward contributes."""

from daf.comparison.ablation.task import AblationResult, daf_policy_ablation

__all__ = ["AblationResult", "daf_policy_ablation"]
