"""The ingress as most would write it first: aiohttp's application, one route, `await producer.send_and_wait`.

Fair: uvloop, the same producer settings, the same headers kept and added, no access log, bodies of the same size.
"""

import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import uuid_utils
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.kafka.arguments import producer_arguments
from schemas.settings import Settings
from tests.bench.place import read_settings

_PRODUCER = web.AppKey("producer", AIOKafkaProducer)
_SETTINGS = web.AppKey("settings", Settings)
_LEFT_OUT = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "authorization", "cookie"),
    }
)


async def webhook(request: web.Request) -> web.Response:
    settings = request.app[_SETTINGS]
    name = request.match_info["endpoint"]
    endpoint = settings.endpoints.get(name)
    if endpoint is None:
        return web.Response(status=404)
    body = await request.read()
    delivery_id = str(uuid_utils.uuid7())
    received_at = datetime.now(UTC)
    headers = [
        (lower, value.encode("utf-8", "surrogateescape"))
        for lower, value in ((key.lower(), value) for key, value in request.headers.items())
        if lower not in _LEFT_OUT and not lower.startswith("dropstream-")
    ]
    headers += [
        ("dropstream-delivery", delivery_id.encode()),
        ("dropstream-provider", endpoint.provider.encode()),
        ("dropstream-endpoint", name.encode()),
        ("dropstream-received-at", received_at.isoformat().encode()),
        ("dropstream-remote", (request.remote or "").encode()),
    ]
    try:
        await request.app[_PRODUCER].send_and_wait(
            settings.kafka.topic_prefix + "raw",
            body,
            key=name.encode(),
            headers=headers,
            timestamp_ms=int(received_at.timestamp() * 1000),
        )
    except KafkaError:
        return web.Response(status=503, headers={"Retry-After": "5"})
    return web.Response(headers={"Dropstream-Delivery": delivery_id})


async def produce(app: web.Application) -> AsyncIterator[None]:
    async with AIOKafkaProducer(**producer_arguments(app[_SETTINGS])) as producer:
        app[_PRODUCER] = producer
        yield


def main(config: str) -> None:
    settings = read_settings(config)
    app = web.Application(client_max_size=settings.ingest.body_bytes_max)
    app[_SETTINGS] = settings
    app.cleanup_ctx.append(produce)
    app.router.add_post("/webhooks/{endpoint}", webhook)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=settings.ingest.port, access_log=None, print=None)


if __name__ == "__main__":
    main(sys.argv[1])
