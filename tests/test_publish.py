"""Who hears what a transaction did, and in which frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from chatd import events
from chatd.config import Config
from chatd.context import Context, NoTransaction
from chatd.hub import TYPING_AGAIN, Hub
from chatd.publish import PARTING, fleeting, publish
from chatd.session import Identity, Session
from chatd.wire import Outgoing

ADA, BOB, CHEN, DORA = 1, 2, 3, 4
DIRECT, GROUP = 7, 8
NOW = 1_700_000_000_000
SOMEBODY = events.Person(BOB, "bob")


class Ear:
    """A live connection that keeps what it hears."""

    def __init__(self, hub: Hub, user_id: int) -> None:
        self.session = Session()
        self.session.authenticated(Identity(user_id=user_id, username="", session_id=1), "en")
        self.heard: list[Outgoing] = []
        self.glimpsed: list[Outgoing] = []
        hub.add(user_id, self)

    def hear(self, outgoing: Outgoing) -> None:
        self.heard.append(outgoing)

    def glimpse(self, outgoing: Outgoing) -> None:
        self.glimpsed.append(outgoing)

    def close(self, code: int, reason: str) -> None:
        raise AssertionError("nobody is sent away")

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """The names and data of the durable events heard."""
        return [(frame["event"], frame["data"]) for frame in map(read, self.heard)]


def read(outgoing: Outgoing) -> dict[str, Any]:
    frame: dict[str, Any] = orjson.loads(outgoing.payload)
    return frame


@pytest.fixture
def hub() -> Hub:
    return Hub()


def by(user_id: int, *, now: int = NOW) -> Context:
    """What a user did."""
    identity = Identity(user_id=user_id, username="", session_id=1)
    return Context(db=NoTransaction(), config=Config(), identity=identity, now=now, hub=Hub())


def message(content: str = "hi") -> events.Message:
    return events.Message(
        message_id=9,
        from_user_id=ADA,
        from_username="ada",
        to_user_id=None,
        kind="text",
        content=content,
        created_at="2026-01-31T12:00:00.000Z",
    )


def reaction() -> events.Reaction:
    return events.Reaction(message_id=9, message_seq=1, user_id=ADA, username="ada", emoji="👍", on=True)


def one_frame(ears: Iterable[Ear]) -> dict[str, Any]:
    """What all of these have heard, which is one thing, encoded once."""
    frames = {id(outgoing): outgoing for ear in ears for outgoing in ear.heard}
    assert all(len(ear.heard) == 1 for ear in ears)
    assert len(frames) == 1
    return read(next(iter(frames.values())))


# Who hears it


def test_an_event_is_heard_by_those_it_is_for_on_each_device(hub: Hub) -> None:
    ears = [Ear(hub, user_id) for user_id in (ADA, ADA, BOB, BOB)]
    stranger = Ear(hub, CHEN)
    ctx = by(ADA)
    ctx.emit(message(), conversation_id=DIRECT, seq=5, to=(BOB, ADA))
    publish(hub, ctx, None)
    frame = one_frame(ears)
    assert (frame["type"], frame["event"], frame["conversation_id"], frame["seq"]) == ("event", "message", DIRECT, 5)
    assert frame["data"]["content"] == "hi"
    assert stranger.heard == []
    assert all(ear.glimpsed == [] for ear in ears)


def test_who_is_not_there_need_not_be(hub: Hub) -> None:
    bob = Ear(hub, BOB)
    ctx = by(ADA)
    ctx.emit(message(), conversation_id=DIRECT, seq=1, to=(CHEN, BOB, ADA))
    publish(hub, ctx, None)
    assert len(bob.heard) == 1


def test_the_events_of_a_transaction_come_in_their_order(hub: Hub) -> None:
    bob = Ear(hub, BOB)
    ctx = by(ADA)
    for seq in (1, 2, 3):
        ctx.emit(message(str(seq)), conversation_id=DIRECT, seq=seq, to=(BOB,))
    publish(hub, ctx, None)
    assert [data["content"] for _, data in bob.events] == ["1", "2", "3"]


def test_of_what_did_nothing_nobody_hears(hub: Hub) -> None:
    bob = Ear(hub, BOB)
    publish(hub, by(ADA), bob)
    assert bob.heard == []
    assert hub.partings == 0


# The author's own devices


def test_the_client_id_is_for_the_authors_devices_alone(hub: Hub) -> None:
    mine = [Ear(hub, ADA), Ear(hub, ADA)]
    theirs = [Ear(hub, BOB), Ear(hub, BOB), Ear(hub, CHEN)]
    ctx = by(ADA)
    ctx.emit(message(), conversation_id=DIRECT, seq=1, to=(BOB, CHEN, ADA), client_id="a-1")
    publish(hub, ctx, None)
    assert one_frame(mine)["data"]["client_id"] == "a-1"
    assert one_frame(theirs)["data"]["client_id"] is None
    assert all(b"a-1" not in ear.heard[0].payload for ear in theirs)


def test_the_author_hears_the_client_id_whoever_is_told_first(hub: Hub) -> None:
    mine, theirs = Ear(hub, ADA), Ear(hub, BOB)
    ctx = by(ADA)
    ctx.emit(message(), conversation_id=DIRECT, seq=1, to=(ADA, BOB), client_id="a-1")
    publish(hub, ctx, None)
    assert one_frame([mine])["data"]["client_id"] == "a-1"
    assert one_frame([theirs])["data"]["client_id"] is None


def test_where_there_is_no_client_id_everybody_hears_the_same(hub: Hub) -> None:
    ears = [Ear(hub, ADA), Ear(hub, BOB)]
    ctx = by(ADA)
    ctx.emit(message(), conversation_id=DIRECT, seq=1, to=(BOB, ADA))
    publish(hub, ctx, None)
    assert one_frame(ears)["data"]["client_id"] is None


def test_without_echo_the_connection_that_asked_hears_nothing_and_the_authors_others_do(hub: Hub) -> None:
    asker, other, bob = Ear(hub, ADA), Ear(hub, ADA), Ear(hub, BOB)
    ctx = by(ADA)
    ctx.emit(message(), conversation_id=DIRECT, seq=1, to=(BOB, ADA), client_id="a-1", echo=False)
    publish(hub, ctx, asker)
    assert asker.heard == []
    assert one_frame([other])["data"]["client_id"] == "a-1"
    assert one_frame([bob])["data"]["client_id"] is None


def test_with_echo_the_connection_that_asked_hears_it_too(hub: Hub) -> None:
    asker, bob = Ear(hub, ADA), Ear(hub, BOB)
    ctx = by(ADA)
    ctx.emit(reaction(), conversation_id=DIRECT, seq=2, to=(BOB, ADA))
    publish(hub, ctx, asker)
    assert one_frame([asker, bob])["event"] == "reaction"


# Those it is hidden from


def test_whom_it_is_hidden_from_hears_only_that_there_is_something(hub: Hub) -> None:
    seeing = [Ear(hub, ADA), Ear(hub, BOB), Ear(hub, BOB)]
    blind = [Ear(hub, CHEN), Ear(hub, CHEN), Ear(hub, DORA)]
    hub.learn(GROUP, [ADA, BOB, CHEN, DORA])
    ctx = by(ADA)
    ctx.emit(reaction(), conversation_id=GROUP, seq=5, to=None, hidden_from=frozenset({CHEN, DORA}))
    publish(hub, ctx, None)
    assert one_frame(seeing)["data"]["emoji"] == "👍"
    assert one_frame(blind) == {
        **{"type": "event", "event": "hidden", "conversation_id": GROUP, "seq": 5},
        "data": {},
    }


def test_what_is_hidden_is_hidden_from_those_named_alone(hub: Hub) -> None:
    bob, chen = Ear(hub, BOB), Ear(hub, CHEN)
    ctx = by(ADA)
    ctx.emit(reaction(), conversation_id=DIRECT, seq=1, to=(BOB, CHEN), hidden_from=frozenset({BOB, DORA}))
    ctx.emit(reaction(), conversation_id=DIRECT, seq=2, to=(BOB, CHEN))
    publish(hub, ctx, None)
    assert [event for event, _ in bob.events] == ["hidden", "reaction"]
    assert [event for event, _ in chen.events] == ["reaction", "reaction"]


def test_what_the_author_has_hidden_is_hidden_from_the_authors_devices(hub: Hub) -> None:
    asker, phone = Ear(hub, ADA), Ear(hub, ADA)
    ctx = by(ADA)
    ctx.emit(reaction(), conversation_id=DIRECT, seq=1, to=(ADA,), hidden_from=frozenset({ADA}))
    publish(hub, ctx, asker)
    assert one_frame([asker, phone])["event"] == "hidden"


# Groups


def test_a_groups_members_hear_what_happens_in_it(hub: Hub) -> None:
    ears = [Ear(hub, ADA), Ear(hub, BOB)]
    stranger = Ear(hub, CHEN)
    ctx = by(ADA)
    ctx.members[GROUP] = [ADA, BOB, DORA]
    ctx.emit(message(), conversation_id=GROUP, seq=1, to=None)
    publish(hub, ctx, None)
    assert one_frame(ears)["conversation_id"] == GROUP
    assert stranger.heard == []
    assert hub.knows(GROUP)


def test_who_enters_hears_it_and_who_leaves_hears_it_last(hub: Hub) -> None:
    bob, chen = Ear(hub, BOB), Ear(hub, CHEN)
    hub.learn(GROUP, [BOB])
    ctx = by(ADA)
    ctx.emit(message("before"), conversation_id=GROUP, seq=1, to=None)
    came = events.Member("joined", (events.Person(CHEN, "chen"),), CHEN, "chen")
    ctx.emit(came, conversation_id=GROUP, seq=2, to=None, enter=(CHEN,))
    left = events.Member("removed", (events.Person(BOB, "bob"),), ADA, "ada")
    ctx.emit(left, conversation_id=GROUP, seq=3, to=None, leave=(BOB,))
    ctx.emit(message("after"), conversation_id=GROUP, seq=4, to=None)
    publish(hub, ctx, None)
    assert [read(outgoing)["seq"] for outgoing in bob.heard] == [1, 2, 3]
    assert [read(outgoing)["seq"] for outgoing in chen.heard] == [2, 3, 4]
    assert set(hub.audience(GROUP)) == {CHEN}


def test_what_was_read_of_a_group_does_not_replace_what_is_known(hub: Hub) -> None:
    bob, chen = Ear(hub, BOB), Ear(hub, CHEN)
    hub.learn(GROUP, [BOB])
    ctx = by(ADA)
    ctx.members[GROUP] = [BOB, CHEN]  # read before chen went
    ctx.emit(message(), conversation_id=GROUP, seq=1, to=None)
    publish(hub, ctx, None)
    assert len(bob.heard) == 1
    assert chen.heard == []


# Short-lived events


def types(
    hub: Hub, *, on: bool = True, now: int = NOW, to: tuple[int, ...] = (BOB, ADA), conversation_id: int = DIRECT
) -> None:
    """ada types."""
    ctx = by(ADA, now=now)
    ctx.emit(events.Typing(ADA, "ada", on), conversation_id=conversation_id, seq=None, to=to)
    publish(hub, ctx, None)


def test_a_short_lived_event_is_glimpsed_by_the_others_alone(hub: Hub) -> None:
    mine = [Ear(hub, ADA), Ear(hub, ADA)]
    theirs = [Ear(hub, BOB), Ear(hub, BOB)]
    types(hub)
    (frame,) = {id(outgoing): read(outgoing) for ear in theirs for outgoing in ear.glimpsed}.values()
    assert frame == {
        **{"type": "event", "event": "typing", "conversation_id": DIRECT, "seq": None},
        "data": {"user_id": ADA, "username": "ada", "on": True},
    }
    assert [len(ear.glimpsed) for ear in (*mine, *theirs)] == [0, 0, 1, 1]
    assert all(ear.heard == [] for ear in (*mine, *theirs))


def test_in_a_group_the_others_who_are_named_glimpse_it(hub: Hub) -> None:
    ada, bob, chen, stranger = [Ear(hub, user_id) for user_id in (ADA, BOB, CHEN, DORA)]
    types(hub, to=(BOB, CHEN))
    assert [len(ear.glimpsed) for ear in (ada, bob, chen, stranger)] == [0, 1, 1, 0]


def test_a_short_lived_event_is_told_only_when_it_is_news(hub: Hub) -> None:
    bob = Ear(hub, BOB)
    for on, now in (
        *((False, 0), (True, 0), (True, 1), (True, TYPING_AGAIN - 1), (True, TYPING_AGAIN)),
        *((False, TYPING_AGAIN + 1), (False, TYPING_AGAIN + 2)),
    ):
        types(hub, on=on, now=NOW + now)
    assert [read(outgoing)["data"]["on"] for outgoing in bob.glimpsed] == [True, True, False]


def test_what_is_no_news_in_one_conversation_is_news_in_another(hub: Hub) -> None:
    bob = Ear(hub, BOB)
    types(hub)
    types(hub, conversation_id=GROUP)
    types(hub)
    assert [read(outgoing)["conversation_id"] for outgoing in bob.glimpsed] == [DIRECT, GROUP]


def test_who_is_there_belongs_to_no_conversation() -> None:
    frame = read(fleeting(events.Join(ADA, "ada", "away", "back at two")))
    assert frame == {
        **{"type": "event", "event": "join", "conversation_id": None, "seq": None},
        "data": {"user_id": ADA, "username": "ada", "status": "away", "text": "back at two"},
    }


# Partings

EXAMPLES: dict[type[Any], Any] = {
    events.Block: events.Block(BOB, "bob", blocked=True),
    events.Friend: events.Friend("removed", BOB, "bob"),
    events.Member: events.Member("left", (SOMEBODY,), BOB, "bob"),
    events.Group: events.Group("dissolved", ADA, "ada"),
    events.Message: message(),
    events.Erasure: events.Erasure(BOB, "deleted#2"),
    events.Edit: events.Edit(9, 1, ADA, "ada", "ho", "2026-01-31T12:00:00.000Z"),
    events.Recall: events.Recall(9, 1, ADA, "ada", "2026-01-31T12:00:00.000Z"),
    events.Reaction: reaction(),
    events.Pin: events.Pin(9, 1, ADA, "ada", on=True),
    events.Delete: events.Delete(GROUP, 9, 1),
    events.Hidden: events.Hidden(),
    events.FriendRequest: events.FriendRequest(1, ADA, "ada", BOB, "bob", "", "pending", "2026-01-31T12:00:00.000Z"),
    events.Conversation: events.Conversation(GROUP, "group", None, None, "Climbing", 1),
    events.ConversationSettings: events.ConversationSettings(GROUP, silent=True, pinned=False),
    events.JoinRequest: events.JoinRequest(GROUP, "Climbing", BOB, "bob", "", "pending"),
    events.Moment: events.Moment("posted", 7, ADA, "ada"),
    events.Profile: events.Profile(("nickname",)),
    events.Session: events.Session("opened", 1, None),
    events.Receipt: events.Receipt(BOB, 1, 1),
}


def test_whatever_is_kept_has_an_example_here() -> None:
    assert set(events.EVENTS.values()) - events.FLEETING == set(EXAMPLES)


@pytest.mark.parametrize("data", EXAMPLES.values(), ids=lambda data: events.NAMES[type(data)])
def test_a_parting_is_counted_and_nothing_else(hub: Hub, data: Any) -> None:
    ctx = by(ADA)
    ctx.emit(data, conversation_id=GROUP, seq=1, to=(ADA,))
    publish(hub, ctx, None)
    assert hub.partings == (type(data) in {events.Block, events.Friend, events.Member, events.Group})


def moment(action: Any) -> events.Moment:
    return events.Moment(action, 7, ADA, "ada")


@pytest.mark.parametrize(
    ("data", "erases"),
    [
        (EXAMPLES[events.Recall], True),
        (moment("deleted"), True),
        (moment("comment_deleted"), True),
        (moment("posted"), False),
        (moment("liked"), False),
        (moment("unliked"), False),
        (moment("commented"), False),
        (reaction(), False),
    ],
)
def test_what_was_erased_is_to_leave_the_disk(hub: Hub, data: Any, erases: bool) -> None:
    ctx = by(ADA)
    ctx.emit(data, conversation_id=GROUP, seq=1, to=(ADA,))
    publish(hub, ctx, None)
    assert hub.erased == erases


def test_every_parting_is_counted_whether_or_not_somebody_hears_it(hub: Hub) -> None:
    ctx = by(ADA)
    for data in (EXAMPLES[kind] for kind in PARTING):
        ctx.emit(data, conversation_id=GROUP, seq=1, to=())
    publish(hub, ctx, None)
    assert hub.partings == len(PARTING) == 4


def test_who_types_parts_from_nobody(hub: Hub) -> None:
    types(hub)
    assert hub.partings == 0
