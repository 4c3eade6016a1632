"""A server of tokens as OAuth 2.0 has it, and tokens without a signature, which Kafka's own handler takes in tests."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from aiohttp import BasicAuth, web

CLIENT_SECRET = "made-up:secret"
# More than a client in the same event loop needs to read what has been sent.
_TURNS = 100


def unsigned_token(subject: str, good_for_s: int) -> str:
    """https://www.rfc-editor.org/rfc/rfc7515#appendix-A.5"""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": subject, "iat": now, "exp": now + good_for_s})
    return ".".join(base64.urlsafe_b64encode(orjson.dumps(one)).decode().rstrip("=") for one in parts) + "."


@dataclass(slots=True)
class TokenServer:
    """Gives tokens whose subject is the client's id to who knows `CLIENT_SECRET`; `given` is what it gave."""

    url: str = ""
    good_for_s: int = 3600
    given: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """As section 4.4 and 5 of RFC 6749."""
        client = BasicAuth.decode(request.headers["Authorization"])
        form = await request.post()
        if client.password != "made-up%3Asecret" or form["grant_type"] != "client_credentials":
            return web.json_response({"error": "invalid_client", "secret": CLIENT_SECRET}, status=401)
        self.given.append(unsigned_token(client.login, self.good_for_s))
        found = {"access_token": self.given[-1], "token_type": "Bearer", "expires_in": self.good_for_s}
        return await self._in_parts(request, orjson.dumps(found))

    async def _in_parts(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """As a server behind a proxy answers: the second half leaves when the first has been read."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        middle = len(body) // 2
        await response.write(body[:middle])
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        await response.write(body[middle:])
        return response


@asynccontextmanager
async def token_server(port: int) -> AsyncIterator[TokenServer]:
    """Listens on the loopback inside the block."""
    server = TokenServer(f"http://127.0.0.1:{port}/token")
    app = web.Application()
    app.router.add_post("/token", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield server
    finally:
        await runner.cleanup()
