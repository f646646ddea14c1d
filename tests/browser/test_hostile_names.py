"""Names from outside are shown and nothing else: no script runs, no direction turns, no page grows too wide."""

import pytest

from tests.browser.steps import CUT_OFF

PAYLOADS = [
    '<script>window.hit=1</script>',
    '<img src=x onerror=window.hit=1>',
    '<svg onload=window.hit=1>',
    '"><script>window.hit=1</script>',
    "'><img src=x onerror=window.hit=1>",
    "<iframe srcdoc='<script>parent.hit=1</script>'>",
    'javascript:window.hit=1',
    '<a href=javascript:window.hit=1>x</a>',
    '<body onload=window.hit=1>',
    '<details open ontoggle=window.hit=1>',
    '<input autofocus onfocus=window.hit=1>',
    '<video><source onerror=window.hit=1>',
    '<math><mtext><script>window.hit=1</script>',
    '</title><script>window.hit=1</script>',
    '</textarea><script>window.hit=1</script>',
    '<!--<script>window.hit=1</script>-->',
    '{{ 7*7 }}',
    '{% raw %}',
    '${window.hit=1}',
    '#{7*7}',
    '<%= 7*7 %>',
    '<div hx-get=/x hx-trigger=load>',
    "<div hx-on:load='window.hit=1'>",
    '<template><script>window.hit=1</script></template>',
    '<object data=javascript:window.hit=1>',
    '<embed src=javascript:window.hit=1>',
    '<form action=javascript:window.hit=1><button>',
    '<base href=//evil.example/>',
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    '<link rel=stylesheet href=//evil.example>',
    '<style>*{display:none}</style>',
    '\\u003cscript\\u003ewindow.hit=1\\u003c/script\\u003e',
    '&lt;script&gt;window.hit=1&lt;/script&gt;',
    '%3Cscript%3Ewindow.hit=1%3C/script%3E',
    '<scr<script>ipt>window.hit=1</script>',
    '<IMG SRC=x OnErRoR=window.hit=1>',
    '<svg><animate onbegin=window.hit=1 attributeName=x>',
    '<marquee onstart=window.hit=1>',
    "' onmouseover='window.hit=1",
    '" autofocus onfocus="window.hit=1',
]
LONG = ["汉" * 200, "W" * 200, "admin\u202egnp.exe", "\u2067left\u2069", "👩‍👩‍👧‍👦" * 20, "e\u0301" * 60, "🇨🇳 " * 40]


@pytest.fixture(scope="module")
def attacked(stage):
    ids = []
    for number, payload in enumerate([*PAYLOADS, *LONG]):
        lead = {**dict.fromkeys(("company", "name", "note"), payload), "source": payload[:99], "industry": payload[:99]}
        told = stage.assign(f"X-{number}", phone=payload[:40], email=payload[:40], **lead)
        assert told.status_code == 200, told.text
        ids.append(told.json()["decision_id"])
    stage.call("PATCH", "/v1/reps/R-1", {"name": PAYLOADS[0], "team": PAYLOADS[1]}, role="manager")
    yield ids
    stage.call("PATCH", "/v1/reps/R-1", {"name": "王伟", "team": "East"}, role="manager")


def test_hostile_names_are_inert_and_break_no_layout(stage, person, attacked):
    assert len(PAYLOADS) == 40
    page = person("manager")
    addresses = ["/team?range=all", "/team/R-1?range=all", "/sources?range=all", "/worth?range=all"]
    addresses += ["/assignments", "/my-leads?rep=R-0", "/my-leads?rep=R-1", "/assignments?q=%3Cscript%3E"]
    addresses += [f"/decisions/{decision_id}" for decision_id in (*attacked[:3], *attacked[-7:])]
    addresses += [f"/decisions/{attacked[0]}/reassign", f"/assignments/hand-over?ids={attacked[1]}"]
    for address in addresses:
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(stage.url + address)
            for summary in page.locator("main summary").all():
                summary.click()
            assert page.evaluate("window.hit === undefined"), address
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (address, width)
            assert width < 760 or page.evaluate(CUT_OFF) == [], (address, width)
    assert page.evaluate("document.scripts.length") == 2


def test_a_direction_mark_turns_nothing_around_the_name(stage, person, attacked):
    page = person("manager")
    page.goto(f"{stage.url}/decisions/{attacked[len(PAYLOADS) + 2]}")
    assert page.evaluate("getComputedStyle(document.querySelector('h1 bdi')).unicodeBidi") == "isolate"
    assert "\u202e" not in page.inner_text("h1")
