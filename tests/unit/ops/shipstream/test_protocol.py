"""ShipStream's JSON-RPC as data: what goes out, what is believed of what comes in."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.shipstream.client import Account
from ops.shipstream.errors import WHAT_TO_DO, ShipstreamError
from ops.shipstream.protocol import ApiCall, HttpAnswer, login_call, read_answer, request_body
from ops.shipstream.webhooks import (
    LIST,
    NewWebhook,
    create_call,
    delete_call,
    is_done,
    masked_url,
    read_webhooks,
    status_call,
)

PLACE = "https://acme.example/api/jsonrpc"
NEW = NewWebhook("https://hooks.example/webhooks/a/a-token-of-more-than-22-chars", ("order:created",), "the-secret")


def read(body: object, *, status: int = 200, call: ApiCall = LIST, secrets: tuple[str, ...] = ()) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_answer(call, HttpAnswer(status, content, PLACE), request_id="7", secrets=secrets)


def failure(body: object, *, status: int = 200, call: ApiCall = LIST, secrets: tuple[str, ...] = ()) -> ShipstreamError:
    with pytest.raises(ShipstreamError) as caught:
        read(body, status=status, call=call, secrets=secrets)
    return caught.value


def error(code: object, message: object = "words") -> dict[str, object]:
    return {"jsonrpc": 2.0, "id": 7, "error": {"code": code, "message": message}}


@pytest.mark.parametrize(
    ("call", "session", "sent"),
    [
        (login_call("u", "k"), None, {"method": "login", "params": ["u", "k"]}),
        (LIST, None, {"method": "call", "params": [None, "webhook.list", []]}),
        (LIST, "be1c", {"method": "call", "params": ["be1c", "webhook.list", []]}),
        (delete_call(123), "be1c", {"method": "call", "params": ["be1c", "webhook.delete", [123]]}),
        (
            status_call("order:created", is_active=True),
            None,
            {"method": "call", "params": [None, "webhook.update_status", ["order:created", 1]]},
        ),
        (
            create_call(NEW),
            None,
            {
                "method": "call",
                "params": [
                    None,
                    "webhook.create",
                    [
                        {
                            "is_active": 1,
                            "topics": ["order:created"],
                            "url": "https://hooks.example/webhooks/a/a-token-of-more-than-22-chars",
                            "extra_headers": "",
                            "secret_key": "the-secret",
                        }
                    ],
                ],
            },
        ),
    ],
)
def test_a_call_is_sent_as_documented(call: ApiCall, session: str | None, sent: dict[str, object]) -> None:
    """Two procedures, arguments by position, the version as text."""
    body = json.loads(request_body(call, request_id="7", session=session))
    assert body == {"jsonrpc": "2.0", "id": "7", **sent}


@pytest.mark.parametrize(
    "body",
    [
        {"jsonrpc": 2.0, "id": 7, "error": None, "result": [1]},
        {"jsonrpc": "2.0", "id": "7", "result": [1]},
        {"jsonrpc": 2.0, "error": None, "result": [1]},
        {"jsonrpc": 2.0, "error": [], "result": [1]},
    ],
    ids=["as the list's example", "as login's", "as a change's, without id", "with an empty map as PHP writes it"],
)
def test_every_documented_form_of_an_answer_is_read(body: dict[str, object]) -> None:
    """The id may be number, text or absent; the error null, absent or empty."""
    assert read(body) == [1]


@pytest.mark.parametrize(
    ("code", "on_the_wire", "outcome"),
    [
        *((code, -32_000 - code, "undone") for code in (2, 3, 4, 5, 6, 100, 101, 103, 105, 106)),
        *((code, -32_000 - code, "unknown") for code in (102, 104)),
        *((code, -32_000 - code, "undone") for code in (600, 601, 602, 700)),
        (603, -32_603, "unknown"),
        (5, "-32005", "undone"),
        (103, 103, "undone"),
        (107, -32_107, "unknown"),
    ],
)
def test_every_documented_code_is_one_sentence(code: int, on_the_wire: object, outcome: str) -> None:
    """The code of the pages is shown, with what to do, ShipStream's words, and whether something may have been done."""
    told = failure(error(on_the_wire))
    assert (told.code, told.outcome) == (code, outcome)
    assert str(told).startswith(f"ShipStream refused webhook.list (code {code}): ")
    assert str(told).endswith("\nShipStream says: words")


def test_the_table_of_codes_is_whole() -> None:
    """Each code of the three pages has a sentence."""
    assert sorted(WHAT_TO_DO) == [2, 3, 4, 5, 6, 100, 101, 102, 103, 104, 105, 106, 600, 601, 602, 603, 700]


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_an_error_object_counts_whatever_the_status(status: int) -> None:
    """The pages name no status for errors, so the body speaks."""
    assert failure(error(-32_103), status=status).code == 103


@pytest.mark.parametrize(
    ("status", "outcome", "words"),
    [
        (204, "unknown", "with HTTP 204"),
        (301, "undone", "sends elsewhere (HTTP 301)"),
        (400, "undone", "with HTTP 400"),
        (401, "undone", "access denied"),
        (403, "undone", "access denied"),
        (404, "undone", "answered 404: check url"),
        (429, "undone", "limits the rate of calls"),
        (500, "unknown", "with HTTP 500"),
        (504, "unknown", "with HTTP 504"),
    ],
)
def test_a_bad_status_is_one_sentence(status: int, outcome: str, words: str) -> None:
    """Whether the call may have been carried out goes with it."""
    told = failure(b"<html>", status=status)
    assert told.outcome == outcome
    assert words in str(told)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"text"', b'{"result":', b"\xff\xfe", b"[" * 100_000, {"jsonrpc": 2.0, "id": 7}]
)
def test_what_is_no_answer_is_never_believed(body: object) -> None:
    """Empty, cut off, another JSON, or endlessly nested: an error, after which something may have been done."""
    assert failure(body).outcome == "unknown"


@given(st.binary() | st.from_type(type(None)).map(lambda _: b"{}"))
def test_no_bytes_make_anything_but_a_result_or_our_error(body: bytes) -> None:
    """Whatever comes, it is a `ShipstreamError` or a result."""
    try:
        read(body)
    except ShipstreamError as told:
        assert str(told)  # noqa: PT017 either is right


@pytest.mark.parametrize("message", [None, 5, [], "x" * 5_000, "\x1b[31mred\n\n", {"a": 1}], ids=repr)
def test_strange_words_are_harmless(message: object) -> None:
    """ShipStream's words come short and on one line, without what a terminal obeys."""
    told = str(failure(error(-32_101, message)))
    assert len(told) < 600
    assert told.count("\n") <= 1
    assert "\x1b" not in told


@pytest.mark.parametrize(
    "echo", ["tiger/lily é", "tiger\\/lily \\u00e9", "tiger%2Flily%20%C3%A9", "dGlnZXIvbGlseSDDqQ=="], ids=str
)
def test_a_secret_is_masked_however_it_is_spelt(echo: str) -> None:
    """As it is, as JSON of PHP, in a URL, in base64."""
    told = str(failure(error(-32_101, f"bad: {echo}!"), secrets=("tiger/lily é",)))
    assert told.endswith("ShipStream says: bad: ***!")


def test_no_repr_shows_what_is_secret() -> None:
    """Neither an account nor a call nor a webhook shows what it holds."""
    account = Account(PLACE, "user", "the-api-key", "basic", 1.0)
    listed = read_webhooks([{"webhook_id": 1, "is_active": 1, "url": NEW.url, "secret_key": "the-secret"}])
    shown = repr((account, login_call("user", "the-api-key"), NEW, create_call(NEW), listed))
    for secret in ("the-api-key", "the-secret", "a-token"):
        assert secret not in shown


@pytest.mark.parametrize(
    "row",
    [
        {"webhook_id": 1, "is_active": 1},
        {"webhook_id": "1", "is_active": "1", "topics": None, "url": None, "extra_headers": None, "secret_key": None},
        {"webhook_id": 1, "is_active": True, "topics": [], "url": "", "extra_headers": [], "secret_key": ""},
        {"webhook_id": 1, "is_active": 1, "topics": "", "extra_headers": {}, "more": {}},
    ],
)
def test_a_row_is_read_with_or_without_what_may_be_missing(row: dict[str, object]) -> None:
    """Only id and flag must be there, as number or text."""
    (one,) = read_webhooks([row])
    assert (one.webhook_id, one.is_active, one.topics, one.header_names, one.shown_url) == (1, True, (), (), "-")
    assert (one.has_secret, one.last_number) == (False, None)


@pytest.mark.parametrize(
    "result",
    [None, True, "text", 5, [1], [{}], [{"webhook_id": 1}], [{"webhook_id": "x", "is_active": 1}], {"0": []}],
    ids=repr,
)
def test_what_is_no_list_of_webhooks_is_an_error(result: object) -> None:
    """A list that cannot be read is not taken for an empty one."""
    with pytest.raises(ShipstreamError):
        read_webhooks(result)


@pytest.mark.parametrize(
    ("topics", "read_as"),
    [
        ("order:created, order:canceled,", ("order:created", "order:canceled")),
        (["order:created", "order:canceled"], ("order:created", "order:canceled")),
        (["order:created", 5, None], ("order:created",)),
    ],
)
def test_topics_are_text_or_an_array(topics: object, read_as: tuple[str, ...]) -> None:
    """Both documented forms give the same."""
    (one,) = read_webhooks([{"webhook_id": 1, "is_active": 0, "topics": topics}])
    assert one.topics == read_as


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ("X-One: a\r\nX-Two: b", ("X-One", "X-Two")),
        ({"X-One": "a"}, ("X-One",)),
        (["X-One: a"], ("X-One",)),
        ("no-colon-so-perhaps-a-token", ("***",)),
    ],
)
def test_of_extra_headers_the_names_are_kept(headers: object, names: tuple[str, ...]) -> None:
    """Their values may be tokens."""
    (one,) = read_webhooks([{"webhook_id": 1, "is_active": 0, "extra_headers": headers}])
    assert one.header_names == names


@pytest.mark.parametrize(("result", "done"), [(True, True), (1, True), ("1", True), (False, False), (None, False)])
def test_true_may_be_written_one(result: object, done: bool) -> None:
    """PHP writes true as 1 where it casts."""
    assert is_done(result) is done


@pytest.mark.parametrize("result", [[], {}, "", "true", 2, "yes", [True]], ids=repr)
def test_nothing_else_is_true(result: object) -> None:
    """The page promises true."""
    assert not is_done(result)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.example/webhooks/acme", "https://hooks.example/webhooks/acme"),
        ("https://hooks.example/webhooks/acme/short", "https://hooks.example/webhooks/acme/***"),
        ("https://x.example/in/a-token-of-more-than-22-chars/z", "https://x.example/in/***/z"),
        ("https://u:p@x.example:8443/a?k=v#f", "https://***@x.example:8443/a?***#***"),
        ("not a url", "***"),
        ("https://[broken/a", "***"),
        ("", "-"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    """Whose webhook it ever is, its tokens are not for a screen."""
    assert masked_url(url) == shown
