"""`leadmatch bench`: every case, and whether a ratio has fallen under half of the recorded one."""

import gc
import platform
from pathlib import Path
from typing import Any

import yaml

from pipelines.bench.deciding import deciding_times
from pipelines.bench.http import http_cases
from pipelines.bench.mlflow_server import mlflow_case
from pipelines.bench.scaling import scaling_cases
from pipelines.bench.scoring import fitted_growth, scoring_cases
from pipelines.bench.starting import start_cases
from pipelines.bench.world import LEADS, SEATS, fitted_floor
from pipelines.progress import Step
from pipelines.serve import end_in_order
from training.roster_columns import COMPILED

RECORDED = Path(__file__).with_name("recorded.yaml")
ALLOWED = 0.5  # of a recorded ratio: what is left for another machine and a busy one
QUICK_LEADS, QUICK_SEATS = 4_000, 100


def bench(*, quick: bool, step: Step) -> dict[str, Any]:
    """The object of `bench --json`: `cases`, each against another; `alone`, figures that have no other; `growth`; and
    `fallen`, the ratios under half of the recorded ones.
    """
    end_in_order()  # services run beside it, which nobody else would end
    step("fitting a model to a simulated floor")
    model, leads = fitted_floor(*((QUICK_LEADS, QUICK_SEATS) if quick else (LEADS, SEATS)))
    # As the service does: what is there by now need not be walked by the garbage collector between two leads.
    gc.collect()
    gc.freeze()
    cases = scoring_cases(model, leads, quick=quick, step=step)
    step("durable decisions, in process")
    times = deciding_times(model, leads, quick=quick)
    cases += http_cases(model, leads, quick=quick, step=step)
    cases += start_cases(model, quick=quick, step=step)
    if not quick:
        cases += scaling_cases(model, leads, step=step)
        cases.append(mlflow_case(model, leads, step=step))
    compared = [one for one in cases if "ratio" in one]
    return {
        "quick": quick,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "compiled": COMPILED,
        },
        "cases": compared,
        "alone": [one for one in cases if "ratio" not in one],
        "growth": [fitted_growth("one durable decision, thread CPU", times)],
        "fallen": fallen(compared, recorded()),
    }


def recorded() -> dict[str, float]:
    """The ratios that were measured when they were last written down, by case and what it is compared with."""
    known: dict[str, float] = yaml.safe_load(RECORDED.read_text(encoding="utf-8"))
    return known


def name_of(case: dict[str, Any]) -> str:
    """How a case is called in the record."""
    return f"{case['case']} / {case['against']}"


def fallen(cases: list[dict[str, Any]], known: dict[str, float]) -> list[dict[str, Any]]:
    """The cases whose ratio lies under half of the recorded one."""
    return [
        {"case": name_of(case), "ratio": case["ratio"], "recorded": known[name_of(case)]}
        for case in cases
        if name_of(case) in known and case["ratio"] < ALLOWED * known[name_of(case)]
    ]
