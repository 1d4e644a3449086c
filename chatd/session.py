"""A connection's state machine: who it is, which ops are legal when, and which may run side by side.

Pure. Replies leave in the order of the requests: ops of one lane run in order by themselves, and an op of another
lane waits until those before it are done. So what a client has written it can read in the next line.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from chatd.errors import AlreadyAuthenticated, ChatError, Unauthenticated
from chatd.op import Asks, Lane, Op
from chatd.presence import DEFAULT
from chatd.wire import Language


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a connection is, as `signup`, `login` or `auth` found."""

    user_id: int
    username: str
    session_id: int


NOBODY = Identity(user_id=0, username="", session_id=0)
"""A guest. No row has the id 0."""


class State(Enum):
    """GUEST before `signup`, `login` or `auth`, and after `logout`; USER between; CLOSED at the end."""

    GUEST = auto()
    USER = auto()
    CLOSED = auto()


LEGAL: dict[tuple[State, Asks], type[ChatError] | None] = {
    (State.GUEST, "anyone"): None,
    (State.GUEST, "guest"): None,
    (State.GUEST, "user"): Unauthenticated,
    (State.USER, "anyone"): None,
    (State.USER, "guest"): AlreadyAuthenticated,
    (State.USER, "user"): None,
    (State.CLOSED, "anyone"): Unauthenticated,
    (State.CLOSED, "guest"): Unauthenticated,
    (State.CLOSED, "user"): Unauthenticated,
}
"""Which ops a connection may ask for in which state; None is yes."""


class Session:
    """One connection's identity and the ops it has under way."""

    __slots__ = ("_exclusive", "_lane", "_under_way", "choice", "identity", "lang", "state")

    def __init__(self) -> None:
        self.state = State.GUEST
        self.identity: Identity = NOBODY
        self.lang: Language = "en"
        self.choice = DEFAULT
        """What this device shows of its user's presence."""
        self._lane: Lane = "here"
        self._exclusive = False
        self._under_way = 0

    def refuse(self, op: Op) -> None:
        """Raise the error of asking for this op in this state, where there is one."""
        error = LEGAL[self.state, op.needs.asks]
        if error is not None:
            raise error(username=self.identity.username)

    def authenticated(self, identity: Identity, lang: Language) -> None:
        """The connection is this user's now."""
        self.state = State.USER
        self.identity = identity
        self.lang = lang

    def signed_out(self) -> None:
        """The connection is a guest's again."""
        self.state = State.GUEST
        self.identity = NOBODY
        self.choice = DEFAULT

    def closed(self) -> None:
        """The connection is gone or going: nothing is legal any more."""
        self.state = State.CLOSED

    @property
    def under_way(self) -> int:
        """How many ops have begun and not ended."""
        return self._under_way

    def may_begin(self, lane: Lane, *, exclusive: bool, most: int) -> bool:
        """Whether an op of this lane keeps the order of replies if it begins now, `most` being under way at once."""
        if self._under_way == 0:
            return True
        return self._under_way < most and lane == self._lane and not exclusive and not self._exclusive

    def begin(self, lane: Lane, *, exclusive: bool) -> None:
        """An op begins. An exclusive one (it may change who the connection is) runs alone."""
        self._lane = lane
        self._exclusive = exclusive
        self._under_way += 1

    def end(self) -> None:
        """An op has ended, its reply is out."""
        self._under_way -= 1
