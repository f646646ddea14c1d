"""Signing in: links work once, sessions end, and nothing is changed from another site's page."""

import pytest

from tests.browser.steps import sent


def test_a_link_signs_in_once(stage, person):
    link = stage.link("manager")
    page = person(None)
    page.goto(link)
    page.goto(link)  # a preview of the link uses nothing up
    sent(page, "button.primary")
    assert page.url == f"{stage.url}/assignments"
    other = person(None)
    other.goto(link)
    sent(other, "button.primary")
    assert "used before" in other.inner_text("[role=alert]")


def test_sign_out_ends_the_session_in_the_ledger_too(stage, person):
    page = person("manager")
    kept = page.context.cookies()
    sent(page, "text=Sign out")
    assert page.url.endswith("/sign-in")
    page.context.add_cookies(kept)
    page.goto(f"{stage.url}/assignments")
    assert "/sign-in" in page.url


def test_the_session_cookie_is_for_this_site_and_no_script(person):
    cookie = next(each for each in person("manager").context.cookies() if each["name"] == "leadmatch_session")
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_change_from_elsewhere_is_refused(desk, headers):
    answer = desk.http.post("/preferences", data={"theme": "dark"}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
