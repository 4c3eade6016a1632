"""`dropstream shipstream webhooks` against an instance that does what the vendor's pages say."""

import json
import re
import stat
import tomllib
from pathlib import Path

import pytest

from tests.integration.shipstream.conftest import Dropstream
from tests.integration.shipstream.instance import KEY, USER, Fault, Shipstream

BASE = "https://hooks.example"
CREATE = ("shipstream", "webhooks", "create", "acme", "--url", BASE, "--topics", "order:created,order:canceled")
LIST = ("shipstream", "webhooks", "list")
TOKEN = "a-token-in-a-url-of-more-than-22-characters"


def listed(dropstream: Dropstream, *options: str) -> list[dict[str, object]]:
    ended = dropstream(*LIST, *options)
    assert (ended.code, ended.stderr) == (0, "")
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_no_webhook_is_no_line(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """An empty list is a good answer; HTTP Basic goes along, and no session."""
    assert listed(dropstream) == []
    assert shipstream.requests == [
        {"jsonrpc": "2.0", "id": "1", "method": "call", "params": [None, "webhook.list", []]}
    ]
    assert shipstream.authorizations == ["Basic YXBpLXVzZXI6dGlnZXIvbGlseSBrZXktb2YtdGhlLWFwaQ=="]


@pytest.mark.parametrize(("as_php_map", "as_text"), [(False, False), (True, False), (False, True), (True, True)])
def test_the_list_shows_all_but_secrets(
    dropstream: Dropstream, shipstream: Shipstream, as_php_map: bool, as_text: bool
) -> None:
    """One JSON line a webhook, however PHP writes ids, flags and arrays; no secret, token or header value."""
    shipstream.as_php_map, shipstream.as_text = as_php_map, as_text
    shipstream.add(3, f"https://user:pass@hooks.example/webhooks/acme/{TOKEN}?key=1", "order:created", "order:canceled")
    shipstream.add(7, "http://example.com", "inventory:adjusted", is_active=0, secret_key="")
    shipstream.webhooks[1] |= {"extra_headers": "X-Middleware-Id: hidden-value", "increment_id": 41}
    assert listed(dropstream) == [
        {
            "webhook_id": 3,
            "is_active": True,
            "url": "https://***@hooks.example/webhooks/acme/***?***",
            "topics": ["order:created", "order:canceled"],
            "header_names": [],
            "has_secret": True,
            "increment_id": None,
        },
        {
            "webhook_id": 7,
            "is_active": False,
            "url": "http://example.com",
            "topics": ["inventory:adjusted"],
            "header_names": ["X-Middleware-Id"],
            "has_secret": False,
            "increment_id": 41,
        },
    ]


def test_create_registers_and_prints_the_lines(dropstream: Dropstream, shipstream: Shipstream, place: Path) -> None:
    """What ShipStream gets and what lies in the files is the same; the lines make a configuration that works."""
    ended = dropstream(*CREATE)
    assert ended.code == 0
    (made,) = shipstream.webhooks
    secret = (place / "secrets/acme.secret").read_text().strip()
    token = (place / "secrets/acme.token").read_text().strip()
    assert made == {
        "webhook_id": 1,
        "is_active": 1,
        "topics": "order:created,order:canceled",
        "url": f"https://hooks.example/webhooks/acme/{token}",
        "extra_headers": "",
        "secret_key": secret,
    }
    assert ended.stdout == (
        "# POST https://hooks.example/webhooks/acme/***\n"
        "[endpoints.acme]\n"
        'provider = "shipstream"\n'
        f'secrets = ["file:{place}/secrets/acme.secret"]\n'
        f'token = "file:{place}/secrets/acme.token"\n'
    )
    assert "registered webhook 1 (active, 2 topics) at https://hooks.example/webhooks/acme/***" in ended.stderr
    for hidden in (secret, token, KEY):
        assert hidden not in ended.stdout + ended.stderr
    for name in ("acme.secret", "acme.token"):
        assert stat.S_IMODE((place / "secrets" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((place / "secrets").stat().st_mode) == 0o700
    with (place / "dropstream.toml").open("a") as file:
        file.write(ended.stdout)
    assert dropstream("endpoints", "check").stdout == "acme\tok\t\n"


def test_each_secret_is_fresh_and_long(dropstream: Dropstream, place: Path) -> None:
    """Secret and token are 256 bits each, and no two are the same."""
    for name in ("one", "two"):
        assert dropstream(*CREATE[:3], name, *CREATE[4:]).code == 0
    values = [file.read_text().strip() for file in (place / "secrets").iterdir()]
    assert len(set(values)) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", value) for value in values)


def test_the_secret_is_shown_to_who_asks(dropstream: Dropstream, place: Path) -> None:
    """--show-secret prints it on standard error, never among the lines."""
    ended = dropstream(*CREATE, "--show-secret")
    secret = (place / "secrets/acme.secret").read_text().strip()
    assert f"secret: {secret}\n" in ended.stderr
    assert secret not in ended.stdout


def test_all_topics_are_those_that_are_documented(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """`all` names each of the 51 documented topics, and not the ping."""
    assert dropstream(*CREATE[:-1], "all").code == 0
    topics = shipstream.webhooks[0]["topics"].split(",")
    assert len(topics) == 51
    assert {"order:created", "tracker:exception", "manifest:loaded"} <= set(topics)
    assert "test:ping" not in topics


def test_a_topic_that_was_dropped_is_told(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """What ShipStream did not take over is a warning, not a surprise of next month."""
    shipstream.drops_topics = {"order:canceled"}
    ended = dropstream(*CREATE)
    assert ended.code == 0
    assert "warning: ShipStream lists it without order:canceled\n" in ended.stderr


def test_a_topic_that_is_not_known_is_taken_with_a_word(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """ShipStream may have new ones; a slip of the pen is named once, with the nearest."""
    ended = dropstream(*CREATE[:-1], "order:creatd")
    assert ended.code == 0
    assert shipstream.webhooks[0]["topics"] == "order:creatd"
    assert ended.stderr.count("warning: topic order:creatd is not known here; nearest: order:created\n") == 1


def test_a_configured_endpoint_is_registered_as_it_is(
    dropstream: Dropstream, shipstream: Shipstream, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its newest secret and token go to ShipStream; no file and no line is made."""
    monkeypatch.setenv("NEW", "the-newest-secret")
    monkeypatch.setenv("PATH_TOKEN", TOKEN)
    with (place / "dropstream.toml").open("a") as file:
        file.write(
            '[endpoints.acme]\nprovider = "shipstream"\nsecrets = ["env:NEW", "env:OLD"]\ntoken = "env:PATH_TOKEN"\n'
        )
    ended = dropstream(*CREATE)
    assert ended.code == 0
    assert shipstream.webhooks[0]["url"] == f"https://hooks.example/webhooks/acme/{TOKEN}"
    assert shipstream.webhooks[0]["secret_key"] == "the-newest-secret"
    assert json.loads(ended.stdout)["url"] == "https://hooks.example/webhooks/acme/***"
    assert not (place / "secrets").exists()


def test_a_second_webhook_for_an_endpoint_is_refused(
    dropstream: Dropstream, shipstream: Shipstream, place: Path
) -> None:
    """Two webhooks at one endpoint would mix two sequences; nothing is made, and the first one is named."""
    shipstream.add(5, f"https://HOOKS.example:443/webhooks/acme/{TOKEN}", "order:created")
    ended = dropstream(*CREATE)
    assert ended.code == 1
    assert ended.stderr == (
        "error: webhook 5 sends to https://HOOKS.example:443/webhooks/acme/*** already, "
        "and two would mix their sequences\n"
        "Delete it with dropstream shipstream webhooks delete 5, or take another name.\n"
        "Nothing was made.\n"
    )
    assert list((place / "secrets").iterdir()) == []
    assert shipstream.methods() == ["webhook.list"]


def test_a_refusal_is_told_without_what_it_repeats(dropstream: Dropstream, shipstream: Shipstream, place: Path) -> None:
    """ShipStream's own words are shown, less the secret and the token that they hold; no file is left."""
    ended = dropstream(*CREATE[:5], f"{BASE}/refuse-me", *CREATE[6:])
    assert ended.code == 1
    assert ended.stderr.startswith("error: ShipStream refused webhook.create (code 106): it did not make the webhook: ")
    sent = shipstream.requests[1]["params"][2][0]
    assert '"secret_key": "***"' in ended.stderr
    assert "/webhooks/acme/***" in ended.stderr
    assert sent["secret_key"] not in ended.stderr
    assert sent["url"].rpartition("/")[2] not in ended.stderr
    assert ended.stderr.endswith("\nNothing was made.\n")
    assert list((place / "secrets").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((*CREATE[:-2],), "names none; write order:created,inventory:adjusted or all"),
        ((*CREATE[:-1], "order:*"), "ShipStream took wildcards away"),
        ((*CREATE[:-1], "orders"), "'orders' is not a topic such as order:created"),
        ((*CREATE[:5], "http://hooks.example", *CREATE[6:]), "is not a base URL such as https://hooks.example"),
        ((*CREATE[:5], "https://u:p@hooks.example", *CREATE[6:]), "is not a base URL such as https://hooks.example"),
        ((*CREATE[:3], "Acme", *CREATE[4:]), "an endpoint's name must match"),
        ((*CREATE, "--account", "acne"), "shipstream.acne: no such account; nearest: acme"),
        (("shipstream", "webhooks", "delete", "three"), "Input should be a valid integer"),
        (("shipstream", "webhooks", "delete", "3"), "is needed where nobody can be asked"),
        (("shipstream", "webhooks", "disable", "3"), "is needed where nobody can be asked"),
    ],
    ids=lambda value: " ".join(value[3:]) if isinstance(value, tuple) else "",
)
def test_a_wrong_call_asks_nothing(
    dropstream: Dropstream, shipstream: Shipstream, place: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    """A user's mistake ends with 2 before ShipStream hears of it, and makes no file."""
    ended = dropstream(*arguments)
    assert ended.code == 2
    assert sentence in " ".join(re.sub("[│╭╮╰╯─]", "", ended.stderr).split())
    assert shipstream.requests == []
    assert not (place / "secrets").exists()


def test_delete_removes_one_and_looks(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """The id goes as a number, the other webhook stays."""
    shipstream.add(3, "https://a.example", "order:created")
    shipstream.add(4, "https://b.example", "order:created")
    ended = dropstream("shipstream", "webhooks", "delete", "3", "--yes")
    assert ended.code == 0
    assert json.loads(ended.stdout)["webhook_id"] == 3
    assert [one["webhook_id"] for one in shipstream.webhooks] == [4]
    assert shipstream.methods() == ["webhook.list", "webhook.delete", "webhook.list"]
    assert shipstream.requests[1]["params"] == [None, "webhook.delete", [3]]


@pytest.mark.parametrize("verb", [["delete", "9", "--yes"], ["disable", "9", "--yes"], ["enable", "9"]], ids=" ".join)
def test_an_unknown_id_is_told_with_those_that_are(
    dropstream: Dropstream, shipstream: Shipstream, verb: list[str]
) -> None:
    """Nothing is changed, and the sentence names what there is."""
    shipstream.add(3, "https://a.example", "order:created")
    ended = dropstream("shipstream", "webhooks", *verb)
    assert (ended.code, ended.stderr) == (1, "error: ShipStream has no webhook 9 for this account; there is: 3\n")
    assert shipstream.methods() == ["webhook.list"]


def test_a_webhook_is_switched_by_a_topic_of_its_own(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """The call names a topic: one is taken that no other active webhook has."""
    shipstream.add(3, "https://a.example", "order:created", "order:shipped")
    shipstream.add(4, "https://b.example", "order:created")
    ended = dropstream("shipstream", "webhooks", "disable", "3", "--yes")
    assert (ended.code, json.loads(ended.stdout)["is_active"]) == (0, False)
    assert shipstream.requests[1]["params"] == [None, "webhook.update_status", ["order:shipped", 0]]
    assert [one["is_active"] for one in shipstream.webhooks] == [0, 1]
    ended = dropstream("shipstream", "webhooks", "enable", "3")
    assert (ended.code, json.loads(ended.stdout)["is_active"]) == (0, True)
    # The other one is active already, so its topic does no harm now.
    assert shipstream.requests[4]["params"] == [None, "webhook.update_status", ["order:created", 1]]


def test_what_cannot_be_switched_alone_is_not_switched(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """Where each of its topics is another's too, nothing is sent, and the other is named."""
    shipstream.add(3, "https://a.example", "order:created")
    shipstream.add(4, "https://b.example", "order:created", "order:shipped")
    ended = dropstream("shipstream", "webhooks", "disable", "3", "--yes")
    assert ended.code == 1
    assert ended.stderr.startswith(
        "error: webhook 3 cannot be switched alone: ShipStream's call names a topic, "
        "and webhook 4 would be switched too\n"
    )
    assert shipstream.methods() == ["webhook.list"]


def test_what_was_switched_besides_is_told(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """Where ShipStream switches more than was asked for, that is an error with the way back."""
    shipstream.switches_all = True
    shipstream.add(3, "https://a.example", "order:created")
    shipstream.add(4, "https://b.example", "order:shipped")
    ended = dropstream("shipstream", "webhooks", "disable", "3", "--yes")
    assert (ended.code, ended.stderr) == (
        1,
        "error: webhook 3 is inactive, and so is what was not asked for: webhook 4\n"
        "Switch it back: dropstream shipstream webhooks enable 4.\n",
    )


def test_what_is_so_already_needs_no_call(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """Enabling what is active is done at once."""
    shipstream.add(3, "https://a.example", "order:created")
    assert dropstream("shipstream", "webhooks", "enable", "3").code == 0
    assert shipstream.methods() == ["webhook.list"]


def test_true_without_effect_is_found_out(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """ShipStream's `true` is not believed: the list has the last word."""
    shipstream.add(3, "https://a.example", "order:created")
    shipstream.faults = [("webhook.update_status", Fault.NO_EFFECT), ("webhook.delete", Fault.NO_EFFECT)]
    ended = dropstream("shipstream", "webhooks", "disable", "3", "--yes")
    assert ended.code == 1
    assert "Webhook 3 is still active: switch it on ShipStream's own page." in ended.stderr
    ended = dropstream("shipstream", "webhooks", "delete", "3", "--yes")
    assert ended.code == 1
    assert "Webhook 3 is still listed (yet)" in ended.stderr


def test_verbose_tells_requests_without_secrets(dropstream: Dropstream, shipstream: Shipstream, place: Path) -> None:
    """Each request is one line of method, status and size."""
    ended = dropstream(*CREATE, "--verbose")
    told = [line for line in ended.stderr.splitlines() if line.startswith(shipstream.url)]
    assert [re.sub(r"\d+ bytes", "N bytes", line.removeprefix(f"{shipstream.url}/api/jsonrpc ")) for line in told] == [
        "webhook.list: 200, N bytes",
        "webhook.create: 200, N bytes",
        "webhook.list: 200, N bytes",
    ]
    for name in ("acme.secret", "acme.token"):
        assert (place / "secrets" / name).read_text().strip() not in ended.stderr
    assert KEY not in ended.stderr


@pytest.mark.usefixtures("with_sessions")
def test_a_session_is_begun_once_a_run(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """The vendor asks not to log in before each request."""
    assert dropstream(*CREATE).code == 0
    assert shipstream.methods() == ["login", "webhook.list", "webhook.create", "webhook.list"]
    assert shipstream.authorizations == [None] * 4
    assert shipstream.requests[0]["params"] == [USER, KEY]
    (session,) = shipstream.sessions
    assert [asked["params"][0] for asked in shipstream.requests[1:]] == [session] * 3


def test_the_lines_of_a_dotted_name_are_toml(dropstream: Dropstream) -> None:
    """A name with a dot is quoted, so that it stays one key."""
    ended = dropstream(*CREATE[:3], "acme.eu", *CREATE[4:])
    assert tomllib.loads(ended.stdout)["endpoints"]["acme.eu"]["provider"] == "shipstream"
