"""Sending a page's form or following its link, up to where the page that answers can be read."""


def sent(page, selector):
    """Clicks, and waits for the page that this brings: a click by itself returns while that one still arrives."""
    with page.expect_navigation():
        page.click(selector)
