"""Uploads over HTTP and over the socket: in one request, by tus 1.0, in pieces, cut, taken over, given up."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from chatd import housekeeping, transactions, writing
from chatd.config import Config, Files
from tests.files import BYTES, HELLO, TUS, User, code, noise, on_disk, png, settled, told_offset, wav
from tests.support import PASSWORD, PATIENCE, Answered, Person, Process, Web, befriend, config_for, running


def _settings(tmp_path: Path, **files: Any) -> Config:
    return replace(config_for(tmp_path), files=Files(**files))


@pytest.fixture
async def ada(url: str) -> User:
    return await User.of(url, (await Person.named(url, "ada")).token)


@pytest.fixture
async def other_loop(process: Process) -> AsyncIterator[User]:
    """Ada at a daemon of its own, with asyncio's loop and with uvloop."""
    yield await User.of(process.url, (await Person.named(process.url, "ada")).token)
    assert "Traceback" not in process.log


# In one request


@pytest.mark.parametrize(
    ("content", "name", "found"),
    [
        (png(4, 3), "a.png", ("image/png", 4, 3, None)),
        (png(4, 3), "a.txt", ("image/png", 4, 3, None)),
        (wav(1500), "a.wav", ("audio/wav", None, None, 1500)),
        (HELLO, "a.png", ("text/plain", None, None, None)),
        (b"<html><script>", "a.jpg", ("application/octet-stream", None, None, None)),
        (b"", "nothing.png", ("application/octet-stream", None, None, None)),
    ],
)
async def test_what_it_is_its_content_says(ada: User, content: bytes, name: str, found: tuple[object, ...]) -> None:
    file = await ada.file(content, name)
    kind, *measures = found
    assert [file[key] for key in ("width", "height", "duration_ms")] == measures
    assert (file["name"], file["size"]) == (name, len(content))
    assert file["type"] == kind or not isinstance(kind, str) or kind == "application/octet-stream"
    fetched = await ada.fetch(file["file_id"])
    assert (fetched.status, fetched.body) == (200, content)
    assert fetched.headers["etag"] == [f'"{hashlib.sha256(content).hexdigest()}"']
    assert fetched.headers["x-content-type-options"] == ["nosniff"]
    assert fetched.headers["content-security-policy"] == ["default-src 'none'; sandbox"]
    how = fetched.headers["content-disposition"][0].partition(";")[0]
    assert how == ("inline" if file["type"].startswith(("image/", "audio/", "video/")) else "attachment")


async def test_messages_have_files(url: str, ada: User, tmp_path: Path) -> None:
    person, bob = await Person.again(url, ada.token), await Person.named(url, "bob")
    await befriend(person, bob, username="bob")
    for kind, content in (("image", png(9, 9)), ("voice", wav(700)), ("file", HELLO)):
        file = await ada.file(content)
        sent = await ada.data("send", token=ada.token, to_user="bob", kind=kind, file_id=file["file_id"])
        heard = (await bob.next())["data"]
        assert heard["kind"] == kind
        assert heard["file"]["file_id"] == file["file_id"]
        assert (await (await Web.at(url)).get(heard["file"]["url"])).body == content
        if kind != "file":
            wrong = {"image": "voice", "voice": "video"}[kind]
            status = await ada.error("send", token=ada.token, to_user="bob", kind=wrong, file_id=file["file_id"])
            assert status == (400, "invalid")
        await ada.data("recall", token=ada.token, message_id=sent["message_id"])
        await bob.events()
        assert (await (await Web.at(url)).get(heard["file"]["url"])).status == 404
    await settled(tmp_path)


async def test_what_two_files_hold_is_there_once_and_goes_with_the_last(url: str, ada: User, tmp_path: Path) -> None:
    person, bob = await Person.again(url, ada.token), await Person.named(url, "bob")
    await befriend(person, bob, username="bob")
    bobs = await User.of(url, bob.token)
    content = noise(5000)
    sha256 = hashlib.sha256(content).hexdigest()
    sent = []
    for user, to in ((ada, "bob"), (bobs, "ada")):
        file = await user.file(content)
        sent.append(await user.data("send", token=user.token, to_user=to, kind="file", file_id=file["file_id"]))
    await settled(tmp_path, contents=[sha256])
    await ada.data("recall", token=ada.token, message_id=sent[0]["message_id"])
    again = await ada.file(content)  # which is deleted by nothing that happened before
    assert (await ada.fetch(again["file_id"])).body == content
    await settled(tmp_path, contents=[sha256])
    sent[0] = await ada.data("send", token=ada.token, to_user="bob", kind="file", file_id=again["file_id"])
    for user, message in ((ada, sent[0]), (bobs, sent[1])):
        assert on_disk(tmp_path)["contents"] == [sha256]
        await user.data("recall", token=user.token, message_id=message["message_id"])
    await settled(tmp_path)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Length": "1001"}, b"", 413),
        ({"Content-Length": "99999999999999999999"}, b"", 413),
        ({"Content-Length": "999999999999999999999"}, b"", 400),
        ({"Content-Length": "1001", "Expect": "100-continue"}, b"", 413),
        ({"Transfer-Encoding": "chunked"}, b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx\r\n0\r\n\r\n", 413),
        ({"Transfer-Encoding": "chunked"}, b"ffffffff\r\n" + b"x" * 9000, 413),
        ({"Transfer-Encoding": "chunked"}, b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n", 201),
        ({"Transfer-Encoding": "chunked"}, b"0\r\n\r\n", 201),
        ({"Content-Length": "0"}, b"", 201),
        ({}, b"", 201),
        ({"Transfer-Encoding": "chunked"}, b"nonsense\r\n", 400),
        ({"Transfer-Encoding": "chunked", "Content-Length": "4"}, b"0\r\n\r\n", 400),
        ({"Content-Length": "4, 5"}, b"xxxx", 400),
        ({"Content-Length": "-4"}, b"xxxx", 400),
        ({"Content-Length": "4", "Content-Type": "multipart/form-data; boundary=x"}, b"xxxx", 415),
    ],
)
async def test_bodies(tmp_path: Path, headers: dict[str, str], body: bytes, status: int) -> None:
    async with running(_settings(tmp_path, max_bytes=1000)) as url:
        ada = await User.of(url, (await Person.named(url, "ada")).token)
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Host": "x"}.items())
        ada.writer.write(f"POST /files HTTP/1.1\r\nAuthorization: Bearer {ada.token}\r\n{lines}\r\n".encode() + body)
        assert (await ada.answer()).status == status
        content = b"x" * 1000 if b"x" in body else b""
        await settled(tmp_path, contents=[hashlib.sha256(content).hexdigest()] if status == 201 else [])


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer nonsense"}, {"authorization": "Basic x"}])
async def test_a_guest_uploads_nothing(url: str, tmp_path: Path, headers: dict[str, str]) -> None:
    web = await Web.at(url)
    web.say("POST", "/files", b"x", **headers)
    assert (await web.answer()).status == 401
    web = await Web.at(url)
    assert (await web.get("/files", "POST", **TUS, upload_length="5", **headers)).status == 401
    web = await Web.at(url)
    assert (await web.get("/files/1", **headers)).status == 401
    assert on_disk(tmp_path) == {"contents": [], "uploads": []}


async def test_what_is_sent_must_all_come(ada: User, tmp_path: Path) -> None:
    for come in range(len(HELLO)):
        said = f"POST /files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada.token}\r\nContent-Length: 13\r\n\r\n"
        ada.writer.write(said.encode() + HELLO[:come])
        if come % 2:
            await ada.writer.drain()
            ada.reset()
        else:
            ada.writer.write_eof()
            assert (await ada.answer()).status == 400
        ada = await ada.anew()
    await settled(tmp_path)
    assert await ada.file(HELLO)


async def test_a_folder_that_takes_nothing_is_told(ada: User, tmp_path: Path) -> None:
    uploads = tmp_path / "uploads"
    uploads.rename(tmp_path / "elsewhere")
    uploads.touch()
    assert code(await ada.post(HELLO)) == (500, "unavailable")
    uploads.unlink()
    (tmp_path / "elsewhere").rename(uploads)
    assert await (await ada.anew()).file(HELLO)


async def test_uploads_leave_room_on_the_disk_for_messages(tmp_path: Path) -> None:
    """What has come of a piece that finds no room is taken back, and the next goes on as if it had not been sent."""
    async with running(_settings(tmp_path, reserve=1000)) as url:
        person = await Person.named(url, "ada")
        ada = await User.of(url, person.token)
        content = noise(3 * writing.STEP)
        at = await ada.begun(len(content))
        assert (await ada.patch(at, 0, content[:500])).status == 204
        room = iter([10**9, 10**9])
        with patch.object(writing, "_free", lambda _: next(room, 1000)):
            answered = await (await ada.anew()).patch(at, 500, content[500:])
        assert code(answered) == (500, "unavailable")
        assert on_disk(tmp_path)["uploads"] == [at.rpartition("/")[2]]
        ada = await ada.anew()
        assert await ada.offset(at) == 500
        with patch.object(writing, "_free", lambda _: 1000):
            assert code(await ada.post(HELLO)) == (500, "unavailable")
            await person.data("send", to_user="ada", content="a message needs no more than its room")
        assert len(on_disk(tmp_path)["uploads"]) == 1
        ada = await ada.anew()
        assert (await ada.patch(at, 500, content[500:])).headers["chatd-file-id"] == ["1"]
        assert (await ada.fetch(1)).body == content


# How much


async def test_how_much_a_user_may_have(tmp_path: Path) -> None:
    async with running(_settings(tmp_path, max_bytes=1000, user_bytes=2500, uploads_per_user=3)) as url:
        person = await Person.named(url, "ada")
        ada = await User.of(url, person.token)
        files = [await ada.file(noise(1000, seed)) for seed in range(2)]
        assert code(await ada.post(noise(501))) == (413, "quota_exceeded")
        ada = await ada.anew()
        at = await ada.begun(400)
        assert code(await ada.create(101)) == (413, "quota_exceeded")
        assert (await ada.get(at, "DELETE", **TUS, **ada.auth)).status == 204
        ats = [await ada.begun(100) for _ in range(3)]
        assert code(await ada.create(1)) == (409, "too_many")
        assert code(await ada.post(b"x")) == (409, "too_many")
        ada = await ada.anew()
        assert (await ada.patch(ats[0], 0, noise(100))).status == 204
        assert (await ada.create(1)).status == 201
        bob = await Person.named(url, "bob")
        assert (await (await User.of(url, bob.token)).post(noise(1000))).status == 201
        sent = await person.data("send", to_user="ada", kind="file", file_id=files[0]["file_id"])
        await person.data("recall", message_id=sent["message_id"])
        assert (await ada.get(ats[1], "DELETE", **TUS, **ada.auth)).status == 204
        assert (await ada.post(noise(1000, 9))).status == 201  # what is recalled makes room
        for size in (1001, 10**14):
            assert code(await ada.create(size)) == (413, "too_large")


async def test_what_others_have_passed_on_fills_their_room(tmp_path: Path) -> None:
    """Who uploaded it could not free it."""
    async with running(_settings(tmp_path, max_bytes=1000, user_bytes=1500)) as url:
        people = {name: await Person.named(url, name) for name in ("ada", "bob")}
        ada, bob = [await User.of(url, person.token) for person in people.values()]
        await befriend(people["ada"], people["bob"], username="bob")

        async def post(name: str, content: bytes) -> Answered:  # a refused body ends its connection
            return await (await User.of(url, people[name].token)).post(content)

        file_id = (await ada.file(noise(1000)))["file_id"]
        sent = [
            await people["ada"].data("send", to_user=to, kind="file", file_id=file_id) for to in ("bob", "ada", "bob")
        ]
        passed = await people["bob"].data("forward", message_id=sent[0]["message_id"], to_user="bob")
        for message in sent:
            assert code(await post("ada", noise(1000, 2))) == (413, "quota_exceeded")
            assert (await post("bob", noise(10))).status == 201
            await people["ada"].data("recall", message_id=message["message_id"])
        assert (await post("ada", noise(1000, 2))).status == 201
        assert code(await post("bob", noise(1000, 3))) == (413, "quota_exceeded")
        assert (await bob.fetch(file_id)).body == noise(1000)
        assert (await ada.fetch(file_id)).status == 404
        await people["bob"].data("recall", message_id=passed["message_id"])
        assert (await post("bob", noise(1000, 3))).status == 201


async def test_an_upload_of_unknown_size_may_not_be_larger_than_a_file(tmp_path: Path) -> None:
    async with running(_settings(tmp_path, max_bytes=1000)) as url:
        ada = await Person.named(url, "ada")
        await ada.data("upload_begin", name="x")
        await ada.socket.send(noise(900))
        assert (await ada.reply())["data"]["offset"] == 900
        await ada.socket.send(noise(101))
        assert (await ada.reply())["error"]["code"] == "too_large"
        await ada.socket.send(b"x" * 100)
        upload = (await ada.reply())["data"]
        assert upload["offset"] == 1000
        assert (await ada.data("upload_end", upload=upload["upload"]))["size"] == 1000


# Binary frames


async def test_binary_frames(process: Process) -> None:
    ada, phone = await Person.named(process.url, "ada"), await Person.at(process.url)
    content = noise(300_000)
    await ada.socket.send(b"to nowhere")
    assert (await ada.reply())["error"]["code"] == "not_found"
    token = (await ada.data("upload_begin", name="a.bin", size=len(content)))["upload"]
    for at in range(0, 100_000, 20_000):
        await ada.socket.send(content[at : at + 20_000])
    for at in range(0, 100_000, 20_000):
        assert (await ada.reply())["data"]["offset"] == at + 20_000
    ada.socket.transport.abort()
    await phone.data("login", username="ada", password="correct horse")
    assert (await phone.data("upload_resume", upload=token))["offset"] == 100_000
    await phone.socket.send([content[100_000:120_000], content[120_000:121_000]])  # in fragments
    assert (await phone.reply())["data"]["offset"] == 121_000
    await process.crash()
    ada = await Person.again(process.url, ada.token)
    offset = (await ada.data("upload_resume", upload=token))["offset"]
    assert offset == 121_000
    for at in range(offset, len(content), 60_000):
        await ada.socket.send(content[at : at + 60_000])
        assert (await ada.reply())["success"]
    await ada.socket.send(b"x")
    assert (await ada.reply())["error"]["code"] == "too_large"
    file = await ada.data("upload_end", upload=token)
    got = b""
    while len(got) < file["size"]:
        piece = await ada.data("download", file_id=file["file_id"], offset=len(got), limit=65_536)
        got += base64.b64decode(piece["content"])
    assert got == content


async def test_binary_frames_belong_to_what_was_begun_before_them_though_nobody_waited(url: str) -> None:
    ada = await Person.named(url, "ada")
    first = (await ada.data("upload_begin", name="first"))["upload"]
    for round_ in range(20):
        await ada.say("upload_begin", name="second")
        await ada.socket.send(b"for the second")
        second = (await ada.reply())["data"]["upload"]
        assert (await ada.reply())["data"] == {**(await ada.data("upload_resume", upload=second)), "offset": 14}
        await ada.data("upload_cancel", upload=second)
        assert (await ada.data("upload_resume", upload=first))["offset"] == 0, round_


async def test_an_upload_that_is_begun_again_goes_on_where_it_is(process: Process) -> None:
    """Who did not hear the answer, or lost the connection after it, asks again with the same client_id."""
    ada = await Person.named(process.url, "ada")
    begin = {"name": "a.bin", "size": 13, "client_id": "begun once"}
    begun = await ada.data("upload_begin", **begin)
    await ada.socket.send(HELLO[:5])
    assert (await ada.reply())["data"]["offset"] == 5
    for offset in (5, 6, 7):
        ada = await Person.again(process.url, ada.token)
        other = (await ada.data("upload_begin", name="another"))["upload"]
        await ada.say("upload_begin", **begin)
        await ada.socket.send(HELLO[offset : offset + 1])  # before the answer
        assert (await ada.reply())["data"] == {**begun, "offset": offset, "duplicate": True}
        assert (await ada.reply())["data"]["offset"] == offset + 1
        assert (await ada.data("upload_resume", upload=other))["offset"] == 0
    await ada.data("upload_begin", **begin)
    await ada.socket.send(HELLO[8:])
    assert (await ada.reply())["data"]["offset"] == 13
    file = await ada.data("upload_end", upload=begun["upload"])
    again = await ada.data("upload_begin", **begin)
    assert (again["file_id"], again["offset"]) == (file["file_id"], 13)
    await ada.data("upload_cancel", upload=begun["upload"])
    assert await ada.data("upload_begin", **begin) == {**begun, "duplicate": True}
    assert "Traceback" not in process.log


# tus: core, creation


async def test_tus_says_what_it_can(ada: User) -> None:
    options = await ada.get("/files", "OPTIONS")
    assert options.status == 204
    assert options.headers["tus-version"] == ["1.0.0"]
    assert options.headers["tus-extension"] == ["creation,creation-with-upload,expiration,checksum,termination"]
    assert options.headers["tus-max-size"] == ["10485760"]
    assert set(options.headers["tus-checksum-algorithm"][0].split(",")) == {"sha1", "sha256", "md5"}


async def test_tus_in_pieces(other_loop: User) -> None:
    ada = other_loop
    content = noise(500_000)
    at = await ada.begun(len(content), "päper.bin")
    done = 0
    for size in (0, 1, 100_000, 65_536, 200_000, len(content) - 365_537):
        piece = content[done : done + size]
        answered = await ada.patch(at, done, piece)
        done += len(piece)
        assert told_offset(answered) == (204, done)
        assert answered.headers["tus-resumable"] == ["1.0.0"]
        assert await ada.offset(at) == done
    file_id = answered.headers["chatd-file-id"][0]
    fetched = await ada.fetch(file_id)
    assert fetched.body == content
    assert fetched.headers["content-disposition"] == [
        "attachment; filename=\"p_per.bin\"; filename*=UTF-8''p%C3%A4per.bin"
    ]
    head = await ada.get(at, "HEAD", **TUS, **ada.auth)
    assert (head.headers["chatd-file-id"], head.headers["upload-length"]) == ([file_id], [str(len(content))])
    again = await ada.patch(at, len(content), b"")  # whose answer was lost
    assert (again.status, again.headers["chatd-file-id"]) == (204, [file_id])
    assert code(await ada.patch(at, 5, b"")) == (409, "wrong_offset")


@pytest.mark.parametrize("offset", [0, 4, 6, 13, 999999])
async def test_another_offset_is_refused_and_changes_nothing(ada: User, offset: int) -> None:
    at = await ada.begun(13)
    assert told_offset(await ada.patch(at, 0, HELLO[:5])) == (204, 5)
    answered = await ada.patch(at, offset, HELLO[5:])
    assert (code(answered), answered.headers["tus-resumable"]) == ((409, "wrong_offset"), ["1.0.0"])
    ada = await ada.anew()
    assert await ada.offset(at) == 5
    assert (await ada.patch(at, 5, HELLO[5:])).status == 204


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Tus-Resumable": None}, 412),
        ({"Tus-Resumable": "0.2.2"}, 412),
        ({"Upload-Offset": None}, 400),
        ({"Upload-Offset": "x"}, 400),
        ({"Upload-Offset": "-1"}, 400),
        ({"Upload-Offset": "1e0"}, 400),
        ({"Upload-Offset": "0, 0"}, 400),
        ({"Upload-Offset": "99999999999999999999"}, 400),
        ({"Content-Type": None}, 415),
        ({"Content-Type": "application/octet-stream"}, 415),
        ({"Authorization": None}, 401),
        ({"Authorization": "Bearer x"}, 401),
        ({"Upload-Checksum": "crc32 AAAA"}, 400),
        ({"Upload-Checksum": "sha1"}, 460),
        ({"Upload-Checksum": "sha1 !!!"}, 400),
        ({"Upload-Checksum": "sha1 é"}, 400),
    ],
)
async def test_headers_of_a_piece(ada: User, change: dict[str, str | None], status: int) -> None:
    at = await ada.begun(13)
    told = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": BYTES, **ada.auth}
    told = {**{name.title(): value for name, value in told.items()}, "Content-Length": "13", "Host": "x"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**told, **change}.items() if value is not None)
    ada.writer.write(f"PATCH {at} HTTP/1.1\r\n{lines}\r\n".encode() + HELLO)
    answered = await ada.answer()
    assert answered.status == status
    if status == 412:
        assert answered.headers["tus-version"] == ["1.0.0"]
    ada = await ada.anew()
    assert await ada.offset(at) == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"upload_length": ""}, 400),
        ({"upload_length": "-1"}, 400),
        ({"upload_length": "ten"}, 400),
        ({"upload_length": "99999999999999999999"}, 400),
        ({"upload_defer_length": "1"}, 400),
        ({"upload_length": "5", "upload_defer_length": "1"}, 400),
        ({"upload_length": "10485761"}, 413),
        ({"upload_length": "5", "tus_resumable": "2.0.0"}, 412),
        ({"upload_length": "5", "upload_metadata": "filename"}, 201),
        ({"upload_length": "5", "upload_metadata": ""}, 201),
        ({"upload_length": "5", "upload_metadata": ",,,"}, 201),
        ({"upload_length": "5", "upload_metadata": "filename YQ==,thumb /9j/4A=="}, 201),
        ({"upload_length": "5", "upload_metadata": "filename !"}, 400),
        ({"upload_length": "5", "upload_metadata": "filename YQ"}, 400),
        ({"upload_length": "5", "upload_metadata": "filename /9j/4A=="}, 400),
        ({"upload_length": "5", "upload_metadata": "filename YQBi"}, 400),
        ({"upload_length": "5", "upload_metadata": "filename Li4="}, 400),
        ({"upload_length": "5", "upload_metadata": "filename " + base64.b64encode(b"x" * 256).decode()}, 400),
        ({"upload_length": "5", "upload_metadata": "a b c, d"}, 400),
    ],
)
async def test_headers_of_a_creation(ada: User, headers: dict[str, str], status: int) -> None:
    answered = await ada.get("/files", "POST", **{**TUS, **ada.auth, **headers})
    assert answered.status == status, answered
    assert answered.headers["tus-resumable"] == ["1.0.0"]
    if status == 201:
        assert await ada.offset(answered.headers["location"][0]) == 0


async def test_creation_with_upload(ada: User, tmp_path: Path) -> None:
    told = {**TUS, **ada.auth, "content_type": BYTES}
    ada.say("POST", "/files", HELLO[:5], upload_length="13", **told)
    begun = await ada.answer()
    assert told_offset(begun) == (201, 5)
    done = await ada.patch(begun.headers["location"][0], 5, HELLO[5:])
    assert (await ada.fetch(done.headers["chatd-file-id"][0])).body == HELLO
    ada.say("POST", "/files", HELLO, upload_length="13", **told)
    whole = await ada.answer()
    assert told_offset(whole) == (201, 13)
    assert (await ada.fetch(whole.headers["chatd-file-id"][0])).body == HELLO
    nothing = await ada.create(0, "nothing")
    assert (await ada.fetch(nothing.headers["chatd-file-id"][0])).body == b""
    digest = base64.b64encode(hashlib.sha1(b"other", usedforsecurity=False).digest()).decode()
    ada.say("POST", "/files", HELLO, upload_length="13", upload_checksum=f"sha1 {digest}", **told)
    assert (await ada.answer()).status == 460
    ada.say("POST", "/files", HELLO, upload_length="12", **told)
    assert code(await ada.answer()) == (413, "too_large")
    for _ in range(30):  # more than a user may have begun: nobody knows where they are, so they are not kept
        ada = await ada.anew()
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
        head = f"POST /files HTTP/1.1\r\nHost: x\r\nUpload-Length: 13\r\nContent-Length: 13\r\n{lines}\r\n"
        ada.writer.write(head.encode() + HELLO[:5])
        ada.writer.write_eof()
        assert (await ada.answer()).status == 400
    kept = [hashlib.sha256(content).hexdigest() for content in (HELLO, b"")]
    await settled(tmp_path, contents=sorted(kept))


async def test_methods(ada: User) -> None:
    at = await ada.begun(13)
    told = {**TUS, **ada.auth, "content_type": BYTES, "upload_offset": "0"}
    ada.say("POST", at, HELLO[:5], x_http_method_override="PATCH", **told)
    assert told_offset(await ada.answer()) == (204, 5)
    head = await ada.get(at, "POST", x_http_method_override="HEAD", **TUS, **ada.auth)
    assert head.status == 200
    for method in ("GET", "PUT", "POST", "OPTIONS"):
        answered = await ada.get(at, method, **TUS, **ada.auth)
        assert (answered.status, answered.headers["allow"]) == (405, ["HEAD, PATCH, DELETE"])
    answered = await ada.get(at, "POST", x_http_method_override="TRACE", **TUS, **ada.auth)
    assert answered.status == 405
    assert (await ada.get("/files", "GET", **ada.auth)).headers["allow"] == ["POST"]
    assert (await ada.get("/files/1", "POST", **ada.auth)).headers["allow"] == ["GET, HEAD"]
    assert (await ada.get(at, "DELETE", **TUS, **ada.auth)).status == 204
    for method in ("HEAD", "PATCH", "DELETE"):
        gone = await ada.get(at, method, **told)
        assert (gone.status, gone.headers["tus-resumable"]) == (404, ["1.0.0"])


async def test_nobody_touches_anothers_upload(url: str, ada: User) -> None:
    eve = await User.of(url, (await Person.named(url, "eve")).token)
    at = await ada.begun(13)
    for method in ("HEAD", "DELETE"):
        assert (await eve.get(at, method, **TUS, **eve.auth)).status == 404
    assert (await eve.patch(at, 0, HELLO)).status == 404
    assert await ada.offset(at) == 0


# tus: checksum, expiration


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
async def test_a_piece_with_another_checksum_was_not_sent(ada: User, algorithm: str) -> None:
    at = await ada.begun(13)
    right, wrong = [
        f"{algorithm} {base64.b64encode(hashlib.new(algorithm, piece).digest()).decode()}"
        for piece in (HELLO[5:], HELLO[4:])
    ]
    assert told_offset(await ada.patch(at, 0, HELLO[:5])) == (204, 5)
    answered = await ada.patch(at, 5, HELLO[5:], upload_checksum=wrong)
    assert (answered.status, answered.headers["tus-resumable"]) == (460, ["1.0.0"])
    assert await ada.offset(at) == 5
    ada.patch_says(at, 5, HELLO[5:], upload_checksum=right)
    done = await ada.answer()
    assert (await ada.fetch(done.headers["chatd-file-id"][0])).body == HELLO


async def test_a_piece_with_a_checksum_comes_whole_or_not_at_all(ada: User) -> None:
    at = await ada.begun(13)
    digest = base64.b64encode(hashlib.sha256(HELLO).digest()).decode()
    for come in (1, 12):
        head = f"PATCH {at} HTTP/1.1"
        told = {**TUS, **ada.auth, "upload_offset": "0", "content_type": BYTES, "content_length": "13", "host": "x"}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
        ada.writer.write(f"{head}\r\n{lines}Upload-Checksum: sha256 {digest}\r\n\r\n".encode() + HELLO[:come])
        ada.writer.write_eof()
        assert (await ada.answer()).status == 400
        ada = await ada.anew()
        assert await ada.offset(at) == 0


async def test_an_upload_that_nobody_goes_on_with_is_forgotten(url: str, tmp_path: Path) -> None:
    person = await Person.named(url, "ada")
    ada = await User.of(url, person.token)
    begun = await ada.create(13)
    at = begun.headers["location"][0]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", begun.headers["upload-expires"][0])
    piece = await ada.patch(at, 0, HELLO[:5])
    assert piece.headers["upload-expires"] == begun.headers["upload-expires"]
    now = transactions._now()
    with patch.object(transactions, "_now", lambda: now + 24 * 3_600_000 + 60_000):
        ada = await User.of(url, (await ada.data("login", username="ada", password=PASSWORD))["token"])
        assert (await ada.get(at, "HEAD", **TUS, **ada.auth)).status == 404
        assert code(await ada.patch(at, 5, HELLO[5:])) == (404, "not_found")


async def test_what_was_given_up_or_never_named_leaves_the_disk(tmp_path: Path) -> None:
    with patch.object(housekeeping, "HOUR", 0.0):
        async with running(config_for(tmp_path)) as url:
            person = await Person.named(url, "ada")
            ada = await User.of(url, person.token)
            named, unnamed = await ada.file(noise(500)), await ada.file(HELLO)
            at = await ada.begun(13)
            await ada.patch(at, 0, HELLO[:5])
            await person.data("send", to_user="ada", kind="file", file_id=named["file_id"])
            (tmp_path / "uploads" / "of-nobody").write_bytes(b"a piece that came when its upload was just given up")
            kept = hashlib.sha256(noise(500)).hexdigest()
            both = sorted([kept, hashlib.sha256(HELLO).hexdigest()])
            await settled(tmp_path, contents=both, uploads=[at.rpartition("/")[2]])
            now = transactions._now()
            with patch.object(transactions, "_now", lambda: now + 25 * 3_600_000):
                await settled(tmp_path, contents=[kept])
            assert (await ada.fetch(named["file_id"])).status == 200
            assert (await ada.fetch(unnamed["file_id"])).status == 404


# Cut


async def test_an_upload_cut_at_any_byte_goes_on_there(other_loop: User) -> None:
    ada, content = other_loop, noise(60)
    for come in range(len(content) + 1):
        at = await ada.begun(len(content))
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in {**TUS, **ada.auth}.items())
        head = f"PATCH {at} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Type: {BYTES}\r\nContent-Length: 60\r\n"
        ada.writer.write(f"{head}{lines}\r\n".encode() + content[:come])
        await ada.writer.drain()
        if come % 2 and come < len(content):
            ada.writer.write_eof()  # and hears that there is no end
            assert (await ada.answer()).status == 400
            ada = await ada.anew()
            offset = await ada.offset(at)
            assert offset == come
        else:
            ada.reset()
            ada = await ada.anew()
            offset = await ada.offset(at)
            assert offset <= come
        while (answered := await ada.patch(at, offset, content[offset:])).status == 409:
            ada = await ada.anew()  # what was cut was still being written
            offset = await ada.offset(at)
        assert answered.status == 204
        assert (await ada.fetch(answered.headers["chatd-file-id"][0])).body == content


async def test_the_head_of_a_piece_cut_at_any_byte_takes_nothing(ada: User) -> None:
    at = await ada.begun(13)
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in {**TUS, **ada.auth}.items())
    head = f"PATCH {at} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Type: {BYTES}\r\nContent-Length: 13\r\n"
    for come in range(0, len(head + lines), 7):
        other = await ada.anew()
        other.writer.write((head + lines)[:come].encode())
        other.reset()
        ada = await other.anew()
        assert await ada.offset(at) == 0


async def test_a_connection_that_hangs_is_taken_over(other_loop: User) -> None:
    ada, content = other_loop, noise(200_000)
    at = await ada.begun(len(content))
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in {**TUS, **ada.auth}.items())
    head = f"PATCH {at} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Type: {BYTES}\r\nContent-Length: 200000\r\n"
    ada.writer.write(f"{head}{lines}\r\n".encode() + content[:100_000])
    phone = await User.of(f"ws://127.0.0.1:{ada.writer.get_extra_info('peername')[1]}/ws", ada.token)
    async with asyncio.timeout(PATIENCE):
        while (offset := await phone.offset(at)) < 100_000:
            pass
    answered = await phone.patch(at, offset, content[offset : offset + 50_000])
    assert told_offset(answered) == (204, 150_000)
    ada.writer.write(content[100_000:])
    assert code(await ada.answer()) == (409, "wrong_offset")
    assert await phone.offset(at) == 150_000
    done = await phone.patch(at, 150_000, content[150_000:])
    assert (await phone.fetch(done.headers["chatd-file-id"][0])).body == content


async def test_who_knows_less_does_not_end_what_is_under_way(other_loop: User) -> None:
    ada, content = other_loop, noise(200_000)
    held = await ada.begun(len(content))
    url = f"ws://127.0.0.1:{ada.writer.get_extra_info('peername')[1]}/ws"
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in {**TUS, **ada.auth}.items())
    head = f"PATCH {held} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Type: {BYTES}\r\n"
    ada.writer.write(f"{head}Content-Length: 200000\r\n{lines}\r\n".encode() + content[:100_000])
    phone = await User.of(url, ada.token)
    async with asyncio.timeout(PATIENCE):
        while await phone.offset(held) < 100_000:
            pass
    for offset in (0, 99_999, 100_001):
        assert code(await (await User.of(url, ada.token)).patch(held, offset, b"x")) == (409, "wrong_offset")
    ada.writer.write(content[100_000:])
    assert told_offset(await ada.answer()) == (204, len(content))


async def test_a_body_that_comes_too_slowly_is_not_waited_for(tmp_path: Path) -> None:
    async with running(config_for(tmp_path, ping_interval=0.05, ping_timeout=0.05, handshake_timeout=0.2)) as url:
        ada = await User.of(url, (await Person.named(url, "ada")).token)
        at = await ada.begun(13)
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in {**TUS, **ada.auth}.items())
        head = f"PATCH {at} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Type: {BYTES}\r\nContent-Length: 13\r\n"
        ada.writer.write(f"{head}{lines}\r\n".encode() + HELLO[:5])
        assert (await ada.answer()).status == 408
        ada = await ada.anew()
        assert await ada.offset(at) == 5  # what has come stays


# Races


async def test_what_becomes_a_file_is_written_by_nobody_else(url: str) -> None:
    """A file is what it was when its SHA-256 was taken, whoever still sends."""
    ada, phone = await Person.named(url, "ada"), None
    phone = await Person.again(url, ada.token)
    for number in range(30):
        token = (await ada.data("upload_begin", name="a"))["upload"]
        await ada.data("upload_piece", upload=token, content=base64.b64encode(noise(2000, number)).decode())
        ended = asyncio.create_task(ada.ask("upload_end", upload=token))
        late = [asyncio.create_task(_late(phone, token, number % 3))]
        reply = await ended
        await asyncio.gather(*late)
        if number % 3 == 2 and not reply["success"]:  # it was given up before
            assert reply["error"]["code"] in ("not_found", "incomplete"), reply
            continue
        file = reply["data"]
        await phone.events()
        piece = await ada.data("download", file_id=file["file_id"], limit=65536)
        content = base64.b64decode(piece["content"])
        assert (len(content), content[:2000]) == (file["size"], noise(2000, number))


async def _late(phone: Person, token: str, way: int) -> None:
    if way == 2:
        reply = await phone.ask("upload_cancel", upload=token)
        assert reply["success"] or reply["error"]["code"] == "not_found"
        return
    for _ in range(10):
        reply = await phone.ask("upload_piece", upload=token, content="bGF0ZQ==")
        assert reply["success"] or reply["error"]["code"] in ("wrong_offset", "not_found"), reply
    await phone.ask("upload_end", upload=token)


async def test_who_recalls_and_who_uploads_the_same_do_not_hurt_each_other(url: str, tmp_path: Path) -> None:
    person = await Person.named(url, "ada")
    ada, bob = await User.of(url, person.token), await User.of(url, person.token)
    content = png(40, 30)
    file = await ada.file(content)
    for _ in range(150):
        sent = await person.data("send", to_user="ada", kind="image", file_id=file["file_id"])
        recalled = asyncio.create_task(person.ask("recall", message_id=sent["message_id"]))
        file = await bob.file(content)
        assert (await recalled)["success"]
        fetched, small = await bob.fetch(file["file_id"]), await bob.fetch(f"{file['file_id']}/thumbnail")
        assert (fetched.status, fetched.body) == (200, content)
        assert (small.status == 200) == (file["thumbnail_url"] is not None)
    sent = await person.data("send", to_user="ada", kind="image", file_id=file["file_id"])
    await person.data("recall", message_id=sent["message_id"])
    await settled(tmp_path)


async def test_the_same_bytes_at_once_from_many(url: str, tmp_path: Path) -> None:
    person = await Person.named(url, "ada")
    users = [await User.of(url, person.token) for _ in range(8)]
    for seed in range(15):
        content = png(32, 32, seed=seed)
        files = await asyncio.gather(*(user.file(content) for user in users))
        small = {(await users[0].fetch(f"{file['file_id']}/thumbnail")).body for file in files}
        assert len(small) == 1
        for file in files:
            assert (await users[0].fetch(file["file_id"])).body == content
    await settled(tmp_path, contents=on_disk(tmp_path)["contents"])


async def test_who_goes_away_while_the_disk_is_slow_closes_nothing_under_it(
    url: str, ada: User, tmp_path: Path
) -> None:
    """The write goes on in its thread: its descriptor must stay its own until it is done."""
    at = await ada.begun(13)
    began, let_go, written = threading.Event(), threading.Event(), []

    def slowly(descriptor: int, piece: bytes, offset: int, _reserve: int) -> None:
        began.set()
        assert let_go.wait(PATIENCE)
        os.fstat(descriptor)
        assert os.pwrite(descriptor, piece, offset) == len(piece)
        written.append(bytes(piece))

    with patch.object(writing, "_write", slowly):
        ada.patch_says(at, 0, HELLO)
        assert await asyncio.to_thread(began.wait, PATIENCE)
        ada.reset()
        await (await Person.at(url)).events()
        let_go.set()
        ada = await ada.anew()
        async with asyncio.timeout(PATIENCE):
            while not written:
                await ada.get("/healthz")
    assert written == [HELLO]
    assert await ada.offset(at) == 13
    again = await ada.patch(at, 13, b"")
    assert (await ada.fetch(again.headers["chatd-file-id"][0])).body == HELLO
