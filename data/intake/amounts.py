"""Numbers as people write them ("€ 1.234,50", "12 %") -> floats; what does not read as one is marked, not guessed."""

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd  # half a second, and the service reads one amount at a time

_SIGNS = re.compile(r"[\s\u00a0\u202f'’]|[$€£¥￥₹%元]|\b(?:USD|EUR|GBP|CNY|RMB|JPY|INR|CHF)\b")
_PLAIN = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"


def read_numbers(values: "pd.Series", decimal: str = ".") -> tuple[np.ndarray, np.ndarray]:
    """(floats with NaN where missing or unreadable, which were unreadable), one entry a value."""
    if values.dtype.kind in "fiub":
        return values.to_numpy(dtype=float), np.zeros(len(values), dtype=bool)
    import pandas as pd

    codes, uniques = pd.factorize(values.astype("str"))
    numbers = np.array([number_of(text, decimal) for text in uniques] + [np.nan])
    read = numbers[codes]
    return read, values.notna().to_numpy() & ~np.isfinite(read)


def number_of(text: str, decimal: str = ".") -> float:
    """The number in a text, NaN if there is none. A thousands sign counts only where it divides by threes.

    >>> number_of("€ 1.234,50", ","), number_of("1,234.5"), number_of("(120)"), number_of("1,5")
    (1234.5, 1234.5, -120.0, nan)
    """
    bare = _SIGNS.sub("", text)
    if re.fullmatch(r"\(.*\)", bare):  # an accountant's minus
        bare = f"-{bare[1:-1]}"
    thousands = "." if decimal == "," else ","
    if thousands in bare:
        whole = rf"[+-]?\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+(?:{re.escape(decimal)}\d*)?"
        if not re.fullmatch(whole, bare):
            return float("nan")
        bare = bare.replace(thousands, "")
    bare = bare.replace(decimal, ".")
    return float(bare) if re.fullmatch(_PLAIN, bare) else float("nan")
