"""Connections that stay open: a pool's own ways, there and back, take longer than most of SQLite's statements."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.engine import Connection

MOST_IDLE = 4  # more are opened when they are asked for at the same time, and closed again


class Kept:
    """An engine's connections, given out again as they came back. The engine itself pools none."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._idle: list[Connection] = []  # the last one back goes out first: what it has read is still in the cache

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection without a transaction; what the block leaves uncommitted is rolled back."""
        try:
            conn = self._idle.pop()
        except IndexError:
            conn = self._engine.connect()
        try:
            yield conn
            conn.rollback()
        except BaseException:
            conn.close()
            raise
        if len(self._idle) < MOST_IDLE:
            self._idle.append(conn)
        else:
            conn.close()

    def dispose(self) -> None:
        """Close those that are not in use."""
        while self._idle:
            self._idle.pop().close()
        self._engine.dispose()
