"""A body that is JSON but for a fault that senders are known to make becomes JSON that every reader takes.

Three faults, each from the field: a text cut in the middle of an emoji leaves half a character (`"\\ud83d"`), which
JSON's grammar allows and many readers refuse; a number such as `1e400` is more than a reader's numbers hold; a byte
order mark stands before the first brace (RFC 8259 section 8.1 lets a reader skip it). Nothing else is mended: bytes
that are no UTF-8, or no JSON, stay what they are.
"""

import re

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# A string, or what is left of one that never ends; a number. Possessive, so that no body makes it start over.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|-?[0-9][0-9.eE+-]*+', re.DOTALL)
# Any escape, so that the backslash of `\\ud83d` is not taken for the beginning of one; a pair before a half.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u(?P<half>[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def repair(text: bytes) -> bytes | None:
    """`text` without these faults; None where it has none of them.

    A half character becomes U+FFFD, a number beyond a 64-bit float the text of its digits.
    """
    bare = text.removeprefix(_BYTE_ORDER_MARK)
    mended = _TOKEN.sub(_mend, bare)
    return None if mended == text else mended


def _mend(token: re.Match[bytes]) -> bytes:
    found = token[0]
    if found.startswith(b'"'):
        return _ESCAPE.sub(_whole_character, found) if b"\\u" in found else found
    # Any other run of digits and signs is no number, and stays what it is.
    return b'"%s"' % found if _NUMBER.fullmatch(found) and float(found) in _INFINITE else found


def _whole_character(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["half"] else escape[0]


_INFINITE = (float("inf"), float("-inf"))
