"""Reasons as an answer has them: JSON of which each wording is made once, so that only figures and names are put in."""

from collections.abc import Sequence
from typing import Any

import orjson

from data.roster import Rep
from serving.telling.encoding import encoded
from serving.telling.reasons import (
    NAME_HERE,
    POINTS_HERE,
    Language,
    kept_apart,
    lead_wording,
    name_of,
    points_text,
    wording,
)
from training.explain import Contribution

LEAD_S_OWN = -2  # in the place of a rep
NAME, POINTS = NAME_HERE.encode(), POINTS_HERE.encode()


def part_told(part: Contribution) -> dict[str, object]:
    """A contribution with what it takes to say it again, in another language."""
    value = {} if part.feature == "other" else {"value": part.value}
    return {"feature": part.feature, **value, "contribution": part.contribution, "kind": part.kind}


class ToldReasons:
    """The reasons of many leads for one roster."""

    def __init__(self, reps: Sequence[Rep], language: Language, *, most: int) -> None:
        """Most : wordings that are kept."""
        self._reps, self._language, self._most = reps, language, most
        self._names = [orjson.dumps(name_of(rep))[1:-1] for rep in reps]  # as they stand between quotes
        self._known: dict[tuple[Any, ...], tuple[bytes, bytes]] = {}

    def of_rep(self, rep: int, parts: Sequence[Contribution]) -> bytes:
        """The list of contributions to the uplift of the rep at this place, each with its sentence."""
        told = [
            # What a rep states of herself changes the wording of a match; elsewhere only her name is put in.
            self._told(rep if part.kind == "match" else -1, part, self._reps[rep], self._names[rep])
            for part in parts
        ]
        return b"[%b]" % b",".join(told)

    def of_lead(self, parts: Sequence[Contribution]) -> bytes:
        """The list of contributions to the lead's own probability, each with its sentence."""
        return b"[%b]" % b",".join([self._told(LEAD_S_OWN, part, None, b"") for part in parts])

    def _told(self, own: int, part: Contribution, rep: Rep | None, name: bytes) -> bytes:
        key = (own, part.feature, part.kind, *kept_apart(part.value), part.contribution >= 0)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= self._most:
                self._known.clear()
            known = self._known[key] = self._made(part, rep)
        before, after = known
        points = points_text(part.contribution, self._language).encode()
        return b"%b%a%b" % (before, part.contribution, after.replace(POINTS, points).replace(NAME, name))

    def _made(self, part: Contribution, rep: Rep | None) -> tuple[bytes, bytes]:
        """What stands before the contribution's figure, and after it."""
        text = lead_wording(part, self._language) if rep is None else wording(part, rep, self._language)
        told = part_told(part)
        del told["contribution"], told["kind"]
        before = encoded(told)[:-1] + b',"contribution":'
        return before, b"," + encoded({"kind": part.kind, "text": text})[1:]
