"""How things stand, for Prometheus: what no counter of one worker knows, read when it is asked for.

The ledger's part is one small query each; drift, level and holdout are what `leadmatch monitor` last found.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from data.store import outbox
from data.store.ledger import Connection
from serving.deciding.in_force import InForce

MONITOR_FILE = "monitor.json"  # under home: what `leadmatch monitor` found last
Figure = tuple[str, str, float, dict[str, str]]  # name, help, value, labels


def standing(conn: Connection, in_force: InForce, home: Path, wal_bytes: int, at: datetime) -> bytes:
    """The gauges in Prometheus' own format."""
    registry = CollectorRegistry()
    made: dict[str, Gauge] = {}
    for name, words, value, labels in _figures(conn, in_force, home, wal_bytes, at):
        if name not in made:
            made[name] = Gauge(name, words, list(labels), registry=registry)
        gauge = made[name]
        (gauge.labels(**labels) if labels else gauge).set(value)
    return generate_latest(registry)


def _figures(conn: Connection, in_force: InForce, home: Path, wal_bytes: int, at: datetime) -> Iterator[Figure]:
    waiting, oldest = outbox.backlog(conn)
    lag = (at - oldest).total_seconds() if oldest else 0.0
    yield "leadmatch_outbox_pending", "Messages that wait to be sent.", waiting, {}
    yield "leadmatch_outbox_lag_seconds", "Age of the oldest message that waits to be sent.", max(lag, 0.0), {}
    yield "leadmatch_ledger_wal_bytes", "Size of SQLite's log beside the ledger; 0 without one.", wal_bytes, {}
    yield "leadmatch_degraded", "1 where the promoted model does not decide.", float(in_force.degraded is not None), {}
    age = model_age(in_force, at)
    if age is not None:
        yield "leadmatch_model_age_days", "Days since the model in force was trained.", age / timedelta(days=1), {}
    yield from _found(home, at)


def model_age(in_force: InForce, at: datetime) -> timedelta | None:
    """How long ago the model in force was trained; None where there is none or it does not say."""
    stated = in_force.loaded.about.get("trained_at") if in_force.loaded else None
    return None if stated is None else at - datetime.fromisoformat(stated)


def _found(home: Path, at: datetime) -> Iterator[Figure]:
    try:
        found = json.loads((home / MONITOR_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:  # nobody has looked yet
        return
    since = (at - datetime.fromisoformat(found["at"])).total_seconds()
    yield "leadmatch_monitor_age_seconds", "Time since `leadmatch monitor` last looked.", since, {}
    for check in found["checks"]:
        told = {"check": check["kind"]}
        yield "leadmatch_alarm", "1 where the last look raised an alarm.", float(check["raised"]), told
        for feature in check.get("features", ()):
            yield (
                "leadmatch_feature_drift", "Stability index of a feature against the training window.",
                feature["index"], {"feature": feature["feature"]},
            )  # fmt: skip
        yield from _of_check(check)


def _of_check(check: dict[str, Any]) -> Iterator[Figure]:
    if check["kind"] == "drift" and check.get("stability_index") is not None:
        words = "Stability index of the lead scores against the training window."
        yield "leadmatch_score_drift", words, check["stability_index"], {}
    ratio = check.get("ratio")
    if check["kind"] == "calibration" and ratio and ratio.get("value") is not None:
        yield "leadmatch_level_ratio", "Conversions seen over conversions predicted.", ratio["value"], {}
    gap = check.get("gap")
    if check["kind"] == "holdout_against_replay" and isinstance(gap, dict) and gap.get("value") is not None:
        words = "Gain by the holdout less gain by the replay, per lead."
        yield "leadmatch_holdout_gap", words, gap["value"], {}
