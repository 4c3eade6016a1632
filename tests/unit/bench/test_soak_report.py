"""The verdict of a soak: what grows is told, and noise is none."""

from tests.soak.report import is_flat, picture, text
from tests.soak.samples import ProgramSample, SoakSample, trends


def soak(*, grows_mib: float = 0.0, opens: int = 0, program: str = "ingress") -> list[SoakSample]:
    """Forty samples, one a second, of a program that holds 100 MiB and 20 files; more with each sample."""
    return [
        SoakSample(
            float(number),
            100 * number,
            {program: ProgramSample(100 + grows_mib * number, 20 + opens * number, number / 100)},
            {"topics": float(number)},
        )
        for number in range(40)
    ]


def test_what_stays_is_flat() -> None:
    """A program that holds the same in its last quarter as in its second one passes."""
    assert is_flat(soak())
    assert trends(soak(), "ingress")["memory MiB"].early == 100


def test_what_grows_is_told() -> None:
    """One MiB more with each sample, or one file that is never closed, is not flat."""
    assert not is_flat(soak(grows_mib=1))
    assert not is_flat(soak(opens=1))
    assert "GROWS" in text({}, soak(opens=1), ())


def test_the_heap_of_the_broker_is_told_and_not_judged() -> None:
    """A JVM grows to the bound of its heap; a file that it never closes counts as that of any program."""
    heap = soak(grows_mib=1, program="Kafka")
    assert is_flat(heap)
    assert "Kafka    114 to 134, not judged" in text({}, heap, ())
    assert not is_flat(soak(opens=1, program="Kafka"))


def test_the_report_has_every_figure() -> None:
    """A row for each program, the bytes of disk that a delivery takes, and a line in the picture."""
    lines = text({"load": "100 a second"}, soak(), ("audit: clean",))
    assert "ingress  100 to 100, flat" in lines
    assert "topics: 39 (10486)" in lines
    assert picture("a soak", soak()).count("<polyline") == 3
