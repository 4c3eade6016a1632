"""How the handlers of the console answer: JSON, one sentence for a fault, a file of the page."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

import orjson
from aiohttp import web

from schemas.errors import DropstreamError

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
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


def page_file(name: str) -> PageHandler:
    """A handler that answers with a file of the page."""
    content = files("ops.console").joinpath("page", name).read_bytes()

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=content, content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8")

    return answer
