"""Whether a request means the same to everybody on its way: what proxies may read otherwise is refused (smuggling)."""

from aiohttp import HttpVersion10, HttpVersion11, web

from ingest.http.request_parser import LENGTH_DIGITS_MAX


def is_sound(request: web.BaseRequest) -> bool:
    """Returns whether every proxy on the way reads the request as aiohttp's parser does.

    The parser also takes HTTP/0.9 and 2.0; a length with more leading zeros than Python reads as a number; chunks in
    HTTP/1.0, where proxies do not know them (RFC 9112, section 6.1); and any coding beside an Upgrade.
    """
    headers, version = request.headers, request.version
    coding = headers.get("Transfer-Encoding")
    if coding is None:
        known = version in {HttpVersion11, HttpVersion10}
        return known and len(headers.get("Content-Length", "")) <= LENGTH_DIGITS_MAX
    alone = len(headers.getall("Transfer-Encoding")) == 1 and "Content-Length" not in headers
    return version == HttpVersion11 and coding.lower() == "chunked" and alone
