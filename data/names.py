"""Column names: the ones that leadmatch knows, and how a file's own spelling is compared with them."""

import difflib
import re
import unicodedata
from collections.abc import Iterable

from data.roster import KNOWN_COLUMNS as REP_COLUMNS

LEAD_COLUMNS = ("lead_id", "created_at")
ASSIGNMENT_COLUMNS = (
    "lead_id", "rep_id", "assigned_at", "outcome", "closed_at", "first_contact_at", "value", "lost_reason",
    "assigned_by", "policy", "propensity",
)  # fmt: skip
PERSONAL_COLUMNS = ("name", "email", "phone", "company")
TABLES = ("leads", "reps", "assignments")

# In a leads table beside an assignments table these would tell the outcome or the owner: never attributes.
NOT_FOR_LEADS = frozenset(ASSIGNMENT_COLUMNS) - {"lead_id", "value", "policy"}

__all__ = [
    "ASSIGNMENT_COLUMNS", "LEAD_COLUMNS", "NOT_FOR_LEADS", "PERSONAL_COLUMNS", "REP_COLUMNS", "TABLES",
    "listed", "nearest", "one_line", "plain",
]  # fmt: skip


def plain(name: str) -> str:
    """The form in which names are compared: no case, spaces, underscores or hyphens, one width.

    >>> plain("Lead Source") == plain("lead_source") == plain("Lead-source")
    True
    """
    return re.sub(r"[\s_\-]+", "", unicodedata.normalize("NFKC", name).casefold())


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`, or None if none is alike.

    >>> nearest("GTXPro", ["GTX Basic", "GTX Pro"])
    'GTX Pro'
    """
    by_form = {plain(each): each for each in known}
    found = difflib.get_close_matches(plain(name), by_form, n=1, cutoff=0.6)
    return by_form[found[0]] if found else None


def listed(names: Iterable[str], most: int = 12) -> str:
    """The names with commas between, at most `most` of them, then how many more."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return one_line(", ".join(every[:most]) + more)


def one_line(text: str) -> str:
    """The text without line breaks, so that a message stays one line."""
    return " ".join(text.split())
