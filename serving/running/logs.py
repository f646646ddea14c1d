"""Log lines as JSON, one a line, without anything that came in a request's body."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
OWN = ("data", "features", "training", "serving", "pipelines")
ENCODER = json.JSONEncoder(ensure_ascii=True, default=str)  # made anew for each line it would take as long as the line


class JsonLines(logging.Formatter):
    """A record as one line: time, level, logger, message, and what was passed as `extra`.

    Of an exception only its type and the places it passed are told: its message may quote a customer.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in STANDARD and _plain(value)}
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            line["passed"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-12:]]
        return ENCODER.encode(line)


def write_json_lines() -> None:
    """From now on every logger of this process writes JSON lines to standard error."""
    # No line tells of them, and to find them out takes a third of what a line takes.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in logging.root.manager.loggerDict:  # those that the service's framework gave handlers of their own
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    for room in OWN:
        logging.getLogger(room).setLevel(logging.INFO)


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
