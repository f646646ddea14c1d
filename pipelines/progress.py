"""What a long job says while it runs: one line a step on standard error, with how long the step before took."""

import sys
import time
from collections.abc import Callable

from rich.console import Console

Step = Callable[[str], None]


def silent(step: str) -> None:
    """For jobs that nobody watches."""


def on_terminal() -> Step:
    """Steps as they happen; on a terminal with a spinner's worth of colour, otherwise as plain lines."""
    console = Console(file=sys.stderr, highlight=False)
    began = time.monotonic()

    def say(step: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/dim]  {step}")

    return say
