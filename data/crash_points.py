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

_wanted, _, _times = os.environ.get("LEADMATCH_CRASH_AT", "").partition(":")
_left = int(_times or 1)


def crash_at(point: str) -> None:
    """End the process here, if that was asked for."""
    if point == _wanted:
        _count_down()


def _count_down() -> None:
    global _left
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
