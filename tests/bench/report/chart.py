"""The report as a picture: bars with their spread, on no background, in tones for light and dark pages. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from tests.bench.report.figures import Figure
from tests.bench.report.report import Report, Section, number

_OURS = "dropstream"
_BARE = "asyncio, no-op"
_WIDTH = 960
_PANEL_WIDTH = 456
_CHARACTER_WIDTH = 7.0
_VALUE_WIDTH = 76
_ROW_HEIGHT = 24
_BAR_HEIGHT = 14
_TITLE_HEIGHT = 40
_TEXT = "#808690"
_OURS_FILL = "#2f81f7"
_OTHER_FILL = "#9aa1ab"
_SPREAD = "#c26b12"


@dataclass(frozen=True, slots=True)
class Panel:
    """One group of bars, from one table: (label, figure), longest first or not as the table has it."""

    title: str
    bars: Sequence[tuple[str, Figure]]

    @property
    def height(self) -> int:
        return _TITLE_HEIGHT + _ROW_HEIGHT * len(self.bars)


def chart(report: Report) -> str:
    """The whole SVG; panels whose tables were not measured are left out."""
    panels = [panel for panel in _panels(report) if panel.bars]
    rows = [panels[at : at + 2] for at in range(0, len(panels), 2)]
    drawn, top = [], 8
    for row in rows:
        for column, panel in enumerate(row):
            drawn += list(_draw(panel, left=12 + column * (_PANEL_WIDTH + 24), top=top))
        top += max(panel.height for panel in row) + 20
    caption = (
        f"{report.machine.get('processors', '')}; bars are medians, lines go from the smallest round to the largest"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 24}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{_TEXT}" role="img">\n'
        "<title>dropstream, measured</title>\n"
        + "\n".join(drawn)
        + f'\n<text x="12" y="{top + 10}" font-size="11">{escape(caption)}</text>\n</svg>\n'
    )


def _panels(report: Report) -> Iterator[Panel]:
    tables = {section.key: section for section in report.sections}
    for key, column, title in (
        ("ingress_saturation", "CPU us each", "Ingress: CPU per delivery, microseconds (less is better)"),
        ("processors", "CPU us each", "Processors: CPU per delivery, microseconds (less is better)"),
        ("ingress_saturation", "per second", "Ingress: deliveries per second on one processor"),
        ("processors", "per second per core", "Processors: deliveries per second on one processor"),
    ):
        if key in tables:
            yield Panel(title, _column(tables[key], column))
    for key, title in (
        ("ingress_half", "Answer at half load, ms (less is better)"),
        ("latency", "From answer to event, ms (less is better)"),
    ):
        if key in tables:
            yield Panel(title, _percentiles(tables[key]))


def _column(section: Section, column: str) -> list[tuple[str, Figure]]:
    return [
        (name, figure)
        for name, row in section.rows.items()
        # Beside what a bare protocol takes a second, all others would look alike.
        if (figure := row.get(column)) is not None and not (name == _BARE and column == "per second")
    ]


def _percentiles(section: Section) -> list[tuple[str, Figure]]:
    """Of what can be used, not of the floors: they keep nothing."""
    return [
        (f"{name}, {column.removesuffix(' ms')}", figure)
        for name, row in section.rows.items()
        if "no-op" not in name
        for column in ("p50 ms", "p99 ms", "p99.9 ms")
        if (figure := row.get(column)) is not None
    ]


def _draw(panel: Panel, *, left: int, top: int) -> Iterator[str]:
    longest = max(figure.largest for _, figure in panel.bars) or 1.0
    label_width = round(_CHARACTER_WIDTH * max(len(label) for label, _ in panel.bars))
    scale = (_PANEL_WIDTH - label_width - _VALUE_WIDTH) / longest
    yield f'<text x="{left}" y="{top + 18}" font-size="13" font-weight="600">{escape(panel.title)}</text>'
    for index, (label, figure) in enumerate(panel.bars):
        y = top + _TITLE_HEIGHT - 8 + index * _ROW_HEIGHT
        x = left + label_width
        ours = label.startswith((_OURS, "low load", "half load"))
        middle = y + _BAR_HEIGHT / 2
        yield f'<text x="{x - 8}" y="{y + 11}" text-anchor="end">{escape(label)}</text>'
        yield (
            f'<rect x="{x}" y="{y}" width="{max(1.0, figure.median * scale):.1f}" height="{_BAR_HEIGHT}" rx="2" '
            f'fill="{_OURS_FILL if ours else _OTHER_FILL}"/>'
        )
        if figure.smallest < figure.largest:
            ends = f'x1="{x + figure.smallest * scale:.1f}" x2="{x + figure.largest * scale:.1f}"'
            yield f'<line {ends} y1="{middle}" y2="{middle}" stroke="{_SPREAD}" stroke-width="2"/>'
        value_x = x + max(figure.median, figure.largest) * scale + 6
        yield f'<text x="{value_x:.1f}" y="{y + 11}">{number(figure.median)}</text>'
