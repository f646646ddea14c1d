"""`make build-check`: pack the service with BentoML and serve the pack from an empty folder until it is ready."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.ports import free_port

ROOT = Path(__file__).parent.parent
READY_WITHIN_S = 300.0


def main() -> None:
    """Build, serve, ask, end; raises where any of it fails."""
    with tempfile.TemporaryDirectory() as place:
        port, folder = free_port(), Path(place)
        (folder / "empty").mkdir()
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "BENTOML_HOME": str(folder / "bentoml"), "LEADMATCH_HOME": str(folder / "home"),
            "BENTOML_DO_NOT_TRACK": "true", "OTEL_SDK_DISABLED": "true",
        }  # fmt: skip
        bentoml = [sys.executable, "-m", "bentoml"]
        subprocess.run([*bentoml, "build", "--quiet"], cwd=ROOT, env=environment, check=True)
        packed = next((folder / "bentoml" / "bentos" / "leadmatch").glob("*/src"))
        for compiled in (*ROOT.glob("training/*.so"), *ROOT.glob("serving/*/*.so")):
            assert (packed / compiled.relative_to(ROOT)).is_file(), f"{compiled.name} is missing: numpy would serve"
        written = [path for path in packed.parent.rglob("*") if path.is_file() and "://" in _text(path, "requirements")]
        assert not written, f"an address of a registry was written to {written}"
        serve = [*bentoml, "serve", "leadmatch:latest", "--host", "127.0.0.1", "--port", str(port)]
        with subprocess.Popen(serve, cwd=folder / "empty", env=environment, start_new_session=True) as running:
            try:
                _wait_until_ready(running, f"http://127.0.0.1:{port}")
            finally:
                os.killpg(running.pid, signal.SIGKILL)
    print("The pack serves from an empty folder.")


def _text(path: Path, kind: str) -> str:
    return path.read_text(errors="ignore") if kind in path.name else ""


def _wait_until_ready(running: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and running.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                paths = httpx.get(f"{url}/openapi.json", timeout=10).json()["paths"]
                assert "/v1/assign" in paths
                # Without a key nothing is decided: the gate is in the pack as well.
                assert httpx.post(f"{url}/v1/assign", json={"lead": {"lead_id": "L-1"}}, timeout=10).status_code == 401
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit("The pack did not become ready.")


if __name__ == "__main__":
    main()
