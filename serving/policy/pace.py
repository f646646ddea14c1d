"""How many leads will come in the next hours, from how many came in the same hours of the days before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

DAYS = 7
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Pace:
    """Leads that came in each hour of the last days; hours are numbered since 1970, one without leads is left out."""

    hours: Mapping[int, float]

    def expected(self, at: datetime, days: float) -> float:
        """Leads to expect in the next `days`, at most one: the mean of the same stretch of up to seven days before.

        Where less than a day has been seen, its leads count as what comes in a day: a first burst is no pace.
        """
        if not self.hours:
            return 0.0
        now, begun = (at - _EPOCH) / _HOUR, min(self.hours)
        starts = now - 24 * np.arange(1, DAYS + 1)
        starts = starts[starts >= begun]
        if not len(starts):
            return days * float(sum(self.hours.values()))
        edges = np.arange(begun, int(now) + 2, dtype=float)
        counted = np.concatenate([[0.0], np.cumsum([self.hours.get(int(hour), 0) for hour in edges[:-1]])])
        edges[-1] = now  # the hour that has only begun
        came = np.interp(starts + 24 * days, edges, counted) - np.interp(starts, edges, counted)
        return float(came.mean())
