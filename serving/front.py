"""Connections that hand a request straight to our application, past what the framework puts before every one.

Of the framework's own layers one starts a task and a timer for each request, another looks for spans to trace, and
together they take as long as some answers. What they are for stands in `serving.guard`, for every route.
"""

from functools import cache
from typing import Any

from starlette.types import ASGIApp

from serving.connections import PromptConnection
from serving.service import worker


class StraightConnection(PromptConnection):
    """A connection of a worker."""

    def __init__(self, config: Any, *others: Any, **named: Any) -> None:
        """As uvicorn makes it; what it serves goes to the framework only where that is to answer itself."""
        super().__init__(config, *others, **named)
        self.app = _whole(config.loaded_app)


@cache
def _whole(framework: ASGIApp) -> ASGIApp:
    return worker().in_front_of(framework)
