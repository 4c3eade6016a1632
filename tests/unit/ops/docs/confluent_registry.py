"""A schema registry in memory, written to the letter of Confluent's documentation of its API.

Paths, statuses and error codes are from https://docs.confluent.io/platform/current/schema-registry/develop/api.html.
It compares no schemas: a test says in `objections` what it would object to. Where a test sets `odd`, every question is
answered by that; with `writes_max` only once so much was written.
"""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"


@dataclass(slots=True)
class ConfluentRegistry:
    """`versions` has the schemas of each subject in order, `levels` its own level; `url` is where it listens."""

    url: str = ""
    versions: dict[str, list[str]] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)
    objections: dict[str, list[str]] = field(default_factory=dict)
    authorization: str | None = None
    odd: web.Response | None = None
    writes: list[str] = field(default_factory=list)
    writes_max: int = 0
    _schemas: list[str] = field(default_factory=list)

    def application(self) -> web.Application:
        """The API, as an application of aiohttp."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_post("/subjects/{subject}", self._look_up)
        app.router.add_get("/subjects/{subject}/versions", self._list)
        app.router.add_post("/subjects/{subject}/versions", self._register)
        app.router.add_post("/compatibility/subjects/{subject}/versions", self._judge)
        app.router.add_get("/config/{subject}", self._level)
        app.router.add_put("/config/{subject}", self._set_level)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.authorization is not None and request.headers.get("Authorization") != self.authorization:
            return _error(401, 40101, "Unauthorized")
        if self.odd is not None and len(self.writes) >= self.writes_max:
            return web.Response(status=self.odd.status, body=self.odd.body, headers=self.odd.headers)
        response: web.StreamResponse = await handler(request)
        return response

    async def _look_up(self, request: web.Request) -> web.Response:
        subject = request.match_info["subject"]
        if subject not in self.versions:
            return _error(404, 40401, f"Subject '{subject}' not found.")
        schema = (await request.json())["schema"]
        if schema not in self.versions[subject]:
            return _error(404, 40403, "Schema not found")
        version = self.versions[subject].index(schema) + 1
        found = {"subject": subject, "id": self._id(schema), "version": version, "schemaType": "JSON", "schema": schema}
        return _answer(found)

    async def _list(self, request: web.Request) -> web.Response:
        subject = request.match_info["subject"]
        if subject not in self.versions:
            return _error(404, 40401, f"Subject '{subject}' not found.")
        return _answer(list(range(1, len(self.versions[subject]) + 1)))

    async def _register(self, request: web.Request) -> web.Response:
        subject = request.match_info["subject"]
        body = await request.json()
        assert body["schemaType"] == "JSON"
        assert request.headers["Content-Type"] == _MEDIA_TYPE
        if subject in self.objections:
            return _error(409, 409, f"Schema being registered is incompatible: {self.objections[subject]}")
        self.writes.append(f"POST {subject}")
        self.versions.setdefault(subject, []).append(body["schema"])
        return _answer({"id": self._id(body["schema"])})

    async def _judge(self, request: web.Request) -> web.Response:
        objections = self.objections.get(request.match_info["subject"], [])
        return _answer({"is_compatible": not objections, "messages": objections})

    async def _level(self, request: web.Request) -> web.Response:
        subject = request.match_info["subject"]
        if subject not in self.levels:
            return _error(404, 40408, f"Subject '{subject}' does not have subject-level compatibility configured")
        return _answer({"compatibilityLevel": self.levels[subject]})

    async def _set_level(self, request: web.Request) -> web.Response:
        subject, level = request.match_info["subject"], (await request.json())["compatibility"]
        self.writes.append(f"PUT {subject} {level}")
        self.levels[subject] = level
        return _answer({"compatibility": level})

    def _id(self, schema: str) -> int:
        if schema not in self._schemas:
            self._schemas.append(schema)
        return 100 + self._schemas.index(schema)


def _answer(content: object) -> web.Response:
    return web.Response(body=json.dumps(content).encode(), content_type=_MEDIA_TYPE)


def _error(status: int, code: int, message: str) -> web.Response:
    text = json.dumps({"error_code": code, "message": message})
    return web.Response(status=status, body=text.encode(), content_type=_MEDIA_TYPE)


@asynccontextmanager
async def confluent_registry(tls: ssl.SSLContext | None = None) -> AsyncIterator[ConfluentRegistry]:
    """The registry, listening on the loopback."""
    registry = ConfluentRegistry()
    runner = web.AppRunner(registry.application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        registry.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield registry
    finally:
        await runner.cleanup()
