"""`leadmatch monitor`: is the model in force still right? One look, for a scheduler; an alarm is exit status 1."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from data.settings import Settings
from data.store import outbox, promotions, snapshots
from data.store.ledger import Connection, Ledger
from pipelines.progress import Step, silent
from serving.deciding.in_force import Watch
from serving.models.bundle_store import BundleStore
from serving.models.fetch import fetcher
from serving.models.signing import write_atomically
from serving.reports.desk import Asked, Reports
from serving.running.gauges import MONITOR_FILE
from training.conversion import ConversionModel
from training.drift import drift

RECENT_DAYS = 30.0
LEAST_LEADS, MOST_LEADS = 200, 20_000
OLD_DAYS = 180.0  # a model that has not been replaced for so long is worth a look
ABOUT_THE_MODEL = ("drift", "calibration", "holdout_against_replay", "draw")


def monitor(settings: Settings, *, clock: Callable[[], datetime], step: Step = silent) -> dict[str, Any]:
    """What was checked and which checks raise an alarm; told to whoever asked for alarms, once each time it is raised.

    Features against the training window, the predicted scores, the predicted level against matured outcomes with
    its standard error, the holdout against the replay, the model's age.
    """
    at = clock()
    ledger = Ledger.open(settings.ledger_url)
    try:
        with ledger.reading() as conn:
            held = promotions.champion(conn)
            seen = snapshots.latest(conn, since=at - timedelta(days=RECENT_DAYS), most=MOST_LEADS)
        store = BundleStore(settings.home)
        loaded = store.refresh(held, fetcher(settings.home, timeout_s=settings.registry_timeout_seconds))
        step(f"comparing {len(seen):,} leads with the training window")
        checks = [_model_check(loaded.about if loaded else None, store.problem, at)]
        if loaded:
            checks.append(features_check(loaded.model, seen))
        step("reading what became of the leads")
        reports = Reports(ledger, Watch(store), clock)
        found = reports.report(Asked("alerts"), within_s=float("inf"))["checks"]
        checks += [_plain(one) for one in found if one["kind"] in ABOUT_THE_MODEL]
        alarms = [one["kind"] for one in checks if one["raised"]]
        said = {
            "at": at.isoformat(), "model_version": held.version if held else None, "alarms": alarms, "checks": checks,
        }  # fmt: skip
        # Where the service's metrics find it.
        write_atomically(settings.home / MONITOR_FILE, json.dumps(said, default=str).encode("utf-8"))
        if alarms:
            with ledger.writing() as tx:
                _announce(tx, checks, at)
    finally:
        ledger.close()
    return said


def features_check(model: ConversionModel, seen: list[dict[str, Any]]) -> dict[str, Any]:
    """Whether leads still look as they did in training, feature by feature."""
    known = model.facts.get("profile")
    if known is None or len(seen) < LEAST_LEADS:
        why = "the model was trained before profiles were kept" if known is None else (
            f"{len(seen):,} leads in {RECENT_DAYS:.0f} days, fewer than {LEAST_LEADS}"
        )  # fmt: skip
        return {"kind": "features", "raised": False, "text": f"Features cannot be compared: {why}.", "features": []}
    names = dict.fromkeys(name for lead in seen for name in lead)
    table = {name: np.array([lead.get(name) for lead in seen] + [None], dtype=object)[:-1] for name in names}
    found = drift(known, model.contract, model.contract.encode(table, len(seen)))
    shifted = [one.feature for one in found if one.shifted]
    text = f"Leads have changed in {', '.join(shifted[:5])}." if shifted else "Leads look as they did in training."
    return {
        "kind": "features", "raised": bool(shifted), "text": text, "leads": len(seen),
        "features": [asdict(one) for one in found],
    }  # fmt: skip


def _model_check(about: Mapping[str, Any] | None, problem: str | None, at: datetime) -> dict[str, Any]:
    if about is None:
        return {"kind": "model", "raised": True, "text": f"No model is in force: {problem}.", "age_days": None}
    age = model_age_days(about, at)
    old = age is not None and age > OLD_DAYS
    text = "" if age is None else f"The model is {age:.0f} days old" + (": retrain it." if old else ".")
    return {"kind": "model", "raised": old, "text": text or "The model does not say how old it is.", "age_days": age}


def model_age_days(about: Mapping[str, Any], at: datetime) -> float | None:
    """Days since the model was trained; None where its bundle does not say."""
    stated = about.get("trained_at")
    return None if stated is None else (at - datetime.fromisoformat(stated)) / timedelta(days=1)


def _plain(check: dict[str, Any]) -> dict[str, Any]:
    return {**check, "text": check["text"]["en"]}


def _announce(tx: Connection, checks: list[dict[str, Any]], at: datetime) -> None:
    told = [{"kind": one["kind"], "text": one["text"]} for one in checks if one["raised"]]
    outbox.announce(tx, "alarm", at=at, data={"source": "monitor", "alarms": told})
