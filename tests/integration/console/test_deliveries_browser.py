"""The deliveries in the console as a person on call uses them: in a real browser, on the running system."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import KafkaUnderTest
from tests.support.browsing import LATE_SECRET, SECRET, Reader, System, axe, chromium, order, system

pytestmark = pytest.mark.kafka

HOSTILE = '<img src=x onerror="window.hacked=1">\u202egpj.exe'


@pytest.fixture(scope="module")
def running(kafka: KafkaUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The system, started once for these tests; the order that never arrived has come, and the secret was wrong."""
    chromium()
    with system(kafka.bootstrap_servers, tmp_path_factory.mktemp("deliveries")) as started:
        for number in range(1, 6):
            started.deliver(order(f"SO-{number}", 1_000_000_000 + number))
        started.deliver(order("SO-3", 1_000_000_003))
        started.deliver(order("100000015", 1), endpoint="late", secret=LATE_SECRET)
        yield started


def listed(browser: Reader, url: str, *, width: int = 1440, scheme: str = "light", bypass_csp: bool = False) -> Page:
    """The list, once it has been read to its end."""
    page = browser.open(url, width=width, scheme=scheme, bypass_csp=bypass_csp, live=False)
    expect(page.locator("#progress")).to_be_hidden()
    return page


def test_an_order_that_never_arrived_is_found_and_done_again(running: System, browser: Reader) -> None:
    """Given only its number: what came, why it became nothing; redriven it is an event, and the log says who did it."""
    page = browser.open(running.second)
    page.keyboard.press("/")
    page.keyboard.type("100000015")
    page.keyboard.press("Enter")
    row = page.locator("#delivery-rows tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("signature_invalid")
    assert page.url.endswith("/deliveries?q=100000015")
    row.get_by_role("link").click()
    expect(page.locator("#verdict-title")).to_contain_text("rejected · late")
    advice = "Today's configuration takes it: a redrive makes order.created 100000015."
    expect(page.locator("#verdict-sub")).to_contain_text(advice)
    expect(page.locator("#redrive")).to_have_class("primary")
    expect(page.locator("#came")).to_contain_text('"unique_id": "100000015"')
    expect(page.locator("#became")).to_contain_text("it would become order.created 100000015")
    expect(page.locator("#became .steps li", has_text="signature")).to_contain_text(
        "HMAC-SHA256 over the body: verified"
    )
    page.get_by_role("button", name="Redrive").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Look what it would do").click()
    expect(dialog).to_contain_text("Redrive: 1 delivery?")
    dialog.get_by_role("button", name="Redrive", exact=True).click()
    expect(dialog).to_contain_text("became events")
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator("#verdict-title")).to_contain_text("accepted · late")
    made = re.compile(r"rejected at first; redrive-\w+-\w+ made 1 event of it")
    expect(page.locator("#verdict-sub")).to_contain_text(made)
    expect(page.locator("#redrive")).to_be_disabled()
    event = page.locator("#became details")
    expect(event).to_contain_text("replayed")
    event.locator("summary").click()
    expect(event.locator("pre")).to_contain_text('"status": "pending"')
    page.go_back()
    expect(page.locator("#delivery-rows .badge.accepted")).to_be_visible()
    act = next(json.loads(line) for line in running.log.splitlines() if '"console_act"' in line)
    assert (act["act"], act["records"], act["deliveries"]) == ("redrive", 1, "1:0")
    assert re.fullmatch(r"session-[0-9a-f]{6} at 127\.0\.0\.1", act["who"])


def test_a_rejected_one_says_when_a_redrive_would_change_nothing(running: System, browser: Reader) -> None:
    """Where today's configuration rejects the delivery too, the page says so before anybody tries."""
    running.deliver(order("100000077", 77), endpoint="late", secret=LATE_SECRET)
    page = listed(browser, f"{running.console}deliveries?q=100000077")
    page.locator("#delivery-rows a").first.click()
    expect(page.locator("#verdict-sub")).to_contain_text("rejects it too, so a redrive changes nothing")
    expect(page.locator("#redrive")).not_to_have_class("primary")
    page = listed(browser, f"{running.console}deliveries?q=never-came")
    page.locator("#none").get_by_role("link", name="Gaps").click()
    expect(page.locator("#gaps")).to_be_visible()


def test_the_address_says_what_is_shown(running: System, browser: Reader) -> None:
    """A link shows to a colleague what it showed; back and forward go through what was asked."""
    page = listed(browser, f"{running.console}deliveries?endpoint=acme&outcome=retry&from=24h")
    expect(page.locator("#delivery-rows tr")).to_have_count(1)
    expect(page.get_by_label("Outcome")).to_have_value("retry")
    expect(page.get_by_label("Received")).to_have_value("24h")
    page.get_by_label("Outcome").select_option("rejected")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#found-title")).to_have_text("None found")
    assert page.url.endswith("deliveries?endpoint=acme&outcome=rejected&from=24h")
    page.go_back()
    expect(page.locator("#delivery-rows tr")).to_have_count(1)
    expect(page.get_by_label("Outcome")).to_have_value("retry")
    page.locator("#delivery-rows a", has_text=":").last.click()
    expect(page.locator("#became")).to_contain_text("retry")
    page.go_back()
    page.go_forward()
    expect(page.locator("#verdict-title")).to_contain_text("accepted")


def test_what_cannot_be_asked_is_said(running: System, browser: Reader) -> None:
    """A name that is nowhere, a time that is none, a place without a delivery: one sentence each."""
    page = listed(browser, f"{running.console}deliveries?outcome=nonsense")
    expect(page.locator("#fault")).to_contain_text("nonsense")
    page = listed(browser, f"{running.console}deliveries?from=yesterdayish")
    expect(page.locator("#fault")).to_contain_text("yesterdayish")
    page = browser.open(f"{running.console}deliveries/0:999999", live=False)
    expect(page.locator("#fault")).to_contain_text("no delivery lies at 0:999999")
    browser.complaints[:] = [one for one in browser.complaints if "409" not in one]


def test_a_selection_is_replayed_in_place(running: System, browser: Reader) -> None:
    """Beside what is in the topics now first; then the chosen deliveries' events are written once more, and marked."""
    page = listed(browser, f"{running.console}deliveries?q=SO-2")
    page.locator("#delivery-rows input").check()
    expect(page.locator("#selected")).to_have_text("1 delivery selected")
    expect(page.get_by_role("button", name="Redrive")).to_be_disabled()
    page.get_by_role("button", name="Replay in place").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Look what it would do").click()
    expect(dialog).to_contain_text("the same")
    dialog.get_by_role("button", name="Replay in place").click()
    expect(dialog).to_contain_text("became events")
    dialog.get_by_role("button", name="Close").click()
    page.locator("#delivery-rows a").first.click()
    expect(page.locator("#became details")).to_have_count(2)
    expect(page.locator("#verdict-sub")).to_contain_text("of a replay too")


def test_personal_data_is_shown_by_an_act_that_is_logged(running: System, browser: Reader) -> None:
    """Masked at first; unmasked after a question, the log names who and which; then it can be copied."""
    body = json.dumps(
        {"topic": "order:created", "message": {"unique_id": "P-1", "email": "made.up@example.org"}}
    ).encode()
    running.deliver(body, headers={"X-Note": "it's a note"})
    page = listed(browser, f"{running.second}deliveries?q=P-1")
    page.locator("#delivery-rows a").first.click()
    expect(page.locator("#came")).to_contain_text("•••• (19 characters)")
    assert "made.up@example.org" not in page.content()
    page.get_by_role("button", name="Show personal data").click()
    page.get_by_role("dialog").get_by_role("button", name="Show it").click()
    expect(page.locator("#came")).to_contain_text("made.up@example.org")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for name, holds in (
        ("As curl", "curl --data-binary @-"),
        ("As JSON", '"topic":"test-'),
        ("As a fixture", "case/case.toml"),
    ):
        page.get_by_role("button", name=name).click()
        expect(page.locator("#copied")).to_have_text(f"Copied: {name.lower()}.")
        assert holds in page.evaluate("navigator.clipboard.readText()")
    acts = [json.loads(line) for line in running.log.splitlines() if '"unmask"' in line]
    assert [set(one) >= {"who", "deliveries"} for one in acts] == [True]
    assert "made.up@example.org" not in running.log
    assert SECRET not in page.content()


def test_a_stranger_s_words_stay_text_in_the_list(running: System, browser: Reader) -> None:
    """Markup and unseen characters in ids and headers are shown, do nothing, and nothing is wider than the screen."""
    running.deliver(order(HOSTILE, 1_000_000_100), headers={"X-Note": "<script>window.hacked=2</script>"})
    page = listed(browser, f"{running.console}deliveries?q=gpj.exe", width=390)
    row = page.locator("#delivery-rows tr", has_text='<img src=x onerror="window.hacked=1">⟨U+202E⟩gpj.exe')
    expect(row).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    row.get_by_role("link").first.click()
    expect(page.locator("#came")).to_contain_text("<script>window.hacked=2</script>")
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "light")])
def test_axe_finds_no_fault_in_the_deliveries(running: System, browser: Reader, width: int, scheme: str) -> None:
    """By axe-core's rules for WCAG 2.2 AA nothing is at fault: the list, a selection, a delivery, a dialog."""
    script = axe()
    page = listed(browser, f"{running.console}deliveries", width=width, scheme=scheme, bypass_csp=True)
    page.locator("#delivery-rows input").first.check()
    _assert_no_fault(page, script)
    page.locator("#delivery-rows a").first.click()
    expect(page.locator("#parts")).to_be_visible()
    _assert_no_fault(page, script)
    page.get_by_role("button", name="Replay in place").click()
    _assert_no_fault(page, script)


def _assert_no_fault(page: Page, script: str) -> None:
    page.evaluate(script)
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})")
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []


def test_the_list_is_used_by_keyboard(running: System, browser: Reader) -> None:
    """The first Tab is the way past the head; every control that Tab reaches shows that it has the focus."""
    page = listed(browser, f"{running.console}deliveries")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(16):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")
        reached.add(page.evaluate("document.activeElement.tagName"))
    assert {"A", "INPUT", "SELECT", "BUTTON"} <= reached
