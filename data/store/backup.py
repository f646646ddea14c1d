"""A copy of the whole ledger while it is written to, and the way back: SQLite's own backup, or pg_dump."""

import glob
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pysqlite3.dbapi2 as sqlite_driver
from sqlalchemy import select

from data.errors import BusyError, InputError
from data.store import schema
from data.store.ledger import Ledger
from data.store.tables import decisions

SQLITE, POSTGRES = b"SQLite format 3\0", b"PGDMP"  # how the two kinds of file begin


def back_up(ledger: Ledger, out: Path) -> int:
    """Bytes of the copy at `out`, which shows the ledger as of one moment; nobody waits for it.

    Raises InputError where there is such a file already, or pg_dump is needed and not found.
    """
    refuse_existing(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.unfinished")
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
    try:
        if ledger.sqlite_file is not None:
            _copy(_read_only(ledger.sqlite_file), unfinished)
        else:
            _postgres(ledger, "pg_dump", ["--format=custom", f"--file={unfinished}"])
        with open(unfinished, "rb") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, out)
    finally:
        unfinished.unlink(missing_ok=True)
    return out.stat().st_size


def refuse_existing(out: Path) -> None:
    """Raise InputError where there is such a file: a backup is never written over."""
    if out.exists():
        raise InputError(f"--out: {out} is there already; name another file.")


def restore(ledger: Ledger, file: Path, *, over_a_used_one: bool) -> None:
    """Make the ledger what it was when `file` was made. Stop the service first; open the ledger anew afterwards.

    Raises InputError, before anything is changed, where the file is no backup of such a ledger or is damaged, or the
    ledger holds decisions and `over_a_used_one` is not given; BusyError where somebody keeps it from being replaced.
    """
    kind = _kind_of(file)
    with ledger.reading() as conn:
        used = conn.execute(select(decisions.c.seq).limit(1)).first() is not None
    if used and not over_a_used_one:
        raise InputError("The ledger holds decisions already; --force replaces them by those of the backup.")
    path = ledger.sqlite_file
    if kind != (SQLITE if path is not None else POSTGRES):
        raise InputError(f"{file} is a backup of the other kind of database than LEADMATCH_DATABASE_URL names.")
    if path is None:
        options = ["--clean", "--if-exists", "--no-owner", "--single-transaction", "--exit-on-error", str(file)]
        _postgres(ledger, "pg_restore", options)
        return
    _check(file)
    with ledger.alone():
        _copy(_at_rest(file), path)


def _kind_of(file: Path) -> bytes:
    try:
        with open(file, "rb") as opened:
            begins = opened.read(len(SQLITE))
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}).") from None
    for kind in (SQLITE, POSTGRES):
        if begins.startswith(kind):
            return kind
    raise InputError(f"{file} is no backup of a ledger.")


def _check(file: Path) -> None:
    """Raise InputError for a SQLite file that is damaged, or no ledger that we know."""
    try:
        with closing(sqlite_driver.connect(_at_rest(file), uri=True)) as opened:
            said = opened.execute("PRAGMA integrity_check(1)").fetchone()[0]
            versions = {row[0] for row in opened.execute("SELECT version_num FROM alembic_version")}
    except sqlite_driver.DatabaseError as error:
        raise InputError(f"{file} is damaged, or no backup of a ledger ({error}).") from None
    if said != "ok":
        raise InputError(f"{file} is damaged ({said.splitlines()[-1]}).")
    if not versions or versions - set(schema.KNOWN):
        raise InputError(f"{file} has a schema that this leadmatch does not know; upgrade leadmatch first.")


def _read_only(file: Path) -> str:
    return f"{file.resolve().as_uri()}?mode=ro"


def _at_rest(file: Path) -> str:
    """The same for a backup: nobody writes to it, so SQLite need not lay its own files beside it to read it."""
    log = file.with_name(f"{file.name}-wal")  # a bare copy of a ledger may have rows there
    alone = not log.exists() or not log.stat().st_size
    return _read_only(file) + ("&immutable=1" if alone else "")


def _copy(source: str, target: Path) -> None:
    """SQLite's own backup: one snapshot of the source (a URI), written over the target in one transaction."""
    with (
        closing(sqlite_driver.connect(source, uri=True, timeout=30)) as read,
        closing(sqlite_driver.connect(str(target), timeout=30)) as written,
    ):
        written.execute("PRAGMA synchronous=FULL")
        try:
            read.backup(written)
        except sqlite_driver.OperationalError as error:
            raise BusyError(f"The ledger's file cannot be copied: {error}") from None


def _postgres(ledger: Ledger, program: str, options: Sequence[str]) -> None:
    url = ledger.url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    # Not among the arguments: everybody on the machine can read those.
    password = {"PGPASSWORD": str(ledger.url.password)} if ledger.url.password else {}
    ran = subprocess.run(  # noqa: S603 - the program's path is ours, no shell
        [_program(program), f"--dbname={url}", *options],
        env={**os.environ, **password},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        lines = [line for line in ran.stderr.splitlines() if line.startswith(program)]
        raise InputError(f"{program} failed: {lines[0].removeprefix(f'{program}: ') if lines else 'no reason given'}")


def _program(name: str) -> str:
    """The newest one: an older one refuses a newer server."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda path: int(path.split("/")[4]))
    program = found[-1] if found else shutil.which(name)
    if program is None:
        raise InputError(f"{name} is not installed; it comes with PostgreSQL's client programs.")
    return program


