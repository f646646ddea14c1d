"""Fixtures that more than one file uses."""

import glob
import os
import socket
import subprocess
import uuid
from pathlib import Path

import psycopg
import pytest

from data.store.ledger import Ledger

REQUIRE_ALL = os.environ.get("LEADMATCH_TEST_REQUIRE") == "all"


def absent(what: str) -> None:
    """Skip a test whose outside program is not installed; where everything is required, fail it."""
    (pytest.fail if REQUIRE_ALL else pytest.skip)(f"{what} not found")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory):
    """A PostgreSQL server of this run's own on a free loopback port: its URL, without a database's name."""
    binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not binaries:
        absent("PostgreSQL's server")
    binary = Path(binaries[-1])
    # The server refuses to run as root; the system's own user owns its data then.
    as_postgres = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    made = subprocess.run(["mktemp", "-d"], **as_postgres, check=True, capture_output=True, text=True)
    folder = Path(made.stdout.strip())
    run = {**as_postgres, "check": True, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off -c max_connections=100"
    try:
        subprocess.run([binary / "initdb", "-D", folder / "data", "-U", "ledger", "-A", "trust", "-N"], **run)
        subprocess.run(
            [binary / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-o", options, "start"], **run
        )
        yield f"postgresql+psycopg://ledger@127.0.0.1:{port}"
        subprocess.run([binary / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop"], **run)
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)


@pytest.fixture(scope="session")
def postgres_template(postgres_server):
    """A database with the ledger's schema, to copy one from for each test."""
    Ledger.open(_new_database(postgres_server, "template1", "ledger_template")).close()
    return postgres_server


def _new_database(server: str, template: str, name: str) -> str:
    with psycopg.connect(server.replace("+psycopg", "") + "/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return f"{server}/{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request, tmp_path):
    """The URL of an empty ledger, once on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server = request.getfixturevalue("postgres_template")
    return _new_database(server, "ledger_template", f"test_{uuid.uuid4().hex}")


@pytest.fixture
def ledger(ledger_url):
    """An empty ledger, once on each engine."""
    opened = Ledger.open(ledger_url)
    yield opened
    opened.close()
