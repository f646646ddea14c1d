"""Every error reply in one shape: RFC 9457 problem details, with the fields at fault and never what stood in them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic_core import ErrorDetails

from data.errors import BusyError, ConflictError, InputError
from serving.web.text import UNSEEN

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS, LONGEST_NAME = 50, 100
RULE_BOOK = "The rule book "  # so begins what is wrong with one, which came as `text`
NAMED = re.compile(r"[a-z_]+(\[\d+\])?")
SPOKEN = {"list", "one"}  # tags of our own unions, of no meaning to a client


@dataclass(frozen=True)
class FieldError:
    """One field at fault."""

    field: str
    problem: str


@dataclass
class Problem(Exception):
    """A request that gets an error for its answer."""

    status: int
    detail: str
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self, request_id: str | None = None) -> dict[str, Any]:
        """The body of the reply."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "errors": [{"field": error.field, "problem": error.problem} for error in self.errors],
        }
        return body | ({"request_id": request_id} if request_id else {})

    def as_bytes(self, request_id: str | None = None) -> bytes:
        """The body of the reply, encoded."""
        return json.dumps(self.as_dict(request_id), ensure_ascii=False).encode()


def retry_later(status: int, detail: str, seconds: int = 1) -> Problem:
    """A problem that another try may not meet."""
    return Problem(status, detail, headers={"Retry-After": str(max(1, seconds))})


def problem_of(error: Exception) -> Problem | None:
    """The problem that an error of an inner room is to the client; None for one that nobody foresaw."""
    match error:
        case Problem():
            return error
        case BusyError():
            return retry_later(503, "The ledger is busy or out of reach; try again.", error.retry_after_s)
        case ConflictError():
            return Problem(409, str(error))
        case InputError():
            return Problem(422, str(error), [_told_of(str(error))])
    return None


def _told_of(message: str) -> FieldError:
    """The field at fault in the line of an inner room: named at its beginning, if any is."""
    if message.startswith(RULE_BOOK):
        return FieldError("text", message)
    field, _, problem = message.partition(": ")
    return FieldError(field, problem) if NAMED.fullmatch(field) and problem else FieldError("body", message)


def invalid(errors: Sequence[ErrorDetails], *, above: str = "") -> Problem:
    """422 for what a type refused. Pydantic's own messages do not repeat what stood in the field."""
    named = [_field_error(error, above) for error in errors[:MOST_ERRORS]]
    return Problem(422, f"{len(errors)} field(s) cannot be used.", named)


def _field_error(error: ErrorDetails, above: str) -> FieldError:
    path = above
    for part in error["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in SPOKEN:
            name = UNSEEN.sub(" ", str(part)[:LONGEST_NAME])  # a client's own name for a field may be anything
            path += f".{name}" if path else name
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if error["type"] == "extra_forbidden":
        message = "there is no such field"
    return FieldError(path or "body", message[:200])
