"""What the checks of the ledger find."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """Something that is not as the rows say. `expected` follows from the rows, `found` lies in the ledger."""

    subject: str  # table and column, or what was checked
    key: str  # which row
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.subject} of {self.key}: expected {self.expected!r}, found {self.found!r}"
