"""The pages, as they stand before the interface: loaded when the service is ready, as decisions need none of them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from anyio import to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from data.settings import Settings
from serving.running.later import Later
from serving.running.parts import Parts

if TYPE_CHECKING:
    from serving.pages.app import Pages


class LatePages:
    """ASGI middleware: what is not the interface's goes to the pages, which are loaded for it if need be."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        parts: Callable[[], Parts | None],
        settings: Settings,
        interface: Callable[[str], bool],
        later: list[Callable[[], object]],
    ) -> None:
        """The layer before `app`. interface : whether a path is its own; later : where to tell what is to be loaded."""
        self._app = app
        self._interface = interface

        def load() -> "Pages":
            from serving.pages.app import Pages

            return Pages(app, parts=parts, settings=settings)

        self._pages = Later(load)
        later += [self._pages, _prepare]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a page, or pass the request on."""
        if scope["type"] != "http" or self._interface(scope["path"]):
            await self._app(scope, receive, send)
            return
        pages = self._pages.made
        if pages is None:
            pages = await to_thread.run_sync(self._pages)
        await pages(scope, receive, send)


def _prepare() -> None:
    from serving.pages import render

    render.prepare()
