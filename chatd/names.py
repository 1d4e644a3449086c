"""Usernames and the keys they are compared by. Pure."""

from __future__ import annotations

import unicodedata

from chatd.errors import Invalid, Phrase

_EXPECTED = Phrase(
    "must be 3 to 32 letters or digits of any script, or _ . -", "必须是 3 到 32 个任意文字的字母或数字，或 _ . -"
)


def key(name: str) -> str:
    """What names are compared by: NFKC, casefolded, NFKC again (Unicode, section 3.13, "toNFKC_Casefold")."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def username(name: str, *, field: str = "username") -> str:
    """The username as it is kept (NFKC). Raises `Invalid`.

    Marks (general category M) count as letters: most scripts of India cannot be written without them.
    """
    kept = unicodedata.normalize("NFKC", name)
    letters = all(char in "_.-" or unicodedata.category(char)[0] in "LNM" for char in kept)
    if not letters or not 3 <= len(kept) <= 32 or unicodedata.category(kept[0])[0] == "M":
        raise Invalid(field=field, expected=_EXPECTED)
    return kept


def email(address: str, *, field: str = "email") -> str:
    """The address, trimmed and checked for the shape x@y (RFC 5321 leaves the rest to delivery). Raises `Invalid`."""
    trimmed = address.strip()
    local, at, domain = trimmed.rpartition("@")
    if not (local and at and domain) or any(char.isspace() or not char.isprintable() for char in trimmed):
        raise Invalid(field=field, expected=Phrase("must be an email address", "必须是电子邮箱地址"))
    return trimmed
