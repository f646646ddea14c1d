"""What came of telling somebody something."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from serving.events.outward import Answer, seconds_of

GONE = 410
ABOUT_THE_MESSAGE = (400, 409, 413, 422)  # the next one may fare better; after any other refusal it would not


@dataclass(frozen=True)
class Attempt:
    """What came of one attempt to tell somebody something."""

    error: str | None = None  # None: it arrived
    retry_after_s: float = 0.0
    gone: bool = False  # the endpoint wants nothing any more
    in_trouble: bool = False  # not this message but the endpoint: the next would fare no better

    @classmethod
    def of(
        cls, answer: Answer, at: datetime, *, about_the_message: Sequence[int] = ABOUT_THE_MESSAGE
    ) -> "Attempt":
        """An answer's meaning; a redirect is a refusal, for nobody vouches for where it leads."""
        if answer.ok:
            return cls()
        trouble = answer.status not in about_the_message
        return cls(f"HTTP {answer.status}", seconds_of(answer.retry_after, at), answer.status == GONE, trouble)
