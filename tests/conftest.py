"""Fixtures that more than one file uses."""

import glob
import os
import socket
import subprocess
import uuid
from dataclasses import replace
from datetime import UTC, datetime
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


@pytest.fixture(scope="session")
def small_model():
    """A ConversionModel of twelve small trees and four reps, made by hand in a moment."""
    import numpy as np

    from data.roster import Rep
    from features.columns import Column, ColumnContract
    from features.leads import choose_design
    from features.pairs import find_pairs
    from training.calibration import Calibration
    from training.conversion import ConversionModel
    from training.lead_model import TREES, Recipe, fit_lead_model
    from training.rep_effects import no_reps

    rng = np.random.default_rng(3)
    levels = ("manufacturing", "retail", "江苏 trade")
    contract = ColumnContract((Column("industry", "category", levels), Column("company_size", "number")))
    columns = [rng.integers(0, 3, 400), rng.gamma(2, 50, 400), rng.uniform(0, 24, 400), rng.integers(0, 7, 400)]
    leads = np.column_stack(columns).astype(float)
    converted = (rng.random(400) < 0.2 + 0.2 * (leads[:, 0] == 1)).astype(float)
    recipe = Recipe("trees", 12, {**TREES, "num_leaves": 5, "min_data_in_leaf": 20})
    hired = datetime(2020, 1, 1, tzinfo=UTC)
    skills = [("manufacturing",), ("retail",), (), ("retail",)]
    reps = tuple(Rep(f"R-{i}", name="Li Na", skills=skills[i], hired_at=hired) for i in range(4))
    lead_design, pair_design = choose_design(contract, leads), find_pairs(contract, reps)
    width, n_pairs = lead_design.width, pair_design.width
    effects = replace(
        no_reps(width, n_pairs),
        effects=rng.normal(0, 0.3, (4, width)),
        covariance=np.tile(np.eye(width) * 0.01, (4, 1, 1)),
        hand_effects=np.zeros(4),
        beta=rng.normal(0, 0.2, n_pairs),
    )
    return ConversionModel(
        contract=contract,
        lead_model=fit_lead_model(recipe, contract, leads, np.zeros(400), converted, np.zeros(400)),
        lead_design=lead_design,
        pair_design=pair_design,
        reps=reps,
        effects=effects,
        calibration=Calibration(0.1, 0.9, 400),
        score_grid=np.linspace(0, 1, 101),
        grade_cuts=(0.4, 0.3, 0.2),
        verdict="rep_matters",
        window_days=30.0,
        facts={"rows": 400},
    )
