"""Usernames and the keys they are compared by. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from chatd.errors import Invalid, Phrase

_EXPECTED = Phrase(
    "must be 3 to 32 letters or digits of any script, or _ . -", "必须是 3 到 32 个任意文字的字母或数字，或 _ . -"
)


_SHAPE = re.compile(r"([LN]M{0,4})+")
"""Letters and numbers with a few marks each, by general category."""

_IGNORABLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""What is a letter or a mark and shows nothing (Unicode, Default_Ignorable_Code_Point)."""


LAST = "\U0010ffff"
"""The last character there is: `q <= key < q + LAST` are the keys that begin with q."""


@lru_cache(maxsize=4096)
def key(name: str) -> str:
    """What names are compared by: NFKC, casefolded, NFKC again (Unicode, section 3.13, "toNFKC_Casefold")."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def username(name: str, *, field: str = "username") -> str:
    """The username as it is kept (NFKC). Raises `Invalid`.

    Marks (general category M) count as letters: most scripts of India cannot be written without them.
    """
    kept = unicodedata.normalize("NFKC", name)
    shape = "".join("L" if char in "_.-" else unicodedata.category(char)[0] for char in kept)
    visible = not any(_IGNORABLE.search(char) for char in kept)
    if not (visible and _SHAPE.fullmatch(shape) and 3 <= len(kept) <= 32):
        raise Invalid(field=field, expected=_EXPECTED)
    return kept


def email(address: str, *, field: str = "email") -> str:
    """The address, trimmed and checked for the shape x@y (RFC 5321 leaves the rest to delivery). Raises `Invalid`."""
    trimmed = address.strip()
    local, at, domain = trimmed.rpartition("@")
    if not (local and at and domain) or any(char.isspace() or not char.isprintable() for char in trimmed):
        raise Invalid(field=field, expected=Phrase("must be an email address", "必须是电子邮箱地址"))
    return trimmed
