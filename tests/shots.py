"""Pictures of every page in both languages, for the README: `make shots`, after `make demo` has filled the pages.

Starts the service over LEADMATCH_HOME, signs in by links of its own, and writes small PNG files to docs/shots/.
"""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from data.settings import Settings
from data.store import keys, listing, sessions
from data.store.ledger import Ledger
from data.store.listing import Wanted
from pipelines.serve import start
from serving.pages.app import RULES
from serving.pages.render import RAIL
from tests.ports import free_port

OUT = Path(__file__).parent.parent / "docs" / "shots"
LANGUAGES = {"en": "en-GB", "zh": "zh-CN"}
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 780}
COLOURS = 160


def main() -> None:
    """Make all pictures."""
    settings = Settings()
    OUT.mkdir(parents=True, exist_ok=True)
    port = free_port()
    running = start(port=port, log=settings.home / "shots.log")
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            for language in LANGUAGES:
                shoot(browser, running.url, settings, language)
            browser.close()
    finally:
        running.stop()


def shoot(browser: Browser, url: str, settings: Settings, language: str) -> None:
    """The pages of one language."""
    manager, rep, decision_id, rep_id = people(settings)
    page = signed_in(browser, f"{url}/sign-in/{manager}", language, DESK)
    addresses = {address.strip("/"): address for address, _, _, _ in RAIL if ("GET", address) in RULES}
    addresses.pop("my-leads")
    addresses["decision"] = f"/decisions/{decision_id}"
    addresses["rules-edit"] = "/rules/edit"
    for name, address in addresses.items():
        page.goto(url + address)
        page.wait_for_selector("main:not(:has([data-again], [hx-trigger=load] .skeleton))")
        page.wait_for_load_state("networkidle")
        save(page, f"{name}.{language}")
    page.emulate_media(color_scheme="dark")
    page.goto(url + addresses["decision"])
    save(page, f"decision-dark.{language}")
    phone = signed_in(browser, f"{url}/sign-in/{rep}", language, PHONE)
    phone.goto(f"{url}/my-leads")
    save(phone, f"my-leads.{language}")
    print(f"{language}: {', '.join(sorted(each.name for each in OUT.glob(f'*.{language}.png')))} (rep {rep_id})")


def people(settings: Settings) -> tuple[str, str, str, str]:
    """Links for a manager and for a rep with leads, and the decision to show: a large gain, decided by the model."""
    now = datetime.now(UTC)
    ledger = Ledger.open(settings.ledger_url)
    try:
        with ledger.writing() as tx:
            rows = listing.page(tx, Wanted(arm="model"), limit=100).rows
            if not rows:
                raise SystemExit("There is nothing to show yet: run `make demo` first.")
            shown = max(rows, key=lambda row: row.uplift or 0.0)
            rep_id = next(row.rep_id for row in rows if row.rep_id and row.status == "open" and not row.contacted_at)
            links = [
                sessions.make_link(tx, keys.create(tx, role=role, label=label, at=now, rep_id=rep).id,
                                   expires_at=now + timedelta(hours=1))
                for role, label, rep in (("manager", "shots", None), ("rep", rep_id, rep_id))
            ]  # fmt: skip
    finally:
        ledger.close()
    return links[0], links[1], shown.decision_id, rep_id


def signed_in(browser: Browser, link: str, language: str, size: dict[str, int]) -> Page:
    """A page of somebody who followed a link."""
    context = browser.new_context(viewport=size, locale=LANGUAGES[language], timezone_id="Asia/Shanghai")
    page = context.new_page()
    page.goto(link)
    page.click("button.primary")
    return page


def save(page: Page, name: str) -> None:
    """The picture with few colours, so that the file stays small."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(OUT / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
