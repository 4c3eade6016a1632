"""How the handlers of the console answer: JSON, one sentence for a fault, a file of the page."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from string import Template

import orjson
from aiohttp import web

from schemas.errors import DropstreamError

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_PAGES = ("overview", "deliveries", "acts")
_PULSE = '<span id="pulse" class="dot"></span><span id="clock">connecting</span>'
PageHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_answer(answer: object, status: int = 200) -> web.Response:
    """The answer as JSON."""
    return web.Response(status=status, body=orjson.dumps(answer), content_type="application/json")


def as_json(handle: Callable[[web.Request], Awaitable[object]]) -> PageHandler:
    """A handler that answers with JSON; a fault becomes one sentence for the person."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return json_answer(await handle(request))
        except DropstreamError as error:
            return json_answer({"error": str(error)}, status=409)

    return answer


@dataclass(frozen=True, slots=True)
class FramedPage:
    """A page within `frame.html`: `file` has its content, `at` is its place in the navigation."""

    file: str
    script: str
    title: str
    skip_to: str
    at: str
    is_live: bool = False

    def text(self) -> str:
        """The whole page."""
        current = {f"at_{page}": ' aria-current="page"' if page == self.at else "" for page in _PAGES}
        return Template(_read("frame.html")).substitute(
            current,
            content=_read(self.file),
            script=self.script,
            title=self.title,
            skip_to=self.skip_to,
            pulse=_PULSE if self.is_live else "",
        )


def framed(page: FramedPage) -> PageHandler:
    """A handler that answers with a page in the frame of all pages."""
    text = page.text()

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type="text/html")

    return answer


def page_file(name: str) -> PageHandler:
    """A handler that answers with a file of the page."""
    content = files("ops.console").joinpath("page", name).read_bytes()

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=content, content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8")

    return answer


def _read(name: str) -> str:
    return files("ops.console").joinpath("page", name).read_text(encoding="utf-8")
