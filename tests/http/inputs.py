"""Bytes for an HTTP server, made from a number: valid requests, and what becomes of them when they are tampered with.

The same number makes the same input, anywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from random import Random

# Enough for the limits of a field (8,190), of headers (128) and of a body here (4,096) to be exceeded.
_GROWN_BYTES_MAX = 12_000
_MUTATIONS_MAX = 4
_BODIES = (
    b"",
    b"{}",
    b'{"id":1,"lines":["\r\n\r\n","0\r\n\r\n"]}',
    b"\x00\xff\r\n\r\n\x80",
    b"POST /webhooks/acme HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\nsmuggled",
    b"0\r\n\r\nGET /webhooks/acme HTTP/1.1\r\nHost: h\r\n\r\n",
    bytes(range(256)),
    b"a" * 4_096,
    b"b" * 4_097,
)
_PATHS = (
    b"/webhooks/acme", b"/webhooks/acme", b"/webhooks/acme?x=1#y", b"/webhooks/guarded/a-token", b"/webhooks/%61cme",
    b"http://h/webhooks/acme", b"/webhooks/guarded/wrong", b"/webhooks/nobody", b"*", b"//webhooks/acme", b"/",
)  # fmt: skip
_METHODS = (b"GET", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT", b"DELETE", b"PRI")
_FIELDS = (
    b"X-Signature: abc", b"Connection: close", b"Connection: keep-alive", b"Expect: 100-continue", b"Cookie: a=b",
    b"Content-Encoding: gzip", b"X-Forwarded-For: 203.0.113.7", b"Dropstream-Delivery: mine", b"X: caf\xe9\xff",
    b"Connection: Upgrade\r\nUpgrade: websocket", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c", b"Empty:",
)  # fmt: skip
_TOKENS = (
    b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"\x00", b" ", b"\t", b":", b";", b",", b"0\r\n\r\n", b"\r\n ", b"\x0b",
    b"\xff",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: +3\r\n", b"Content-Length: 3, 3\r\n",
    b"Content-Length: 0x3\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length : 3\r\n", b"Content-Length: 1_0\r\n", b"Content-Length: \xb2\r\n", b"Content-Length:\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n", b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding: chunked;q=1\r\n", b"Transfer-Encoding:\r\n chunked\r\n",
    b"Host: other\r\n", b"Upgrade: websocket\r\n", b"Connection: upgrade\r\n", b"Expect: something\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"HTTP/1.1 200 OK\r\n\r\n",
    b"ffffffffffffffff\r\n", b"00000000000000000000001\r\n", b"5;a=\"\r\n\"\r\n", b"-1\r\n", b"0x1\r\n", b"1 \r\n",
    b"1\n",
    b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/9.9", b"GET ", b"POST /webhooks/acme HTTP/1.1\r\nHost: h\r\n",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Input:
    """What one client sends, in the pieces that it sends; then it leaves at once, or stays for the answers.

    `deliveries` are the bodies of a client that only makes valid deliveries, each of which is to be stored; None where
    that is not said.
    """

    segments: tuple[bytes, ...]
    leaves: bool
    deliveries: tuple[bytes, ...] | None

    @property
    def content(self) -> bytes:
        """All of it."""
        return b"".join(self.segments)


def make_input(seed: int, number: int) -> Input:
    """The input of this number; a tenth are valid deliveries, the others tampered with up to four times."""
    chance = Random((seed << 40) + number)  # noqa: S311 seeded, to be made again
    if chance.random() < 0.1:
        bodies = tuple(chance.choice(_BODIES[:-1]) for _ in range(chance.randint(1, 4)))
        content = b"".join(_delivery(chance, body) for body in bodies)
        return Input(_cut(chance, content), leaves=False, deliveries=bodies)
    content = b"".join(_request(chance) for _ in range(chance.choice((1, 1, 1, 2, 2, 3))))
    for _ in range(chance.randint(0, _MUTATIONS_MAX)):
        content = chance.choice(_MUTATIONS)(chance, content)[:_GROWN_BYTES_MAX]
    return Input(_cut(chance, content), leaves=chance.random() < 0.15, deliveries=None)


def _delivery(chance: Random, body: bytes) -> bytes:
    """A valid delivery that leaves its connection open."""
    head = b"POST " + chance.choice((b"/webhooks/acme", b"/webhooks/guarded/a-token")) + b" HTTP/1.1\r\nHost: h\r\n"
    return head + chance.choice((_whole, _chunked))(chance, body)


def _request(chance: Random) -> bytes:
    method = b"POST" if chance.random() < 0.75 else chance.choice(_METHODS)
    version = b"HTTP/1.0" if chance.random() < 0.05 else b"HTTP/1.1"
    lines = [b" ".join((method, chance.choice(_PATHS), version)), b"Host: h"]
    while chance.random() < 0.3:
        lines.append(chance.choice(_FIELDS))
    framed = chance.choice((_whole, _whole, _chunked)) if chance.random() < 0.9 else _bare
    return b"\r\n".join(lines) + b"\r\n" + framed(chance, chance.choice(_BODIES))


def _whole(_chance: Random, body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def _chunked(chance: Random, body: bytes) -> bytes:
    extension = b";x=y" if chance.random() < 0.1 else b""
    trailer = b"X-Trailer: z\r\n" if chance.random() < 0.1 else b""
    parts, rest = [], body
    while rest:
        size = chance.randint(1, max(len(rest), 1))
        parts.append(b"%x%b\r\n%b\r\n" % (size, extension, rest[:size]))
        rest = rest[size:]
    return b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


def _bare(_chance: Random, _body: bytes) -> bytes:
    return b"\r\n"


def _cut(chance: Random, content: bytes) -> tuple[bytes, ...]:
    """In one piece, in a few, or, now and then, byte for byte."""
    kind = chance.random()
    if kind < 0.5 or len(content) < 2:
        return (content,)
    if kind < 0.51 and len(content) < 200:
        return tuple(content[at : at + 1] for at in range(len(content)))
    places = sorted({chance.randint(1, len(content) - 1) for _ in range(chance.randint(1, 4))})
    edges = [0, *places, len(content)]
    return tuple(content[start:end] for start, end in pairwise(edges))


def _span(chance: Random, content: bytes) -> tuple[int, int]:
    start = chance.randint(0, len(content))
    return start, min(len(content), start + chance.choice((1, 1, 2, 4, 16, 64)))


def _flip(chance: Random, content: bytes) -> bytes:
    start, _ = _span(chance, content)
    return content[:start] + bytes([chance.randrange(256)]) + content[start + 1 :]


def _delete(chance: Random, content: bytes) -> bytes:
    start, end = _span(chance, content)
    return content[:start] + content[end:]


def _repeat(chance: Random, content: bytes) -> bytes:
    start, end = _span(chance, content)
    return content[:start] + content[start:end] * chance.choice((2, 2, 3, 130, 9_000)) + content[end:]


def _insert(chance: Random, content: bytes) -> bytes:
    start, _ = _span(chance, content)
    return content[:start] + chance.choice(_TOKENS) + content[start:]


def _insert_line(chance: Random, content: bytes) -> bytes:
    """At the beginning of a line, where it reads as a header, a chunk or a request."""
    lines = content.split(b"\r\n")
    lines.insert(chance.randint(0, len(lines)), chance.choice(_TOKENS).removesuffix(b"\r\n"))
    return b"\r\n".join(lines)


def _swap_lines(chance: Random, content: bytes) -> bytes:
    lines = content.split(b"\r\n")
    chance.shuffle(lines)
    return b"\r\n".join(lines)


def _break_line(chance: Random, content: bytes) -> bytes:
    """One line ends, or all do, otherwise than lines of HTTP do."""
    ending = chance.choice((b"\n", b"\r", b"\r\r\n", b"\r\n ", b"\r\n\t", b"\n\r", b"\x00\r\n", b" \r\n"))
    pieces = content.split(b"\r\n")
    if chance.random() < 0.2 or len(pieces) < 2:
        return ending.join(pieces)
    place = chance.randrange(1, len(pieces))
    return b"\r\n".join(pieces[:place]) + ending + b"\r\n".join(pieces[place:])


def _renumber(chance: Random, content: bytes) -> bytes:
    """A length or a size that is not so."""
    places = [at for at, byte in enumerate(content[:400]) if 48 <= byte <= 57]
    if not places:
        return content
    place = chance.choice(places)
    return (
        content[:place] + chance.choice((b"0", b"1", b"9", b"-", b"+", b"_", b"0x", b"10", b"a")) + content[place + 1 :]
    )


def _truncate(chance: Random, content: bytes) -> bytes:
    return content[: chance.randint(0, len(content))]


def _splice(chance: Random, content: bytes) -> bytes:
    other = _request(chance)
    return content[: chance.randint(0, len(content))] + other[chance.randint(0, len(other)) :]


def _join(chance: Random, content: bytes) -> bytes:
    return content + _request(chance)


_MUTATIONS: tuple[Callable[[Random, bytes], bytes], ...] = (
    _flip, _flip, _delete, _repeat, _insert, _insert, _insert_line, _insert_line, _swap_lines, _break_line, _break_line,
    _renumber, _renumber, _truncate, _splice, _join,
)  # fmt: skip
