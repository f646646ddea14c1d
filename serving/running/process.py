"""How the interpreter of a worker is set, once it has loaded what it needs."""

import gc
import os
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


def keep_to_one_core(worker: int) -> None:
    """Have this thread, and those that it begins from now on, run on one of the cores that the process may use.

    worker : its number within the service; each gets the next core. Threads that answer take turns by Python's lock
    anyway: on two cores each would find the other's memory in the wrong cache, at every turn. What runs beside them
    (prices, reports, upkeep) stays free.
    """
    if sys.platform != "linux":  # elsewhere a thread cannot be told where to run
        return
    cores = sorted(os.sched_getaffinity(0))
    first = os.getppid()  # of all workers of a service the same, of two services seldom
    os.sched_setaffinity(0, {cores[(first + worker) % len(cores)]})
