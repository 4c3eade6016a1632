"""The HTTP handlers of the console: each reads its request and calls the part that knows the answer."""

import asyncio
from dataclasses import asdict, dataclass, field
from html import escape
from importlib.resources import files
from urllib.parse import parse_qs

import orjson
from aiohttp import web

from ingest.client_address import ClientAddresses
from ops.console.acting.act_pages import ActPages
from ops.console.acting.acts import Acts, all_samples
from ops.console.acting.plans import plan_reconcile
from ops.console.answers import FramedPage, PageHandler, as_json, framed, json_answer, page_file
from ops.console.delivery_pages import DeliveryPages
from ops.console.lookups import life, rejection
from ops.console.page_state import page_state
from ops.console.watch import Watch, now_ms
from ops.people.access import (
    ASKER,
    NEXT,
    SESSION,
    Sessions,
    give_cookie,
    login_address,
    page_wanted,
    session_key,
    take_cookies,
)
from ops.people.logins import LoginResult, Logins
from ops.people.person import Asker, Role
from schemas.notes.acts import KnownBy
from schemas.notes.rejections import Reason
from schemas.settings import Settings

OVERVIEW = FramedPage(
    "index.html",
    script="console.js",
    title="dropstream console",
    skip_to="the state of things",
    at="overview",
    is_live=True,
)
_LISTENERS_MAX = 32
_EVERY_S = 1.0
_WRITE_WITHIN_S = 10.0
# Then the page asks anew, and the guard, or the proxy before it, says anew who may see.
_STREAM_S = 900.0
_AGAIN = b"event: again\ndata: now\n\n"
_WRONG_TOKEN_S = 0.5
# Whoever is not logged in yet may hold a connection no longer; a browser sends the form at once.
_FORM_WITHIN_S = 10.0
_FORM_FIELDS_MAX = 8

_SIGNS_OUT = frozenset({KnownBy.TOKEN, KnownBy.SHARED_TOKEN})


@dataclass(slots=True)
class ConsolePages:
    """All handlers; the state of the page is made once a second for all browsers."""

    settings: Settings
    watch: Watch
    acts: Acts
    sessions: Sessions
    logins: Logins
    addresses: ClientAddresses
    stream_s: float = _STREAM_S
    form_s: float = _FORM_WITHIN_S
    _listeners: int = 0
    _page_state: bytes = b""
    _made_ms: int = 0
    _lookups: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    def routes(self) -> list[web.RouteDef]:
        """The routes of all handlers."""
        return [
            web.get("/", framed(OVERVIEW)),
            web.get("/console.css", page_file("console.css")),
            web.get("/icon.svg", page_file("icon.svg")),
            *(web.get(f"/{name}", page_file(name)) for name in _modules()),
            web.get("/readyz", _ready),
            *DeliveryPages(self.acts).routes(),
            *ActPages(self.acts).routes(),
            web.get("/login", _login_page(200, wrong=False)),
            web.post("/login", self._log_in),
            web.post("/api/logout", self._log_out),
            web.get("/api/session", self._session),
            web.get("/api/live", self._live),
            web.get("/api/rejections/{place}", as_json(self._rejection)),
            web.get("/api/trace", as_json(self._trace)),
            web.post("/api/acts/plan-redrive", as_json(self._plan_redrive)),
            web.post("/api/acts/run", as_json(self._run_plan)),
            web.post("/api/acts/plan-selection", as_json(self._plan_selection)),
            web.get("/api/acts/newest", as_json(self._newest_acts)),
            web.post("/api/acts/dry-run", as_json(self._dry_run)),
            web.post("/api/acts/plan-reconcile", as_json(self._plan_reconcile)),
            web.post("/api/acts/reconcile", as_json(self._reconcile)),
            web.post("/api/acts/send", as_json(self._send)),
        ]

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        address = self._address_of(request)
        try:
            async with asyncio.timeout(self.form_s):
                token = _token_in(await request.read())
        except TimeoutError as error:
            raise web.HTTPRequestTimeout(text=f"the form did not come within {self.form_s:g} s\n") from error
        result = self.logins.log_in(token, address)
        if result is LoginResult.WAIT:
            return await _login_page(429, wrong=True)(request)
        person = self.logins.person_of(token)
        if result is LoginResult.WRONG or person is None:
            self.acts.log.note_refused(address or "unknown")
            await asyncio.sleep(_WRONG_TOKEN_S)
            return await _login_page(403, wrong=True)(request)
        key, session = self.sessions.open(person)
        self.acts.log.note_login(Asker(person, address or "unknown", session.name))
        response = web.Response(status=303, headers={"Location": page_wanted(request.query.get(NEXT, "/"))})
        give_cookie(request, response, key)
        return response

    def _address_of(self, request: web.Request) -> str:
        return self.addresses.address_of(request.remote or "", request.raw_headers)

    async def _log_out(self, request: web.Request) -> web.StreamResponse:
        self.sessions.close(session_key(request))
        response = web.json_response({})
        take_cookies(response)
        return response

    async def _session(self, request: web.Request) -> web.StreamResponse:
        person = request[SESSION].person
        endpoints = [
            {"name": name, "provider": one.provider, "enabled": one.enabled}
            for name, one in self.settings.endpoints.items()
        ]
        samples = [
            {"name": one.name, "contract": one.contract, "provider": provider.name, "becomes": one.event_types}
            for provider, one in all_samples()
        ]
        return json_answer(
            {
                "csrf": request[SESSION].csrf,
                "who": person.name if person.known_by is not KnownBy.NO_LOGIN else "",
                "may_act": person.role is Role.ACT,
                "signs_out": person.known_by in _SIGNS_OUT,
                "endpoints": endpoints,
                "samples": samples,
                "reasons": [one.value for one in Reason],
                "prefix": self.settings.kafka.topic_prefix,
            }
        )

    async def _live(self, request: web.Request) -> web.StreamResponse:
        """Sends the state of the page once a second as server-sent events, as long as the session is open.

        After `stream_s` the event `again` tells the page to ask anew.
        """
        if self._listeners >= _LISTENERS_MAX:
            raise web.HTTPServiceUnavailable(text="too many pages are open\n", headers={"Retry-After": "10"})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        self._listeners += 1
        ends_at = asyncio.get_running_loop().time() + self.stream_s
        try:
            while not self.watch.stopping and self.sessions.find(session_key(request)) is not None:
                is_over = asyncio.get_running_loop().time() >= ends_at
                async with asyncio.timeout(_WRITE_WITHIN_S):
                    await response.write(_AGAIN if is_over else b"data: " + self._now() + b"\n\n")
                if is_over:
                    break
                await asyncio.sleep(_EVERY_S)
        except (ConnectionError, TimeoutError):
            pass  # The browser has gone; one that has not connects again by itself.
        finally:
            self._listeners -= 1
        return response

    def _now(self) -> bytes:
        at_ms = now_ms()
        if at_ms - self._made_ms > 1000 * _EVERY_S / 2:
            self._page_state = page_state(self.settings, self.watch, self.acts.shown, now_ms=at_ms)
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
            return await self.acts.plans.redrive(self.settings, fields.get("endpoint"), fields.get("reason"))

    async def _plan_selection(self, request: web.Request) -> object:
        fields = await _fields(request)
        async with self._lookups:
            return await self.acts.plans.selection(self.settings, fields.get("act"), fields.get("deliveries"))

    async def _newest_acts(self, _request: web.Request) -> object:
        return [asdict(one) for one in self.acts.shown.all()]

    async def _run_plan(self, request: web.Request) -> object:
        fields = await _fields(request)
        return asdict(self.acts.run_plan(fields.get("plan") or "", request[ASKER]))

    async def _dry_run(self, request: web.Request) -> object:
        fields = await _fields(request)
        act = self.acts.dry_run_replay(fields.get("from"), fields.get("to"), fields.get("endpoint"), request[ASKER])
        return asdict(act)

    async def _plan_reconcile(self, request: web.Request) -> object:
        fields = await _fields(request)
        async with self._lookups:
            return await plan_reconcile(self.settings, fields.get("endpoint") or "", fields.get("gap") or "")

    async def _reconcile(self, request: web.Request) -> object:
        fields = await _fields(request)
        async with self._lookups:
            act = await self.acts.reconcile(fields.get("endpoint") or "", fields.get("gap") or "", request[ASKER])
        return asdict(act)

    async def _send(self, request: web.Request) -> object:
        fields = await _fields(request)
        return asdict(await self.acts.send(fields.get("sample") or "", fields.get("endpoint") or "", request[ASKER]))


def _token_in(form: bytes) -> str:
    """The field `token` of the login form; empty for whatever else somebody sends."""
    try:
        fields = parse_qs(form.decode("utf-8", "replace"), max_num_fields=_FORM_FIELDS_MAX)
    except ValueError:
        return ""
    return fields.get("token", [""])[0]


async def _fields(request: web.Request) -> dict[str, str | None]:
    """The texts that the page sends, by name; an empty text counts as not given."""
    try:
        fields = orjson.loads(await request.read())
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or not all(isinstance(one, str | None) for one in fields.values()):
        raise web.HTTPBadRequest(text="a JSON object of texts is wanted\n")
    return {name: one or None for name, one in fields.items()}


async def _ready(_request: web.Request) -> web.StreamResponse:
    return json_answer({"live": True, "ready": True})


def _modules() -> list[str]:
    """The page's own scripts, one concern each; console.js asks for the others."""
    return sorted(file.name for file in files("ops.console").joinpath("page").iterdir() if file.name.endswith(".js"))


def _login_page(status: int, *, wrong: bool) -> PageHandler:
    text = files("ops.console").joinpath("page", "login.html").read_text(encoding="utf-8")
    shown = text.replace(' id="wrong" hidden', ' id="wrong"') if wrong else text

    async def answer(request: web.Request) -> web.StreamResponse:
        action = escape(login_address(request.query.get(NEXT, "/")))
        return web.Response(status=status, text=shown.replace('"/login"', f'"{action}"'), content_type="text/html")

    return answer
