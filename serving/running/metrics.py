"""Figures of the running service for Prometheus; labels are routes and arms, never ids."""

import os
from functools import lru_cache

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = [
    "CONTENT_TYPE_LATEST",
    "decided",
    "latest",
    "lost_race",
    "replayed",
    "request_done",
    "rolled_back",
    "told",
    "waited",
]

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
REQUESTS = Counter("leadmatch_requests", "Requests answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram("leadmatch_request_seconds", "Time to answer.", ["route"], buckets=SECONDS)
QUEUE_SECONDS = Histogram(
    "leadmatch_queue_seconds", "Time in the queue of those who had to wait for a slot.", ["kind"], buckets=SECONDS
)
DECISIONS = Counter("leadmatch_decisions", "Decisions made.", ["arm", "assigned", "degraded"])
REPLAYS = Counter("leadmatch_replays", "Stored answers sent again.")
TOLD = Counter("leadmatch_webhook_attempts", "Attempts to tell somebody something.", ["kind", "topic", "arrived"])
LOST_RACES = Counter("leadmatch_lost_races", "Draws made anew because the slot was taken meanwhile.")
ROLLBACKS = Counter("leadmatch_rollbacks", "Models rolled back because they failed on the leads that came in.")


def request_done(method: str, route: str, status: int, seconds: float) -> None:
    """Count an answered request."""
    counter, times = _requests(method, route, status)
    counter.inc()
    times.observe(seconds)


@lru_cache(maxsize=1024)
def _requests(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The counter of such requests and the times of their route; to look them up takes longer than to count."""
    return REQUESTS.labels(method, route, str(status)), REQUEST_SECONDS.labels(route)


def waited(kind: str, seconds: float) -> None:
    """Count a request that was in the queue before it got a slot or was turned away. kind : lead, batch or other."""
    QUEUE_SECONDS.labels(kind).observe(seconds)


def decided(arm: str, *, assigned: bool, degraded: bool) -> None:
    """Count a decision."""
    _decisions(arm, assigned, degraded).inc()


@lru_cache(maxsize=64)
def _decisions(arm: str, assigned: bool, degraded: bool) -> Counter:
    """The counter of such decisions, likewise."""
    return DECISIONS.labels(arm, str(assigned).lower(), str(degraded).lower())


def replayed() -> None:
    """Count a stored answer that was sent again."""
    REPLAYS.inc()


def lost_race() -> None:
    """Count a slot that was taken between draw and reservation."""
    LOST_RACES.inc()


def rolled_back() -> None:
    """Count a model that was rolled back by itself."""
    ROLLBACKS.inc()


def told(kind: str, topic: str, *, arrived: bool) -> None:
    """Count an attempt to tell an endpoint of an event."""
    TOLD.labels(kind, topic, str(arrived).lower()).inc()


def latest() -> bytes:
    """All figures, of all workers where there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
