"""Shows `dropstream up`: a spinner while it starts, the tour stop by stop, new events as they come."""

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

from ops.addresses import reached_at
from ops.local.broker.local import PORT, Broker, BrokerKind
from ops.local.broker.runtime import KAFKA_VERSION
from ops.local.tour import TourEvent, TourStop
from ops.screen import console, is_terminal, printable, say, write_line
from schemas.secrets import Secret
from schemas.settings import Settings

# Columns from which on there is room for a day and a delivery's id.
_WIDE = 120
# Time, topic, what and subject of an event's line are always shown.
_NAMES = 4

Progress = Callable[[str], None]


@contextmanager
def spinner() -> Iterator[Progress]:
    """Gives a function that shows the present step: beside a spinner on a terminal, as a line in a pipe."""
    if not is_terminal():
        yield lambda what: write_line(f"{what} ...")
        return
    with console().status("") as status:
        yield status.update


def show_broker(broker: Broker) -> None:
    """Shows which broker the system runs on."""
    moved = "" if broker.bootstrap_servers.endswith(f":{PORT}") else f", for {PORT} or {PORT + 1} is taken"
    kinds = {
        BrokerKind.GIVEN: f"Kafka at {broker.bootstrap_servers}, as {broker.named_by} says.",
        BrokerKind.KAFKA: f"Apache Kafka {KAFKA_VERSION} at {broker.bootstrap_servers}{moved}.",
        BrokerKind.MEMORY: broker.limits,
    }
    say(kinds[broker.kind], style="yellow" if broker.kind is BrokerKind.MEMORY else "green")


def show_stop(stop: TourStop) -> None:
    """Shows one delivery and the events that it became."""
    good = stop.complete
    verdict = f"{stop.answer.status} in {stop.answer.seconds * 1000:.0f} ms"
    head = f"{stop.sample.contract}  POST /webhooks/{stop.endpoint}  {verdict}"
    if not is_terminal() or console().width >= _WIDE:
        head += f"  delivery {stop.answer.delivery_id}"
    say("")
    say(head, style="bold green" if good else "bold red")
    for arrival in stop.arrivals:
        show_arrival(arrival)
    if not good:
        expected = ", ".join(stop.sample.event_types)
        say(f"  expected {expected}; {len(stop.arrivals)} arrived", style="red")
        if stop.reason:
            say(f"  rejected, {printable(stop.reason)}", style="red")


def show_arrival(arrival: TourEvent) -> None:
    """Shows one event on one line: time, topic, type, subject; where there is room, its figures and its quality."""
    event = arrival.event
    sure = f"{event['timequality']} · {event['signature']}"
    subject, figures = printable(event["subject"]), _figures(arrival)
    if not is_terminal():
        words = (event["time"], f"{arrival.topic:<9}", f"{event['type']:<36}", subject, figures, sure)
        write_line("  " + "  ".join(word for word in words if word))
        return
    # Milliseconds are enough for an eye, and where it is narrow the day is today.
    time = f"{event['time'][: -len('123Z')]}Z"
    what = printable(event["type"].rpartition(".")[2])
    clock = time if console().width >= _WIDE else time.partition("T")[2]
    cells: list[tuple[str, int, str]] = [(clock, 0, "cyan"), (arrival.topic, 9, "bold"), (what, 18, "")]
    cells += [(subject, 16, "magenta"), (figures, 14, ""), (sure, 0, "dim")]
    # Cells stay whole, so that a person can copy them: where it is narrow, the last cells go.
    while len(cells) > _NAMES and _width(cells) > console().width:
        cells.pop()
    line = Text("  ").join(Text(text.ljust(width), style=style) for text, width, style in cells)
    console().print(Text("  ").append_text(line), crop=False, no_wrap=True, overflow="ignore")


def _width(cells: Sequence[tuple[str, int, str]]) -> int:
    return sum(2 + max(cell_len(text), width) for text, width, _ in cells)


def _figures(arrival: TourEvent) -> str:
    """The fact that a person wants first: a status, or how many there are."""
    data = arrival.event["data"]
    if status := data.get("status"):
        return printable(str(status))
    if available := data.get("available"):
        return f"available {printable(str(available))}"
    return ""


def show_invitation(settings: Settings, base_url: str, console_url: str, exports: Mapping[str, str]) -> None:
    """Shows what a person can do now: the URLs to give to a provider, and the verbs to try."""
    say("")
    say("Webhook URLs", style="bold")
    for name, endpoint in settings.endpoints.items():
        say(f"  {base_url}/webhooks/{name}" + ("/TOKEN" if endpoint.token else ""))
        if endpoint.token:
            say(f"    TOKEN is the text of {_token_location(endpoint.token[0])}", style="dim")
    say("Console", style="bold")
    say(f"  {console_url}")
    admin = f"http://{reached_at(settings.ingest.admin_host, settings.ingest.admin_port)}"
    say("Health and metrics", style="bold")
    say(f"  {admin}/readyz  {admin}/metrics")
    say(f"  the same of the processors on port {settings.process.admin_port}")
    say("In another terminal, in this folder", style="bold")
    for variable, text in exports.items():
        say(f"  export {variable}={shlex.quote(text)}")
    program = _near(Path(sys.executable).with_name("dropstream"))
    call = shlex.quote(str(program)) if program.exists() else f"{shlex.quote(sys.executable)} -m ops"
    say(f"  {call} send --list")
    say(f"  {call} tail orders --from beginning")
    say("New events show here as they come; Ctrl-C ends everything.", style="bold")


def _token_location(token: Secret) -> str:
    """The file or the variable that holds the token."""
    kind, _, name = token.reference.partition(":")
    return str(_near(Path(name))) if kind == "file" else f"${name}"


def _near(path: Path) -> Path:
    """`path`, relative to the current directory where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
