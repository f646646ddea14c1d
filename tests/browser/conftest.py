"""One service with a small sales floor and one browser, for all tests of the pages."""

import contextlib
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import sync_playwright

from data.store import keys, sessions
from serving.pages import visitor
from tests.browser.steps import sent
from tests.ports import free_port

CHROMIUM = "/usr/bin/chromium"
REPS = [
    {"rep_id": "R-0", "name": "Li Na", "team": "East", "skills": ["manufacturing"], "capacity": 40},
    {"rep_id": "R-1", "name": "王伟", "team": "East", "skills": ["retail"], "capacity": 40},
    {"rep_id": "R-2", "name": "Kevin Zhao", "team": "South", "capacity": 40},
    {"rep_id": "R-3", "name": "陈静", "team": "South", "skills": ["retail"], "capacity": 40},
]
COMPANIES = ("Suzhou Hengrui Precision", "深圳市恒瑞精密机械有限公司", "Ningbo Haitian Freight", "Foshan Kitchens")


def stage_class(desk):
    """A desk behind a port, with people who can sign in."""

    class Stage(desk):
        def __init__(self, url, model):
            super().__init__(url, model)
            self.started, self.began = time.monotonic(), datetime.now(UTC)
            self.now = None
            self.port = free_port()
            self.url = f"http://127.0.0.1:{self.port}"
            config = uvicorn.Config(self.asgi, port=self.port, log_level="warning", lifespan="off", ws="none")
            self._server = uvicorn.Server(config)
            self._thread = threading.Thread(target=self._server.run, daemon=True)
            self._thread.start()
            while not self._server.started:
                time.sleep(0.01)

        @property
        def now(self):
            return self._now or datetime.now(UTC)

        @now.setter
        def now(self, at):
            self._now = at

        def link(self, role="manager", rep_id=None):
            """A sign-in link of a new key."""
            with self.ledger.writing() as tx:
                made = keys.create(tx, role=role, label=f"test {role}", at=self.now, rep_id=rep_id)
                token = sessions.make_link(tx, made.id, expires_at=self.now + timedelta(hours=1))
            return f"{self.url}/sign-in/{token}"

        def fill(self, leads=24):
            self.roster(*REPS)
            for number in range(leads):
                made = self.assign(
                    f"L-{number:03}", industry=("manufacturing", "retail", "江苏 trade")[number % 3],
                    company_size=20 + 11 * number, source=("web form", "referral", "展会")[number % 3],
                    company=COMPANIES[number % 4], name=("Sun Min", "赵敏")[number % 2], phone="+1 200 555 0100",
                    email="sun@example.com", created_at=(self.now - timedelta(minutes=2)).isoformat(),
                )  # fmt: skip
                assert made.status_code == 200, made.text

        def close(self):
            self._server.should_exit = True
            self._thread.join()
            super().close()

    return Stage


@pytest.fixture(scope="session", autouse=True)
def patience():
    """A slow machine must not show the page of somebody who waits, where the test is about another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visitor, "PATIENCE_MS", 10_000)
        yield


@pytest.fixture(scope="module")
def stage(tmp_path_factory, small_model, desk_class):
    """One of its own for each file: what one file's tests leave behind is nothing to another's."""
    made = stage_class(desk_class)(f"sqlite:///{tmp_path_factory.mktemp('stage')}/ledger.db", small_model)
    made.fill()
    yield made
    made.close()


@pytest.fixture(scope="module")
def empty_stage(tmp_path_factory, small_model, desk_class):
    """A service in its first minute."""
    made = stage_class(desk_class)(f"sqlite:///{tmp_path_factory.mktemp('empty')}/ledger.db", small_model)
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser():
    """Closed after each file: while it is open, its own event loop stands in the way of other tests' loops."""
    if not Path(CHROMIUM).exists():
        (pytest.fail if os.environ.get("LEADMATCH_TEST_REQUIRE") == "all" else pytest.skip)("Chromium not found")
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        with contextlib.suppress(Exception):
            opened.close()


@pytest.fixture
def person(stage, browser):
    """person(role, **context): a page of a new person with that role (None: nobody yet); problems fail the test."""
    opened, problems = [], []

    def come(role, *, rep_id=None, **given):
        context = browser.new_context(**{"locale": "en-GB", "timezone_id": "Asia/Shanghai", **given})
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda told: problems.append(told.text) if told.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(stage.url) else problems.append(asked.url))
        if role:
            page.goto(stage.link(role, rep_id))
            sent(page, "button.primary")
        return page

    come.problems = problems
    yield come
    for context in opened:
        context.close()
    assert [each for each in problems if "status of 4" not in each] == []


@pytest.fixture(scope="session")
def stage_kind(desk_class):
    """The class of a stage, for a test that furnishes one of its own."""
    return stage_class(desk_class)


@pytest.fixture(scope="session")
def axe():
    """axe(page): what would keep somebody out of the page, serious or worse."""
    script = (Path(__file__).parent.parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")

    def violations(page):
        page.evaluate(script)
        return page.evaluate(
            """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
            .filter(each => ["serious", "critical"].includes(each.impact))
            .map(each => each.id + ": " + each.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(" | "))"""
        )

    return violations
