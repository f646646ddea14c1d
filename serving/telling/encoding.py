"""Answers as JSON: encoded once, and from then on the same bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from serving.web.api import as_json

__all__ = ["as_json", "encoded", "plain"]

# Instants and our own classes go through `as_json`: orjson's own spelling of them is another one than ours.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


def encoded(answer: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> bytes:
    """The answer's bytes: the form in which it is stored and sent, now and at every replay."""
    return orjson.dumps(answer, default=as_json, option=_OPTIONS)


def plain(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer as JSON has it: no instants, no tuples."""
    return dict(orjson.loads(encoded(answer)))
