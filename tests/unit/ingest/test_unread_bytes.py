"""Who gives way when clients make the ingress hold too much before it is accepted."""

from ingest.http.unread_bytes import UnreadBytes, UnreadKind

_BYTES_MAX = 100


class _Holder:
    def __init__(self, account: UnreadBytes, *, known: bool = False) -> None:
        self._account = account
        self._known = known
        self.gave_way = 0

    def is_known(self) -> bool:
        return self._known

    def give_way(self) -> None:
        self.gave_way += 1

    def hold(self, count: int) -> None:
        self._account.hold(self, {UnreadKind.HEADS: count})


def test_the_longest_holder_gives_way_first() -> None:
    """Its place counts from its first byte, also where it holds more later; the others stay."""
    account = UnreadBytes(_BYTES_MAX)
    first, second, third = (_Holder(account) for _ in range(3))
    first.hold(10)
    second.hold(40)
    first.hold(50)
    third.hold(20)
    assert (first.gave_way, second.gave_way, third.gave_way) == (1, 0, 0)
    assert account.held_bytes(UnreadKind.HEADS) == 60


def test_strangers_give_way_before_an_endpoint() -> None:
    """Who sends to one of our URLs is the last, although it came first."""
    account = UnreadBytes(_BYTES_MAX)
    known, stranger, late = _Holder(account, known=True), _Holder(account), _Holder(account, known=True)
    known.hold(60)
    stranger.hold(40)
    late.hold(10)
    assert (known.gave_way, stranger.gave_way, late.gave_way) == (0, 1, 0)
    late.hold(50)
    assert (known.gave_way, late.gave_way) == (1, 0)
    assert account.held_bytes(UnreadKind.HEADS) == 50


def test_who_alone_holds_too_much_gives_way() -> None:
    """The bound counts for the holder itself."""
    account = UnreadBytes(_BYTES_MAX)
    holder = _Holder(account)
    holder.hold(101)
    assert (holder.gave_way, account.held_bytes(UnreadKind.HEADS)) == (1, 0)


def test_who_lets_go_begins_anew() -> None:
    """A holder that held nothing in between has held for the shorter time."""
    account = UnreadBytes(_BYTES_MAX)
    first, second = _Holder(account), _Holder(account)
    first.hold(50)
    second.hold(50)
    first.hold(0)
    first.hold(60)
    assert (first.gave_way, second.gave_way) == (0, 1)
    account.let_go(first)
    assert account.held_bytes(UnreadKind.HEADS) == 0
