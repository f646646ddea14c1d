"""The same jobs over a Dask cluster: trees by LightGBM's own, effects by sums over partitions, leads by blocks.

The rows are laid out on this machine and scattered over the workers. What comes back is what one machine would have
made of them: sums to rounding, trees to what LightGBM's distributed binning allows, scores exactly.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pandas as pd
from distributed import Client

from data.errors import InputError
from training.machine import Growth, Here, TreeRows, working_on
from training.rep_sums import RepRows, RepSums

if TYPE_CHECKING:
    import lightgbm as lgb

CONNECT_S = "30s"
LEAST_ROWS = 2_000  # of a partition; fewer would cost more to send than to grow trees on here


class Cluster:
    """A connected cluster, as a machine for fits and as a pool for blocks of leads."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._addresses = list(client.scheduler_info(n_workers=-1)["workers"])
        self.workers = len(self._addresses)

    def share(self, value: Any) -> Any:
        """The value on every worker."""
        return self._client.scatter(value, broadcast=True, hash=False)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """A future of the work, done wherever its arguments lie."""
        placed = [self._client.scatter(one, hash=False) if isinstance(one, pd.DataFrame) else one for one in arguments]
        return self._client.submit(work, *placed, pure=False)

    def grow(self, rows: TreeRows, growth: Growth) -> "lgb.Booster":
        """Trees grown by all workers on their parts of the rows; on few rows, here."""
        if len(rows.converted) < LEAST_ROWS * self.workers:
            return Here().grow(rows, growth)
        from lightgbm.dask import DaskLGBMRegressor

        # Threads are the workers' own affair.
        settings = {name: value for name, value in growth.settings.items() if name != "num_threads"}
        model = DaskLGBMRegressor(client=self._client, tree_learner="data", n_estimators=growth.rounds, **settings)
        with warnings.catch_warnings():
            # It warns of settings that it replaces by itself, such as the number of threads.
            warnings.simplefilter("ignore", UserWarning)
            model.fit(
                self._parted(rows.design),
                self._parted(rows.converted.astype(np.float64)),
                init_score=self._parted(rows.init_score),
                sample_weight=None if rows.weight is None else self._parted(rows.weight),
                feature_name=list(growth.names),
                categorical_feature=list(growth.categorical),
            )
        return model.booster_

    def sums(self, rows: RepRows) -> RepSums:
        """The rows in parts, each adding up for itself where it lies."""
        return _Parts(self._client, rows, self._addresses)

    def _parted(self, array: np.ndarray) -> da.Array:
        """The array in one part a worker, each sent to its own."""
        parts = []
        for address, part in zip(self._addresses, np.array_split(array, self.workers), strict=True):
            future = self._client.scatter(part, workers=[address], hash=False)
            parts.append(da.from_delayed(_as_delayed(future), shape=part.shape, dtype=part.dtype))
        return da.concatenate(parts)


class _Parts:
    """Rows scattered over the workers."""

    def __init__(self, client: Client, rows: RepRows, addresses: list[str]) -> None:
        self._client = client
        bounds = np.linspace(0, len(rows.rep), len(addresses) + 1).astype(int)
        self._parts = [
            client.scatter(rows.take(slice(bounds[place], bounds[place + 1])), workers=[address], hash=False)
            for place, address in enumerate(addresses)
        ]

    def shared(self, effects: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `RepSums` has it."""
        gradient, information = self._sum(RepRows.shared, effects, beta)
        return gradient, information

    def own(self, effects: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `RepSums` has it."""
        gradient, information, known = self._sum(RepRows.own, effects, beta)
        return gradient, information, known

    def _sum(self, work: Callable[..., Any], effects: np.ndarray, beta: np.ndarray) -> list[np.ndarray]:
        at = self._client.scatter((effects, beta), broadcast=True, hash=False)
        made = self._client.gather([self._client.submit(_at, work, part, at, pure=False) for part in self._parts])
        return [np.sum(parts, axis=0) for parts in zip(*made, strict=True)]


def _at(work: Callable[..., Any], rows: RepRows, at: tuple[np.ndarray, np.ndarray]) -> Any:
    return work(rows, *at)


def _as_delayed(future: Any) -> Any:
    from dask.delayed import Delayed

    return Delayed(future.key, {future.key: future})


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """The cluster whose scheduler is at `address` (tcp://HOST:8786). Raises InputError where it cannot be reached."""
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--cluster: no Dask scheduler answers at {address} ({type(error).__name__}); start one with "
            "`dask scheduler` and workers with `dask worker`."
        ) from None
    try:
        cluster = Cluster(client)
        if not cluster.workers:
            raise InputError(f"--cluster: the scheduler at {address} has no workers; start some with `dask worker`.")
        yield cluster
    finally:
        client.close()


@contextmanager
def fitting_on(address: str) -> Iterator[None]:
    """Fits within the block are done on the cluster at `address`."""
    with connected(address) as cluster, working_on(cluster):
        yield
