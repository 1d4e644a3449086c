"""What a client asks and hears: requests on their way, errors that came back, events."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Any

from chatd.errors import BY_CODE
from chatd.op import Op


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; `data` is as the reference of the protocol describes it.

    The client adds one event of its own, `lost`: the server has been restored from a backup, and what was known of
    this conversation no longer holds. `seq` is None for `receipt` and for what is short-lived (`typing`, `presence`).
    """

    event: str
    conversation_id: int | None
    seq: int | None
    data: dict[str, Any]


class Refused(Exception):
    """The daemon answered with an error this client does not know. `code` and the message are the daemon's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def error_of(reply: dict[str, Any]) -> Exception:
    told = reply["error"]
    known = BY_CODE.get(told["code"])
    if known is None:
        return Refused(told["code"], reply["message"])
    error = known(field=told["field"], retry_after_ms=told["retry_after_ms"])
    error.told = reply["message"]
    return error


def new_client_id() -> str:
    """A client_id that nobody else has: milliseconds since the epoch, then randomness, in hexadecimal.

    As in UUIDv7 (RFC 9562, section 5.7) ids of the same moment lie side by side in an index, which is cheaper to keep.
    """
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


class Pending:
    """A request that has no reply yet."""

    __slots__ = ("frame", "op", "reply", "sent")

    def __init__(self, op: Op, frame: dict[str, Any]) -> None:
        self.op = op
        self.frame = frame
        self.reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.sent = False
