"""What an op is given: its transaction, who asks, and where to say what happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, NoReturn, ParamSpec, Protocol, TypeVar

from chatd.config import Config
from chatd.db.query import Query
from chatd.limits import Backoff, Buckets
from chatd.links import NO_LINKS, Links
from chatd.mail import Letter, Mailer
from chatd.passwords import Passwords
from chatd.presence import Choice, Shown
from chatd.record import record
from chatd.session import Identity
from chatd.wire import Language


class Row(Protocol):
    """A row of a result, by column name."""

    def __getitem__(self, column: str, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...


P = ParamSpec("P")
T = TypeVar("T")


class Transaction(Protocol):
    """The one thing an op awaits. Values are passed by the names in the SQL."""

    async def one(self, query: Query, /, **values: Any) -> Row | None:
        """The first row, or None."""
        ...

    async def all(self, query: Query, /, **values: Any) -> Sequence[Row]:
        """Every row."""
        ...

    async def run(self, query: Query, /, **values: Any) -> int:
        """The number of rows changed, by a statement that returns none."""
        ...

    async def many(self, query: Query, /, **columns: Sequence[Any]) -> int:
        """The number of rows changed by a statement that returns none and is run once for each row of the columns."""
        ...


class NoTransaction:
    """The transaction of ops that run without one: whatever they ask of it raises RuntimeError."""

    def _refuse(self) -> NoReturn:
        raise RuntimeError("this op runs outside any transaction")

    async def one(self, query: Query, /, **values: Any) -> Row | None:
        self._refuse()

    async def all(self, query: Query, /, **values: Any) -> Sequence[Row]:
        self._refuse()

    async def run(self, query: Query, /, **values: Any) -> int:
        self._refuse()

    async def many(self, query: Query, /, **columns: Sequence[Any]) -> int:
        self._refuse()


class Presence(Protocol):
    """What an op may know of live connections."""

    def is_online(self, user_id: int) -> bool:
        """Whether the user has a live connection."""
        ...

    def shown(self, user_id: int) -> Shown:
        """What the user's live devices show."""
        ...

    def seen(self, user_id: int) -> Shown:
        """What others may be told of the user."""
        ...

    def knows(self, conversation_id: int) -> bool:
        """Whether the members of a group are known, so that they need not be read again."""
        ...


@record
class Emitted:
    """An event to be published once its transaction is durable.

    The author's own devices hear `client_id` in it, where there is one. With `echo` off the connection that asked does
    not hear it: its reply says the same. Where `to` is None all members of the group hear it: `enter` are members from
    then on, `leave` no longer. Those it is `hidden_from` hear only that there is something.
    """

    data: Any
    conversation_id: int
    seq: int | None
    to: tuple[int, ...] | None
    author_id: int
    client_id: str | None = None
    echo: bool = True
    enter: tuple[int, ...] = ()
    leave: tuple[int, ...] = ()
    hidden_from: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Placed:
    """An upload that is on the disk under its SHA-256, and what it was found to be."""

    sha256: str
    size: int
    type: str
    width: int | None
    height: int | None
    duration_ms: int | None
    thumbnail: str | None
    """The SHA-256 of its thumbnail."""


class Intake(Protocol):
    """Where uploads come in: what an op's `before` may ask of it."""

    async def received(self, token: str) -> int:
        """How many bytes of an upload have come."""
        ...

    async def append(self, token: str, piece: bytes, *, offset: int | None, most: int) -> int:
        """Write a piece of an upload, at this offset (None: where it is). Returns the next one.

        Raises `WrongOffset`, `TooLarge` past `most` bytes in all, `Unavailable`.
        """
        ...

    async def place(self, token: str) -> Placed:
        """Have it on the disk under its SHA-256. Raises `Invalid`, `Unavailable`."""
        ...

    def release(self, token: str, placed: Placed, *, is_kept: bool) -> None:
        """What was placed is a file now, or is not to be one."""
        ...

    async def read(self, sha256: str, offset: int, count: int) -> bytes:
        """A piece of a file. Raises `Unavailable`."""
        ...

    async def drop(self, token: str) -> None:
        """Forget what has come of an upload."""
        ...


@dataclass
class Context:
    """One op in one transaction. `now` is in milliseconds since the epoch."""

    db: Transaction
    config: Config
    identity: Identity
    now: int
    hub: Presence
    client_id: str | None = None
    emitted: list[Emitted] = field(default_factory=list)
    authenticated: Identity | None = None
    speaks: Language | None = None
    shows: Choice | None = None
    ended: list[tuple[int, int]] = field(default_factory=list)
    letters: tuple[Letter, ...] = ()
    members: dict[int, list[int]] = field(default_factory=dict)
    """The members of the groups in which something happened, where the hub did not know them."""
    leaves: bool = False
    """Whether the asker's account is to be erased."""
    links: Links = NO_LINKS
    discarded: list[str] = field(default_factory=list)
    """SHA-256 of what lost a file that held it."""
    uploads_to: str | None = None
    """The upload that the asking connection's binary frames belong to from now on."""

    @property
    def user_id(self) -> int:
        """The user who asks; 0 for a guest."""
        return self.identity.user_id

    def emit(
        self,
        data: Any,
        *,
        conversation_id: int,
        seq: int | None,
        to: tuple[int, ...] | None,
        client_id: str | None = None,
        echo: bool = True,
        enter: tuple[int, ...] = (),
        leave: tuple[int, ...] = (),
        hidden_from: frozenset[int] = frozenset(),
    ) -> None:
        """Tell the users `to`, or all members of a group, what happened, after the commit."""
        author_id = self.identity.user_id
        self.emitted.append(
            Emitted(data, conversation_id, seq, to, author_id, client_id, echo, enter, leave, hidden_from)
        )

    def authenticate(self, identity: Identity, lang: Language) -> None:
        """Make the asking connection this user's, after the commit."""
        self.authenticated = identity
        self.speaks = lang

    def show(self, choice: Choice) -> None:
        """Have the asking connection show this of its user."""
        self.shows = choice

    def end_session(self, user_id: int, session_id: int) -> None:
        """Close the live connections of a user's session, after the commit."""
        self.ended.append((user_id, session_id))

    def mail(self, letter: Letter) -> None:
        """Send a letter, after the commit."""
        self.letters = (*self.letters, letter)


@dataclass(frozen=True, slots=True)
class Guards:
    """What slows down guessing. `accounts` delays attempts at one account, `addresses` bounds those of one address."""

    accounts: Backoff
    addresses: Buckets


class Outside(Protocol):
    """What an op's `before` is given: it runs on the loop, outside any transaction. `now` is in seconds (monotonic)."""

    config: Config
    intake: Intake
    upload: str | None
    """The upload that the asking connection's binary frames belong to."""
    identity: Identity
    address: str
    passwords: Passwords
    mail: Mailer
    guards: Guards

    @property
    def now(self) -> float: ...

    async def read(
        self, function: Callable[Concatenate[Context, P], Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The function's result, run in a transaction that only reads."""
        ...

    async def write(
        self, function: Callable[Concatenate[Context, P], Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The function's result, run in a transaction of its own."""
        ...

    async def recognize(self, token: str) -> Row:
        """The session of a token and its user. Raises `BadToken`, `AccountDisabled`, `Invalid`, `UsernameTaken`."""
        ...

    def admit(self, user_id: int) -> None:
        """Raise `TooManyConnections` where the user may have no more."""
        ...

    def authenticate(self, identity: Identity, lang: Language) -> None:
        """Make the connection this user's now, holding its events back until the reply is out."""
        ...

    def afterwards(self, function: Callable[[bool], None]) -> None:
        """Have the function called when the op is over, with whether it succeeded."""
        ...
