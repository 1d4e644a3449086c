"""Where a connection stands between its first byte and its last. Pure."""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    """HANDSHAKE until the request is answered, GUEST and USER while it talks, CLOSING until the socket is, LOST."""

    HANDSHAKE = auto()
    GUEST = auto()
    USER = auto()
    CLOSING = auto()
    LOST = auto()


LIVE = (Phase.GUEST, Phase.USER)
"""The phases in which frames are taken and sent."""
