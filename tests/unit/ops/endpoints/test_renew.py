"""What `dropstream endpoints renew` would do with the subscriptions that an API lists."""

import sys
from pathlib import Path

import pytest

from ops.cli import main
from ops.endpoints.renew import leads_to, plan_renewals
from ops.reconcile.source import Subscription

URL = "https://shop.example/webhooks/acme"


def one(number: int, topic: str, *, active: bool, url: str = URL) -> Subscription:
    return Subscription(str(number), topic, url, active)


def planned(*own: Subscription) -> list[tuple[str, bool]]:
    """The dead ones by their ids, in the order in which they are done, and whether another does the work of each."""
    return [(renewal.dead.id, renewal.is_replaced) for renewal in plan_renewals(own)]


def test_what_lives_is_left_alone() -> None:
    """Without a dead one there is nothing to do, and nothing of nothing."""
    assert planned(one(1, "a", active=True), one(2, "b", active=True)) == []
    assert planned() == []


def test_of_dead_ones_alike_the_first_alone_is_made_anew() -> None:
    """Two alike would deliver each webhook twice; a living one beside them does the work of all."""
    assert planned(one(2, "a", active=False), one(1, "a", active=False)) == [("1", False), ("2", True)]
    assert planned(one(1, "a", active=False), one(3, "a", active=True), one(2, "a", active=False)) == [
        ("1", True),
        ("2", True),
    ]


def test_another_topic_or_address_does_no_other_s_work() -> None:
    """A living subscription of orders brings no incidents, and one with an old token brings nothing here."""
    alive = one(1, "a", active=True), one(2, "b", active=True, url=f"{URL}/old")
    assert planned(*alive, one(3, "b", active=False)) == [("3", False)]


@pytest.mark.parametrize(
    ("url", "leads"),
    [
        (URL, True),
        (f"{URL}/", True),
        (f"{URL}/a-token", True),
        (f"{URL}?shop=1", True),
        ("https://shop.example/behind/a/proxy/webhooks/acme", True),
        (f"{URL}-2", False),
        (f"{URL}-2/acme", False),
        ("https://shop.example/hooks/acme", False),
        ("https://shop.example/my-webhooks/acme", False),
        ("https://shop.example/webhooks/other?back=/webhooks/acme", False),
        ("https://shop.example/#/webhooks/acme", False),
        ("https://webhooks/acme", False),
        ("https://[shop.example/webhooks/acme", False),
        ("", False),
    ],
)
def test_an_address_of_another_endpoint_or_system_is_not_ours(url: str, leads: bool) -> None:
    """What is not ours is never deleted, however alike the address looks."""
    assert leads_to(url, "acme") is leads


def test_a_provider_without_such_an_api_is_told_with_those_that_have_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a key is read or anybody is asked."""
    (tmp_path / "dropstream.toml").write_text('[endpoints.acme]\nprovider = "shipstream"\nsecrets = ["env:X"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["dropstream", "endpoints", "renew", "acme", "--yes"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "shipstream has no such API; renewed are those of: dropea" in capsys.readouterr().err
