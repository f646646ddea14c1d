"""Rows of small figures as JSON, all at once: every figure has one width, so that a table is one block of bytes.

To write thousands of figures one after the other takes as long as everything else that a score needs.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
import orjson
from numpy.typing import NDArray

DECIMALS = 16  # a probability in double precision has hardly more
HALF, QUARTER = 10**8, 10**4  # the decimals are worked out in two halves, each of which is exact
DIGIT = np.array([b"%2d." % digit for digit in range(10)] + [b"-%d." % digit for digit in range(10)]).view("V3")
FOUR_DIGITS = np.array([b"%04d" % number for number in range(QUARTER)]).view(np.uint32)


def rows_of(figures: NDArray[np.float64], between: Sequence[bytes]) -> list[bytes]:
    """Each row's figures, each followed by its own piece of `between`.

    figures : (n_figures, n_rows), probabilities and the like, with 16 decimals; what lies beyond them is cut off. A
    blank stands where others have a minus, which is nothing to a JSON reader. Where one is 10 or more, or not finite
    and so null, each has the digits it needs.
    """
    if not (np.abs(figures) < 10).all():  # NaN is not
        return [b"".join(map(bytes.__add__, map(orjson.dumps, row), between)) for row in figures.T.tolist()]
    layout = _layout(tuple(between))
    rows = np.full(figures.shape[1], layout.template)
    written = rows.view(layout.gaps)
    for place, figure in enumerate(figures):  # one by one: what is at work stays in the processor's nearest memory
        size = np.abs(figure)
        digit = size.astype(np.intp)
        written[f"digit {place}"] = DIGIT.take(digit + 10 * (figure < 0), mode="clip")
        written[f"decimals {place}"] = _decimals(size - digit)
    return cast(list[bytes], rows.tolist())


class _Layout(NamedTuple):
    template: np.void  # a row without its figures
    gaps: np.dtype[np.void]


@lru_cache(maxsize=16)
def _layout(between: tuple[bytes, ...]) -> _Layout:
    """A row with a gap for each figure's sign, digit and point, and for its decimals."""
    template, gaps = b"", {"names": [], "formats": [], "offsets": []}  # type: ignore[var-annotated]
    for place, text in enumerate(between):
        gaps["names"] += [f"digit {place}", f"decimals {place}"]
        gaps["formats"] += ["V3", f"V{DECIMALS}"]
        gaps["offsets"] += [len(template), len(template) + 3]
        template += b" " * (3 + DECIMALS) + text
    return _Layout(np.void(template), np.dtype({**gaps, "itemsize": len(template)}))  # type: ignore[call-overload]


def _decimals(fractions: NDArray[np.float64]) -> NDArray[np.void]:
    """The first 16 decimals of numbers from 0 to below 1, as characters; `fractions` are used up."""
    fours = np.empty((len(fractions), 4), dtype=np.uint32)
    for place in (0, 2):
        fractions *= HALF
        half = fractions.astype(np.intp)
        fractions -= half
        upper = half // QUARTER
        fours[:, place] = FOUR_DIGITS.take(upper, mode="clip")
        half -= upper * QUARTER
        fours[:, place + 1] = FOUR_DIGITS.take(half, mode="clip")
    return fours.view(f"V{DECIMALS}")[:, 0]
