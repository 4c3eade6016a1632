"""A ShipStream for the tests, written from its public pages and sharing nothing with the client.

https://docs.shipstream.io/merchant-api/introduction (format, general codes), https://docs.shipstream.io/merchant-api/authentication
(Basic, login, sessions) and https://docs.shipstream.io/merchant-api/webhook (methods, codes, examples). Where a page is
silent it takes the reading that is hardest on a client; each such place says so.
"""

import base64
import json
import secrets
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

USER, KEY = "api-user", "tiger/lily key-of-the-api"
CLEAR = "a-secret-in-clear"


class Fault(StrEnum):
    """What goes wrong with one request."""

    BUSY = "503, and nothing was done"
    BROKEN_AFTER = "500, though it was done"
    HANGS_AFTER = "no answer, though it was done"
    HANGS_BEFORE = "no answer, and nothing was done"
    CUT_OFF = "an answer that ends early, though it was done"
    NOTHING = "200 and no body"
    PAGE = "200 and HTML"
    HUGE = "200 and more than anybody wants"
    ELSEWHERE = "a redirect"
    LIMITED = "429, wait a second"
    TOO_MANY = "409, five calls run already"
    NO_LIST = "a result that holds no rows"
    LIMITED_LONG = "429, wait an hour"
    EXPIRED = "every session has ended"
    NOT_TRUE = "the result false"
    STRANGER = "an answer to another request"
    NO_EFFECT = "true, and nothing was done"
    WRONG_TYPE = "JSON called text/html"
    COMPRESSED = "an encoding that was not asked for"
    INTERNAL = "-32603"


class ApiError(Exception):
    """A code as the pages list it; on the wire it is -32000 - code."""

    def __init__(self, code: int, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


@dataclass(slots=True)
class Shipstream:
    """The state of the instance, and what it was asked; `faults` are (method, fault), each for one request."""

    url: str = ""
    webhooks: list[dict[str, Any]] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    requests: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    switches_all: bool = False
    drops_topics: set[str] = field(default_factory=set)
    as_php_map: bool = False
    as_text: bool = False
    released: threading.Event = field(default_factory=threading.Event)

    def methods(self) -> list[str]:
        """The API methods that were asked for, in order."""
        return [asked["method"] if asked["method"] == "login" else asked["params"][1] for asked in self.requests]

    def add(self, webhook_id: int, url: str, *topics: str, is_active: int = 1, secret_key: str = CLEAR) -> None:
        """A webhook that is there before."""
        self.webhooks.append(
            {
                "webhook_id": webhook_id,
                "is_active": is_active,
                "topics": ",".join(topics),
                "url": url,
                "extra_headers": "",
                "secret_key": secret_key,
            }
        )

    def take_fault(self, method: str) -> Fault | None:
        """The fault that is planned for this request; it is used up."""
        for one in self.faults:
            if one[0] == method:
                self.faults.remove(one)
                return one[1]
        return None

    def answer(self, asked: Any, authorization: str | None) -> Any:
        """The result of a request."""
        if not isinstance(asked, dict) or asked.get("jsonrpc") != "2.0" or not isinstance(asked.get("params"), list):
            raise ApiError(600, "Invalid Request")
        params = asked["params"]
        if asked["method"] == "login":
            return self._login(params)
        if asked["method"] != "call":
            raise ApiError(601, "Method not found")
        if len(params) not in {2, 3} or not isinstance(params[1], str):
            raise ApiError(602, "Invalid params")
        self._admit(params[0], authorization)
        resource, _, method = params[1].partition(".")
        if resource != "webhook" or not method:
            raise ApiError(3, "Invalid api path.")
        called = {
            "list": self._list,
            "create": self._create,
            "update_status": self._update_status,
            "delete": self._delete,
        }.get(method)
        if called is None:
            raise ApiError(4, "Resource path is not callable.")
        arguments = params[2] if len(params) == 3 else []
        if not isinstance(arguments, list):
            raise ApiError(602, "Invalid params")
        return called(arguments)

    def _login(self, params: list[Any]) -> str:
        if len(params) != 2:
            raise ApiError(6, 'Required parameter is missing, for more details see "exception.log".')
        if params != [USER, KEY]:
            raise ApiError(2, f"Access denied for {params!r}.")  # hard on a client: it says back what it was told
        session = secrets.token_hex(16)
        self.sessions.add(session)
        return session

    def _admit(self, session: str | None, authorization: str | None) -> None:
        if session is None:
            if authorization != "Basic " + base64.b64encode(f"{USER}:{KEY}".encode()).decode():
                raise ApiError(2, f"Access denied. {authorization}")
        elif session not in self.sessions:
            raise ApiError(5, "Session expired. Try to relogin.")

    def _list(self, arguments: list[Any]) -> Any:
        if arguments:
            raise ApiError(602, "Invalid params")
        rows = [{key: str(value) for key, value in one.items()} if self.as_text else one for one in self.webhooks]
        return {str(number): row for number, row in enumerate(rows, start=3)} if self.as_php_map else rows

    def _create(self, arguments: list[Any]) -> bool:
        if len(arguments) != 1 or not isinstance(arguments[0], dict):
            raise ApiError(101, "Invalid data given.")
        given = arguments[0]
        topics = given.get("topics")
        topics = topics.split(",") if isinstance(topics, str) else topics
        if not topics or any(":" not in topic or "*" in topic for topic in topics):
            raise ApiError(101, f"Invalid data given. topics: {topics}")
        if given.get("is_active") not in {0, 1} or not str(given.get("url")).startswith("http"):
            raise ApiError(101, "Invalid data given.")
        # The pages say nothing of two webhooks with one URL: here it is refused, in words that repeat every secret.
        if any(one["url"] == given["url"] for one in self.webhooks) or "refuse-me" in given["url"]:
            raise ApiError(106, "Webhook not created. " + json.dumps(given))
        kept = [topic for topic in topics if topic not in self.drops_topics]
        self.add(
            1 + max((one["webhook_id"] for one in self.webhooks), default=0),
            given["url"],
            *kept,
            is_active=given["is_active"],
            secret_key=given["secret_key"],
        )
        return True

    def _update_status(self, arguments: list[Any]) -> bool:
        """By the signature (topic, status): all that have the topic. By the example's bare status: everything.

        With `switches_all` it takes the example for the truth: what names no webhook concerns them all.
        """
        if len(arguments) == 1 and isinstance(arguments[0], dict):
            topic, status = None, arguments[0].get("status")
        elif len(arguments) == 2 and isinstance(arguments[0], str):
            topic, status = arguments
        else:
            raise ApiError(100, "Error changing status for specified webhook. Bad arguments.")
        found = [
            one for one in self.webhooks if self.switches_all or topic is None or topic in one["topics"].split(",")
        ]
        if not found or status not in {0, 1}:
            raise ApiError(100, f"Error changing status for specified webhook. No topic {topic}.")
        for one in found:
            one["is_active"] = status
        return True

    def _delete(self, arguments: list[Any]) -> bool:
        if len(arguments) != 1 or type(arguments[0]) is not int:
            raise ApiError(105, "Webhook not deleted. The id must be an integer.")
        left = [one for one in self.webhooks if one["webhook_id"] != arguments[0]]
        if len(left) == len(self.webhooks):
            raise ApiError(103, "Webhook not exists.")
        self.webhooks = left
        return True
