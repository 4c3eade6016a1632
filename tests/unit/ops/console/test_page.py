"""The console's page as files: small modules that find each other, and no way for a stranger's word to run."""

import re

import pytest

from ops.console.acting.act_pages import ACTS
from ops.console.answers import FramedPage
from ops.console.delivery_pages import DELIVERY, LIST
from ops.console.pages import OVERVIEW
from tests.support.checkout import ROOT

PAGE = ROOT / "ops" / "console" / "page"
SCRIPTS = {file.name: file.read_text(encoding="utf-8") for file in sorted(PAGE.glob("*.js"))}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_module_asks_for_what_another_gives(name: str) -> None:
    """Each name that is imported is exported there, and only the page's own modules are asked."""
    for names, source in re.findall(r'^import \{ (.+) \} from "\./(.+)";$', SCRIPTS[name], re.MULTILINE):
        given = re.findall(r"^export (?:async )?(?:const|function\*?) ([\w$]+)", SCRIPTS[source], re.MULTILINE)
        assert set(names.split(", ")) <= set(given), source


def test_all_that_is_exported_is_used() -> None:
    """What nobody asks for is no export."""
    text = "\n".join(SCRIPTS.values())
    imported = {name for names in re.findall(r"import \{ (.+) \}", text) for name in names.split(", ")}
    exported = set(re.findall(r"^export (?:async )?(?:const|function\*?) ([\w$]+)", text, re.MULTILINE))
    assert exported == imported


@pytest.mark.parametrize("name", SCRIPTS)
def test_text_never_becomes_markup_or_code(name: str) -> None:
    """No way to make elements but `h` and `s`, and a module stays small enough to be seen through."""
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(|new Function|on\w+=\"", SCRIPTS[name]
    )
    assert len(SCRIPTS[name].splitlines()) <= 150


@pytest.mark.parametrize(
    ("page", "title", "current"),
    [
        (OVERVIEW, "dropstream console", '<a href="/" aria-current="page">Overview</a>'),
        (LIST, "Deliveries · dropstream console", '<a href="/deliveries" aria-current="page">Deliveries</a>'),
        (DELIVERY, "Delivery · dropstream console", '<a href="/deliveries" aria-current="page">Deliveries</a>'),
        (ACTS, "Acts · dropstream console", '<a href="/acts" aria-current="page">Acts</a>'),
    ],
    ids=["overview", "list", "delivery", "acts"],
)
def test_every_page_has_the_frame_and_says_where_it_is(page: FramedPage, title: str, current: str) -> None:
    """One place in the navigation, one main part to skip to, one script; no word of the frame is left to fill in."""
    text = page.text()
    assert f"<title>{title}</title>" in text
    assert (text.count('aria-current="page"'), text.count(current)) == (1, 1)
    assert (text.count('<main id="main"'), text.count("<dialog "), text.count("<script ")) == (1, 1, 1)
    assert f'src="/{page.script}"' in text
    assert (PAGE / page.script).exists()
    assert "$" not in text
    assert len(re.findall(r'\bid="([^"]+)"', text)) == len(set(re.findall(r'\bid="([^"]+)"', text)))
