"""The console as a person on call sees it: in a real browser, on the running system and real Kafka."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import KafkaUnderTest
from tests.support.browsing import (
    LATE_SECRET,
    SECRET,
    Reader,
    System,
    axe,
    blind_console,
    chromium,
    order,
    system,
)

pytestmark = pytest.mark.kafka

HOSTILE = '<img src=x onerror="window.hacked=1">\u202egpj.exe\u0000'


@pytest.fixture(scope="module")
def running(kafka: KafkaUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The system, started once for these tests."""
    chromium()
    with system(kafka.bootstrap_servers, tmp_path_factory.mktemp("console")) as started:
        yield started


def number_of(page: Page, endpoint: str, column: str) -> int:
    """What the table of endpoints says."""
    row = page.locator("#endpoint-rows tr", has=page.get_by_role("button", name=endpoint, exact=True))
    return int(row.locator(f"td[data-label='{column}']").inner_text().split()[-1].replace(",", ""))


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_it_shows_the_system_at_once(running: System, browser: Reader, width: int, scheme: str) -> None:
    """What `up` sent is there, counted and named, and nothing is wider than the screen."""
    page = browser.open(running.console, width=width, scheme=scheme)
    expect(page.locator("#source-list .dot.well")).to_have_count(4)
    expect(page.locator("#group-list li")).to_have_count(2)
    expect(page.locator("#spool")).to_contain_text("switched off")
    expect(page.locator("#event-rows tr", has_text="order.created").first).to_be_visible()
    assert number_of(page, "acme", "Deliveries") >= 2
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("#chart svg").get_attribute("aria-label")


def test_it_lives(running: System, browser: Reader) -> None:
    """A delivery shows within seconds, without a reload: counted, and its event by name; its life can be traced."""
    page = browser.open(running.console)
    expect(page.locator("#event-rows tr").first).to_be_visible()
    before = number_of(page, "acme", "Deliveries")
    running.deliver(order("LIVE-1", 1_000_000_000))
    row = page.locator("#event-rows tr", has_text="LIVE-1")
    expect(row).to_be_visible()
    assert number_of(page, "acme", "Deliveries") == before + 1
    row.get_by_role("button", name="LIVE-1").click()
    expect(page.locator("#moments li")).to_have_count(2)
    assert [one.inner_text() for one in page.locator("#moments .badge").all()] == ["delivery", "event"]
    expect(page.locator("#moments time").first).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\d .* UTC$"))


def test_what_is_not_there_is_said(running: System, browser: Reader) -> None:
    """A processors' port that is away is named since when, and the rest is shown; a search without a find says so."""
    page = browser.open(running.second)
    away = page.locator("#concerns li.bad", has_text="processors at 127.0.0.1:1: nothing answers")
    expect(away).to_contain_text(re.compile(r"since \d\d:\d\d"))
    assert number_of(page, "acme", "Deliveries") >= 2
    page.get_by_role("searchbox").fill("nobody-ever")
    page.keyboard.press("Enter")
    expect(page.locator("#none")).to_contain_text("Nothing of this is in the topics")


def test_what_is_not_known_is_not_called_well(running: System, browser: Reader) -> None:
    """Before the topics could be read nothing says zero or none: an absent Kafka never looks like peace."""
    with blind_console(running) as url:
        page = browser.open(url)
        expect(page.locator("#concerns li.bad", has_text="Kafka: ")).to_be_visible()
        expect(page.locator("#verdict-sub")).to_contain_text("the topics are not read yet")
        for empty in ("gaps", "events", "rejections"):
            expect(page.locator(f"#{empty}-empty")).to_have_text("Not known yet: the topics have not been read.")
        assert page.locator(".tile .figure").all_inner_texts()[::5] == ["\u2013", "\u2013"]
        page.context.close()


def test_a_stranger_s_words_stay_text(running: System, browser: Reader) -> None:
    """Markup, handlers, unseen and endless characters in ids, headers and bodies are shown and do nothing."""
    running.deliver(order(HOSTILE, 1_000_000_001))
    running.deliver(order("H" * 100_000, 1_000_000_002))
    body = b"<script>window.hacked=1</script>" * 4_000
    running.deliver(
        body, secret="wrong", headers={"X-Note": '<script>window.hacked="now"</script>', "X-Api-Key": SECRET}
    )
    page = browser.open(running.console, width=390)
    event = page.locator("#event-rows tr", has_text='<img src=x onerror="window.hacked=1">⟨U+202E⟩gpj.exe')
    expect(event).to_be_visible()
    row = page.locator("#rejection-rows tr", has_text="signature_invalid").first
    expect(row).to_be_visible()
    row.get_by_role("button").click()
    details = page.locator("#rejection-rows tr.more").first
    expect(details).to_contain_text('<script>window.hacked="now"</script>')
    expect(details).to_contain_text(f"•••• ({len(SECRET)} characters)")
    details.get_by_text("Show the body, masked").click()
    expect(details.locator("pre")).to_contain_text("<xxxxxx>xxxxxx.xxxxxx=0</xxxxxx>")
    event.get_by_role("button").click()
    expect(page.locator("#moments li").first).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img:not([src='/icon.svg']), script:not([src='/console.js'])").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert SECRET not in page.content()


def test_rejected_deliveries_are_redriven_once_the_secret_is_right(running: System, browser: Reader) -> None:
    """Looked at first, confirmed, done once: the event is there, the log says who and what, and never a secret."""
    running.deliver(order("REDRIVEN-1", 1), endpoint="late", secret=LATE_SECRET)
    page = browser.open(running.second)
    selection = page.locator("#selections li", has_text="late")
    expect(selection).to_contain_text("1 signature_invalid")
    selection.get_by_role("button", name="Redrive").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Look what it would do").click()
    expect(dialog).to_contain_text("Redrive 1 delivery?")
    expect(dialog).to_contain_text("would become events")
    dialog.get_by_role("button", name="Redrive", exact=True).click()
    expect(page.locator("#acts-shown li").first).to_contain_text("became events: 1")
    expect(page.locator("#event-rows tr", has_text="REDRIVEN-1")).to_contain_text("replayed")
    acts = [json.loads(line) for line in running.log.splitlines() if '"console_act"' in line]
    assert [(one["act"], one["endpoint"], one["reason"], one["records"]) for one in acts] == [
        ("redrive", "late", "signature_invalid", 1)
    ]
    assert re.fullmatch(r"session-[0-9a-f]{6} at 127\.0\.0\.1", acts[0]["who"])
    assert acts[0]["timestamp"]
    assert LATE_SECRET not in running.log
    assert "unique_id" not in running.log


def test_a_sample_and_a_dry_run(running: System, browser: Reader) -> None:
    """A sample is sent after it was named, leaves no hole in the sequence, and a dry run tells what would differ."""
    page = browser.open(running.console)
    page.get_by_role("button", name="Send a sample").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("consumers will see them")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Send a sample").click()
    dialog.get_by_label("Endpoint").select_option("acme")
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#acts-shown li").first).to_contain_text(re.compile(r"answer: 200 in \d+ ms"))
    expect(page.locator("#event-rows tr", has_text="MUG-").first).to_be_visible()
    page.get_by_role("button", name="Dry-run a replay").click()
    dialog.get_by_role("button", name="Compare").click()
    expect(page.locator("#acts-shown li").first).to_contain_text("the same: ")
    expect(page.locator("#gap-rows tr", has_text="1000000003")).to_have_count(0)


def test_it_is_used_by_keyboard(running: System, browser: Reader) -> None:
    """The first Tab is the way past the head; every control that Tab reaches shows that it has the focus."""
    page = browser.open(running.console)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(12):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")
    page.locator("#chart").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#chart .tip")).to_contain_text("Deliveries")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "light")])
def test_axe_finds_no_fault(running: System, browser: Reader, width: int, scheme: str) -> None:
    """By axe-core's rules for WCAG 2.2 AA nothing is at fault, an open rejection and a dialog included."""
    script = axe()
    page = browser.open(running.console, width=width, scheme=scheme, bypass_csp=True)
    look = page.locator("#rejection-rows").get_by_role("button").first
    expect(look).to_be_visible()
    look.click()
    expect(page.locator("#rejection-rows dl").first).to_be_visible()
    page.evaluate(script)
    for step in ("page", "dialog"):
        if step == "dialog":
            page.get_by_role("button", name="Dry-run a replay").click()
        found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})")
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []


def test_a_console_that_ended_is_said_by_the_page(running: System, browser: Reader) -> None:
    """Where the console itself is gone, the page says since when, keeps what it had, and the session goes with it."""
    page = browser.open(running.second)
    running.second_process.terminate()
    expect(page.locator("#verdict-title")).to_have_text("The console itself does not answer")
    expect(page.locator("#verdict-sub")).to_contain_text(re.compile(r"^Since \d\d:\d\d:\d\d; what is shown is of"))
    assert number_of(page, "acme", "Deliveries") >= 2
    # What the browser says of the connection itself is no fault of the page.
    browser.complaints[:] = [one for one in browser.complaints if "net::ERR_" not in one]
