"""JSON read strictly: what two readers could understand differently is refused."""

import json
import math
from typing import Any, NoReturn

DEEPEST = 20
LONGEST_NUMBER = 40  # digits; parsing time of an integer grows with the square of its length


class MalformedJsonError(ValueError):
    """The bytes are not JSON that everybody reads alike; the message says why, without the content."""


def read_json(body: bytes) -> Any:
    """The value in `body`: UTF-8, no repeated names, finite numbers, shallow.

    Raises MalformedJsonError.
    """
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise MalformedJsonError("it begins with a byte order mark")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedJsonError(f"it is not UTF-8 (byte {error.start})") from None
    _check_depth(text)
    try:
        value = _DECODER.decode(text)
        if "\\u" in text:  # only an escape can have made half of a surrogate pair
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise MalformedJsonError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except UnicodeEncodeError:
        raise MalformedJsonError("an escape is half of a surrogate pair") from None
    return value


def _check_depth(text: str) -> None:
    depth, in_string, escaped = 0, False, False
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    for character in text:
        if in_string:
            in_string = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > DEEPEST:
                raise MalformedJsonError(f"it is nested deeper than {DEEPEST} levels")
        elif character in "]}":
            depth -= 1


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise MalformedJsonError("an object names the same field twice")
    return made


def _no_constant(name: str) -> NoReturn:
    raise MalformedJsonError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise MalformedJsonError("a number is too large")
    return value


def _short(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise MalformedJsonError("a number has too many digits")
    return int(text)


# Made once: each takes as long to make as to read a lead with.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_without_repeats, parse_constant=_no_constant, parse_float=_finite, parse_int=_short
)
