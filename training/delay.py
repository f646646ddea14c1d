"""How long outcomes take, and what that lets us expect of leads that are still open.

G(a | segment) is the share of the window's conversions that have come by age a, L(a | segment) the share of the
others that are marked as lost by then, both counted in mature rows, which show their whole window. A lead open at
age a converts with y = p (1 - G) / (p (1 - G) + (1 - p) (1 - L)); without marks of loss L is 0 and this is
p (1 - G) / (1 - p G). Segments are the levels of the one column by which conversions come soonest and latest.
Source: Chapelle (2014), Modeling delayed feedback in display advertising, doi:10.1145/2623330.2623634, with
the curves as counted instead of exponential.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import f as f_distribution
from scipy.stats import rankdata

from features.columns import ColumnContract, Feature
from features.labels import Clock
from features.spells import Spells
from training.splits import known_before

LEAST_CONVERSIONS = 50  # of a segment, for curves of its own
SIGNIFICANT = 0.001  # that the segments' delays differ, for any to be told apart
BANDS = 4  # equal parts that a number is cut into


@dataclass(frozen=True)
class Curve:
    """How many have come by an age."""

    after_days: np.ndarray  # sorted ages at which they came
    of: int  # all that there are, those included that never come

    def share(self, age_days: np.ndarray) -> np.ndarray:
        """The share that has come by each age, shape (n,)."""
        return np.searchsorted(self.after_days, age_days, side="right") / max(self.of, 1)


@dataclass(frozen=True)
class Segmentation:
    """How leads are told apart: a column's levels, or bands of a number; no column, no segments."""

    place: int | None = None  # of the feature in the lead matrix
    name: str | None = None
    cuts: tuple[float, ...] = ()  # where each band begins, or the level numbers themselves, rising

    @property
    def count(self) -> int:
        """Segments, the one of those without any included."""
        return len(self.cuts) + 1

    def names(self, contract: ColumnContract) -> list[str]:
        """A name for each segment, in order."""
        if self.place is None:
            return ["all"]
        feature = contract.features[self.place]
        if feature.kind == "category":
            return ["all", *(feature.levels[int(code)] for code in self.cuts)]
        ends = [*self.cuts[1:], np.inf]
        return ["all", *(_band(begin, end) for begin, end in zip(self.cuts, ends, strict=True))]

    def of(self, leads: np.ndarray) -> np.ndarray:
        """Segment of each lead, (n,), from 1; 0 where it has none (missing, or a rare level)."""
        if self.place is None:
            return np.zeros(len(leads), dtype=int)
        values = leads[:, self.place]
        below = np.searchsorted(self.cuts, np.nan_to_num(values), side="right")
        return np.where(np.isnan(values), 0, below)


@dataclass(frozen=True)
class Delays:
    """The curves of each segment; segment 0 has those of all rows together."""

    segmentation: Segmentation
    won: tuple[Curve, ...]
    lost: tuple[Curve, ...]

    def expected(self, rows: Spells, probability: np.ndarray) -> np.ndarray:
        """What to expect of each row, (n,): its label where it is known, else its chance to convert yet.

        rows : with their clock; probability : (n,) of converting within the window.
        """
        if rows.clock is None:
            raise ValueError("These rows have no clock: build them with `labels: expected`.")
        age, decided = rows.clock.watched_days, rows.clock.decided_after <= rows.clock.watched_days
        segment = self.segmentation.of(rows.leads)
        come, gone = np.zeros(len(rows)), np.zeros(len(rows))
        for one in np.unique(segment):
            inside = segment == one
            come[inside], gone[inside] = (curves[one].share(age[inside]) for curves in (self.won, self.lost))
        yet, never = probability * (1 - come), (1 - probability) * (1 - gone)
        hope = yet / np.maximum(yet + never, 1e-12)
        known = decided | (age >= rows.labels.window_days)
        return np.where(known, rows.converted, hope)


def measure_delays(rows: Spells, contract: ColumnContract) -> Delays:
    """The curves of mature rows, for the segments whose conversions differ most in their delay."""
    if rows.clock is None:
        raise ValueError("These rows have no clock: build them with `labels: expected`.")
    chosen = _segmentation(rows.leads, rows.clock.decided_after, rows.converted == 1, contract)
    segment = chosen.of(rows.leads)
    every = np.ones(len(rows), dtype=bool)
    inside = [every, *(segment == one for one in range(1, chosen.count))]
    enough = [mask if rows.converted[mask].sum() >= LEAST_CONVERSIONS else every for mask in inside]
    after, won = rows.clock.decided_after, rows.converted == 1
    return Delays(
        chosen,
        tuple(_curve(after[mask & won], int(np.sum(mask & won))) for mask in enough),
        tuple(_curve(after[mask & ~won], int(np.sum(mask & ~won))) for mask in enough),
    )


@dataclass(frozen=True)
class SegmentDelay:
    """How long conversions take in one segment, for a reader."""

    segment: str  # a level, or a band of a number; "all" for all rows together
    conversions: int
    half_days: float  # by when half of the window's conversions have come
    most_days: float  # nine in ten of them
    shares: tuple[tuple[float, float], ...]  # (days, share come by then)


def told_delays(rows: Spells, contract: ColumnContract) -> tuple[str | None, list[SegmentDelay]]:
    """The column by which delays differ most, None if chance could make them differ so, and the delay curves.

    rows : mature ones, with their clock. The first curve is that of all rows; a segment with too few conversions
    for a curve of its own is left out.
    """
    delays = measure_delays(rows, contract)
    names = delays.segmentation.names(contract)
    counts = np.bincount(delays.segmentation.of(rows.leads), weights=rows.converted, minlength=len(delays.won))
    curves = [("all", delays.won[0], int(rows.converted.sum()))]
    for one in range(1, len(delays.won)):
        if counts[one] >= LEAST_CONVERSIONS:
            curves.append((names[one], delays.won[one], int(counts[one])))
    ages = rows.labels.window_days * np.array([0.1, 0.25, 0.5, 0.75, 1.0])
    told = []
    for name, curve, conversions in curves:
        if len(curve.after_days):
            half, most = (float(np.quantile(curve.after_days, q)) for q in (0.5, 0.9))
            points = zip(ages.tolist(), curve.share(ages).tolist(), strict=True)
            told.append(SegmentDelay(name, conversions, half, most, tuple(points)))
    return delays.segmentation.name, told


def known_at(rows: Spells, start_days: float) -> Spells:
    """The rows from before a moment as they were known then, the young ones of that day included.

    rows : mature ones. Without a clock: those whose label was mature by then.
    """
    early = known_before(rows.at_days, start_days, rows.labels.window_days)
    young = (rows.at_days < start_days) & ~early
    older = rows.take(early)
    if rows.clock is None or not young.any():
        return older
    then = rows.take(young)
    watched = start_days - then.at_days
    after = rows.clock.decided_after[young]
    seen = after <= watched
    clock = Clock(np.where(seen, after, np.nan), watched)
    return replace(older, young=replace(then, clock=clock, converted=then.converted * seen))


def _band(begin: float, end: float) -> str:
    if np.isinf(begin):
        return f"below {end:g}"
    return f"{begin:g} and more" if np.isinf(end) else f"{begin:g} to {end:g}"


def _curve(after_days: np.ndarray, of: int) -> Curve:
    return Curve(np.sort(after_days[~np.isnan(after_days)]), of)


def _segmentation(leads: np.ndarray, after: np.ndarray, won: np.ndarray, contract: ColumnContract) -> Segmentation:
    """The column that explains most of the delays' ranks, if chance would hardly let it."""
    timed = won & ~np.isnan(after)
    best, most = Segmentation(), 0.0
    for place, feature in enumerate(contract.features):
        if feature.column == "created_at":
            continue
        cuts = _cuts(leads[timed, place], feature)
        candidate = Segmentation(place, feature.name, cuts)
        share = _share_explained(after[timed], candidate.of(leads[timed])) if len(cuts) > 1 else 0.0
        if share > most:
            best, most = candidate, share
    return best


def _cuts(values: np.ndarray, feature: Feature) -> tuple[float, ...]:
    if feature.kind == "category":
        return tuple(float(code) for code in range(len(feature.levels)))
    known = values[~np.isnan(values)]
    if not len(known):
        return ()
    inner = np.unique(np.quantile(known, np.arange(1, BANDS) / BANDS))
    return (-np.inf, *(cut for cut in inner.tolist() if cut > known.min()))


def _share_explained(after: np.ndarray, segment: np.ndarray) -> float:
    """Omega squared of the delays' ranks between the segments with enough conversions; 0 where chance would do it."""
    counts = np.bincount(segment)
    kept = np.isin(segment, np.flatnonzero(counts >= LEAST_CONVERSIONS)) & (segment > 0)
    groups, n = len(np.unique(segment[kept])), int(kept.sum())
    if groups < 2:
        return 0.0
    ranks = rankdata(after[kept])
    _, place = np.unique(segment[kept], return_inverse=True)
    means = np.bincount(place, ranks) / np.bincount(place)
    between = float(np.sum((means[place] - ranks.mean()) ** 2))
    within = float(np.sum((ranks - means[place]) ** 2)) / max(n - groups, 1)
    if within == 0 or f_distribution.sf(between / (groups - 1) / within, groups - 1, n - groups) > SIGNIFICANT:
        return 0.0
    return (between - (groups - 1) * within) / (between + (n - groups) * within + within)
