"""Dropea v2, Dreamship and Modern Dropship for the tests, each from what is known of its pages; and their faults.

They share nothing with the clients. Where nothing is known they take the reading that is hardest on a client.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "key-of-the-api"


@dataclass
class RestServer:
    """A server with rows; `faults` are answers that are given instead, one for each request that comes."""

    authorization: str
    page_max: int = 2
    url: str = ""
    orders: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    products: list[dict[str, Any]] = field(default_factory=list)
    webhooks: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Callable[[], web.Response]] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    on_request: Callable[[], None] = lambda: None

    async def handle(self, request: web.Request, answer: Callable[[web.Request], Any]) -> web.Response:
        """One request, with the next fault if there is one."""
        self.requests.append(request)
        if request.headers.get("Authorization") != self.authorization:
            return web.json_response({"error": "no"}, status=401)
        if self.faults:
            return self.faults.pop(0)()
        self.on_request()
        return web.json_response(answer(request))

    def subscribe(self, asked: dict[str, Any]) -> Any:
        """Makes a subscription of Dropea: one topic, an id of its own, switched on."""
        assert set(asked) == {"topic", "url"}
        made = {"id": 1 + max([row["id"] for row in self.webhooks], default=0), **asked, "active": True}
        self.webhooks.append(made)
        return {"success": True, "data": made}

    def unsubscribe(self, request: web.Request) -> Any:
        """Deletes a subscription of Dropea."""
        self.webhooks = [row for row in self.webhooks if row["id"] != int(request.match_info["id"])]
        return {"success": True, "data": None}

    def page(self, rows: list[dict[str, Any]], number: int, limit: int) -> tuple[list[dict[str, Any]], int]:
        """The rows of page `number` (from 1), and how many pages there are."""
        size = min(self.page_max, limit)
        return rows[(number - 1) * size : number * size], -(-len(rows) // size)


def dropea() -> RestServer:
    return RestServer(f"Bearer {KEY}")


def dropea_answer(server: RestServer) -> dict[str, Callable[[web.Request], Any]]:
    """Envelope, pages from 1 and sorting as in its OpenAPI document; no filter by the time of change."""

    def listed(request: web.Request, rows: list[dict[str, Any]]) -> Any:
        limit, number = int(request.query.get("limit", 20)), int(request.query.get("page", 1))
        assert limit <= 100
        items, pages = server.page(rows, number, limit)
        pagination = {"total": len(rows), "page": number, "limit": limit, "total_pages": pages}
        return {"success": True, "message": "", "data": {"items": items, "pagination": pagination}, "failure": None}

    def orders(request: web.Request) -> Any:
        assert "updated_from" not in request.query
        name = request.query.get("sort_by", "created_at")
        back = request.query.get("sort_order", "desc") == "desc"
        return listed(request, sorted(server.orders, key=lambda row: row[name], reverse=back))

    def issues(request: web.Request) -> Any:
        rows = server.issues
        if "is_active" in request.query:
            rows = [row for row in rows if row["is_active"] == (request.query["is_active"] == "true")]
        if since := request.query.get("resolution_changed_at_from"):
            rows = [row for row in rows if (row.get("resolution_changed_at") or "") >= since[:19]]
        return listed(request, rows)

    def issue(request: web.Request) -> Any:
        wanted = int(request.match_info["id"])
        return {"success": True, "data": next(row for row in server.issues if row["id"] == wanted)}

    return {
        "/dropshipper/orders": orders,
        "/dropshipper/issues": issues,
        "/dropshipper/issues/{id}": issue,
        "/dropshipper/webhooks": lambda _request: {"success": True, "data": {"webhooks": server.webhooks}},
    }


def dreamship() -> RestServer:
    return RestServer(f"Bearer {KEY}")


def dreamship_answer(server: RestServer) -> dict[str, Callable[[web.Request], Any]]:
    """Pages by a link to the next one; orders by when they were made, and by nothing else."""

    def orders(request: web.Request) -> Any:
        since, number = request.query["created_at_after"], int(request.query.get("page", 1))
        rows = [row for row in server.orders if row["created_at"] >= since[:19]]
        data, pages = server.page(rows, number, int(request.query.get("limit", 25)))
        query = request.url.update_query(page=str(number + 1))
        return {"paging": {"count": len(rows), "next": str(query) if number < pages else None}, "data": data}

    return {"/v1/orders/": orders}


def modern_dropship() -> RestServer:
    return RestServer(KEY)


def modern_dropship_answer(server: RestServer) -> dict[str, Callable[[web.Request], Any]]:
    """Pages by `next`; the filters of 2020 are ignored, which is the hardest reading."""

    def listed(name: str) -> Callable[[web.Request], Any]:
        def answer(request: web.Request) -> Any:
            rows = getattr(server, name)
            assert "2022-03-03" in request.headers["Accept"]
            number = int(request.query.get("page", 1))
            data, pages = server.page(rows, number, int(request.query.get("limit", 25)))
            query = request.url.update_query(page=str(number + 1))
            # The sample of 2021 inverts hasMore, so it says nothing.
            return {
                "data": data,
                "hasMore": number >= pages,
                "next": str(query) if number < pages else "",
                "error": None,
            }

        return answer

    return {"/buyer/orders": listed("orders"), "/buyer/products": listed("products")}


@asynccontextmanager
async def running(server: RestServer, answers: dict[str, Callable[[web.Request], Any]]) -> AsyncIterator[RestServer]:
    """The server on a free port of the loopback."""
    app = web.Application()

    def route(answer: Callable[[web.Request], Any]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await server.handle(request, answer)

        return handle

    for path, answer in answers.items():
        app.router.add_get(path, route(answer))

    async def create(request: web.Request) -> web.Response:
        asked = await request.json()
        return await server.handle(request, lambda _request: server.subscribe(asked))

    app.router.add_post("/dropshipper/webhooks", create)
    app.router.add_delete("/dropshipper/webhooks/{id}", route(server.unsubscribe))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
