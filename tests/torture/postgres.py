"""A PostgreSQL of one's own on loopback, to be restarted under load."""

import glob
import os
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from tests.ports import free_port


class Postgres:
    """A server that runs until `remove`; None of the system's own servers is touched."""

    def __init__(self) -> None:
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            raise FileNotFoundError("PostgreSQL's server is not installed")
        self._binaries = Path(found[-1])
        # The server refuses to run as root; the system's own user owns its data then.
        self._who: dict[str, Any] = (
            {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        )
        made = subprocess.run(["mktemp", "-d"], **self._who, check=True, capture_output=True, text=True)
        self._folder = Path(made.stdout.strip())
        self.port = free_port()
        self._run("initdb", "-D", self._folder / "data", "-U", "ledger", "-A", "trust", "-N")
        self.start()

    def start(self) -> None:
        """Start it; returns once it takes connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder} -c max_connections=100"
        data, log = self._folder / "data", self._folder / "log"
        self._run("pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")

    def stop(self) -> None:
        """Stop it as a crash would: no checkpoint, every connection cut."""
        self._run("pg_ctl", "-D", self._folder / "data", "-m", "immediate", "-w", "stop")

    def database(self, name: str) -> str:
        """The URL of a new, empty database."""
        with psycopg.connect(f"postgresql://ledger@127.0.0.1:{self.port}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://ledger@127.0.0.1:{self.port}/{name}"

    def remove(self) -> None:
        """Stop it and delete its files."""
        self.stop()
        subprocess.run(["rm", "-rf", self._folder], check=True)

    def _run(self, program: str, *arguments: object) -> None:
        command = [self._binaries / program, *map(str, arguments)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, **self._who, **quiet, cwd=self._folder, check=True)
