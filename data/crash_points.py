"""Places at which a test may kill the process, to see that what is left behind is whole. Off unless asked for.

`LEADMATCH_CRASH_AT=before_commit` ends the process at that place, as kill -9 would; `before_commit:5` at the
fifth time.
"""

import os
import signal

POINTS = (
    "before_claim",  # a decision: nothing is locked yet
    "after_reserve",  # the slot is taken, the decision not yet written
    "before_commit",  # everything is written, nothing is committed
    "after_commit",  # committed, but not yet answered
    "in_outcomes",  # events are written, states and slots do not follow yet
    "in_override",  # the override is written, the slots have not moved yet
    "in_roster",  # a new roster's history is written, the reps are not
    "in_promotion",  # a promotion is written, not committed
    "before_bundle",  # a bundle was checked, but lies in no place of its own yet
    "before_pointer",  # a file's new content is on the disk, under a passing name
)

_armed: dict[str, int] = {}  # point -> times until it strikes


def arm(wanted: str) -> None:
    """Have this process end at a point: its name, or name:times; "" for none. Raises ValueError for an unknown one."""
    point, _, times = wanted.partition(":")
    if point and point not in POINTS:
        raise ValueError(f"LEADMATCH_CRASH_AT is one of {', '.join(POINTS)}, not {point!r}.")
    _armed.clear()
    _armed.update({point: int(times or 1)} if point else {})


def crash_at(point: str) -> None:
    """End the process here, if that was asked for."""
    if _armed and point in _armed:
        _armed[point] -= 1
        if _armed[point] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("LEADMATCH_CRASH_AT", ""))
