"""What the tests of the pages share: following a link or sending a form, and what is pushed out of sight."""

# Tables whose last columns would be seen by scrolling alone; on a phone some may be.
CUT_OFF = """() => [...document.querySelectorAll(".scroll")].filter(each => each.scrollWidth > each.clientWidth + 1)
    .map(each => [each.firstElementChild.className, each.scrollWidth, each.clientWidth])"""


def sent(page, selector):
    """Clicks, and waits for the page that this brings: a click by itself returns while that one still arrives."""
    with page.expect_navigation():
        page.click(selector)
