"""Decides who may see the console and act: host names, sessions, roles, headers that bind a browser to the page.

Where no login is wanted everybody who reaches the loopback address may; a page of another site may not, whatever host
name it sends. Every request that is not GET or HEAD is an act, and needs the role `act`.
"""

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from hmac import compare_digest
from urllib.parse import quote

import structlog
from aiohttp import web
from yarl import URL

from ingest.client_address import ClientAddresses
from ops.people.person import NO_LOGIN, Asker, Person, Role
from ops.people.proxy_login import ProxyLogin
from schemas.notes.acts import KnownBy

# The browser takes a cookie of the second name only over TLS, for this host and all its paths:
# https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
_COOKIE, _TLS_COOKIE = "dropstream-console", "__Host-dropstream-console"
CSRF_HEADER = "X-CSRF-Token"
SESSION: web.RequestKey["Session"] = web.RequestKey("session", object)  # type: ignore[arg-type] # typed by the name
ASKER: web.RequestKey[Asker] = web.RequestKey("asker", Asker)
_SESSIONS_MAX = 200
_IDLE_S = 12 * 3_600
# However much it is used; then its person logs in once more.
_AGE_S = 7 * 24 * 3_600
# Pages without a session: none of them holds a fact of the system.
_OPEN = frozenset({"/login", "/readyz", "/console.css", "/login.css", "/icon.svg"})
# What is sent with POST, and changes nothing but the own session.
_NO_ACTS = frozenset({"/login", "/api/logout"})
_SAFE_METHODS = frozenset({"GET", "HEAD"})
NEXT = "next"
_PAGES = re.compile(r"/(deliveries(/\d{1,9}:\d{1,18})?|acts)(\?[!-~]{0,1000})?", re.ASCII)
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: by that the browser sends the login form with `Origin: null`, which is refused.
    # https://fetch.spec.whatwg.org/#append-a-request-origin-header
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
    "Server": "dropstream",
}

_log = structlog.get_logger()


@dataclass(slots=True)
class Session:
    """A session of one browser and one person; `name` is for the log and is no secret."""

    name: str
    csrf: str
    opened_at: float
    used_at: float
    person: Person


@dataclass(slots=True)
class Sessions:
    """The open sessions, the least recently used first; `begin_alone` where no login is needed."""

    begin_alone: bool
    clock: Callable[[], float] = time.monotonic
    _open: OrderedDict[str, Session] = field(default_factory=OrderedDict)

    def open(self, person: Person) -> tuple[str, Session]:
        """Opens a session of the person; returns the cookie that is its key, and the session."""
        key, now = secrets.token_urlsafe(32), self.clock()
        session = Session(f"session-{secrets.token_hex(3)}", secrets.token_urlsafe(32), now, now, person)
        self._open[key] = session
        while len(self._open) > _SESSIONS_MAX:
            self._open.popitem(last=False)
        return key, session

    def find(self, key: str | None) -> Session | None:
        """The session of this cookie; None where it is closed, was not used for 12 hours, or is older than 7 days."""
        session = self._open.get(key or "")
        if session is None or key is None:
            return None
        now = self.clock()
        if now - session.used_at > _IDLE_S or now - session.opened_at > _AGE_S:
            del self._open[key]
            return None
        session.used_at = now
        self._open.move_to_end(key)
        return session

    def close(self, key: str | None) -> None:
        """Closes the session of this cookie."""
        self._open.pop(key or "", None)

    def keep(self, people: Collection[Person]) -> None:
        """Closes every session that a token opened, but those of `people`; with another role one is another person."""
        by_token = {KnownBy.TOKEN, KnownBy.SHARED_TOKEN}
        for key in [
            key for key, one in self._open.items() if one.person.known_by in by_token and one.person not in people
        ]:
            del self._open[key]


@dataclass(frozen=True, slots=True)
class Guard:
    """Checks every request before its handler.

    `names` is None where any host name is right, for a login decides; `on_login` is told who came by the proxy.
    """

    sessions: Sessions
    names: Collection[str] | None
    addresses: ClientAddresses
    proxy: ProxyLogin | None = None
    on_login: Callable[[Asker], None] = lambda _: None

    def middleware(self) -> Callable[..., Awaitable[web.StreamResponse]]:
        """The guard as a middleware of aiohttp."""

        @web.middleware
        async def guarded(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            self._check_host(request)
            if request.method not in _SAFE_METHODS:
                _check_origin(request)
            if request.path in _OPEN:
                return await handler(request)
            return await self._in_session(request, handler)

        return guarded

    def _check_host(self, request: web.Request) -> None:
        name = _name_of(request.headers.get("Host", ""))
        if self.names is not None and name not in self.names:
            raise web.HTTPMisdirectedRequest(
                text="This console does not answer to that host name; put it into console.names if it is right.\n"
            )

    async def _in_session(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        session, key = self._session_of(request)
        if request.method not in _SAFE_METHODS and not compare_digest(
            request.headers.get(CSRF_HEADER, "").encode("utf-8", "surrogateescape"), session.csrf.encode()
        ):
            raise web.HTTPForbidden(text="the page is out of date; load it again\n")
        request[SESSION] = session
        request[ASKER] = self._asker(request, session)
        if is_act(request.method, request.path) and session.person.role is not Role.ACT:
            _log.warning("console_act_refused", who=str(request[ASKER]), path=request.path)
            raise web.HTTPForbidden(text="you may see, and not act; the console's configuration says who may\n")
        response = await handler(request)
        if key is not None:
            give_cookie(request, response, key)
        return response

    def _session_of(self, request: web.Request) -> tuple[Session, str | None]:
        """The session of the request, and its cookie where it is a new one, which a page alone begins."""
        session = self.sessions.find(session_key(request))
        person = self.proxy.person_of(request) if self.proxy else None
        if person is not None:
            # Such a session opens nothing past the proxy, so it may be named by the cookie that is not of TLS alone: a
            # proxy that ends TLS need not say so, and then only the browser's acts do, by their origin.
            session = session or self.sessions.find(request.cookies.get(_COOKIE))
            if session is not None and session.person == person:
                return session, None
        # A session that the proxy began is its own alone: whoever goes past the proxy has not been logged in.
        elif session is not None and session.person.known_by is not KnownBy.PROXY:
            return session, None
        # Its answer may have begun before a cookie could be set; and a script without cookies would log in each time.
        if request.path.startswith("/api/"):
            raise web.HTTPUnauthorized(text="no session; load the page again\n")
        if person is None and not self.sessions.begin_alone:
            raise web.HTTPSeeOther(login_address(request.path_qs))
        key, session = self.sessions.open(person or NO_LOGIN)
        if person is not None:
            self.on_login(self._asker(request, session))
        return session, key

    def _asker(self, request: web.Request, session: Session) -> Asker:
        place = self.addresses.address_of(request.remote or "", request.raw_headers)
        return Asker(session.person, place or "unknown", session.name)


def is_act(method: str, path: str) -> bool:
    """Whether a request does something, so that it needs the role `act`."""
    return method not in _SAFE_METHODS and path not in _NO_ACTS


def login_address(wanted: str) -> str:
    """The address of the login that leads to the page `wanted` (path and query); to the first page from any other."""
    return "/login" if page_wanted(wanted) == "/" else f"/login?{NEXT}={quote(wanted, safe='')}"


def page_wanted(text: str) -> str:
    """`text` where it is the path and query of a page, else that of the first page: no link leads elsewhere."""
    return text if _PAGES.fullmatch(text) else "/"


def loopback_names(names: Collection[str]) -> frozenset[str]:
    """The host names that a console on the loopback address answers to."""
    return _LOOPBACK_NAMES | {name.lower() for name in names}


def session_key(request: web.Request) -> str | None:
    """The cookie that names the session; over TLS only the one that TLS alone can set."""
    over_tls = request.cookies.get(_TLS_COOKIE)
    return over_tls if over_tls or _is_over_tls(request) else request.cookies.get(_COOKIE)


def give_cookie(request: web.Request, response: web.StreamResponse, key: str) -> None:
    """Sets the cookie that opens the session in the browser."""
    over_tls = _is_over_tls(request)
    name = _TLS_COOKIE if over_tls else _COOKIE
    response.set_cookie(name, key, httponly=True, samesite="Strict", path="/", secure=over_tls)


def take_cookies(response: web.StreamResponse) -> None:
    """Has the browser forget its session."""
    response.del_cookie(_COOKIE, path="/", httponly=True, samesite="Strict")
    response.del_cookie(_TLS_COOKIE, path="/", secure=True, httponly=True, samesite="Strict")


def _is_over_tls(request: web.Request) -> bool:
    """Whether the browser speaks TLS, by a proxy before this process, or by the origin that the browser sends.

    Anybody may say so: it only narrows what the cookie of the own session is sent over.
    """
    forwarded = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
    return forwarded == "https" or request.headers.get("Origin", "").startswith("https://")


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Adds to every response the headers that bind the browser to the page."""
    response.headers.update(HEADERS)


def _check_origin(request: web.Request) -> None:
    """Refuses a request that a page of another origin made."""
    origin = request.headers.get("Origin")
    if origin is None and request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin":
        return
    if not _is_same_place(origin or "", request.headers.get("Host", "")):
        raise web.HTTPForbidden(text="an act must come from the page itself\n")


def _is_same_place(origin: str, host: str) -> bool:
    """Whether an Origin names the host and port of this Host; either may leave out the port that its scheme implies."""
    try:
        theirs = URL(origin)
        ours = URL(f"{theirs.scheme}://{host}")
    except ValueError:
        return False
    is_same = (theirs.host, theirs.port) == (ours.host, ours.port)
    return theirs.scheme in {"http", "https"} and bool(ours.host) and is_same


def _name_of(host: str) -> str:
    try:
        return (URL(f"http://{host}").host or "").lower()
    except ValueError:
        return ""
