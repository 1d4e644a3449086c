"""Telling everyone concerned what a durable transaction did."""

from __future__ import annotations

import dataclasses
from typing import Any

from chatd import events, wire
from chatd.context import Context, Emitted
from chatd.hub import Hub, Listener
from chatd.wire import Outgoing

PARTING = (events.Block, events.Friend, events.Member, events.Group)
"""Events after which somebody may not see somebody any more."""


def publish(hub: Hub, ctx: Context, asker: Listener | None) -> None:
    """Give each event to those who hear it, in order. `asker` is the connection that asked."""
    for conversation_id, user_ids in ctx.members.items():
        hub.learn(conversation_id, user_ids)
    for emitted in ctx.emitted:
        kind = type(emitted.data)
        if kind is events.Message:
            _tell(hub, emitted, asker)
            hub.said = True
            continue
        if emitted.enter:
            hub.enter(emitted.conversation_id, emitted.enter)
        if kind in events.FLEETING:
            _show(hub, emitted, ctx.now)
        else:
            _tell(hub, emitted, asker)
        if emitted.leave:
            hub.leave(emitted.conversation_id, emitted.leave)
        if kind in PARTING:
            hub.partings += 1
        hub.erased |= kind is events.Recall or (kind is events.Moment and emitted.data.action in events.ERASING)
        hub.said |= emitted.seq is not None


def _tell(hub: Hub, emitted: Emitted, asker: Listener | None) -> None:
    """One frame for everybody, and one with the client_id for the author's own devices."""
    theirs: Outgoing | None = None
    own: Outgoing | None = None
    hidden: Outgoing | None = None
    delivered = 0
    for user_id in hub.audience(emitted.conversation_id) if emitted.to is None else emitted.to:
        is_author = user_id == emitted.author_id
        for listener in hub.of(user_id):
            if listener is asker and not emitted.echo:
                continue
            delivered += 1
            if is_author and emitted.client_id is not None:
                own = own or _event(emitted, dataclasses.replace(emitted.data, client_id=emitted.client_id))
                listener.hear(own)
            elif user_id in emitted.hidden_from:
                hidden = hidden or _event(emitted, events.Hidden())
                listener.hear(hidden)
            else:
                theirs = theirs or _event(emitted, emitted.data)
                listener.hear(theirs)
    hub.delivered += delivered


def _show(hub: Hub, emitted: Emitted, now: int) -> None:
    """A short-lived event, where it is news, to the others alone."""
    if not hub.typed(emitted.author_id, emitted.conversation_id, on=emitted.data.on, now=now):
        return
    event = _event(emitted, emitted.data)
    for user_id in emitted.to or ():
        if user_id != emitted.author_id:
            for listener in hub.of(user_id):
                listener.glimpse(event)
                hub.delivered += 1


def fleeting(data: Any) -> Outgoing:
    """A short-lived event that belongs to no conversation."""
    return Outgoing(wire.encode_event(events.NAMES[type(data)], None, None, data))


def _event(emitted: Emitted, data: Any) -> Outgoing:
    name = events.NAMES[type(data)]
    return Outgoing(wire.encode_event(name, emitted.conversation_id, emitted.seq, data))
