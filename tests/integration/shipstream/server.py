"""The HTTP side of the ShipStream for the tests: requests to `instance`, and every fault of a network and a server."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.integration.shipstream.instance import ApiError, Fault, Shipstream

# Answers that a fault gives instead: status, body, and headers that are not the usual ones.
_INSTEAD: dict[Fault, tuple[int, bytes, dict[str, str]]] = {
    Fault.BUSY: (503, b"<html>busy</html>", {"Content-Type": "text/html"}),
    Fault.NOTHING: (200, b"", {}),
    Fault.PAGE: (200, b"<!DOCTYPE html><title>Log in</title>", {"Content-Type": "text/html"}),
    Fault.HUGE: (200, b'{"result":"' + b"x" * 5_000_000 + b'"}', {}),
    Fault.ELSEWHERE: (302, b"", {"Location": "http://127.0.0.1:1/api/jsonrpc?stolen=1"}),
    Fault.LIMITED: (429, b"slow down", {"Content-Type": "text/plain", "Retry-After": "1"}),
    Fault.TOO_MANY: (409, b"too many at once", {"Content-Type": "text/plain"}),
    Fault.NO_LIST: (200, b'{"jsonrpc":2.0,"error":null,"result":{"results":"none","totalCount":1}}', {}),
    Fault.LIMITED_LONG: (429, b"slow down", {"Content-Type": "text/plain", "Retry-After": "3600"}),
    Fault.NO_EFFECT: (200, b'{"jsonrpc":2.0,"error":null,"result":true}', {}),
    Fault.NOT_TRUE: (200, b'{"jsonrpc":2.0,"error":null,"result":false}', {}),
    Fault.INTERNAL: (200, b'{"jsonrpc":2.0,"error":{"code":-32603,"message":"Internal error"}}', {}),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shipstream: Shipstream

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """Only POST is documented."""
        self._send(405, b"")

    def do_POST(self) -> None:
        """One request, with its fault if one is planned."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/api/jsonrpc":
            self._send(404, b"<html>no such page</html>", {"Content-Type": "text/html"})
            return
        try:
            asked = json.loads(body)
        except ValueError:
            self._send(200, _error(None, ApiError(700, "Parse error")))
            return
        self.shipstream.requests.append(asked)
        self.shipstream.authorizations.append(self.headers.get("Authorization"))
        method = asked["method"] if asked["method"] == "login" else asked["params"][1]
        fault = self.shipstream.take_fault(method)
        if fault is Fault.EXPIRED:
            self.shipstream.sessions.clear()
        if fault in _INSTEAD:
            status, instead, headers = _INSTEAD[fault]
            self._send(status, instead, headers)
        elif fault is Fault.HANGS_BEFORE:
            self._hang()
        else:
            self._respond(asked, method, fault)

    def _respond(self, asked: dict[str, Any], method: str, fault: Fault | None) -> None:
        request_id = "another" if fault is Fault.STRANGER else asked.get("id")
        try:
            result = self.shipstream.answer(asked, self.headers.get("Authorization"))
        except ApiError as error:
            body = _error(request_id, error)
        else:
            # The examples: the version is a number, and the answers of changes carry no id.
            whole = {"jsonrpc": 2.0, "id": request_id, "error": None, "result": result}
            if method in {"webhook.create", "webhook.update_status", "webhook.delete"}:
                del whole["id"]
            if method == "login":
                del whole["error"]
            body = json.dumps(whole).encode()
        if fault is Fault.HANGS_AFTER:
            self._hang()
        elif fault is Fault.BROKEN_AFTER:
            self._send(500, b"<html>oops</html>", {"Content-Type": "text/html"})
        elif fault is Fault.CUT_OFF:
            self._send(200, body[:-5], length=len(body))
        elif fault is Fault.COMPRESSED:
            self._send(200, b"\x1f\x8b" + body, {"Content-Encoding": "gzip"})
        else:
            self._send(200, body, {"Content-Type": "text/html"} if fault is Fault.WRONG_TYPE else None)

    def _hang(self) -> None:
        self.shipstream.released.wait(60)
        self.close_connection = True

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, *, length: int | None = None
    ) -> None:
        self.close_connection = True
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Connection": "close", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        with suppress(OSError):  # The client may have seen enough.
            self.wfile.write(body)


def _error(request_id: object, error: ApiError) -> bytes:
    held = {"code": -32_000 - error.code, "message": error.message}
    return json.dumps({"jsonrpc": 2.0, "id": request_id, "error": held}).encode()


@contextmanager
def running(instance: Shipstream | None = None) -> Iterator[Shipstream]:
    """An instance, a new one or this, on a free port of the loopback, until the end of the block."""
    shipstream = instance or Shipstream()
    handler = type("Handler", (_Handler,), {"shipstream": shipstream})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        shipstream.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield shipstream
        finally:
            shipstream.released.set()
            server.shutdown()
            thread.join()
