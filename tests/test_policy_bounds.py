"""Bounds of newcomers and of those who came back, held against a rep by rep reading of the rule."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from data.roster import Rep
from serving.policy.bounds import Comings
from serving.policy.sections import Absence, Newcomers

NOW = datetime(2026, 3, 2, 12, 0, 0, 123457, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
HIRED = [None, NOW - timedelta(days=30), NOW - timedelta(days=30) + MOMENT, NOW + timedelta(days=1)]
ABSENCES = [
    (None, None),
    (NOW - timedelta(days=9), None),
    (None, NOW - timedelta(days=30)),
    (None, NOW - timedelta(days=30) + MOMENT),
    (NOW - timedelta(days=4), NOW - timedelta(days=2)),
    (NOW - timedelta(days=5), NOW - timedelta(days=2)),
    (NOW - timedelta(days=5), NOW),
    (NOW - timedelta(days=5), NOW + MOMENT),
]
REPS = [
    Rep(f"R-{place}", hired_at=hired, absent_from=gone, absent_until=back)
    for place, (hired, (gone, back)) in enumerate((hired, absence) for hired in HIRED for absence in ABSENCES)
]


def by_hand(rep: Rep, newcomers: Newcomers, absence: Absence) -> tuple[float, float]:
    least, most = 0.0, np.inf
    if rep.hired_at is not None and NOW - rep.hired_at < timedelta(days=newcomers.days):
        least, most = newcomers.floor, newcomers.ceiling
    if rep.absent_until is None or rep.absent_until > NOW:
        return least, most
    away = rep.absent_until - rep.absent_from if rep.absent_from else timedelta(days=30)
    if NOW - rep.absent_until >= min(away, timedelta(days=30)):
        return least, most
    if absence.on_return == "catch_up":
        return max(least, absence.catch_up_at_most), absence.catch_up_at_most
    return least, min(most, 1.0)


@pytest.mark.parametrize("on_return", ["catch_up", "keep_place"])
def test_every_rep_has_the_bounds_that_the_rule_says(on_return):
    newcomers = Newcomers(days=30, floor=0.5, ceiling=1.5)
    absence = Absence(on_return=on_return)
    available = np.arange(len(REPS)) % 7 != 0
    places = np.arange(len(REPS))[::-1]
    found = Comings(REPS).bounds(places, NOW, newcomers, absence, available=available)
    expected = [
        by_hand(REPS[place], newcomers, absence) if free else (0.0, np.inf)
        for place, free in zip(places, available, strict=True)
    ]
    assert found is not None
    assert list(zip(found.least, found.most, strict=True)) == expected
