"""People, friendships, groups and messages, made quickly over the wire."""

from __future__ import annotations

import asyncio
import itertools

from tests.files import User
from tests.support import Person, befriend


async def people(url: str, *usernames: str) -> list[Person]:
    """Sign somebody up by each name, with PASSWORD."""
    return list(await asyncio.gather(*(Person.named(url, username) for username in usernames)))


async def friends(url: str, *usernames: str) -> list[Person]:
    """The same, and each is a friend of each."""
    everybody = await people(url, *usernames)
    for (one, _), (other, username) in itertools.combinations(zip(everybody, usernames, strict=True), 2):
        await befriend(one, other, username=username)
    return everybody


async def group(owner: Person, title: str, *members: str) -> int:
    """A group's conversation; the members are usernames of the owner's friends."""
    made = await owner.data("group_create", title=title, members=list(members))
    conversation_id: int = made["conversation_id"]
    return conversation_id


async def write(person: Person, conversation_id: int, *texts: str) -> list[int]:
    """Send texts. Returns the messages' ids."""
    return [(await person.data("send", conversation_id=conversation_id, content=text))["message_id"] for text in texts]


async def upload(url: str, person: Person, content: bytes, name: str) -> int:
    """A file's id."""
    user = await User.of(url, person.token)
    file_id: int = (await user.file(content, name))["file_id"]
    await user.close()
    return file_id
