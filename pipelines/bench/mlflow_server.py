"""MLflow's own model server for the same model, against `POST /v1/score`."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from data.errors import RefusedError
from pipelines.bench.client import Client
from pipelines.bench.http import READY_WITHIN_S, REPS, Site, free_port
from pipelines.bench.measure import case, spread
from pipelines.bench.world import roster_of
from pipelines.progress import Step
from pipelines.serve import Running
from training.conversion import ConversionModel
from training.registry import CHAMPION, MODEL, Registry

ROUNDS = 15


def mlflow_case(model: ConversionModel, leads: list[dict[str, Any]], *, step: Step) -> dict[str, Any]:
    """1,000 pairs sent to MLflow's server, against one lead sent to ours, in turn."""
    wide, reps = roster_of(model, REPS)
    with tempfile.TemporaryDirectory(prefix="leadmatch-bench-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        site = Site(home, wide, leads)
        try:
            registry = Registry(home, tracking_uri=f"sqlite:///{home}/mlflow.db")
            made = registry.log_run(
                parameters={}, metrics={}, data_hash="", digest="", figures={}, bundle=home / "model",
                lead_columns=[column.name for column in wide.contract.columns],
            )  # fmt: skip
            registry.name_champion(made.model_version)
            step("starting MLflow's model server")
            theirs = _start(home, registry.tracking_uri)
            try:
                return _in_turn(site, theirs, [rep.rep_id for rep in reps], [c.name for c in wide.contract.columns])
            finally:
                theirs.stop()
        finally:
            site.running.stop()


def _in_turn(site: Site, theirs: Running, rep_ids: list[str], columns: list[str]) -> dict[str, Any]:
    ours, other = Client(site.running.url, site.key), Client(theirs.url)
    times: dict[str, list[float]] = {"ours": [], "other": []}
    for turn in range(ROUNDS + 1):
        for name in times:
            lead = site.leads[turn % len(site.leads)]
            rows = [[rep_id, *(lead.get(column) for column in columns)] for rep_id in rep_ids]
            body = json.dumps({"dataframe_split": {"columns": ["rep_id", *columns], "data": rows}}).encode()
            began = time.perf_counter()
            if name == "ours":
                ours.post(*site.score(turn))
            else:
                other.post("/invocations", body)
            if turn:
                times[name].append(time.perf_counter() - began)
    return case(
        f"POST /v1/score, {REPS:,} reps, five explained", spread(times["ours"]), spread(times["other"]),
        against="MLflow's model server, the same model, 1,000 pairs", unit="wall, p50",
    )  # fmt: skip


def _start(home: Path, tracking_uri: str) -> Running:
    port = free_port()
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{MODEL}@{CHAMPION}",
        "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    beside = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # it looks for the server's program there
    rooms = str(Path(__file__).parents[2])
    process = subprocess.Popen(  # noqa: S603  our own interpreter and module, no shell
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "MLFLOW_TRACKING_URI": tracking_uri, "PATH": beside, "PYTHONPATH": rooms},
    )  # fmt: skip
    running = Running(process, f"http://127.0.0.1:{port}")
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(running.url + "/ping", timeout=2.0).status_code == 200:
                return running
        except httpx.HTTPError:
            time.sleep(0.2)
    running.stop()
    raise RefusedError("MLflow's model server did not start; nothing was compared with it.")
