"""A client as the dispatcher sees it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from chatd.session import Session
from chatd.wire import Outgoing

if TYPE_CHECKING:
    from chatd.call import Call

BAD_PAYLOAD = 1007
"""Close code: a text frame was not UTF-8 (RFC 6455, section 8.1)."""

RESTART = 1012
"""Close code: the daemon stops; come back in a moment (IANA: "Service Restart")."""

TOO_SLOW = 1013
"""Close code: this client reads too slowly; reconnect and sync (IANA: "Try Again Later")."""

SESSION_ENDED = 4001
"""Close code: the session was ended, its token is worth nothing any more; log in again."""


class Allowance(Protocol):
    """How much a client may ask for."""

    def take(self, now: float) -> float:
        """Ask for one thing more. Returns 0.0, or the seconds until it will be allowed."""
        ...


class Peer:
    """What the dispatcher needs of a client; `connection.Connection` is one over a WebSocket."""

    __slots__ = ("address", "backlog", "bucket", "number", "session", "upload", "waiting")

    is_live = True
    """Whether it is there after its reply: hears events, and is seen."""

    def __init__(self, *, number: int, address: str, bucket: Allowance) -> None:
        self.number = number
        self.address = address
        self.bucket = bucket
        self.session = Session()
        self.upload: str | None = None
        """What its binary frames belong to."""
        self.waiting: Call | None = None
        self.backlog: deque[bytes | bytearray] | None = None

    @property
    def congested(self) -> bool:
        """Whether what was sent has not been taken yet."""
        raise NotImplementedError

    def send(self, outgoing: Outgoing) -> None:
        """Queue a reply."""
        raise NotImplementedError

    def hear(self, outgoing: Outgoing) -> None:
        """Queue an event."""
        raise NotImplementedError

    def glimpse(self, outgoing: Outgoing) -> None:
        """Queue a short-lived event, or drop it where others wait."""
        raise NotImplementedError

    def hold(self, held: bool) -> None:
        """Hold events back, or let go those that were, so that none comes before the reply to `auth`."""
        raise NotImplementedError

    def pause(self, paused: bool) -> None:
        """Stop or go on reading: more has come than may be under way."""
        raise NotImplementedError

    def recognized(self, known: bool) -> None:
        """The connection has an identity now, or has none any more."""
        raise NotImplementedError

    def close(self, code: int, reason: str) -> None:
        """Close the connection (RFC 6455, section 7.4)."""
        raise NotImplementedError
