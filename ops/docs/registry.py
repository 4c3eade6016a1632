"""Asks a schema registry, by the REST API that Confluent documents and Apicurio, Karapace and Redpanda speak too.

Every answer is read strictly: what no registry would say is an error that says so. Redirects are refused, answers are
bounded, every wait has a deadline, and no environment decides where the login goes.
https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import orjson

from ops.screen import printable
from schemas.errors import DropstreamError

_ANSWER_BYTES_MAX = 4_194_304
_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 5.0
_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_MESSAGE_CHARACTERS_MAX = 600
# Of the answers 404: no such subject, no such schema under it, no level of its own. A registry's codes have five
# digits; a server that knows nothing of registries may answer 404 with a code of its own.
_NO_SUBJECT, _NO_SCHEMA, _NO_LEVEL = 40401, 40403, 40408
_CODES_OF_REGISTRIES = range(40_000, 60_000)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class RegistryError(DropstreamError):
    """The registry cannot be reached, refuses, or answers what no registry would; one sentence."""


class IncompatibleSchemaError(DropstreamError):
    """The registry's rule of compatibility refuses a schema; the text is what the registry says."""


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """Where the registry is, and the login: `authorization` is the header's value, or None without a login."""

    url: str
    authorization: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema under a subject: `version` counts within the subject, `schema_id` within the registry."""

    version: int
    schema_id: int


@dataclass(frozen=True, slots=True)
class _RegistryAnswer:
    """An answer in JSON; `code` is its `error_code`, or None where it is no error."""

    status: int
    content: Any
    code: int | None

    @property
    def message(self) -> str:
        found = self.content.get("message") if isinstance(self.content, dict) else None
        return printable(str(found)[:_MESSAGE_CHARACTERS_MAX]) if found else "without a reason"


class SchemaRegistry:
    """The registry at `access.url`; made by `open_registry`."""

    def __init__(self, http: aiohttp.ClientSession, access: RegistryAccess) -> None:
        self._http = http
        self._access = access

    async def find(self, subject: str, schema: str) -> RegisteredSchema | None:
        """The version of the subject that is this very schema, or None."""
        answer = await self._ask("POST", f"/subjects/{_part(subject)}", _schema_body(schema))
        if answer.status == 404 and answer.code in {_NO_SUBJECT, _NO_SCHEMA}:
            return None
        found = self._object(answer, "the schema that was asked for")
        return RegisteredSchema(self._whole(found, "version"), self._whole(found, "id"))

    async def versions(self, subject: str) -> list[int]:
        """The numbers of the subject's versions; none where there is no such subject."""
        answer = await self._ask("GET", f"/subjects/{_part(subject)}/versions")
        if answer.status == 404 and answer.code == _NO_SUBJECT:
            return []
        versions = answer.content
        if answer.status != 200 or not isinstance(versions, list) or any(type(one) is not int for one in versions):
            raise self._odd(answer, "a list of versions")
        return versions

    async def level(self, subject: str) -> str | None:
        """The compatibility level of the subject itself; None where that of the registry counts."""
        answer = await self._ask("GET", f"/config/{_part(subject)}")
        if answer.status == 404 and answer.code in {_NO_SUBJECT, _NO_LEVEL}:
            return None
        level = self._object(answer, "a compatibility level").get("compatibilityLevel")
        if not isinstance(level, str):
            raise self._odd(answer, "a compatibility level")
        return level

    async def set_level(self, subject: str, level: str) -> None:
        """Gives the subject that compatibility level."""
        answer = await self._ask("PUT", f"/config/{_part(subject)}", {"compatibility": level})
        if self._object(answer, "the compatibility level that was set").get("compatibility") != level:
            raise self._odd(answer, "the compatibility level that was set")

    async def objections(self, subject: str, schema: str) -> str | None:
        """Why the schema cannot be the subject's next version by its level; None where it can."""
        path = f"/compatibility/subjects/{_part(subject)}/versions?verbose=true"
        answer = await self._ask("POST", path, _schema_body(schema))
        judged = self._object(answer, "whether the schema is compatible")
        if judged.get("is_compatible") is True:
            return None
        if judged.get("is_compatible") is not False:
            raise self._odd(answer, "whether the schema is compatible")
        # Confluent's registry gives a list of messages, Apicurio a reason.
        said = judged.get("messages") or judged.get("reason") or "without a reason"
        text = "; ".join(map(str, said)) if isinstance(said, list) else str(said)
        return text[:_MESSAGE_CHARACTERS_MAX]

    async def register(self, subject: str, schema: str) -> int:
        """The id of the schema, which is a version of the subject on return.

        Raises:
            IncompatibleSchemaError: the subject's level refuses it.
        """
        answer = await self._ask("POST", f"/subjects/{_part(subject)}/versions", _schema_body(schema))
        if answer.status == 409:
            raise IncompatibleSchemaError(answer.message)
        return self._whole(self._object(answer, "the schema's id"), "id")

    async def _ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> _RegistryAnswer:
        url = self._access.url
        content = None if body is None else orjson.dumps(body)
        try:
            async with self._http.request(method, url + path, data=content, allow_redirects=False) as response:
                received = await _bounded(response, url)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RegistryError(_failure(error, url)) from error
        return self._read(status, received)

    def _read(self, status: int, received: bytes) -> _RegistryAnswer:
        url = self._access.url
        if status in {401, 403}:
            login = "check the login and its rights" if self._access.authorization else "it wants a login"
            raise RegistryError(f"the schema registry at {url} denies access (HTTP {status}): {login}")
        if 300 <= status < 400:
            raise RegistryError(f"{url} sends elsewhere (HTTP {status}): give --registry the address that it sends to")
        try:
            content = orjson.loads(received)
        except orjson.JSONDecodeError:
            content = None
        code = content.get("error_code") if isinstance(content, dict) else None
        answer = _RegistryAnswer(status, content, code if isinstance(code, int) else None)
        if status >= 500:
            raise RegistryError(f"the schema registry at {url} failed (HTTP {status}): {answer.message}")
        if content is None:
            raise RegistryError(
                f"{url} answers HTTP {status} without JSON, so it is no schema registry: check --registry"
            )
        return answer

    def _object(self, answer: _RegistryAnswer, what: str) -> dict[str, Any]:
        if answer.status != 200 or not isinstance(answer.content, dict):
            raise self._odd(answer, what)
        return answer.content

    def _whole(self, found: Mapping[str, Any], name: str) -> int:
        number = found.get(name)
        if type(number) is not int:  # `True` is an int, and no id.
            raise RegistryError(f"{self._access.url} answers without a number in {name}: is it a schema registry?")
        return number

    def _odd(self, answer: _RegistryAnswer, wanted: str) -> RegistryError:
        url = self._access.url
        if answer.code in _CODES_OF_REGISTRIES or answer.status in {409, 422}:
            code = answer.code or answer.status
            return RegistryError(f"the schema registry at {url} refused (error {code}): {answer.message}")
        return RegistryError(
            f"{url} answers HTTP {answer.status} without {wanted}, so it is no schema registry: check --registry"
        )


def checked_registry_url(text: str) -> str:
    """The address of a registry, without a slash at its end.

    Raises:
        ValueError: the end of a sentence that does not repeat `text`, for it may hold a password.
    """
    try:
        url = urlsplit(text)
        host, _port = url.hostname, url.port
    except ValueError:
        raise ValueError("is no URL such as https://registry.example:8081") from None
    if "@" in url.netloc:
        raise ValueError("holds a user or a password; say --user and --password")
    if url.scheme not in {"http", "https"} or not host or url.query or url.fragment:
        raise ValueError("is no URL such as https://registry.example:8081")
    return text.rstrip("/")


def is_in_clear(url: str) -> bool:
    """Whether others on the network can read what is sent to `url`."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in _LOOPBACK


@asynccontextmanager
async def open_registry(access: RegistryAccess) -> AsyncIterator[SchemaRegistry]:
    """The registry at `access.url`; nothing goes out before the first question.

    Raises:
        DropstreamError: `ca_file` cannot be read.
    """
    headers = {"Accept": f"{_MEDIA_TYPE}, application/json", "Content-Type": _MEDIA_TYPE}
    if access.authorization is not None:
        headers["Authorization"] = access.authorization
    try:
        context = ssl.create_default_context(cafile=access.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise DropstreamError(f"cannot read the certificates in {access.ca_file}: {error}") from error
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
        headers=headers,
        connector=aiohttp.TCPConnector(ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    ) as http:
        yield SchemaRegistry(http, access)


def _part(subject: str) -> str:
    return quote(subject, safe="")


def _schema_body(schema: str) -> dict[str, str]:
    return {"schemaType": "JSON", "schema": schema}


async def _bounded(response: aiohttp.ClientResponse, url: str) -> bytes:
    content = bytearray()
    async for part in response.content.iter_any():
        content += part
        if len(content) > _ANSWER_BYTES_MAX:
            raise RegistryError(f"{url} answers more than {_ANSWER_BYTES_MAX} bytes: is it a schema registry?")
    return bytes(content)


def _failure(error: Exception, url: str) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
        return f"the certificate of {url} is not trusted here, so nothing was sent: name its authority with --ca-file"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        reason = os.strerror(number) if number and number > 0 else "no such host"
        return f"cannot reach a schema registry at {url}: {reason}"
    if isinstance(error, TimeoutError):
        return f"the schema registry at {url} did not answer within {_TIMEOUT_S:g} s"
    return f"{url} broke off in its answer: try again later"
