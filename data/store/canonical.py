"""What a database holds in one place, as the canonical JSON of RFC 8785 that is hashed.

rfc8785 itself takes a call for every quote in a string, and the candidates of a decision are a string with a thousand
names in it; of a number it takes apart what Python has written. So the ordinary values are written here, in the same
characters, and the rare ones by rfc8785.
"""

import hashlib
import math
from collections.abc import Callable
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

import rfc8785

MOST_EXACT = 2**53 - 1  # JSON's numbers are doubles
_LONG = 1_000  # characters; one roster's candidates are often the same, and known again sooner than escaped
_LEAST, _MOST = 1e-4, 1e16  # between them Python writes a float as RFC 8785 does, but for the end of a whole one


def canonical(value: Any) -> str:
    """The value in canonical JSON; as a string, where JSON cannot say it exactly. Bytes are told by their SHA-256."""
    return _WAYS.get(type(value), _bytes)(value)


def _str(value: str) -> str:
    return encode_basestring(value) if len(value) < _LONG else _escaped(value)


_escaped = lru_cache(maxsize=32)(encode_basestring)


def _int(value: int) -> str:
    return repr(value) if -MOST_EXACT <= value <= MOST_EXACT else f'"{value}"'


def _float(value: float) -> str:
    if _LEAST <= value < _MOST or -_MOST < value <= -_LEAST:
        return repr(value).removesuffix(".0")
    return rfc8785.dumps(value).decode() if math.isfinite(value) else f'"{value!r}"'


def _bytes(value: Any) -> str:
    return f'"{hashlib.sha256(bytes(value)).hexdigest()}"'


_WAYS: dict[type, Callable[[Any], str]] = {
    str: _str,
    int: _int,
    float: _float,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
}
