"""The reps of a score, best first, written as JSON at once: a thousand of them are a few columns of numbers."""

from collections.abc import Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from serving.deciding.consider import Considered
from serving.policy.exploration import Flags
from serving.telling.json_rows import Column

try:
    from serving.telling.json_kernel import written
except ImportError:  # no compiler was there when this was installed
    from serving.telling.json_rows import written

MOST_EXPLAINED = 5  # reps who get reasons unasked
MOST_NAMED = 50  # and of those whom the request names
UPLIFT, LOW, HIGH, REVENUE = b',"uplift":{"value":', b',"low":', b',"high":', b'},"expected_revenue":'
EXPLAINED, UNEXPLAINED = b',"reasons":', b"[]}"
UNKNOWN = b"null"


def best_first(considered: Considered) -> NDArray[np.intp]:
    """Candidates by probability; equals by id, so that the same question has the same answer."""
    known = considered.scores is not None  # else all are NaN, and equal
    probability = considered.probability if known else np.zeros(len(considered.places))
    order = np.argsort(-probability)
    ranked = probability[order]
    if (ranked[1:] != ranked[:-1]).all():  # to sort by two keys takes several times as long
        return order
    return np.lexsort((considered.in_force.roster.id_ranks[considered.places], -probability))


def listed(
    considered: Considered, available: Flags, rep_ids: Sequence[str] | None, top_k: int, value: float | None
) -> orjson.Fragment:
    """The list `reps` of a score. value : what the lead is worth once it is won; None where that is not known.

    rep_ids : who is shown; None: everybody. Probability, uplift and its ends have 16 decimals, so that batch and
    single agree; the reasons of a rep add up to her uplift.
    """
    shown = best_first(considered)
    if rep_ids is not None:
        named = frozenset(rep_ids)
        kept = [place for place in shown if considered.candidates[place].rep_id in named]
        shown = np.array(kept, dtype=np.intp)
    if not len(shown):
        return orjson.Fragment(b"[]")
    explained = min(len(shown), MOST_EXPLAINED if rep_ids is None else MOST_NAMED)
    reasons = [UNEXPLAINED] * len(shown)
    for place, told in enumerate(_reasons(considered, shown[:explained], top_k)):
        reasons[place] = told + b"}"
    heads = considered.in_force.rep_heads._replace(which=2 * considered.places[shown] + available[shown])
    return orjson.Fragment(written([heads, *_figures(considered, shown, value), EXPLAINED, reasons], len(shown)))


def _figures(considered: Considered, shown: NDArray[np.intp], value: float | None) -> list[Column]:
    """Of each her probability, uplift, low, high, and the revenue to be expected where it is known."""
    scores = considered.scores
    if scores is None:
        return [UNKNOWN, UPLIFT, UNKNOWN, LOW, UNKNOWN, HIGH, UNKNOWN, b"}"]
    told = scores.uplifts(considered.places[shown], considered.screening.eligible)
    probability = considered.probability[shown]
    revenue = [b"}"] if value is None else [REVENUE, probability * value]
    return [probability, UPLIFT, told.value, LOW, told.low, HIGH, told.high, *revenue]


def _reasons(considered: Considered, explained: NDArray[np.intp], k: int) -> list[bytes]:
    scores, told = considered.scores, considered.in_force.reasons
    if scores is None or not len(explained):
        return []
    places = considered.places[explained]
    found = scores.reasons_of(places, considered.screening.eligible, k)
    return [told.of_rep(place, parts) for place, parts in zip(places.tolist(), found, strict=True)]
