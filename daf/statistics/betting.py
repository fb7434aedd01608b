"""Means of bounded scores, from bets against them: no normality, no symmetry, and as many looks as wanted.

Whoever bets a share of a wealth of 1 on the scores' lying above (or below) m cannot expect to gain if m is their mean,
and by Ville's inequality ever reaches 1 / alpha with a chance of at most alpha. The means against which a bet has never
got so far form a confidence sequence. The stakes are the predictable plug-in ones of Waudby-Smith and Ramdas (2024,
"Estimating means of bounded random variables by betting", section 4.4, hedged capital), half of alpha on each side.
"""

from dataclasses import dataclass

import numpy as np

from daf.statistics.resampling import Array

_MOST_STAKED = 0.5  # of the wealth in one bet
_HALVINGS = 50


@dataclass(frozen=True)
class Bets:
    """Bets on E rows of K columns of scores, (E, K), all between `low` and `high`.

    `alpha` sets the stakes; the p-values hold for any.
    """

    rows: Array
    low: float
    high: float
    alpha: float

    def above(self, values: Array) -> Array:
        """Running p-values, (E, K), of means of at most `values`, (K,); doubled, for both sides together."""
        return self._p_values(self._scaled(self.rows), self._scaled(values))

    def below(self, values: Array) -> Array:
        """Running p-values, (E, K), of means of at least `values`, (K,); doubled, for both sides together."""
        return self._p_values(1 - self._scaled(self.rows), 1 - self._scaled(values))

    def interval(self, alpha: float) -> tuple[Array, Array]:
        """Lower and upper ends, (K,) each, of the means that are not rejected at `alpha` after any episode."""
        rows = self._scaled(self.rows)
        width = self.high - self.low
        return (
            self.low + width * self._highest_rejected(rows, alpha),
            self.high - width * self._highest_rejected(1 - rows, alpha),
        )

    def _scaled(self, scores: Array) -> Array:
        return np.clip((scores - self.low) / (self.high - self.low), 0, 1)

    def _p_values(self, rows: Array, means: Array) -> Array:
        """Of bets that rows of scores in [0, 1] lie above `means`."""
        with np.errstate(divide="ignore"):
            stakes = np.minimum(stakes_of(rows, self.alpha), _MOST_STAKED / means)
        wealth = np.cumsum(np.log1p(stakes * (rows - means)), axis=0)
        return np.minimum(2 * np.exp(-np.maximum.accumulate(wealth, axis=0)), 1)

    def _highest_rejected(self, rows: Array, alpha: float) -> Array:
        """The highest mean that bets on rows in [0, 1] lying above it reject, 0 where there is none."""
        low, high = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            rejected = self._p_values(rows, middle)[-1] <= alpha
            low, high = np.where(rejected, middle, low), np.where(rejected, high, middle)
        return low


def stakes_of(rows: Array, alpha: float) -> Array:
    """The stake on each row of scores in [0, 1], (E, K), from the rows before it (equation 26 of the paper)."""
    numbers = np.arange(1, len(rows) + 1)[:, None]
    means = (0.5 + np.cumsum(rows, axis=0)) / (numbers + 1)
    variances = (0.25 + np.cumsum((rows - means) ** 2, axis=0)) / (numbers + 1)
    before = np.concatenate([np.full((1, rows.shape[1]), 0.25), variances[:-1]])
    return np.sqrt(2 * np.log(2 / alpha) / (before * numbers * np.log(numbers + 1)))
