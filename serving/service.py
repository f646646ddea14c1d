"""The service as BentoML runs it: the application at "/", one call for BentoML's own clients, a start that never fails.

Every worker is a process of its own. Run it with `leadmatch serve`, which ends all of them together.
"""

import ctypes
import os
import signal
import sys
from typing import Any

# Before BentoML is imported: its tracing exports nothing here, yet every request would leave spans behind.
os.environ.setdefault("OTEL_SDK_DISABLED", "true")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")

import bentoml
from anyio import to_thread
from pydantic import ValidationError

from data.settings import Settings
from serving import answers, connections
from serving.api import ScoreIn
from serving.app import build_app, layers
from serving.logs import write_json_lines
from serving.parts import Parts, Upkeep
from serving.problems import Problem, invalid, problem_of, retry_later
from serving.process import to_serve
from serving.routes.decisions import score_of

TIMEOUT_S = 30.0  # longer than any deadline of ours: whoever is cut off here does not know what became of the request
THREADS = 16  # of the pool that runs the routes; more would only wait for each other
PR_SET_PDEATHSIG = 1

app = build_app()
connections.use()


@bentoml.service(
    name="leadmatch",
    traffic={"timeout": TIMEOUT_S},
    logging={"access": {"enabled": False}},  # it logs addresses, which hold ids; the guard logs routes
    metrics={"enabled": False},  # it counts by address: unbounded, and ids again; ours count by route
)
@bentoml.asgi_app(app, path="/")
class Leadmatch:
    """One worker."""

    def __init__(self) -> None:
        _die_with_parent(signal.SIGKILL)
        self._upkeep = Upkeep(Settings(), self._begin)

    @bentoml.on_deployment
    @staticmethod
    def launched() -> None:
        """Once, in the master: where a launcher started it, it ends with the launcher."""
        if os.environ.get("LEADMATCH_LAUNCHER") == str(os.getppid()):
            _die_with_parent(signal.SIGTERM)

    @bentoml.on_startup
    async def start(self) -> None:
        """Begin the upkeep, which makes the service ready once there is a ledger."""
        write_json_lines()
        to_thread.current_default_thread_limiter().total_tokens = THREADS
        self._upkeep.start()
        to_serve()

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """End the upkeep and close the ledger."""
        app.state.parts = None
        await to_thread.run_sync(self._upkeep.stop)

    async def __is_ready__(self) -> bool:
        """Whether there is a ledger that can be written; without a model the rule book's fallback decides."""
        parts: Parts | None = app.state.parts
        return parts is not None and not parts.ledger.failed

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
        try:
            body = ScoreIn.model_validate({"lead": lead, "rep_ids": rep_ids, "top_k": top_k})
            told = await to_thread.run_sync(score_of, body, _parts())
        except ValidationError as error:
            return _refused(invalid(error.errors()), ctx)
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            return _refused(problem, ctx)
        plain: dict[str, Any] = answers.plain(told)
        return plain

    def _begin(self, parts: Parts) -> None:
        app.state.parts = parts


for layer, arguments in layers(app, Settings()):
    Leadmatch.add_asgi_middleware(layer, **arguments)  # type: ignore[attr-defined]


def _parts() -> Parts:
    parts: Parts | None = app.state.parts
    if parts is None:
        raise retry_later(503, "The service is starting; try again.")
    return parts


def _refused(problem: Problem, ctx: bentoml.Context) -> dict[str, Any]:
    ctx.response.status_code = problem.status
    ctx.response.metadata.update(problem.headers)
    return problem.as_dict()


def _die_with_parent(number: signal.Signals) -> None:
    """Ask the kernel to end this process when its parent dies: an orphan would go on answering with old code."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before the kernel was asked
        os._exit(1)
