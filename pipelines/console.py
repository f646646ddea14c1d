"""How a command speaks: one JSON object, or lines for people; errors in one line with the exit status that fits."""

import functools
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from data.errors import BusyError, ConflictError, InputError, RefusedError, RegistryError

P = ParamSpec("P")
R = TypeVar("R")

REFUSED, WRONG_INPUT, UNEXPECTED = 1, 2, 3
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]  # Typer itself names only this child of it
NOT_VALID = "Invalid value for "  # how Typer begins
OUT = Console(highlight=False, soft_wrap=True)


def command(job: Callable[P, R]) -> Callable[P, R]:
    """The job, with its errors told in one line: exit status 1 for a check that said no, 2 for wrong input."""

    @functools.wraps(job)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return job(*args, **kwargs)
        except (InputError, RegistryError) as error:
            raise _exit(str(error), WRONG_INPUT) from None
        except (RefusedError, ConflictError) as error:
            raise _exit(str(error), REFUSED) from None
        except BusyError as error:
            raise _exit(f"{str(error).rstrip('.')}. Try again in {error.retry_after_s} s.", REFUSED) from None
        except (typer.Exit, typer.Abort, KeyboardInterrupt):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.filename is not None:
                what = f"{os.fsdecode(error.filename)}: cannot be written or read ({error.strerror})"
                raise _exit(f"{what}; choose another path.", WRONG_INPUT) from None
            if os.environ.get("LEADMATCH_DEBUG"):
                raise
            what = f"{type(error).__name__}: {error}"
            raise _exit(f"{what} (set LEADMATCH_DEBUG=1 to see where)", UNEXPECTED) from None

    return told


class Commands(TyperGroup):
    """The whole command line, which tells of options and words that it does not know in one line as well."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """What the words before the command's own come to."""
        with _usage_in_one_line(lambda: "leadmatch"):
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """What the command comes to, once its own words are read."""
        with _usage_in_one_line(lambda: f"{ctx.command_path} {ctx.invoked_subcommand}"):
            return super().invoke(ctx)


@contextmanager
def _usage_in_one_line(command: Callable[[], str]) -> Iterator[None]:
    """What Typer would tell in several lines. command : whose words they were, where Typer does not know."""
    try:
        yield
    except USAGE_ERROR as raised:
        error: Any = raised
        if error.ctx is not None and error.message == error.ctx.get_help():  # no word at all: the help is the answer
            raise
        told = str(error.format_message()).rstrip(".")
        if told.startswith(NOT_VALID):
            named, _, told = told.removeprefix(NOT_VALID).partition(": ")
            what = told.removeprefix("Value error, ").replace("Input should be", "must be").partition(", unable")[0]
            told = named.replace("'", "") + f": {what}"
        where = error.ctx.command_path if error.ctx is not None else command()
        raise _exit(f"{told}; see {where} --help.", WRONG_INPUT) from None


def _exit(message: str, status: int) -> typer.Exit:
    line = " ".join(message.split())
    sys.stderr.write(f"leadmatch: {line}\n")
    return typer.Exit(status)


def say(value: dict[str, Any], *, as_json: bool, lines: Callable[[dict[str, Any]], None]) -> None:
    """Print the one JSON object of `--json`, or let `lines` tell it to a person."""
    if as_json:
        sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False, default=str, allow_nan=False) + "\n")
        sys.stdout.flush()  # whoever reads it need not wait until we end
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
    """A plain table on standard output. The first column, ids or short names, is never broken over lines."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for place, column in enumerate(columns):
        # An id that is broken over two lines cannot be copied.
        made.add_column(column, overflow="fold", no_wrap=place == 0)
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
