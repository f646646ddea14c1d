"""The real service: BentoML's master and worker as processes, over HTTP, to their end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from data.errors import InputError, RefusedError
from data.store import keys, promotions
from data.store.ledger import Ledger
from pipelines.demo import demo
from pipelines.serve import start
from serving.events import endpoint_setup
from serving.models import bundle, signing
from serving.models.bundle_store import BundleStore
from tests import receivers
from tests.ports import free_port
from training import model_files

ROOT = Path(__file__).parent.parent
NOW = datetime.now(UTC)
LEAD = {"industry": "retail", "company_size": 40}


def promote(home, model, folder, version="1", previous=None):
    """The model as champion of the installation in `home`."""
    model_files.save(model, folder)
    digest = bundle.seal(folder, signing.signing_key(home)).digest
    BundleStore(home).install(folder)
    ledger = Ledger.open(f"sqlite:///{home}/ledger.db")
    with ledger.writing() as tx:
        promotions.promote(
            tx, version=version, digest=digest, expected_previous=previous, actor="test", grounds={}, at=NOW
        )
    ledger.close()


class Installation:
    def __init__(self, home, model, folder):
        self.home, self.log = home, home / "service.log"
        home.mkdir()
        promote(home, model, folder)
        ledger = Ledger.open(f"sqlite:///{home}/ledger.db")
        with ledger.writing() as tx:
            self.keys = {role: keys.create(tx, role=role, label=role, at=NOW).key for role in ("crm", "admin")}
        ledger.close()
        self.running = start(port=free_port(), workers=1, home=home, log=self.log)

    def call(self, method, path, role="crm", **given):
        headers = {"Authorization": f"Bearer {self.keys[role]}", **given.pop("headers", {})}
        return httpx.request(method, self.running.url + path, headers=headers, timeout=10, **given)

    def workers(self):
        listed = Path(f"/proc/{self.running.process.pid}/task/{self.running.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]


@pytest.fixture(scope="module")
def installed(small_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    made = Installation(folder / "home", small_model, folder / "model")
    yield made
    made.running.stop()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def ends(pids, within_s=10.0):
    """Whether all the processes end in time."""
    deadline = time.monotonic() + within_s
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(alive(pid) for pid in pids)


def test_a_lead_goes_all_the_way_over_http(installed):
    roster = {"reps": [{"rep_id": f"R-{n}", "capacity": 5} for n in range(4)]}
    assert installed.call("PUT", "/v1/reps", "admin", json=roster).status_code == 200
    body = {"lead": {"lead_id": "L-1", **LEAD}}
    scored = installed.call("POST", "/v1/score", json=body).json()
    assert len(scored["reps"]) == 4
    assigned = installed.call("POST", "/v1/assign", json=body, headers={"Idempotency-Key": "k"})
    told = assigned.json()
    assert (assigned.status_code, told["model_version"], told["degraded"]) == (200, "1", None)
    again = installed.call("POST", "/v1/assign", json=body, headers={"Idempotency-Key": "k"})
    assert (again.content, again.headers["idempotent-replayed"]) == (assigned.content, "true")
    won = {"event_id": "E-1", "lead_id": "L-1", "event": "won", "occurred_at": NOW.isoformat(), "value": 10}
    assert installed.call("POST", "/v1/outcomes", json=won).json()["results"][0]["result"] == "accepted"
    looked_up = installed.call("GET", f"/v1/decisions/{told['decision_id']}").json()
    assert looked_up["state"]["status"] == "won"
    assert installed.call("GET", "/v1/model").json()["source"] == "promoted"


def test_what_the_framework_answers_stands_behind_the_same_gate(installed):
    url = installed.running.url
    for path in ("/livez", "/readyz", "/healthz", "/metrics", "/openapi.json", "/docs", "/schema.json"):
        assert httpx.get(url + path).status_code == 200, path
    assert httpx.get(url + "/static_content/swagger-ui.css").status_code == 200
    for path in ("/docs.json", "/v1/reps", "/score", "/nothing", "/static_content/../../etc/passwd"):
        answer = httpx.get(url + path)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json"), path
    assert httpx.post(url + "/score", json={"lead": {}}).status_code == 401
    home = httpx.get(url + "/")
    assert (home.status_code, home.headers["location"]) == (303, "/sign-in")
    text = httpx.get(url + "/metrics").text
    assert 'route="/livez"' in text


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread cannot be told where to run")
def test_what_answers_keeps_to_one_core_and_the_rest_is_free(installed):
    installed.call("POST", "/v1/score", json={"lead": {"lead_id": "L-core", **LEAD}})  # a thread of the pool is there
    (worker,) = installed.running.workers()
    threads = [int(task.name) for task in Path(f"/proc/{worker.pid}/task").iterdir()]
    bound = {thread: os.sched_getaffinity(thread) for thread in threads}
    own, mine = bound[worker.pid], os.sched_getaffinity(0)
    assert len(own) == 1
    assert own <= mine
    alike = [cores for cores in bound.values() if cores == own]
    assert len(alike) >= 2  # the event loop and a thread that answers
    assert len(mine) == 1 or mine in bound.values()  # the upkeep


def test_bentomls_own_client_scores_a_lead(installed):
    code = (
        "import sys, bentoml\n"
        "with bentoml.SyncHTTPClient(sys.argv[1], token=sys.argv[2]) as client:\n"
        "    print(client.score(lead={'lead_id': 'L-9', 'industry': 'retail'})['lead_id'])\n"
    )
    arguments = [sys.executable, "-c", code, installed.running.url, installed.keys["crm"]]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout.strip() == "L-9", done.stderr


@pytest.mark.parametrize(
    "body", [{}, {"lead": "canary"}, {"lead": {"lead_id": 7, "email": "canary"}}, {"lead": {"a": {"canary": 1}}}]
)
def test_bentomls_way_in_refuses_like_ours_and_logs_no_values(installed, body):
    answer = installed.call("POST", "/score", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("lead")
    assert "canary" not in installed.log.read_text()


def test_bad_bodies_are_refused_before_the_framework_sees_them(installed):
    for path in ("/v1/assign", "/score"):
        form = {"Content-Type": "application/vnd.bentoml+pickle"}
        assert installed.call("POST", path, content=b"\x80\x04N.", headers=form).status_code == 415
        json_type = {"Content-Type": "application/json"}
        assert installed.call("POST", path, content=b'{"lead": canary}', headers=json_type).status_code == 400
        assert installed.call("POST", path, content=b"[1]", headers=json_type).status_code == 422
    large = iter([b'{"lead": "', *[b"x" * 60_000] * 5, b'"}'])
    assert installed.call("POST", "/v1/assign", content=large, headers=json_type).status_code == 413
    assert "canary" not in installed.log.read_text()


def test_the_log_is_json_lines_without_ids_or_personal_data(installed):
    body = {"lead": {"lead_id": "L-log-canary", "email": "canary@example.com", **LEAD}}
    assert installed.call("POST", "/v1/assign", json=body).status_code == 200
    text = installed.log.read_text()
    after_start = [line for line in text.splitlines() if '"message": "request"' in line]
    assert after_start
    for line in after_start:
        json.loads(line)
    assert "canary" not in text
    assert installed.keys["crm"] not in text


PLANTED = ["Wang Fangzilla", "fangzilla@planted.example", "13800138000", "zebra-planted-note", "planted reason"]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_person_and_a_secret_pass_through_the_service_and_no_log_tells(installed):
    """Right and wrong requests, a told webhook, an erasure: afterwards neither log nor any other file has them."""
    roster = {"reps": [{"rep_id": f"R-{n}", "capacity": 5} for n in range(4)]}
    assert installed.call("PUT", "/v1/reps", "admin", json=roster).status_code == 200
    lead = {"lead_id": "L-person", "name": PLANTED[0], "email": PLANTED[1], "phone": PLANTED[2], "note": PLANTED[3]}
    secret_file = installed.home.parent / "hook"
    secret_file.write_text(SECRET)
    secret_file.chmod(0o600)
    with receivers.receiver(lambda request: (500 if len(there.got) == 1 else 204, {}, b"")) as there:
        listen_to(installed, there.url + "/hook-planted-in-the-path", f"file:{secret_file}")
        assert installed.call("POST", "/v1/assign", json={"lead": lead}).status_code == 200
        for wrong in (
            {"lead": {**lead, "created_at": PLANTED[1]}},
            {"lead": {**lead, "lead_id": [PLANTED[0]]}},
            {"lead": lead, PLANTED[2]: PLANTED[3]},
        ):
            assert installed.call("POST", "/v1/assign", json=wrong).status_code == 422
        assert installed.call("POST", "/v1/assign", content=f'{{"{PLANTED[0]}'.encode(),
                              headers={"Content-Type": "application/json"}).status_code == 400  # fmt: skip
        assert installed.call("GET", f"/v1/decisions?lead_id={PLANTED[0]}").status_code == 200
        lost = {"event_id": "E-p", "lead_id": "L-person", "event": "lost", "occurred_at": NOW.isoformat(),
                "reason": PLANTED[4]}  # fmt: skip
        assert installed.call("POST", "/v1/outcomes", json=lost).json()["results"][0]["result"] == "accepted"
        with there.more:
            assert there.more.wait_for(lambda: len(there.got) >= 2, timeout=60)  # refused once, told again
    found = {name for name, word in planted_in(installed.home)}
    assert "service.log" not in found
    assert found  # the ledger has them until they are erased
    erased = installed.call("DELETE", "/v1/privacy?client_id=default&lead_id=L-person", "admin").json()
    assert erased["erased"]["person"] == 1
    assert planted_in(installed.home) == []
    assert "hook-planted-in-the-path" not in installed.log.read_text()
    assert not any(key in installed.log.read_text() for key in (*installed.keys.values(), SECRET))


def planted_in(folder):
    return [
        (file.name, word)
        for file in folder.rglob("*")
        if file.is_file()
        for word in PLANTED
        if word.encode() in file.read_bytes()
    ]


def listen_to(installed, url, secret_from):
    ledger = Ledger.open(f"sqlite:///{installed.home}/ledger.db", lock_timeout_s=30)
    with ledger.writing() as tx:
        endpoint_setup.set_up(
            tx, installed.home, kind="webhook", url=url, topics=["assigned"], client_id=None,
            secret_from=secret_from, private_allowed=True, options={}, actor="test", at=NOW,
        )  # fmt: skip
    ledger.close()


def test_a_newly_promoted_model_comes_into_force_without_a_restart(installed, small_model, tmp_path):
    from dataclasses import replace

    promote(installed.home, replace(small_model, facts={"rows": 2}), tmp_path / "next", "2", previous="1")
    deadline = time.monotonic() + 30
    while installed.call("GET", "/v1/model").json()["model_version"] != "2" and time.monotonic() < deadline:
        time.sleep(0.05)
    body = {"lead": {"lead_id": "L-next", **LEAD}}
    assert installed.call("POST", "/v1/assign", json=body).json()["model_version"] == "2"


def test_what_a_proxy_on_this_machine_says_of_its_clients_keeps_them_apart(installed):
    def wrong_key(client):
        headers = {"Authorization": "Bearer lm_0_guess", "X-Forwarded-For": client}
        return httpx.get(f"{installed.running.url}/v1/model", headers=headers).status_code

    assert [wrong_key("203.0.113.1") for _ in range(11)] == [401] * 10 + [429]
    assert wrong_key("203.0.113.2") == 401


def test_a_port_in_use_is_said_at_once(installed):
    port = int(installed.running.url.rsplit(":", 1)[1])
    with pytest.raises(InputError, match="choose another --port"):
        start(port=port, home=installed.home)


def test_a_worker_starts_without_the_heavy_libraries():
    heavy = {"mlflow", "shap", "matplotlib", "optuna", "dask", "pandas", "scipy", "sklearn", "lightgbm", "numba"}
    code = f"import sys, serving.service, serving.running.worker\nprint(sorted({heavy} & set(sys.modules)))\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


TELL = "print(*sorted(sys.modules), flush=True)"


def modules_of(code, *arguments):
    """What a process of its own has in memory by the time that the code comes to TELL."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_a_worker_is_ready_before_it_loads_what_no_decision_needs(installed):
    code = (
        "import os, sys, threading; from pathlib import Path\n"
        "from serving.service import Leadmatch, worker\n"
        "worker().in_front_of(Leadmatch.to_asgi())\n"
        "from data.settings import Settings; from serving.running.parts import Upkeep\n"
        f"def ready(parts): {TELL}; os._exit(parts.watch._held.loaded.source != 'promoted')\n"
        "Upkeep(Settings(home=Path(sys.argv[1])), ready).start()\n"
        "threading.Event().wait()\n"
    )
    loaded = modules_of(code, installed.home)
    assert {"serving.running.worker", "serving.web.app", "fastapi", "numpy"} <= loaded
    late = {"serving.pages.app", "serving.pages.render", "phonenumbers", "aiohttp.client", "pandas", "scipy", "sklearn"}
    assert late & loaded == set()


def test_the_launcher_loads_little():
    loaded = modules_of(f"import sys, pipelines.cli, pipelines.serve; {TELL}")
    assert "typer" in loaded
    heavy = {"bentoml", "fastapi", "httpx", "numpy", "pandas", "pydantic", "scipy", "sqlalchemy"}
    assert heavy & loaded == set()


def test_serve_says_as_json_where_it_is_ready_and_nothing_else(tmp_path):
    port = free_port()
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "serve", "--json", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        serving = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, cwd=ROOT,
            env={**os.environ, "LEADMATCH_HOME": str(tmp_path / "home")},
        )  # fmt: skip
    try:
        told = json.loads(serving.stdout.readline())
        assert httpx.get(told["url"] + "/readyz", timeout=10).status_code == 200
    finally:
        serving.terminate()
        rest, _ = serving.communicate(timeout=60)
    assert (told["url"], told["workers"], told["ready"]) == (f"http://127.0.0.1:{port}", 1, True)
    assert (rest, serving.returncode) == (b"", 0)


@pytest.mark.parametrize("begin", [lambda port: start(port=port), lambda port: demo(port=port)], ids=["serve", "demo"])
def test_a_port_that_another_program_has_is_refused_at_once(begin, tmp_path, monkeypatch):
    monkeypatch.setenv("LEADMATCH_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = rf"^127\.0\.0\.1:{port} is taken or cannot be used \(Address already in use\); end what listens there"
        with pytest.raises(InputError, match=said):
            begin(port)


def test_a_start_that_fails_names_its_log(tmp_path):
    with pytest.raises(RefusedError, match=rf"not ready within 0 seconds; see {tmp_path}/service\.log\.$"):
        start(port=free_port(), home=tmp_path, log=tmp_path / "service.log", ready_within_s=0)


def test_a_killed_worker_is_replaced_and_a_killed_master_leaves_nobody(installed):
    (worker,) = installed.workers()
    os.kill(worker, signal.SIGKILL)
    assert ends([worker])
    deadline = time.monotonic() + 60
    answered = 0
    while answered != 200 and time.monotonic() < deadline:
        try:
            answered = installed.call("GET", "/v1/reps").status_code
        except httpx.HTTPError:
            time.sleep(0.05)
    assert answered == 200
    workers = installed.workers()
    assert workers
    assert worker not in workers
    os.kill(installed.running.process.pid, signal.SIGKILL)
    assert ends(workers)
    with pytest.raises(httpx.HTTPError):
        httpx.get(installed.running.url + "/livez")


def test_the_service_ends_with_its_launcher(installed, tmp_path):
    code = (
        "import sys; from pathlib import Path; from pipelines.serve import start\n"
        "running = start(port=int(sys.argv[1]), home=Path(sys.argv[2]), log=Path(sys.argv[3]))\n"
        "print(running.process.pid, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    port = free_port()
    arguments = [sys.executable, "-c", code, str(port), str(installed.home), str(tmp_path / "log")]
    launched = subprocess.run(arguments, capture_output=True, text=True, timeout=120, cwd=ROOT)
    master = int(launched.stdout)
    assert ends([master], within_s=20)
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/livez")


def test_a_start_without_a_usable_ledger_stays_unready_says_why_once_and_tries_again(tmp_path, caplog, monkeypatch):
    from data.settings import Settings
    from serving.running.parts import Upkeep

    (tmp_path / "ledger.db").write_bytes(b"this is no database" * 1_000)
    ready, tries = [], []
    once = Upkeep._once
    monkeypatch.setattr(Upkeep, "_once", lambda self: (tries.append(1), once(self)))
    upkeep = Upkeep(Settings(home=tmp_path, bundle_poll_seconds=0.01), ready.append)
    upkeep.start()
    deadline = time.monotonic() + 30
    while len(tries) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(tries) >= 4
    assert caplog.text.count("is damaged") == 1
    assert not ready
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    while not ready and time.monotonic() < deadline:
        time.sleep(0.01)
    upkeep.stop()
    assert len(ready) == 1


def test_a_first_round_that_fails_is_made_up_for(installed, tmp_path, monkeypatch):
    from data.errors import BusyError
    from data.settings import Settings
    from serving.running import parts

    tried, ready = [], []
    champion = promotions.champion

    def busy_at_first(conn):
        tried.append(1)
        if len(tried) == 1:
            raise BusyError("The ledger is busy.")
        return champion(conn)

    monkeypatch.setattr(parts.promotions, "champion", busy_at_first)
    upkeep = parts.Upkeep(Settings(home=tmp_path, bundle_poll_seconds=0.01), ready.append)
    upkeep.start()
    deadline = time.monotonic() + 30
    while not ready and time.monotonic() < deadline:
        time.sleep(0.01)
    upkeep.stop()
    assert (len(tried) > 1, len(ready)) == (True, 1)
