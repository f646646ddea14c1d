"""How a command speaks: one JSON object, or lines for people; errors in one line with the exit status that fits."""

import functools
import json
import math
import os
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from data.errors import BusyError, ConflictError, InputError, RefusedError

P = ParamSpec("P")
R = TypeVar("R")

REFUSED, WRONG_INPUT, UNEXPECTED = 1, 2, 3
OUT = Console(highlight=False, soft_wrap=True)


def command(job: Callable[P, R]) -> Callable[P, R]:
    """The job, with its errors told in one line: exit status 1 for a check that said no, 2 for wrong input."""

    @functools.wraps(job)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return job(*args, **kwargs)
        except InputError as error:
            raise _exit(str(error), WRONG_INPUT) from None
        except (RefusedError, ConflictError) as error:
            raise _exit(str(error), REFUSED) from None
        except BusyError as error:
            raise _exit(f"{error} Try again in {error.retry_after_s} s.", REFUSED) from None
        except (typer.Exit, typer.Abort, KeyboardInterrupt):
            raise
        except Exception as error:
            if os.environ.get("LEADMATCH_DEBUG"):
                raise
            what = f"{type(error).__name__}: {error}"
            raise _exit(f"{what} (set LEADMATCH_DEBUG=1 to see where)", UNEXPECTED) from None

    return told


def _exit(message: str, status: int) -> typer.Exit:
    line = " ".join(message.split())
    sys.stderr.write(f"leadmatch: {line}\n")
    return typer.Exit(status)


def say(value: dict[str, Any], *, as_json: bool, lines: Callable[[dict[str, Any]], None]) -> None:
    """Print the one JSON object of `--json`, or let `lines` tell it to a person."""
    if as_json:
        sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False, default=str, allow_nan=False) + "\n")
    else:
        lines(value)


def _plain(value: Any) -> Any:
    """The value as JSON knows it: no NaN, which it has no word for, but null."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """A plain table on standard output."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*("" if cell is None else str(cell) for cell in row))
    OUT.print(made)


def figure(metric: dict[str, float]) -> str:
    """A metric with its standard error: `0.358 ± 0.004`."""
    return f"{metric['value']:.4f} ± {metric['standard_error']:.4f}"


def points(value: float | None, *, signed: bool = True) -> str:
    """A difference of probabilities in points: `+2.1 points`; `unknown` for None."""
    if value is None:
        return "unknown"
    return f"{100 * value:{'+' if signed else ''}.1f} points"
