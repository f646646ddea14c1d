"""Text from outside: one form for one string, and nothing in it that a reader cannot see."""

import re
import unicodedata

# C0 and C1 controls, and the marks that turn the direction of what follows: a name could show as another one.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
LONGEST_ID, LONGEST_TEXT = 200, 4_000


def clean_id(value: object) -> str:
    """An id as it is kept (NFC); ValueError for anything that two readers could take for different ids."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    text = unicodedata.normalize("NFC", value)
    if not 1 <= len(text) <= LONGEST_ID:
        raise ValueError(f"must have 1 to {LONGEST_ID} characters")
    if UNSEEN.search(text) or text != text.strip():
        raise ValueError("must not hold control characters, direction marks, or blanks at its ends")
    return text


def clean_text(value: object) -> str:
    """A text as it is kept: NFC, controls and direction marks replaced by blanks; NUL is refused."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    if "\x00" in value:
        raise ValueError("must not hold a NUL character")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"must have at most {LONGEST_TEXT} characters")
    return UNSEEN.sub(" ", unicodedata.normalize("NFC", value))
