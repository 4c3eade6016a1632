"""Metrics with a sample for each endpoint, shown as Prometheus text that is made in pieces.

A collector of the client library gives all its samples at once. With thousands of endpoints that takes seconds, in
which an event loop answers nobody; between two pieces the loop can turn.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Protocol, TypeVar, runtime_checkable

Item = TypeVar("Item")

# So many endpoints make a piece; it takes less than a millisecond.
_ENDPOINTS_A_PIECE = 200
_NOT_FINITE = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}


@runtime_checkable
class TextInPieces(Protocol):
    """A collector that can give its text in pieces too; the text has the samples that its `collect` gives."""

    def text_pieces(self, labels: str) -> Iterator[str]:
        """Yields the text, in whole lines; `labels` such as `,worker="0"` are put behind the labels of each sample."""


def text_head(name: str, meaning: str, kind: str) -> str:
    r"""Returns the lines HELP and TYPE of a metric; `name` is without a histogram's `_bucket`."""
    told = meaning.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {told}\n# TYPE {name} {kind}\n"


def pieces_of(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yields the items in lists of bounded length."""
    left = iter(items)
    while piece := list(islice(left, _ENDPOINTS_A_PIECE)):
        yield piece


def sample_line(name: str, labels: Mapping[str, str], value: float, more_labels: str = "") -> str:
    """Returns the line of one sample; `more_labels` as `text_pieces` takes them."""
    own = ",".join([f'{label}="{_escaped(labels[label])}"' for label in sorted(labels)])
    inner = f"{own}{more_labels}" if own else more_labels.removeprefix(",")
    shown = f"{{{inner}}}" if inner else ""
    number = repr(float(value))
    return f"{name}{shown} {_NOT_FINITE.get(number, number)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
