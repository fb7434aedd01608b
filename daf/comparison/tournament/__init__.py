"""`task=tournament`: a season in small."""

from daf.comparison.tournament.task import TournamentResult, daf_run_tournament

__all__ = ["TournamentResult", "daf_run_tournament"]
