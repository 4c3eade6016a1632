"""The HTTP handlers of the console: each reads its request and calls the part that knows the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from importlib.resources import files

import orjson
from aiohttp import web

from ops.console.access import COOKIE, SESSION, Sessions, give_cookie
from ops.console.acts import Acts, all_samples
from ops.console.lookups import life, rejection
from ops.console.page_state import page_state
from ops.console.watch import Watch, now_ms
from schemas.errors import DropstreamError
from schemas.notes.rejections import Reason
from schemas.settings import Settings

_LISTENERS_MAX = 32
_EVERY_S = 1.0
_WRITE_WITHIN_S = 10.0
_WRONG_TOKEN_S = 0.5
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
PageHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class ConsolePages:
    """All handlers; the state of the page is made once a second for all browsers."""

    settings: Settings
    watch: Watch
    acts: Acts
    sessions: Sessions
    _listeners: int = 0
    _page_state: bytes = b""
    _made_ms: int = 0
    _lookups: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    def routes(self) -> list[web.RouteDef]:
        """The routes of all handlers."""
        return [
            web.get("/", _file("index.html")),
            web.get("/console.css", _file("console.css")),
            web.get("/icon.svg", _file("icon.svg")),
            *(web.get(f"/{name}", _file(name)) for name in _modules()),
            web.get("/readyz", _ready),
            web.get("/login", _login_page(200, wrong=False)),
            web.post("/login", self._log_in),
            web.post("/api/logout", self._log_out),
            web.get("/api/session", self._session),
            web.get("/api/live", self._live),
            web.get("/api/rejections/{place}", self._as_json(self._rejection)),
            web.get("/api/trace", self._as_json(self._trace)),
            web.post("/api/acts/plan-redrive", self._as_json(self._plan_redrive)),
            web.post("/api/acts/redrive", self._as_json(self._redrive)),
            web.post("/api/acts/dry-run", self._as_json(self._dry_run)),
            web.post("/api/acts/send", self._as_json(self._send)),
        ]

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        if self.sessions.must_wait:
            return await _login_page(429, wrong=True)(request)
        form = await request.post()
        if not self.sessions.accepts(str(form.get("token", ""))):
            await asyncio.sleep(_WRONG_TOKEN_S)
            return await _login_page(403, wrong=True)(request)
        response = web.Response(status=303, headers={"Location": "/"})
        give_cookie(response, self.sessions.open()[0])
        return response

    async def _log_out(self, request: web.Request) -> web.StreamResponse:
        self.sessions.close(request.cookies.get(COOKIE))
        response = web.json_response({})
        response.del_cookie(COOKIE, path="/")
        return response

    async def _session(self, request: web.Request) -> web.StreamResponse:
        endpoints = [
            {"name": name, "provider": one.provider, "enabled": one.enabled}
            for name, one in self.settings.endpoints.items()
        ]
        samples = [
            {"name": one.name, "contract": one.contract, "provider": provider.name, "becomes": one.event_types}
            for provider, one in all_samples()
        ]
        return _json(
            {
                "csrf": request[SESSION].csrf,
                "has_token": self.sessions.token is not None,
                "endpoints": endpoints,
                "samples": samples,
                "reasons": [one.value for one in Reason],
                "prefix": self.settings.kafka.topic_prefix,
            }
        )

    async def _live(self, request: web.Request) -> web.StreamResponse:
        """Sends the state of the page once a second as server-sent events, as long as the session is open."""
        if self._listeners >= _LISTENERS_MAX:
            raise web.HTTPServiceUnavailable(text="too many pages are open\n", headers={"Retry-After": "10"})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        self._listeners += 1
        try:
            while not self.watch.stopping and self.sessions.find(request.cookies.get(COOKIE)) is not None:
                async with asyncio.timeout(_WRITE_WITHIN_S):
                    await response.write(b"data: " + self._now() + b"\n\n")
                await asyncio.sleep(_EVERY_S)
        except (ConnectionError, TimeoutError):
            pass  # The browser has gone; one that has not connects again by itself.
        finally:
            self._listeners -= 1
        return response

    def _now(self) -> bytes:
        at_ms = now_ms()
        if at_ms - self._made_ms > 1000 * _EVERY_S / 2:
            self._page_state = page_state(self.settings, self.watch, self.acts.jobs, now_ms=at_ms)
            self._made_ms = at_ms
        return self._page_state

    async def _rejection(self, request: web.Request) -> object:
        async with self._lookups:
            return await rejection(self.settings, self.watch.memory, request.match_info["place"])

    async def _trace(self, request: web.Request) -> object:
        async with self._lookups:
            return await life(self.settings, request.query.get("entity", ""), request.query.get("endpoint") or None)

    async def _plan_redrive(self, request: web.Request) -> object:
        fields = await _fields(request)
        async with self._lookups:
            return await self.acts.plan_redrive(fields.get("endpoint"), fields.get("reason"))

    async def _redrive(self, request: web.Request) -> object:
        fields = await _fields(request)
        return asdict(self.acts.redrive(fields.get("plan") or "", _who(request)))

    async def _dry_run(self, request: web.Request) -> object:
        fields = await _fields(request)
        job = self.acts.dry_run_replay(fields.get("from"), fields.get("to"), fields.get("endpoint"), _who(request))
        return asdict(job)

    async def _send(self, request: web.Request) -> object:
        fields = await _fields(request)
        return asdict(await self.acts.send(fields.get("sample") or "", fields.get("endpoint") or "", _who(request)))

    def _as_json(self, handle: Callable[[web.Request], Awaitable[object]]) -> PageHandler:
        """A handler that answers with JSON; a fault becomes one sentence for the person."""

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                return _json(await handle(request))
            except DropstreamError as error:
                return _json({"error": str(error)}, status=409)

        return answer


def _who(request: web.Request) -> str:
    return f"{request[SESSION].name} at {request.remote}"


async def _fields(request: web.Request) -> dict[str, str | None]:
    """The texts that the page sends, by name; an empty text counts as not given."""
    try:
        fields = orjson.loads(await request.read())
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or not all(isinstance(one, str | None) for one in fields.values()):
        raise web.HTTPBadRequest(text="a JSON object of texts is wanted\n")
    return {name: one or None for name, one in fields.items()}


def _json(answer: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(answer), content_type="application/json")


async def _ready(_request: web.Request) -> web.StreamResponse:
    return _json({"live": True, "ready": True})


def _modules() -> list[str]:
    """The page's own scripts, one concern each; console.js asks for the others."""
    return sorted(file.name for file in files("ops.console").joinpath("page").iterdir() if file.name.endswith(".js"))


def _file(name: str) -> PageHandler:
    content = files("ops.console").joinpath("page", name).read_bytes()

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=content, content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8")

    return answer


def _login_page(status: int, *, wrong: bool) -> PageHandler:
    text = files("ops.console").joinpath("page", "login.html").read_text(encoding="utf-8")
    shown = text.replace(' id="wrong" hidden', ' id="wrong"') if wrong else text

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=shown, content_type="text/html")

    return answer
