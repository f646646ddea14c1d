"""How the interpreter of a worker is set, once it has loaded what it needs."""

import gc
import sys

SWITCHED_AFTER_S = 0.0005


def to_serve() -> None:
    """Ready for many short requests on few threads."""
    # What is in memory by now stays: full collections need not walk it between requests. A collection before would
    # find next to nothing to throw away, and would take a tenth of the start.
    gc.freeze()
    gc.enable()
    # The thread that takes requests in, and refuses those too many, waits behind every thread that decides.
    sys.setswitchinterval(SWITCHED_AFTER_S)
