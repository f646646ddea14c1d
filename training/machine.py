"""Who does the heavy work of a fit: this process, or a cluster.

Growing trees and adding up over rows are all that takes long. Both go through the machine that is in use, which
`pipelines` may set for a job; everything else neither knows nor asks.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from training.rep_sums import RepRows, RepSums

if TYPE_CHECKING:
    import lightgbm as lgb


@dataclass(frozen=True)
class TreeRows:
    """What trees are grown on; one entry a row."""

    design: np.ndarray  # float32 (n, k): LightGBM bins it, and half the memory holds all that the bins tell apart
    converted: np.ndarray  # (n,) 0/1, or a chance
    init_score: np.ndarray  # (n,) log-odds that are there already
    weight: np.ndarray | None  # (n,) how much each row counts; None: alike


@dataclass(frozen=True)
class Growth:
    """How trees are grown."""

    settings: Mapping[str, Any]
    rounds: int
    names: Sequence[str]
    categorical: Sequence[int]


class Machine(Protocol):
    """Where a fit's heavy work is done."""

    def grow(self, rows: TreeRows, growth: Growth) -> "lgb.Booster":
        """The trees."""

    def sums(self, rows: RepRows) -> RepSums:
        """Rows that can be added up over, wherever they lie."""


class Here:
    """The process itself."""

    def grow(self, rows: TreeRows, growth: Growth) -> "lgb.Booster":
        """LightGBM on this machine."""
        import lightgbm as lgb

        return lgb.train(dict(growth.settings), tree_data(rows, growth), num_boost_round=growth.rounds)

    def sums(self, rows: RepRows) -> RepSums:
        """The rows as they are."""
        return rows


def tree_data(rows: TreeRows, growth: Growth) -> "lgb.Dataset":
    """The rows as LightGBM bins them."""
    import lightgbm as lgb

    binning = {name: growth.settings[name] for name in ("max_bin", "min_data_in_leaf") if name in growth.settings}
    return lgb.Dataset(
        rows.design,
        rows.converted,
        weight=rows.weight,
        init_score=rows.init_score,
        categorical_feature=list(growth.categorical),
        feature_name=list(growth.names),
        free_raw_data=True,
        params={"verbosity": -1, **binning},
    )


_in_use: ContextVar[Machine] = ContextVar("machine", default=Here())  # noqa: B039  it has no state


def machine() -> Machine:
    """The machine in use."""
    return _in_use.get()


@contextmanager
def working_on(other: Machine) -> Iterator[None]:
    """Fits within the block are done on `other`."""
    token = _in_use.set(other)
    try:
        yield
    finally:
        _in_use.reset(token)
