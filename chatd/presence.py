"""Who seems to be there: what a user's devices show, taken together, and what the others were last told. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from chatd.record import record

Chosen = Literal["online", "away", "dnd", "invisible"]
Status = Literal["online", "away", "dnd", "offline"]


@record
class Choice:
    """What a device shows of its user: a status, and a few words of the user's own."""

    status: Chosen = "online"
    text: str = ""


@record
class Shown:
    """What the others see of a user."""

    status: Status
    text: str = ""


OFFLINE = Shown("offline")
DEFAULT = Choice()

_STRENGTH: dict[Chosen, int] = {"away": 0, "online": 1, "dnd": 2, "invisible": 3}
"""Of several devices the strongest choice holds: who wants not to be disturbed, or seen, on one, wants it on all."""


def taken_together(choices: Iterable[Choice]) -> Shown:
    """What a user whose live devices show these is seen as; of equal ones the latest holds."""
    strongest: Choice | None = None
    for choice in choices:
        if strongest is None or _STRENGTH[choice.status] >= _STRENGTH[strongest.status]:
            strongest = choice
    if strongest is None or strongest.status == "invisible":
        return OFFLINE
    return Shown(strongest.status, strongest.text)


@record
class Change:
    """What the others are to be told of a user."""

    user_id: int
    event: Literal["join", "leave", "presence"]
    shown: Shown


class Told:
    """What the others were last told of each user who is there.

    Who loses the last connection has some `grace`, in seconds, to come back before it is told; who becomes invisible
    looks the same.
    """

    def __init__(self, told: dict[int, Shown], *, grace: float) -> None:
        self._grace = grace
        self._told = told
        self._gone: dict[int, float] = {}

    def changes(
        self,
        moved: Iterable[int],
        *,
        shown: Callable[[int], Shown],
        now: float,
    ) -> list[Change]:
        """What is to be told now, after these users came, went or chose something. `now` is in seconds (monotonic).

        It counts as told when `told` is called: whatever is not, is to be told again when the user moves again.
        """
        due: dict[int, None] = {}
        for user_id in moved:
            if shown(user_id).status != "offline":
                self._gone.pop(user_id, None)
                due[user_id] = None
            elif user_id in self._told:
                self._gone.setdefault(user_id, now + self._grace)
        for user_id, until in tuple(self._gone.items()):  # in the order they went
            if until > now:
                break
            del self._gone[user_id]
            due[user_id] = None
        return [change for user_id in due if (change := self._change(user_id, shown(user_id))) is not None]

    def _change(self, user_id: int, shown: Shown) -> Change | None:
        told = self._told.get(user_id, OFFLINE)
        if shown == told:
            return None
        if shown.status == "offline":
            return Change(user_id, "leave", shown)
        return Change(user_id, "join" if told is OFFLINE else "presence", shown)

    def told(self, change: Change) -> None:
        """The others know of it now."""
        if change.event == "leave":
            self._told.pop(change.user_id, None)
        else:
            self._told[change.user_id] = change.shown
