"""Ports for what tests start."""

import contextlib
import random
import socket


def free_port() -> int:
    """A loopback port that nobody uses, below those that the system lends to outgoing connections."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
