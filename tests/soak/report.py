"""The report of a soak, as text and as a picture: what each program held over the time. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from tests.soak.samples import SoakSample, Trend, trends

_WIDTH, _PANEL_HEIGHT, _LEFT, _RIGHT = 760, 130, 60, 190
_COLOURS = ("#2f81f7", "#c26b12", "#9aa1ab", "#3fb950")
_TEXT = "#808690"
# A JVM fills the heap that it may have before it cleans up, so its memory grows to that bound whatever it does.
BROKER = "Kafka"


def text(facts: Mapping[str, str], samples: Sequence[SoakSample], verdict: Sequence[str]) -> str:
    """Facts of the run, a table of the programs, disk, and the verdict."""
    lines = [*(f"{name}: {value}" for name, value in facts.items()), ""]
    last, first = samples[-1], samples[0]
    header = ("program", "memory MiB, second to last quarter", "open files", "CPU us each")
    rows: list[tuple[str, ...]] = [header]
    for name, program in last.programs.items():
        found = [_told(trend, judged=_is_judged(name, figure)) for figure, trend in trends(samples, name).items()]
        cpu = (program.cpu_s - first.programs[name].cpu_s) * 1e6 / max(1, last.due - first.due)
        rows.append((name, *found, f"{cpu:.0f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", "disk, MiB at the end (and bytes a delivery since the first sample)"]
    for name, used in last.disk_mib.items():
        each = (used - first.disk_mib[name]) * 1_048_576 / max(1, last.due - first.due)
        lines.append(f"  {name}: {used:.0f} ({each:.0f})")
    return "\n".join([*lines, "", *verdict]) + "\n"


def _told(trend: Trend, *, judged: bool) -> str:
    verdict = ("flat" if trend.flat else "GROWS") if judged else "not judged"
    return f"{trend.early:.0f} to {trend.late:.0f}, {verdict}"


def _is_judged(program: str, figure: str) -> bool:
    return (program, figure) != (BROKER, "memory MiB")


def is_flat(samples: Sequence[SoakSample]) -> bool:
    """Whether open files of every program and memory of our own programs are flat."""
    return all(
        trend.flat or not _is_judged(name, figure)
        for name in samples[-1].programs
        for figure, trend in trends(samples, name).items()
    )


def picture(title: str, samples: Sequence[SoakSample]) -> str:
    """Memory, open files and disk over the time, as an SVG."""
    names = list(samples[-1].programs)
    panels: list[tuple[str, dict[str, list[float]]]] = [
        ("memory, MiB", {name: [one.programs[name].memory_mib for one in samples] for name in names}),
        ("open files", {name: [float(one.programs[name].files) for one in samples] for name in names}),
        ("disk, MiB", {name: [one.disk_mib[name] for one in samples] for name in samples[-1].disk_mib}),
    ]
    times = [one.at_s for one in samples]
    drawn = [line for number, panel in enumerate(panels) for line in _panel(*panel, times, 40 + number * 160)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {60 + 160 * len(panels)}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{_TEXT}" role="img">\n'
        f"<title>{escape(title)}</title>\n"
        f'<text x="12" y="20" font-size="13">{escape(title)}</text>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def _panel(title: str, lines: Mapping[str, Sequence[float]], times: Sequence[float], top: int) -> Iterator[str]:
    end_s = max(times[-1], 1.0)
    most = max(max(values) for values in lines.values()) or 1.0
    right, bottom = _WIDTH - _RIGHT, top + _PANEL_HEIGHT
    yield f'<text x="{_LEFT}" y="{top - 4}">{escape(title)}</text>'
    yield f'<path d="M{_LEFT} {top}V{bottom}H{right}" fill="none" stroke="{_TEXT}" stroke-width="0.5"/>'
    yield f'<text x="{_LEFT - 6}" y="{top + 10}" text-anchor="end">{most:,.0f}</text>'
    yield f'<text x="{_LEFT - 6}" y="{bottom}" text-anchor="end">0</text>'
    yield f'<text x="{right}" y="{bottom + 14}" text-anchor="end">{end_s / 60:.1f} min</text>'
    for number, (name, values) in enumerate(lines.items()):
        points = " ".join(
            f"{_LEFT + (right - _LEFT) * at_s / end_s:.1f},{bottom - _PANEL_HEIGHT * value / most:.1f}"
            for at_s, value in zip(times, values, strict=True)
        )
        colour = _COLOURS[number % len(_COLOURS)]
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        label = f"{name} {values[-1]:,.0f}"
        yield f'<text x="{right + 10}" y="{top + 12 + 16 * number}" fill="{colour}">{escape(label)}</text>'
