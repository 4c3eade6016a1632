"""People with names in the console, in a real browser: who may see, who may act, and what the page of acts says."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import KafkaUnderTest
from tests.support.browsing import (
    ANNAS_TOKEN,
    BENS_TOKEN,
    PeopleSystem,
    Reader,
    axe,
    chromium,
    deliver_to,
    order,
    people_system,
)

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def running(kafka: KafkaUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeopleSystem]:
    """The system, started once for these tests; one order has come."""
    chromium()
    with people_system(kafka.bootstrap_servers, tmp_path_factory.mktemp("people")) as started:
        deliver_to(started.base_url, order("SO-1", 1))
        yield started


def signed_in(browser: Reader, url: str, token: str, *, width: int = 1440, scheme: str = "light") -> Page:
    """The page at `url`, behind the login that leads on to it."""
    page = browser.open(url, width=width, scheme=scheme, bypass_csp=True, live=False)
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(url)
    expect(page.locator("#logout")).to_be_visible()
    return page


def test_what_a_person_did_stands_on_the_page_of_acts(running: PeopleSystem, browser: Reader) -> None:
    """Anna comes in and shows personal data; the page says it, by her name, with a link, and so does the verb."""
    page = signed_in(browser, f"{running.console}deliveries?q=SO-1", ANNAS_TOKEN)
    expect(page.locator("#who")).to_have_text("anna")
    page.locator("#delivery-rows a").first.click()
    page.get_by_role("button", name="Show personal data").click()
    page.get_by_role("dialog").get_by_role("button", name="Show it").click()
    expect(page.locator("#copies")).to_be_visible()
    page.get_by_role("link", name="Acts").click()
    rows = page.locator("#act-rows tr")
    expect(rows).to_have_count(5)  # topics apply and the login are two and one of them.
    expect(rows.nth(0)).to_contain_text("anna")
    expect(rows.nth(0)).to_contain_text("unmask")
    expect(rows.nth(0).locator(".badge")).to_have_text("done")
    expect(rows.nth(1).locator(".badge")).to_have_text("begun")
    expect(rows.nth(0).get_by_role("link")).to_have_attribute("href", "/deliveries/0:0")
    told = [json.loads(line) for line in running.run("acts", "--who", "anna", "--json").splitlines()]
    assert [(one["act"], one["stage"]) for one in told] == [("login", "done"), ("unmask", "begun"), ("unmask", "done")]
    assert told[1]["deliveries"] == ["0:0"]


def test_the_address_says_which_acts_are_shown(running: PeopleSystem, browser: Reader) -> None:
    """A link shows to a colleague what it showed, and back goes to what was asked before."""
    page = signed_in(browser, f"{running.console}acts?act=apply_topics&stage=done", ANNAS_TOKEN)
    expect(page.locator("#act-rows tr")).to_have_count(1)
    expect(page.get_by_label("Stage")).to_have_value("done")
    page.get_by_label("Who").fill("nobody-of-this-name")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#found-title")).to_have_text("None found")
    expect(page).to_have_url(f"{running.console}acts?who=nobody-of-this-name&act=apply_topics&stage=done")
    page.go_back()
    expect(page.locator("#act-rows tr")).to_have_count(1)
    expect(page.get_by_label("Who")).to_have_value("")


def test_who_may_only_see_is_offered_no_act(running: PeopleSystem, browser: Reader) -> None:
    """Ben, after a wrong token, sees everything that is masked; no button acts, and a sentence says why."""
    page = browser.open(running.console, live=False)
    page.get_by_label("Token").fill("a-guess")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#wrong")).to_be_visible()
    browser.complaints.clear()
    page.get_by_label("Token").fill(BENS_TOKEN)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#clock")).to_contain_text("live")
    expect(page.locator("#who")).to_have_text("ben")
    for path, sentence in (
        ("", "You may see, and not act: redrives, replays and samples"),
        ("deliveries", "You may see, and not act: redrives and replays"),
        ("deliveries/0:0", "You may see, and not act: personal data"),
    ):
        page.goto(running.console + path)
        expect(page.get_by_text(sentence)).to_be_visible()
        for name in ("Redrive", "Replay in place", "Dry-run a replay", "Send a sample", "Show personal data"):
            expect(page.get_by_role("button", name=name)).to_have_count(0)
    expect(page.locator("#came")).to_contain_text("SO-1")
    page.goto(f"{running.console}acts?stage=refused")
    expect(page.locator("#act-rows tr")).to_contain_text("wrong token")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "light")])
def test_axe_finds_no_fault_where_people_are(running: PeopleSystem, browser: Reader, width: int, scheme: str) -> None:
    """By axe-core's rules for WCAG 2.2 AA nothing is at fault: the acts, and pages that offer none; nothing is cut."""
    script = axe()
    page = signed_in(browser, f"{running.console}acts", BENS_TOKEN, width=width, scheme=scheme)
    expect(page.locator("#act-rows tr").first).to_be_visible()
    for path, shown in (("acts", "#act-rows tr"), ("deliveries", "#delivery-rows tr"), ("deliveries/0:0", "#parts")):
        page.goto(running.console + path)
        expect(page.locator(shown).first).to_be_visible()
        page.evaluate(script)
        found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})")
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth") == width
