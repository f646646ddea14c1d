"""The service as BentoML runs it: our application, one call for BentoML's own clients, a start that never fails.

Every worker is a process of its own. Run it with `leadmatch serve`, which ends all of them together.
"""

import ctypes
import gc
import os
import signal
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

# Before BentoML is imported: its tracing exports nothing here, yet every request would leave spans behind.
os.environ.setdefault("OTEL_SDK_DISABLED", "true")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")

import bentoml
from uvicorn import config

from serving.running.used_later import UsedLater

if TYPE_CHECKING:
    from serving.running.worker import Worker

TIMEOUT_S = 60.0  # longer than the guard's, which says what to do
PR_SET_PDEATHSIG = 1

# BentoML imports it for services that are programs of their own behind a proxy: a tenth of a start, and never used.
sys.meta_path.insert(0, UsedLater("aiohttp"))

# uvicorn, which BentoML starts without asking us, looks here for its connections.
config.HTTP_PROTOCOLS["auto"] = "serving.web.front:StraightConnection"


@cache
def worker() -> "Worker":
    """What this process runs as a worker. The master imports this module too, but is spared what takes seconds."""
    gc.disable()  # until it serves: what an import makes stays
    from serving.running.worker import Worker

    return Worker()


@bentoml.service(
    name="leadmatch",
    traffic={"timeout": TIMEOUT_S},
    tracing={"excluded_urls": ".*"},  # of spans that nobody collects
    logging={"access": {"enabled": False}},  # it logs addresses, which hold ids; the guard logs routes
    metrics={"enabled": False},  # it counts by address: unbounded, and ids again; ours count by route
)
class Leadmatch:
    """One worker."""

    def __init__(self) -> None:
        _die_with_parent(signal.SIGKILL)

    @bentoml.on_deployment
    @staticmethod
    def launched() -> None:
        """Once, in the master: where a launcher started it, it ends with the launcher."""
        if os.environ.get("LEADMATCH_LAUNCHER") == str(os.getppid()):
            _die_with_parent(signal.SIGTERM)

    @bentoml.on_startup
    async def start(self) -> None:
        """Begin to open the ledger and to load the model."""
        worker().start(bentoml.server_context.worker_index or 0)

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Close what was opened."""
        await worker().stop()

    async def __is_ready__(self) -> bool:
        """Whether the worker can decide."""
        return worker().ready

    @bentoml.api(route="/score")
    async def score(
        self,
        lead: Any = None,
        rep_ids: Any = None,
        top_k: Any = 5,
        ctx: bentoml.Context = None,  # type: ignore[assignment]  # BentoML gives it
    ) -> dict[str, Any]:
        """Every eligible rep's probability and uplift, as `POST /v1/score` gives them."""
        # BentoML would log a value that its own types refuse, so they take anything and ours refuse.
        told = await worker().score({"lead": lead, "rep_ids": rep_ids, "top_k": top_k})
        ctx.response.status_code = told.status
        ctx.response.metadata.update(told.headers)
        return told.body


def _die_with_parent(number: signal.Signals) -> None:
    """Ask the kernel to end this process when its parent dies: an orphan would go on answering with old code."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before the kernel was asked
        os._exit(1)
