"""What an op's `before` is given: the dispatcher, on behalf of one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from chatd.call import Call
from chatd.context import Context, Outside, Row
from chatd.session import Identity
from chatd.wire import Language

if TYPE_CHECKING:
    from chatd.dispatch import Dispatcher

P = ParamSpec("P")
T = TypeVar("T")


class Before(Outside):
    """An `Outside` for one call."""

    def __init__(self, dispatcher: Dispatcher, call: Call) -> None:
        self._dispatcher = dispatcher
        self._call = call
        self.config = dispatcher.config
        self.intake = dispatcher.uploads
        self.upload = call.peer.upload
        self.passwords = dispatcher.passwords
        self.mail = dispatcher.mail
        self.guards = dispatcher.guards
        self.identity = call.peer.session.identity
        self.address = call.peer.address

    @property
    def now(self) -> float:
        return self._dispatcher.clock()

    async def read(
        self, function: Callable[Concatenate[Context, P], Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._dispatcher.transactions.in_reader(self._call.peer, function, *args, **kwargs)

    async def write(
        self, function: Callable[Concatenate[Context, P], Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._dispatcher.transactions.in_writer(function, *args, **kwargs)

    async def recognize(self, token: str) -> Row:
        return await self._dispatcher.recognition.session(self._call.peer, token)

    def admit(self, user_id: int) -> None:
        if self._call.peer.is_live:
            self._dispatcher.admit(user_id)

    def authenticate(self, identity: Identity, lang: Language) -> None:
        self._dispatcher.welcome(self._call.peer, identity, lang)
        self._call.peer.hold(True)
        self._call.welcomed = True

    def afterwards(self, function: Callable[[bool], None]) -> None:
        self._call.afterwards = function
