"""Which fields of a stranger's JSON say who a person is: addresses, names, e-mails, phones, and words written by hand.

Fields are found by their names, however they are spelt (`shippingAddress`, `SHIPPING_ADDRESS`, `shipping-address-2`),
and by the lists in a provider's file. Everything inside such a field is as personal as the field.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

from schemas.vocabulary import Domain

# No field of a form has a longer name; what a stranger makes longer is judged by its beginning.
_NAME_CHARACTERS_MAX = 64
_PLAIN_CHARACTERS_MAX = 128
# A shop's fields are few and come again with each delivery; so many names take a megabyte.
_NAMES_KNOWN_MAX = 4_096
_WORD_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=[0-9])|[^A-Za-z0-9]+")

_PERSON = (
    "(?:customer|recipient|receiver|consignee|addressee|buyer|purchaser|shopper|client|contact|person|attention|"
    "ship_?to|bill_?to|deliver_?to|sold_?to)"
)
_WHOSE = f"(?:{_PERSON}|sender|shipping|billing|delivery|company|user|account|card_?holder|owner|signer)"
_NUMBERED = "(?:_[0-9]+)?"
_PERSONAL = "|".join(
    (
        f"(?:(?:.+_)?(?:shipping|billing|delivery)_)?{_PERSON}s?{_NUMBERED}",
        # An address whole, or a line or part of one; `address_id` and `address_type` say neither.
        "(?:.*_)?[a-z]*addr(?:ess(?:es)?)?(?:_(?!(?:.+_)?(?:id|type|status|verified|valid|validated|validation|changed)$).+)?",
        f"(?:.*_)?street_?(?:name|no|nr|number|line)?{_NUMBERED}|(?:.*_)?house_?(?:name|no|nr|number)",
        f"(?:.*_)?(?:zip|post|postal)_?codes?|(?:.*_)?(?:zip|city|town|suburb|province|county){_NUMBERED}",
        "(?:.*_)?(?:latitude|longitude)",
        f"(?:.*_)?e?_?mails?(?:_?addresse?s?)?{_NUMBERED}",
        f"(?:.*_)?(?:tele|cell|mobile|smart)?_?phones?(?:_(?:number|no|nr|ext|extension|prefix|code|alt))*{_NUMBERED}",
        f"(?:.*_)?(?:mobile|msisdn|fax|tel|whatsapp|landline)(?:_(?:number|no|nr))?{_NUMBERED}",
        f"(?:.*_)?(?:first|last|middle|full|given|family|sur|fore|maiden|nick)_?names?{_NUMBERED}",
        f"(?:.*_)?{_WHOSE}_?(?:full_?|first_?|last_?)?names?{_NUMBERED}",
        "(?:.*_)?signed_by|signature_name",
        # Who somebody is to the state: the tax number of a sole trader is a person's.
        "(?:.*_)?(?:vat|tax|fiscal)_?(?:id|number|no|nr)|(?:.*_)?(?:nif|nie|dni|cif|passport(?:_(?:number|no|nr))?)",
        "partita_iva|codice_fiscale|codigo_fiscal",
        "(?:.*_)?(?:gift|card)_(?:message|note|text)|(?:.*_)?(?:notes?|comments?|remarks?|instructions?)",
    )
)
# Objects such as {"name": "email", "value": "..."} carry a field's name as a value.
_PAIR_NAMES = frozenset({"name", "key", "code", "field", "label", "attribute", "attribute_code"})
_PAIR_VALUE = "value"
# `event.user`, and no longer ones.
_END_NAMES_MAX = 2


@dataclass(frozen=True, slots=True)
class PersonalFields:
    """The personal fields of one provider that their names do not show.

    `known`: per domain, ends of paths such as `event.user`, list indexes left out; the events of `other` have all of
    them. `maps`: fields whose object has ids for keys, which are no names of fields.
    """

    known: Mapping[Domain, tuple[str, ...]] = field(default_factory=dict)
    maps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        long = [end for ends in self.known.values() for end in ends if end.count(".") >= _END_NAMES_MAX]
        if long:
            raise ValueError(f"ends of paths have at most {_END_NAMES_MAX} names: {', '.join(long)}")

    def of(self, domain: Domain) -> Collection[tuple[str, ...]]:
        """The ends of paths that count in events of the domain, as plain names."""
        listed = self.known.values() if domain is Domain.OTHER else (self.known.get(domain, ()),)
        return frozenset(tuple(map(plain_name, end.split("."))) for ends in listed for end in ends)


def plain_name(name: str) -> str:
    """A field's name in lower-case words of ASCII, joined by underscores: `Código-postal` is `codigo_postal`."""
    return _plain(name[:_NAME_CHARACTERS_MAX])


@lru_cache(_NAMES_KNOWN_MAX)
def _plain(name: str) -> str:
    short = unicodedata.normalize("NFKD", name)
    bare = "".join(character for character in short if not unicodedata.combining(character))
    return _WORD_BORDER.sub("_", bare).strip("_").lower()


def is_personal(name: str) -> bool:
    """Whether a field of this plain name is about a person, at any provider."""
    return _is_personal(name[:_PLAIN_CHARACTERS_MAX])


@lru_cache(_NAMES_KNOWN_MAX)
def _is_personal(name: str) -> bool:
    return _personal_pattern().fullmatch(name) is not None


@cache
def _personal_pattern() -> re.Pattern[str]:
    """Compiled when the first name is judged: that takes longer than a short verb, most of which judge none."""
    return re.compile(_PERSONAL)


def personal_pair_values(holder: Mapping[str, object]) -> Iterator[str]:
    """The keys of `holder` whose value belongs to a personal field that another value of it names."""
    values = [key for key in holder if key.lower() == _PAIR_VALUE]
    names = [holder[key] for key in holder if values and key.lower() in _PAIR_NAMES]
    if any(isinstance(name, str) and is_personal(plain_name(name)) for name in names):
        yield from values


def ends_with(path: tuple[str, ...], ends: Collection[tuple[str, ...]]) -> bool:
    """Whether one of `ends` is the end of the path."""
    return any(path[-length:] in ends for length in range(1, _END_NAMES_MAX + 1))
