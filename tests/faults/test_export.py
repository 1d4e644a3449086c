"""Everything of mine, as a ZIP."""

from __future__ import annotations

import asyncio
import io
import random
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from tests.support import PASSWORD, PATIENCE, Answered, Person, Process, Web, befriend


@pytest.fixture
async def web(process: Process) -> Web:
    return await Web.at(process.url)


async def whole(web: Web) -> Answered:
    """A response that comes in chunks (RFC 9112, section 7.1)."""
    async with asyncio.timeout(PATIENCE):
        head = (await web.reader.readuntil(b"\r\n\r\n")).decode()
        status = int(head.split(" ", 2)[1])
        headers: dict[str, list[str]] = {}
        for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:-2]):
            headers.setdefault(name.lower(), []).append(value)
        body = b""
        while size := int(await web.reader.readline(), 16):
            body += (await web.reader.readexactly(size + 2))[:-2]
        await web.reader.readline()
        return Answered(status, headers, body)


async def upload(web: Web, token: str, name: str, content: bytes) -> int:
    web.say("POST", f"/files?name={name}", content, authorization=f"Bearer {token}")
    answered = await web.answer()
    assert answered.status == 201, answered
    file_id: int = answered.json["data"]["file_id"]
    return file_id


def opened(answered: Answered) -> tuple[list[dict[str, Any]], zipfile.ZipFile]:
    archive = zipfile.ZipFile(io.BytesIO(answered.body))
    assert archive.testzip() is None
    return [orjson.loads(line) for line in archive.read("account.jsonl").splitlines()], archive


async def test_everything_of_mine_and_nothing_else(process: Process, web: Web) -> None:
    ada, bob = await Person.named(process.url, "ada", email="ada@chat.test"), await Person.named(process.url, "bob")
    eve = await Person.named(process.url, "eve")
    await befriend(ada, bob, username="bob")
    await befriend(eve, bob, username="bob")
    file_id = await upload(web, ada.token, "notes.txt", b"my notes " * 100_000)
    await upload(web, bob.token, "bobs.txt", b"bob's own")
    await ada.data("send", to_user="bob", kind="file", file_id=file_id)
    for number in range(450):  # more than two pages
        await ada.data("send", to_user="bob", content=f"message {number}")
    await bob.data("send", to_user="ada", content="an answer")
    await eve.data("send", to_user="bob", content="not for ada")
    await ada.data("block", user="eve")
    await ada.data("moment_post", content="Dear diary", visibility="private")
    theirs = await bob.data("moment_post", content="not ada's")
    await ada.data("moment_like", moment_id=theirs["moment_id"], on=True)
    for number in range(201):  # more than a page
        await ada.data("moment_comment", moment_id=theirs["moment_id"], content=f"comment {number}")
    await ada.data("invite_create", note="for carol")

    web.say("GET", (await ada.data("account_export"))["url"])
    answered = await whole(web)
    assert (answered.status, answered.headers["content-type"]) == (200, ["application/zip"])
    lines, archive = opened(answered)
    assert {
        *("profile", "sessions", "friends", "friend_requests", "blocks", "moments_of", "conversations", "history"),
        *("moment_like", "moment_comment", "invites"),
    } == {line["from"] for line in lines}
    by_op = Counter(line["from"] for line in lines)
    assert by_op["history"] == 452
    assert by_op["friends"] == by_op["blocks"] == by_op["profile"] == 1
    messages = [line["content"] for line in lines if line["from"] == "history"]
    assert messages[1:] == [*(f"message {number}" for number in range(450)), "an answer"]
    assert [line["settings"]["email"] for line in lines if line["from"] == "profile"] == ["ada@chat.test"]
    assert [line["content"] for line in lines if line["from"] == "moments_of"] == ["Dear diary"]
    assert [line["moment_id"] for line in lines if line["from"] == "moment_like"] == [theirs["moment_id"]]
    comments = [line["content"] for line in lines if line["from"] == "moment_comment"]
    assert comments == [f"comment {number}" for number in range(201)]
    assert [line["note"] for line in lines if line["from"] == "invites"] == ["for carol"]
    assert archive.namelist() == ["account.jsonl", f"files/{file_id}-notes.txt"]
    assert archive.read(f"files/{file_id}-notes.txt") == b"my notes " * 100_000


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("文" * 200 + ".tar.gz", ".gz"),
        ("é" * 255, ""),
        ("a" * 251 + ".txt", ".txt"),
        ("b." + "😀" * 200, "." + "😀" * 62),
    ],
)
async def test_names_are_as_long_as_file_systems_take(
    process: Process, web: Web, tmp_path: Path, name: str, ending: str
) -> None:
    ada = await Person.named(process.url, "ada")
    await upload(web, ada.token, quote(name), b"x")
    web.say("GET", (await ada.data("account_export"))["url"])
    _, archive = opened(await whole(web))
    archive.extractall(tmp_path / "unpacked")
    (found,) = (tmp_path / "unpacked" / "files").iterdir()
    assert 250 < len(found.name.encode()) <= 255
    assert found.suffix == ending
    assert found.read_bytes() == b"x"


async def test_what_is_recalled_while_it_is_exported_is_left_out(process: Process, web: Web) -> None:
    """All files are listed before the first is sent; the ZIP stays whole without those that are gone."""
    ada = await Person.named(process.url, "ada")
    large, then, last = [await upload(web, ada.token, *file) for file in FILES]
    sent = await ada.data("send", to_user="ada", kind="file", file_id=then)
    slow = await asyncio.open_connection("127.0.0.1", process.port, limit=1 << 12)
    reading = Web(*slow)
    reading.say("GET", (await ada.data("account_export"))["url"])
    head = await reading.reader.readuntil(b"large")  # the entry has begun, and its content goes no further than buffers
    await ada.data("recall", message_id=sent["message_id"])
    while len(list((process.data / "files").glob("*/*"))) > 2:
        await ada.events()
    rest = await asyncio.wait_for(_to_the_last_chunk(reading), PATIENCE)
    _, archive = opened(Answered(200, {}, _unchunked((head + rest).partition(b"\r\n\r\n")[2])))
    assert archive.namelist() == ["account.jsonl", f"files/{large}-large", f"files/{last}-last"]
    assert archive.read(f"files/{last}-last") == b"the last"
    assert "Traceback" not in process.log


FILES = (("large", random.Random(1).randbytes(9_000_000)), ("then", b"and then"), ("last", b"the last"))


async def _to_the_last_chunk(web: Web) -> bytes:
    content = b""
    while not content.endswith(b"\r\n0\r\n\r\n"):
        content += await web.reader.read(1 << 16) or pytest.fail("the export was cut")
    return content


def _unchunked(body: bytes) -> bytes:
    """RFC 9112, section 7.1."""
    whole, at = bytearray(), 0
    while size := int(body[at : (end := body.index(b"\r\n", at))], 16):
        whole += body[end + 2 : end + 2 + size]
        at = end + 4 + size
    return bytes(whole)


async def test_who_may_have_it(process: Process, web: Web) -> None:
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    url = (await ada.data("account_export"))["url"]
    path = "/export/1"
    web.say("GET", path, authorization=f"Bearer {ada.token}")
    assert (await whole(web)).status == 200
    assert (await web.get(path, authorization=f"Bearer {bob.token}")).status == 404
    assert (await web.get(path)).status == 401
    for wrong in (url[:-1], url.replace("/export/1/", "/export/2/"), url.replace("until=", "until=9")):
        assert (await web.get(wrong)).status == 403
    assert (await web.get(url.partition("?")[0], authorization=f"Bearer {ada.token}")).status == 404
    assert (await web.get("/export/99", authorization=f"Bearer {ada.token}")).status == 404
    assert (await web.get("/export/x/y", authorization=f"Bearer {ada.token}")).status == 404


async def test_the_link_ends_with_the_session_that_asked_for_it(process: Process, web: Web) -> None:
    ada = await Person.named(process.url, "ada")
    intruder = await Person.at(process.url)
    session_id = (await intruder.data("login", username="ada", password=PASSWORD))["session_id"]
    url = (await intruder.data("account_export"))["url"]
    assert (await web.get(url, "HEAD")).status == 200
    await ada.data("session_revoke", session_id=session_id)
    await Person.named(process.url, "bob")  # whose session has not got that number
    assert (await web.get(url)).status == 404


async def test_an_export_that_nobody_waits_for_is_given_up(process: Process, web: Web) -> None:
    ada = await Person.named(process.url, "ada")
    await upload(web, ada.token, "large", b"x" * 9_000_000)
    url = (await ada.data("account_export"))["url"]
    for _ in range(5):
        client = await Web.at(process.url)
        client.say("GET", url)
        assert (await client.reader.readline()).startswith(b"HTTP/1.1 200")
        client.reset()
    async with asyncio.timeout(PATIENCE):
        while True:
            web.say("GET", url)
            line = await web.reader.readuntil(b"\r\n\r\n")
            if line.startswith(b"HTTP/1.1 200"):
                break
            assert line.startswith(b"HTTP/1.1 429")
            await web.reader.readline()
            await ada.ask("heartbeat")
    assert "Traceback" not in process.log
