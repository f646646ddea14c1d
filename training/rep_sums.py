"""What fitting the rep effects asks of the rows: sums, so that a part of the rows can answer for itself.

Linear in the rows and, for the reps' own effects, in their number: each rep's Z'WZ is a product of her rows alone.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np

from training.log_odds import expit


class RepSums(Protocol):
    """Sums over rows at given effects (n_reps, width) and beta (n_fixed,)."""

    def shared(self, effects: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (n_fixed,) and information (n_fixed, n_fixed) of the log-likelihood in beta."""

    def own(self, effects: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gradient (n_reps, width) in each rep's effects, the information Z'WZ (n_reps, width, width), and what
        is left of it where labels are only expected: what is missing is their own variance
        (Louis, 1982, doi:10.1111/j.2517-6161.1982.tb01203.x).
        """


@dataclass(frozen=True)
class RepRows:
    """Rows sorted by rep, all of them or a part."""

    design: np.ndarray  # (n, width): z(x), and the mark of hand-picking last
    fixed: np.ndarray  # (n, n_fixed): f(x, r) and the load
    rep: np.ndarray  # int (n,), rising
    converted: np.ndarray  # (n,)
    lead: np.ndarray  # (n,) F(x) of each row
    n_reps: int

    def take(self, rows: slice) -> "RepRows":
        """A part of the rows."""
        return RepRows(
            self.design[rows], self.fixed[rows], self.rep[rows], self.converted[rows], self.lead[rows], self.n_reps
        )

    def shared(self, effects: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `RepSums` has it."""
        p = self._probability(effects, beta)
        return self.fixed.T @ (self.converted - p), (self.fixed.T * (p * (1 - p))) @ self.fixed

    def own(self, effects: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `RepSums` has it."""
        p = self._probability(effects, beta)
        residual, weight = self.converted - p, p * (1 - p)
        gradient = np.zeros(effects.shape)
        for one, (first, last) in enumerate(pairwise(self._bounds)):
            gradient[one] = residual[first:last] @ self.design[first:last]
        information = self._information(weight)
        missing = self.converted * (1 - self.converted)
        known = self._information(np.maximum(weight - missing, 0.0)) if missing.any() else information
        return gradient, information, known

    def _probability(self, effects: np.ndarray, beta: np.ndarray) -> np.ndarray:
        own = np.empty(len(self.rep))
        for one, (first, last) in enumerate(pairwise(self._bounds)):
            own[first:last] = self.design[first:last] @ effects[one]
        own += self.lead
        own += self.fixed @ beta
        return expit(own)

    def _information(self, weight: np.ndarray) -> np.ndarray:
        width = self.design.shape[1]
        information = np.empty((self.n_reps, width, width))
        root = np.sqrt(weight)[:, None]
        for one, (first, last) in enumerate(pairwise(self._bounds)):
            rows = self.design[first:last] * root[first:last]
            information[one] = rows.T @ rows  # of a matrix with itself, BLAS works out one half
        return information

    @cached_property
    def _bounds(self) -> list[int]:
        bounds: list[int] = np.searchsorted(self.rep, np.arange(self.n_reps + 1)).tolist()
        return bounds
