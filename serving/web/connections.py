"""Connections that get so long to say what they want: one that opens and dawdles must not be held for ever."""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEADERS_WITHIN_S = 5.0
MOST_HEADER_BYTES = 65_536  # the parser itself would collect them for as long as they come


class PromptConnection(AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # uvicorn chooses the class as it is imported
    """A connection of uvicorn's that is closed where a request's headers are not whole in time, or too long."""

    _closing: asyncio.TimerHandle | None = None
    _header_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        """Take the bytes; the time runs on until they make whole headers."""
        super().data_received(data)
        self._await_headers()
        self._header_bytes = self._header_bytes + len(data) if self._closing else 0
        if self._header_bytes > MOST_HEADER_BYTES:
            self._give_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._closing is None:
            self._closing = self.loop.call_later(HEADERS_WITHIN_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _give_up(self) -> None:
        self._closing = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
