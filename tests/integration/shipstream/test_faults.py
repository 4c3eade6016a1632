"""What goes wrong between us and ShipStream: each ends in a sentence that says what is known and what to do."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.shipstream.conftest import Dropstream, wait_little
from tests.integration.shipstream.instance import Fault, Shipstream

CREATE = (
    *("shipstream", "webhooks", "create", "acme"),
    *("--url", "https://hooks.example", "--topics", "order:created"),
)
LIST = ("shipstream", "webhooks", "list")
KEPT = ("-keyout", "key.pem", "-out", "cert.pem")
DELETE = ("shipstream", "webhooks", "delete", "3", "--yes")


def secret_files(place: Path) -> list[str]:
    return sorted(file.name for file in place.glob("secrets/*"))


@pytest.mark.parametrize("way", ["basic", "session"])
def test_a_wrong_key_is_told_once_and_not_shown(
    dropstream: Dropstream, shipstream: Shipstream, place: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Denied access is final: no second try, and ShipStream's echo of the key is masked."""
    monkeypatch.setenv("API_KEY", "wrong-key-of-somebody")
    with (place / "dropstream.toml").open("a") as file:
        file.write(f'authentication = "{way}"\n')
    ended = dropstream(*LIST)
    assert ended.code == 1
    assert "(code 2): access denied: check username and api_key of the account" in ended.stderr
    assert "wrong-key-of-somebody" not in ended.stderr
    assert "YXBpLXVzZXI6d3Jvbmcta2V5LW9mLXNvbWVib2R5" not in ended.stderr
    assert "***" in ended.stderr
    assert len(shipstream.requests) == 1


@pytest.mark.usefixtures("with_sessions")
def test_a_session_that_ends_in_the_middle_is_begun_anew(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """A refused session means that nothing was done, so any call is made again, once each."""
    shipstream.faults = [("webhook.create", Fault.EXPIRED), ("webhook.list", Fault.WRONG_TYPE)]
    shipstream.faults += [("webhook.list", Fault.EXPIRED)]
    assert dropstream(*CREATE).code == 0
    assert shipstream.methods() == [
        *("login", "webhook.list", "webhook.create"),
        *("login", "webhook.create", "webhook.list"),
        *("login", "webhook.list"),
    ]
    assert len(shipstream.webhooks) == 1


@pytest.mark.usefixtures("with_sessions")
def test_sessions_that_always_end_are_given_up(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """A session that ends at once is no reason to log in for ever."""
    shipstream.faults = [("webhook.list", Fault.EXPIRED)] * 9
    ended = dropstream(*LIST)
    assert ended.code == 1
    assert "(code 5): the session has expired" in ended.stderr
    assert shipstream.methods() == ["login", "webhook.list"]


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.LIMITED, Fault.CUT_OFF, Fault.BROKEN_AFTER])
def test_what_passes_is_waited_for_where_a_repeat_is_harmless(
    dropstream: Dropstream, shipstream: Shipstream, fault: Fault
) -> None:
    """A list is asked for again, after a pause."""
    shipstream.faults = [("webhook.list", fault)]
    assert dropstream(*LIST).code == 0
    assert shipstream.methods() == ["webhook.list", "webhook.list"]


def test_tries_are_bounded(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """Three tries, then the sentence."""
    shipstream.faults = [("webhook.list", Fault.BUSY)] * 9
    ended = dropstream(*LIST)
    place = f"{shipstream.url}/api/jsonrpc"
    assert (ended.code, ended.stderr) == (
        1,
        f"error: {place} answered webhook.list with HTTP 503: try again later\n",
    )
    assert len(shipstream.requests) == 3


def test_a_limit_holds_for_a_change_too(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """429 says that nothing was done, so even a create is made again after the wait."""
    shipstream.faults = [("webhook.create", Fault.LIMITED)]
    began_at = time.monotonic()
    assert dropstream(*CREATE).code == 0
    assert time.monotonic() - began_at >= 1
    assert len(shipstream.webhooks) == 1


def test_a_long_limit_is_for_the_person(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """An hour is not waited for, but told."""
    shipstream.faults = [("webhook.list", Fault.LIMITED_LONG)]
    ended = dropstream(*LIST)
    assert ended.code == 1
    assert ended.stderr.endswith("limits the rate of calls (HTTP 429): wait for 3600 s, then try again\n")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.NOTHING, "answered nothing at all: try again later"),
        (Fault.PAGE, "answered a web page, not JSON: check that url is the instance's own address"),
        (Fault.HUGE, "answers more than 4194304 bytes: check url of the account"),
        (Fault.ELSEWHERE, "sends elsewhere (HTTP 302), and credentials do not follow; set url to the final address"),
        (Fault.STRANGER, "answered another request than webhook.list"),
        (Fault.COMPRESSED, "answered something that is no JSON-RPC: check url of the account"),
        (Fault.NO_EFFECT, "webhook.list gave no list of webhooks: is it another version of the API?"),
        (Fault.INTERNAL, "ShipStream refused webhook.list (code 603): it failed inside: try again later"),
    ],
)
def test_an_answer_that_is_none_is_one_sentence(
    dropstream: Dropstream, shipstream: Shipstream, fault: Fault, words: str
) -> None:
    """What came instead is named; it is neither believed nor shown, and never a traceback."""
    shipstream.faults = [("webhook.list", fault)]
    ended = dropstream(*LIST)
    assert ended.code == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "stolen" not in ended.stderr
    assert len(shipstream.requests) == 1


def test_the_content_type_does_not_decide(dropstream: Dropstream, shipstream: Shipstream) -> None:
    """JSON is JSON, although an old server calls it HTML."""
    shipstream.faults = [("webhook.list", Fault.WRONG_TYPE)]
    assert dropstream(*LIST).code == 0


@pytest.mark.parametrize(
    "fault", [Fault.HANGS_AFTER, Fault.CUT_OFF, Fault.BROKEN_AFTER, Fault.NOT_TRUE, Fault.STRANGER]
)
def test_a_create_whose_answer_got_lost_is_found_and_not_repeated(
    dropstream: Dropstream, shipstream: Shipstream, place: Path, fault: Fault
) -> None:
    """The list tells whether it was made; it is never made twice."""
    wait_little(place, fault)
    shipstream.faults = [("webhook.create", fault)]
    ended = dropstream(*CREATE)
    assert shipstream.methods() == ["webhook.list", "webhook.create", "webhook.list"]
    if fault is Fault.NOT_TRUE:
        assert (ended.code, shipstream.webhooks) == (1, [])
    else:
        assert (ended.code, len(shipstream.webhooks)) == (0, 1)
        assert "registered webhook 1" in ended.stderr
    assert secret_files(place) == ["acme.secret", "acme.token"]


@pytest.mark.parametrize("fault", [Fault.HANGS_BEFORE, Fault.NO_EFFECT, Fault.INTERNAL, Fault.BUSY])
def test_a_create_that_may_still_come_keeps_its_files(
    dropstream: Dropstream, shipstream: Shipstream, place: Path, fault: Fault
) -> None:
    """What is known is told, with what was made and how to undo it; a webhook that comes late has its secret."""
    wait_little(place, fault)
    shipstream.faults = [("webhook.create", fault)]
    ended = dropstream(*CREATE)
    assert ended.code == 1
    assert "Its list does not show https://hooks.example/webhooks/acme/*** (yet)" in ended.stderr
    assert f"Made: {place}/secrets/acme.token and {place}/secrets/acme.secret. To undo it, delete" in ended.stderr
    assert ended.stdout == ""
    assert secret_files(place) == ["acme.secret", "acme.token"]


@pytest.mark.parametrize("fault", [Fault.PAGE, Fault.INTERNAL, Fault.HUGE])
def test_a_list_that_fails_before_leaves_nothing(
    dropstream: Dropstream, shipstream: Shipstream, place: Path, fault: Fault
) -> None:
    """Before anything was asked to be made, nothing can have been: no file stays."""
    shipstream.faults = [("webhook.list", fault)]
    ended = dropstream(*CREATE)
    assert ended.code == 1
    assert ended.stderr.endswith("\nNothing was made.\n")
    assert secret_files(place) == []
    assert shipstream.methods() == ["webhook.list"]


def test_a_list_that_fails_afterwards_is_told_with_what_is_known(
    dropstream: Dropstream, shipstream: Shipstream, place: Path
) -> None:
    """The webhook is there, its number is not known: nothing half done is silent."""
    shipstream.faults = [("webhook.create", Fault.WRONG_TYPE), ("webhook.list", Fault.WRONG_TYPE)]
    shipstream.faults += [("webhook.list", Fault.PAGE)]
    ended = dropstream(*CREATE)
    assert ended.code == 1
    assert ended.stderr.startswith(
        "error: ShipStream answered webhook.create with true\nWhat there is now could not be read ("
    )
    assert "Made: " in ended.stderr
    assert len(shipstream.webhooks) == 1
    assert secret_files(place) == ["acme.secret", "acme.token"]


@pytest.mark.parametrize("fault", [Fault.HANGS_AFTER, Fault.CUT_OFF, Fault.BROKEN_AFTER])
def test_a_delete_whose_answer_got_lost_is_found(
    dropstream: Dropstream, shipstream: Shipstream, place: Path, fault: Fault
) -> None:
    """The list no longer shows it, so it is done."""
    wait_little(place, fault)
    shipstream.add(3, "https://a.example", "order:created")
    shipstream.faults = [("webhook.delete", fault)]
    assert dropstream(*DELETE).code == 0
    assert shipstream.methods() == ["webhook.list", "webhook.delete", "webhook.list"]


def test_an_instance_that_is_not_there_is_one_sentence(dropstream: Dropstream, place: Path) -> None:
    """No connection: exit 1 and no file, for nothing can have been made."""
    text = '[shipstream.acme]\nurl = "http://127.0.0.1:1"\nusername = "u"\napi_key = "env:API_KEY"\n'
    (place / "dropstream.toml").write_text(text)
    ended = dropstream(*CREATE)
    assert (ended.code, ended.stderr) == (
        1,
        "error: cannot reach http://127.0.0.1:1/api/jsonrpc: Connection refused; check url of the account\n"
        "Nothing was made.\n",
    )
    assert secret_files(place) == []


def test_a_key_that_is_not_there_is_a_fault_of_the_configuration(
    dropstream: Dropstream, shipstream: Shipstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing credential ends with 2 and its key, before anything is asked."""
    monkeypatch.delenv("API_KEY")
    ended = dropstream(*LIST)
    assert (ended.code, ended.stderr) == (
        2,
        "error: dropstream.toml: 1 fault\n"
        "  shipstream.acme.api_key: the environment has no API_KEY; set it, or name another source\n",
    )
    assert shipstream.requests == []


def test_without_an_account_the_sentence_shows_one(dropstream: Dropstream, place: Path) -> None:
    """Whoever begins reads what to write."""
    (place / "dropstream.toml").write_text("")
    ended = dropstream(*LIST)
    assert ended.code == 2
    assert "shipstream: no account is configured; add [shipstream.NAME] with url = " in ended.stderr


def test_a_certificate_of_nobody_is_not_trusted(dropstream: Dropstream, place: Path) -> None:
    """TLS is checked: a server that signed its own certificate gets no key."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *KEPT, "-days", "2", "-subj", "/CN=localhost"],
        cwd=place,
        check=True,
        capture_output=True,
    )
    server = subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "cert.pem", "-key", "key.pem", "-www"],
        cwd=place,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = next(line for line in server.stdout if line.startswith("ACCEPT")).strip().rpartition(":")[2]
        text = f'[shipstream.acme]\nurl = "https://127.0.0.1:{port}"\nusername = "u"\napi_key = "env:API_KEY"\n'
        (place / "dropstream.toml").write_text(text)
        ended = dropstream(*LIST)
    finally:
        server.kill()
        server.communicate()
    assert ended.code == 1
    assert f"the certificate of https://127.0.0.1:{port}/api/jsonrpc is not to be trusted" in ended.stderr
