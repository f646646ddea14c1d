"""Connections that hand a request straight to our application, past what the framework puts before every one.

Of the framework's own layers one starts a task and a timer for each request, another looks for spans to trace, and
together they take as long as some answers. What they are for stands in `serving.web.guard`, for every route. Only what
a proxy on this machine says of its client is still read as uvicorn reads it.
"""

from functools import cache
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from serving.service import worker
from serving.web.connections import PromptConnection


class StraightConnection(PromptConnection):
    """A connection of a worker."""

    def __init__(self, config: Any, *others: Any, **named: Any) -> None:
        """As uvicorn makes it; what it serves goes to the framework only where that is to answer itself."""
        super().__init__(config, *others, **named)
        self.app = _whole(config)


@cache
def _whole(config: Any) -> Any:
    whole: Any = worker().in_front_of(config.loaded_app)
    return ProxyHeadersMiddleware(whole, config.forwarded_allow_ips) if config.proxy_headers else whole
