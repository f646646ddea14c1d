"""The reps of a score, best first, written as JSON at once: a thousand of them are a few columns of numbers."""

from collections.abc import Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from serving.consider import Considered
from serving.encoding import encoded
from serving.policy.exploration import Flags
from training.explain import Contribution

MOST_EXPLAINED = 5  # reps who get reasons unasked
MOST_NAMED = 50  # and of those whom the request names
NOT_EXPLAINED, UNKNOWN = b"[]},", b"null"


def best_first(considered: Considered) -> NDArray[np.intp]:
    """Candidates by probability; equals by id, so that the same question has the same answer."""
    probability = np.nan_to_num(considered.probability)
    order = np.argsort(-probability)
    ranked = probability[order]
    if (ranked[1:] != ranked[:-1]).all():  # to sort by two keys takes several times as long
        return order
    return np.lexsort((considered.in_force.roster.id_ranks[considered.places], -probability))


def listed(
    considered: Considered, available: Flags, rep_ids: Sequence[str] | None, top_k: int, value: float | None
) -> orjson.Fragment:
    """The list `reps` of a score. value : what the lead is worth once it is won; None where that is not known.

    rep_ids : who is shown; None: everybody. Probability, uplift and its ends stand at full precision, so that batch
    and single agree; the reasons of a rep add up to her uplift.
    """
    shown = best_first(considered)
    if rep_ids is not None:
        named = frozenset(rep_ids)
        kept = [place for place in shown if considered.candidates[place].rep_id in named]
        shown = np.array(kept, dtype=np.intp)
    many = len(shown)
    explained = min(many, MOST_EXPLAINED if rep_ids is None else MOST_NAMED)
    free = available[shown].astype(np.intp)
    reasons = b'},"reasons":' if value is None else b',"reasons":'
    # One rep, head and figures left out; what stays the same from rep to rep is one piece.
    piece = [b"", b"", b',"uplift":{"value":', b"", b',"low":', b"", b',"high":', b""]
    piece += [reasons + NOT_EXPLAINED] if value is None else [b'},"expected_revenue":', b"", reasons + NOT_EXPLAINED]
    width, pieces = len(piece), piece * many
    pieces[0::width] = considered.in_force.rep_heads[considered.places[shown], free].tolist()
    for place, figures in enumerate(_numbers(considered, shown, value)):
        pieces[2 * place + 1 :: width] = figures
    for place, told in enumerate(_reasons(considered, shown[:explained], top_k), start=1):
        pieces[place * width - 1] = reasons + told + b"},"
    if many:
        pieces[-1] = pieces[-1][:-1]  # no comma after the last
    return orjson.Fragment(b"[" + b"".join(pieces) + b"]")


def reason(part: Contribution, text: str) -> dict[str, object]:
    """One contribution as the contract has it."""
    return {**part_told(part), "text": text}


def part_told(part: Contribution) -> dict[str, object]:
    """A contribution with what it takes to say it again, in another language."""
    value = {} if part.feature == "other" else {"value": part.value}
    return {"feature": part.feature, **value, "contribution": part.contribution, "kind": part.kind}


def _numbers(considered: Considered, shown: NDArray[np.intp], value: float | None) -> list[list[bytes]]:
    """Probability, uplift, low and high of each, and the revenue to be expected where it is known, as JSON."""
    scores = considered.scores
    if scores is None:
        return [[UNKNOWN] * len(shown)] * 4
    told = scores.uplifts(considered.places[shown], considered.screening.eligible)
    probability = considered.probability[shown]
    columns = [probability, told.value, told.low, told.high, *([probability * value] if value is not None else [])]
    return [orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",") for column in columns]


def _reasons(considered: Considered, explained: NDArray[np.intp], k: int) -> list[bytes]:
    scores, texts = considered.scores, considered.in_force.texts
    if scores is None or not len(explained):
        return []
    places = considered.places[explained]
    found = scores.reasons_of(places, considered.screening.eligible, k)
    return [
        encoded([reason(part, texts.of_rep(place, part)) for part in parts])
        for place, parts in zip(places.tolist(), found, strict=True)
    ]
