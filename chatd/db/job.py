"""Work for the database, on its way there and back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from chatd.context import Transaction

Work = Callable[[Transaction], Coroutine[Any, Any, Any]]
Together = Callable[[Sequence["Job"], Transaction], Coroutine[Any, Any, Sequence[Any]]]
"""The work of several jobs at once. Returns their results in order, errors among them."""


class Job:
    """Work for the database, and what came of it: `result`, or `error` where that is not None.

    Jobs with the same `together` that follow one another are run by it.
    """

    __slots__ = ("error", "result", "together")

    def __init__(self) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self.together: Together | None = None

    def work(self, transaction: Transaction) -> Coroutine[Any, Any, Any]:
        """What is to be done, in the database's thread."""
        raise NotImplementedError

    def done(self) -> None:
        """It is done: the loop says so, in the order of the jobs."""
        raise NotImplementedError


class Errand(Job):
    """A job made of two functions."""

    __slots__ = ("_done", "_work")

    def __init__(self, work: Work, done: Callable[[Job], None], *, together: Together | None = None) -> None:
        super().__init__()
        self._work = work
        self._done = done
        self.together = together

    def work(self, transaction: Transaction) -> Coroutine[Any, Any, Any]:
        return self._work(transaction)

    def done(self) -> None:
        self._done(self)
