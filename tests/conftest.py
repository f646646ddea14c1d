"""Fixtures that more than one file uses."""

import glob
import importlib.util
import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg
import pytest
from hypothesis import settings

from data.roster import Rep
from data.store.ledger import Ledger
from data.store.schema import HEAD
from data.store.tables import metadata
from tests.ports import free_port

settings.register_profile("house", deadline=None)  # a busy machine is not a failure
settings.load_profile("house")

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
    port = free_port()
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
def postgres_ledger(postgres_server):
    """The URL of a database with the ledger's schema, which one test after the other uses."""
    with psycopg.connect(postgres_server.replace("+psycopg", "") + "/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE ledger")
    url = f"{postgres_server}/ledger"
    Ledger.open(url).close()
    return url


def _emptied(url):
    """The same URL, once nothing is left of the test before."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        # As a replica no trigger fires: not those that forbid to delete, nor those that check references.
        connection.execute("SET session_replication_role = replica; SET lock_timeout = '10s'")
        for table in metadata.sorted_tables:
            if table.name != "heads":
                connection.execute(f"DELETE FROM {table.name}")
        connection.execute(f"UPDATE heads SET number = 0; UPDATE alembic_version SET version_num = '{HEAD}'")
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    """The file of an empty ledger, to copy one from for each test."""
    ledger = Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('template')}/ledger.db")
    ledger.close()
    return ledger.sqlite_file


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request, tmp_path):
    """The URL of an empty ledger, once on each engine."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "ledger.db")
        return f"sqlite:///{tmp_path}/ledger.db"
    return _emptied(request.getfixturevalue("postgres_ledger"))


@pytest.fixture
def ledger(ledger_url):
    """An empty ledger, once on each engine."""
    opened = Ledger.open(ledger_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def store_floor():
    """The module of the ledger's test client."""
    spec = importlib.util.spec_from_file_location("store_floor", Path(__file__).with_name("store_floor.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def floor(ledger, store_floor):
    """A client of an empty ledger with two reps without limits, once on each engine."""
    made = store_floor.Floor(ledger)
    made.reps(Rep("R-1"), Rep("R-2"))
    return made


@pytest.fixture(scope="session")
def small_model():
    """A ConversionModel of twelve small trees and four reps, made by hand in a moment."""
    return made_small_model()


def made_small_model():
    """The same, for what runs outside of pytest."""
    import numpy as np

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


class Desk:
    """The service's application in this process, a key of every role, a clock and a model to turn by hand."""

    def __init__(self, url, model=None, **settings):
        import warnings

        from data.settings import Settings
        from data.store import keys
        from serving.running.parts import put_together
        from serving.web.app import build_app, layers

        self.now = datetime(2026, 3, 2, 9, tzinfo=UTC)
        self.loaded, self.problem = None, "no model has been promoted yet"
        self.ledger = Ledger.open(url, lock_timeout_s=4.0)  # likewise: a slow machine must not turn a test away
        beside = self.ledger.sqlite_file
        self.home = beside.parent if beside else Path(tempfile.mkdtemp())
        self.parts = put_together(self.ledger, self, home=self.home, clock=lambda: self.now)
        self.load(model)
        with self.ledger.writing() as tx:
            self.keys = {
                role: keys.create(tx, role=role, label=role, at=self.now, rep_id="R-1" if role == "rep" else None).key
                for role in keys.ROLES
            }
            self.keys["other"] = keys.create(tx, role="crm", label="other", at=self.now, client_id="other").key
        self.app = build_app()
        self.app.state.parts = self.parts
        self.asgi = self.app
        # One address stands for everybody here, and many tests show it wrong keys.
        # And a slow machine must not turn a test's threads away, where the test is about something else.
        patient = {"key_failures_per_minute": 100_000, "queue_wait_ms": 10_000, "request_deadline_ms": 10_000}
        settings = {**patient, **settings}
        for layer, arguments in reversed(layers(self.app, Settings(**settings))):
            self.asgi = layer(self.asgi, **arguments)
        with warnings.catch_warnings():  # it would rather have another HTTP client
            warnings.simplefilter("ignore")
            from starlette.testclient import TestClient
        self.http = TestClient(self.asgi, raise_server_exceptions=False, client=("127.0.0.1", 50_000))
        self.http.__enter__()  # one event loop for all requests, as in a worker

    def current(self):
        return self.loaded

    def load(self, model, version="7"):
        from serving.models.bundle_store import Loaded

        self.loaded = model and Loaded(model, version, "d" * 64, "promoted", {})
        self.problem = None if model else "no model has been promoted yet"

    def call(self, method, path, body=None, *, role="crm", headers=None, **query):
        given = {"Authorization": f"Bearer {self.keys[role]}"} if role else {}
        body = {} if body is None else {"content": body} if isinstance(body, bytes) else {"json": body}
        if "content" in body:
            given["Content-Type"] = "application/json"
        return self.http.request(method, path, headers={**given, **(headers or {})}, params=query or None, **body)

    def roster(self, *reps, role="manager"):
        answer = self.call("PUT", "/v1/reps", {"reps": list(reps)}, role=role)
        assert answer.status_code == 200, answer.text
        return answer.json()["roster_version"]

    def assign(self, lead_id="L-1", *, role="crm", headers=None, **attributes):
        return self.call("POST", "/v1/assign", {"lead": {"lead_id": lead_id, **attributes}}, role=role, headers=headers)

    def policy(self, text, version=None):
        with self.ledger.reading() as conn:
            from data.store import policies

            version = policies.version(conn) if version is None else version
        answer = self.call("PUT", "/v1/policy", {"text": text, "why": "a test", "version": version}, role="manager")
        assert answer.status_code == 200, answer.text

    def close(self):
        self.http.__exit__()
        self.parts.prices.close()
        self.ledger.close()
        if self.ledger.sqlite_file is None:
            shutil.rmtree(self.home)


@pytest.fixture(scope="session")
def desk_class():
    """The class itself, for whoever puts the application behind a port."""
    return Desk


@pytest.fixture
def desk(tmp_path, small_model):
    """The application over an empty ledger on SQLite, with the small model promoted."""
    opened = Desk(f"sqlite:///{tmp_path}/ledger.db", small_model)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shared_desk(tmp_path_factory, small_model):
    """One for all tests that store nothing."""
    opened = Desk(f"sqlite:///{tmp_path_factory.mktemp('shared')}/ledger.db", small_model)
    yield opened
    opened.close()


@pytest.fixture
def desk_on_each(ledger_url, small_model):
    """The same, once on each engine."""
    opened = Desk(ledger_url, small_model)
    yield opened
    opened.close()


@pytest.fixture
def rng():
    """A random generator that starts anew in each test."""
    return np.random.default_rng(20_261_122)


@pytest.fixture(scope="session")
def small_world():
    """A simulated floor of nine seats, and the data set that a CRM would export of it: (world, dataset)."""
    from data.dataset import dataset_from_tables
    from data.description import Description
    from data.simulator import simulate

    world = simulate(leads=3_000, reps=9, seed=5)
    stated = Description(**world.description())
    return world, dataset_from_tables(world.leads, world.reps, world.assignments, stated)


@pytest.fixture(scope="session")
def small_spells(small_world):
    """The small world as training sees it: pipelines.prepare.Prepared."""
    from pipelines.prepare import prepare

    return prepare(small_world[1])


@pytest.fixture(scope="session")
def small_fit(small_spells):
    """What the small world teaches, with the verdict that reps matter: (Parts, ConversionModel)."""
    from training.fit import assemble, fit_parts

    parts = fit_parts(small_spells.spells, small_spells.contract, seed=1)
    facts = {"rows": len(small_spells.spells)}
    return parts, assemble(parts, small_spells.spells, small_spells.contract, verdict="rep_matters", facts=facts)
