"""Where secrets lie: in the environment, in a file, or in a file of our own under the home. Never in the ledger."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from data.errors import InputError

FOLDER = "secrets"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
MOST_BYTES = 16_384


def read(source: str, home: Path, environment: Mapping[str, str] = os.environ) -> str:
    """The secret at `source`: env:NAME, file:PATH or home:NAME.

    Raises InputError where there is none, or where others than its owner can read the file.
    """
    kind, name = _parts(source)
    if kind == "env":
        value = environment.get(name, "").strip()
        if not value:
            raise InputError(f"{source}: the environment variable is not set.")
        return value
    path = _path(kind, name, home)
    try:
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            raise InputError(f"{source}: others can read the file; chmod 600 it.")
        value = path.read_text(encoding="utf-8")[:MOST_BYTES].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: the file cannot be read ({type(error).__name__}).") from None
    if not value:
        raise InputError(f"{source}: the file is empty.")
    return value


def keep(name: str, secret: str, home: Path) -> str:
    """The source of a secret that is written to a file of our own, for its owner alone."""
    _parts(f"home:{name}")
    path = home / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(secret + "\n")
    return f"home:{name}"


def forget(source: str, home: Path) -> None:
    """Delete the secret, if it lies in a file of our own."""
    kind, name = _parts(source)
    if kind == "home":
        (home / FOLDER / name).unlink(missing_ok=True)


def _parts(source: str) -> tuple[str, str]:
    kind, _, name = source.partition(":")
    named = bool(_NAME.fullmatch(name)) if kind in ("env", "home") else kind == "file" and Path(name).is_absolute()
    if not named:
        raise InputError("A secret's source is env:NAME or file:/ABSOLUTE/PATH.")
    return kind, name


def _path(kind: str, name: str, home: Path) -> Path:
    return home / FOLDER / name if kind == "home" else Path(name)
