"""What the benchmark says of what it measured."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.bench.load.requests import read_requests, request, write_requests
from tests.bench.memory import Reading, growth_mb
from tests.bench.place import endpoint_names
from tests.bench.report.chart import chart
from tests.bench.report.figures import Figure, figure
from tests.bench.report.report import Bar, Part, Report, Section, as_json, number, text
from tests.support.checkout import ROOT

_ROWS: dict[str, dict[str, Figure | None]] = {
    "dropstream": {"per second": figure([9000.0, 10_000.0, 12_345.0]), "CPU us each": figure([40.0, 41.5, 43.0])},
    "obvious": {"per second": figure([4000.0, 4000.0, 4000.0]), "CPU us each": None},
}
_REPORT = Report(
    {"processors": "2 x <One & Other>"},
    [
        Part(
            [Section("ingress_saturation", "Ingress at saturation", _ROWS, ("64 connections",))],
            [
                Bar("throughput", 2.0, figure([2.25, 2.5, 3.1]), at_least=True),
                Bar("memory, MB", 80.0, figure([81.0])),
                Bar("2 workers", 1.7, None, at_least=True, note="2 processors"),
            ],
        )
    ],
)


@pytest.mark.parametrize(
    ("limit", "at_least", "measured", "expected"),
    [(0.45, False, 0.45, True), (0.45, False, 0.46, False), (2.0, True, 2.0, True), (2.0, True, 1.99, False)],
)
def test_a_bar_is_reached_at_its_limit(limit: float, at_least: bool, measured: float, expected: bool) -> None:
    """At most and at least include the limit itself."""
    assert Bar("a bar", limit, figure([measured]), at_least=at_least).reached is expected


def test_a_bar_is_judged_by_the_median() -> None:
    """One round on a disturbed machine decides nothing."""
    assert Bar("a bar", 0.45, figure([0.40, 0.44, 9.0])).reached is True


def test_what_was_not_measured_is_not_judged() -> None:
    """Neither reached nor missed, and the report says why."""
    assert Bar("a bar", 1.7, None).reached is None
    assert "not judged  (2 processors)" in text(_REPORT)


def test_the_text_has_medians_with_their_spread_and_each_bar() -> None:
    """A person reads the table, what disturbed it, and which bars are reached."""
    lines = text(_REPORT).split("\n")
    assert lines[1] == "processors: 2 x <One & Other>"
    assert "  dropstream  10,000 [9,000-12,345]  41.5 [40.0-43.0]" in lines
    assert "  obvious                     4,000                 -" in lines
    assert "  64 connections" in lines
    assert "  throughput  at least 2.00        2.50 [2.25-3.10]  reached" in lines
    assert "  memory, MB   at most 80.0                    81.0  NOT REACHED" in lines


def test_the_json_keeps_every_round() -> None:
    """Another program can judge anew."""
    told = as_json(_REPORT)
    assert told["sections"]["ingress_saturation"]["rows"]["dropstream"]["CPU us each"] == {
        "median": 41.5,
        "smallest": 40.0,
        "largest": 43.0,
        "rounds": [40.0, 41.5, 43.0],
    }
    assert [bar["reached"] for bar in told["bars"]] == [True, False, None]
    assert told["bars"][0]["kind"] == "at least"


def test_the_chart_is_well_formed_and_has_a_bar_for_each_figure() -> None:
    """What was not measured has no panel, and text of the machine cannot break the picture."""
    root = ET.fromstring(chart(_REPORT))  # noqa: S314 our own SVG
    assert len(root.findall("{*}rect")) == 3
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "10,000" in words
    assert "41.5" in words
    assert any("<One & Other>" in (word or "") for word in words)


def test_a_report_of_nothing_still_has_a_chart() -> None:
    """A part without figures is no failure."""
    assert chart(Report({}, [Part([Section("replay", "Replay", {}, ("not there yet",))])])).endswith("</svg>\n")


@pytest.mark.parametrize(("value", "expected"), [(1234.6, "1,235"), (99.96, "100.0"), (10.0, "10.0"), (0.4567, "0.46")])
def test_figures_have_three_digits_that_matter(value: float, expected: str) -> None:
    """More would pretend to know more."""
    assert number(value) == expected


def test_growth_is_counted_from_the_end_of_the_warm_up() -> None:
    """The first tenth does not count: 20 readings after the first one, so from the third on."""
    readings = [Reading(10 * at, 60.0 + min(at, 2) * 10, 90.0) for at in range(20)]
    assert growth_mb([*readings, Reading(200, 83.5, 90.0)]) == 3.5


def test_requests_are_kept_byte_by_byte(tmp_path: Path) -> None:
    """A body may hold anything."""
    requests = [request("acme", b"\r\n\r\n\x00"), request("acme", b"")]
    write_requests(tmp_path / "requests", requests)
    assert read_requests(tmp_path / "requests") == requests
    assert requests[0].endswith(b"Content-Length: 5\r\n\r\n\r\n\r\n\x00")


def test_every_endpoint_has_a_name_of_its_own() -> None:
    """The first four are those that the sample deliveries are signed for."""
    names = [name for name, _ in endpoint_names(10_000)]
    assert names[:5] == ["dreamship", "shipstream", "modern-dropship", "dropea", "endpoint-4"]
    assert len(set(names)) == 10_000


def test_the_lock_of_the_frameworks_names_no_index() -> None:
    """Names, versions and hashes; where they come from is the machine's own setting."""
    lock = (ROOT / "tests" / "bench" / "requirements.txt").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--index" not in lock
    assert "faststream==" in lock
    assert "quixstreams==" in lock
