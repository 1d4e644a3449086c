"""Who takes part: names, and tokens that tell whose they are."""

from __future__ import annotations

PASSWORD = "correct horse"


def token_of(username: str) -> str:
    """The token of a user's session."""
    return f"the-token-of-a-user-of-the-bench-{username}"


def username_of(token: str) -> str:
    """Whose token it is."""
    return token.rpartition("-")[2]


def pair(number: int) -> tuple[str, str]:
    """The two users of a pair."""
    return f"ann{number:04}", f"ben{number:04}"


def pairs(count: int) -> list[tuple[str, str]]:
    """So many pairs."""
    return [pair(number) for number in range(count)]
