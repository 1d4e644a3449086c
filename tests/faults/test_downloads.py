"""Downloads: ranges, conditions, names, signed links, thumbnails, who may have what, and what is no file."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import re
import shutil
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

import pytest

from chatd.config import Files
from tests.files import HELLO, TUS, User, noise, png
from tests.support import PATIENCE, ROOT, Person, Process, Web, befriend, config_for, running


@pytest.fixture
async def ada(url: str) -> User:
    return await User.of(url, (await Person.named(url, "ada")).token)


# Ranges


async def test_ranges(process: Process) -> None:
    ada = await User.of(process.url, (await Person.named(process.url, "ada")).token)
    content = noise(400_000)
    at = (await ada.file(content))["file_id"]
    whole = await ada.fetch(at)
    etag, modified = whole.headers["etag"][0], whole.headers["last-modified"][0]
    assert (whole.body, whole.headers["accept-ranges"]) == (content, ["bytes"])
    for asked, first, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=100-299999", 100, 300_000),
        ("bytes=399999-", 399_999, 400_000),
        ("bytes=5-999999999", 5, 400_000),
        ("bytes=-7", 399_993, 400_000),
        ("bytes=-999999999", 0, 400_000),
        ("bytes=131071-131073", 131_071, 131_074),
    ):
        part = await ada.fetch(at, range=asked)
        assert (part.status, part.body) == (206, content[first:end])
        assert part.headers["content-range"] == [f"bytes {first}-{end - 1}/400000"]
        for same in (etag, modified):
            assert (await ada.fetch(at, range=asked, if_range=same)).status == 206
        for other in ('"x"', "Sun, 06 Nov 1994 08:49:37 GMT"):
            assert (await ada.fetch(at, range=asked, if_range=other)).body == content
    for asked in ("bytes=400000-", "bytes=-0"):
        none = await ada.fetch(at, range=asked)
        assert (none.status, none.headers["content-range"], none.body) == (416, ["bytes */400000"], b"")
    for asked in ("bytes=0-1,5-6", "bytes=9-8", "items=0-1", "bytes=x", "bytes=99999999999999999999-"):
        assert (await ada.fetch(at, range=asked)).body == content
    head = await ada.fetch(at, "HEAD", range="bytes=0-0")  # RFC 9110, section 14.2
    assert (head.status, head.headers["content-length"], head.headers["etag"]) == (200, ["400000"], [etag])
    for headers, status in (
        ({"if_none_match": etag}, 304),
        ({"if_none_match": f'"x", W/{etag}'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"x"'}, 200),
        ({"if_modified_since": modified}, 304),
        ({"if_match": '"x"'}, 412),
        ({"if_match": etag}, 200),
        ({"if_none_match": etag, "range": "bytes=0-1"}, 304),
        ({"if_match": '"x"', "range": "bytes=0-1"}, 412),
    ):
        for method in ("GET", "HEAD"):
            answered = await ada.fetch(at, method, **headers)
            assert answered.status == status
            assert status == 412 or answered.headers["etag"] == [etag]
    nothing = (await ada.file(b""))["file_id"]
    for headers, status in (({}, 200), ({"range": "bytes=-5"}, 200), ({"range": "bytes=0-"}, 416)):
        answered = await ada.fetch(nothing, **headers)
        assert (answered.status, answered.body) == (status, b"")
    assert "Traceback" not in process.log


async def test_an_upload_goes_on_where_a_download_was_cut(process: Process) -> None:
    """Downloads that are cut anywhere, and gone on with by ranges, come to the same."""
    ada = await User.of(process.url, (await Person.named(process.url, "ada")).token)
    content = noise(3_000_000)
    at = (await ada.file(content))["file_id"]
    dice, got = random.Random(1), b""
    while len(got) < len(content):
        ada.say("GET", f"/files/{at}", range=f"bytes={len(got)}-", **ada.auth)
        await ada.reader.readuntil(b"\r\n\r\n")
        most = dice.randrange(1, 600_000)
        got += await ada.reader.readexactly(min(most, len(content) - len(got)))
        ada.reset()
        ada = await ada.anew()
    assert got == content
    await (await Person.at(process.url)).events()
    assert "Traceback" not in process.log


# Names and paths


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


NAMES = {
    "a.png": "a.png",
    "übung.txt": "übung.txt",
    "../../etc/passwd": "passwd",
    "..\\..\\boot.ini": "boot.ini",
    "C:\\x\\y.txt": "y.txt",
    "/etc/passwd": "passwd",
    "a\r\nSet-Cookie: x=1": "aSet-Cookie: x=1",
    'a"; filename="b.exe': 'a"; filename="b.exe',
    "a;b=c,d": "a;b=c,d",
    "100%.txt": "100%.txt",
    "%2e%2e%2fx": "%2e%2e%2fx",
    "exe.\u202egnp.exe": "exe.gnp.exe",
    "a\u200fb\u061cc\u2028d\x85e\x7ff": "abcdef",
    "<script>alert(1)</script>": "script>",
    ".htaccess": ".htaccess",
    "👨‍👩‍👧.jpg": "👨‍👩‍👧.jpg",
    "x" * 255: "x" * 255,
    "é" * 255: "é" * 255,
    "  a  ": "a",
    "e\u0301": "é",
    "CON": "CON",
    "-rf": "-rf",
}


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_is_a_name(ada: User, tmp_path: Path, name: str) -> None:
    file = await ada.file(HELLO, name)
    assert file["name"] == NAMES[name]
    fetched = await ada.fetch(file["file_id"])
    assert "set-cookie" not in fetched.headers
    (said,) = fetched.headers["content-disposition"]
    plain, _, full = said.partition("; filename*=UTF-8''")
    assert re.fullmatch(r'attachment; filename="[^"\\]*"', plain)
    assert unquote(full) == NAMES[name]
    assert said.isascii()
    assert {path.name.partition(".db")[0] for path in everything(tmp_path) if path.parent == tmp_path} == {
        "chatd", "chatd.lock", "files", "uploads",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["a\0b", "", ".", "..", "...", "a/", "\\", "\u202e", " ", "\r\n", "x" * 256])
async def test_what_is_no_name(ada: User, name: str) -> None:
    person = await Person.again(f"ws://127.0.0.1:{ada.writer.get_extra_info('peername')[1]}/ws", ada.token)
    assert await person.error("upload_begin", name=name) == "invalid"
    answered = await ada.post(HELLO, name)
    assert answered.status == 400 if name else answered.json["data"]["name"] == "file"


@pytest.mark.parametrize(
    "path",
    [
        "1/../2", "..", "../chatd.db", "%2e%2e/chatd.db", "%31", "1e3", "0x1", "+1", "-1", "1.0", "1%00", "01x", "1;",
        "1,2", "99999999999999999999", "999999999999999", "0", "", "/", "/1", "1/", "1/thumbnail/", "1/x", "１",
        "1/thumbnail/2", "uploads", "uploads/", "uploads/../1", "uploads/1/2", "~", "*",
    ],
)  # fmt: skip
async def test_what_is_no_path(ada: User, path: str) -> None:
    assert (await ada.file(HELLO))["file_id"] == 1
    said = f"GET /files/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada.token}\r\nTus-Resumable: 1.0.0\r\n\r\n"
    ada.writer.write(said.encode())
    assert (await ada.answer()).status in (400, 404, 405)


@pytest.mark.parametrize("token", ["..", "../chatd.db", ".", "%2e%2e", "x" * 65, "%00", "a%2fb", "💩"])
async def test_what_is_no_upload(ada: User, tmp_path: Path, token: str) -> None:
    before = everything(tmp_path)
    for method in ("HEAD", "PATCH", "DELETE"):
        told = {**TUS, **ada.auth, "upload_offset": "0", "content_type": "application/offset+octet-stream"}
        ada.say(method, f"/files/uploads/{token}", **told)
        assert (await ada.answer(bodyless=method == "HEAD")).status in (400, 404)
        ada = await ada.anew()
    assert everything(tmp_path) == before


# Links


async def test_a_link_is_for_one_thing_and_a_while(url: str, ada: User, tmp_path: Path) -> None:
    picture, other = await ada.file(png(40, 40)), await ada.file(png(50, 50))
    guest = await Web.at(url)
    link = picture["url"]
    path, _, signed = link.partition("?")
    assert path == f"/files/{picture['file_id']}"
    assert (await guest.get(link)).body == png(40, 40)
    assert (await guest.get(link, "HEAD")).headers["content-length"] == [str(len(png(40, 40)))]
    assert (await guest.get(link, range="bytes=0-3")).body == b"\x89PNG"
    until, key = [part.partition("=")[2] for part in signed.split("&")]
    for tampered in (
        f"/files/{other['file_id']}?{signed}",
        f"{path}/thumbnail?{signed}",
        f"/files/0{picture['file_id']}?{signed}",
        f"{path}?until={int(until) + 1}&key={key}",
        f"{path}?until={until}&key={key[:-1]}",
        f"{path}?until={until}&key={key.swapcase()}",
        f"{path}?until={until}&key=%00%ff",
        f"{path}?until=&key={key}",
        f"{path}?key={key}",
        f"{path}?until=9999999999999&key={key}",
        f"{path}?until={until}&until=1&key=x&key={key}",
    ):
        assert (await guest.get(tampered)).status == 403, tampered
        assert (await guest.get(tampered, **ada.auth)).status == 403  # a token does not mend it
    for without in (path, f"{path}?until={until}", f"{path}?until={until}&key="):
        assert (await guest.get(without)).status == 401
    assert (await guest.get(link, "DELETE")).status == 405
    with patch.object(time, "time_ns", lambda: int(until) * 10**9 - 1):
        assert (await guest.get(link)).status == 200
    with patch.object(time, "time_ns", lambda: int(until) * 10**9):
        assert (await guest.get(link)).status == 403
    assert int(until) - time.time() <= 7200
    person = await Person.again(url, ada.token)
    sent = await person.data("send", to_user="ada", kind="image", file_id=picture["file_id"])
    await person.data("recall", message_id=sent["message_id"])
    assert (await guest.get(link)).status == 404


async def test_what_a_token_got_is_not_shown_to_the_next_user_of_the_browser(ada: User) -> None:
    for content in (HELLO, png(40, 40)):
        file = await ada.file(content)
        for at in [file["file_id"], f"{file['file_id']}/thumbnail"][: 1 if content is HELLO else 2]:
            for headers in ({}, {"range": "bytes=0-3"}):
                fetched = await ada.fetch(at, **headers)
                assert (fetched.headers["cache-control"], fetched.headers["vary"]) == (
                    ["private, no-cache"], ["Authorization"],
                )  # fmt: skip
            again = await ada.fetch(at, if_none_match=fetched.headers["etag"][0])
            assert (again.status, again.headers["vary"]) == (304, ["Authorization"])


async def test_what_a_link_got_is_kept_no_longer_than_the_link_is_good(ada: User) -> None:
    link = (await ada.file(png(40, 40)))["url"]
    until = int(link.partition("until=")[2].partition("&")[0])
    for left in (3600, 100, 1):
        with patch.object(time, "time_ns", lambda left=left: (until - left) * 10**9 + 5):
            kept = (await ada.get(link)).headers["cache-control"]
        assert re.fullmatch(r"private, max-age=\d+, immutable", kept[0])
        assert left - 2 <= int(kept[0].split("=")[1].split(",")[0]) <= left


async def test_a_link_outlives_the_daemon(process: Process) -> None:
    ada = await User.of(process.url, (await Person.named(process.url, "ada")).token)
    link = (await ada.file(HELLO))["url"]
    await process.crash()
    assert (await (await Web.at(process.url)).get(link)).body == HELLO


async def test_a_link_from_before_a_restore_is_good_for_nothing(process: Process) -> None:
    """Ids are given again then, and the next one's file is somebody else's."""
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    await process.kill(15)
    shutil.copytree(process.data, process.folder / "backup")
    await process.start()
    old = await (await User.of(process.url, ada.token)).file(b"before the restore")
    await process.kill(15)
    shutil.rmtree(process.data)
    shutil.copytree(process.folder / "backup", process.data)
    with contextlib.closing(sqlite3.connect(process.data / "chatd.db")) as connection, connection:
        connection.execute(_new_epoch())
    await process.start()
    new = await (await User.of(process.url, bob.token)).file(b"for bob alone")
    assert new["file_id"] == old["file_id"]
    web = await Web.at(process.url)
    assert (await web.get(old["url"])).status == 403
    assert (await web.get(new["url"])).body == b"for bob alone"


def _new_epoch() -> str:
    """The statement that README has one run after a restore."""
    told = re.search(r'chatd\.db "(UPDATE .+)"', (ROOT / "README.md").read_text(encoding="utf-8"))
    assert told is not None
    return told[1]


async def test_thumbnails(url: str, ada: User) -> None:
    pytest.importorskip("PIL")
    content = png(900, 300)
    file = await ada.file(content, "wide.png")
    small = await (await Web.at(url)).get(file["thumbnail_url"])
    assert small.status == 200
    assert small.headers["content-type"][0].startswith("image/")
    assert small.headers["content-disposition"][0].startswith("inline")
    assert small.headers["etag"] == [f'"{hashlib.sha256(small.body).hexdigest()}"']
    assert small.body != content
    assert (await ada.fetch(f"{file['file_id']}/thumbnail")).body == small.body
    assert (await ada.fetch(f"{file['file_id']}/thumbnail", range="bytes=0-3")).body == small.body[:4]
    text = await ada.file(HELLO)
    assert text["thumbnail_url"] is None
    assert (await ada.fetch(f"{text['file_id']}/thumbnail")).status == 404


@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (50_000_001, 1)])
async def test_a_picture_that_claims_too_much_is_refused(ada: User, tmp_path: Path, width: int, height: int) -> None:
    answered = await ada.post(png(width, height) if width < 10**8 else png(1, 1)[:16] + b"\x7f\xff\xff\xff" * 2)
    if answered.status == 201:  # what is too broken to be measured is no picture
        assert answered.json["data"]["width"] is None
        return
    assert (answered.status, answered.json["error"]["field"]) == (400, "upload")
    assert list((tmp_path / "files").glob("*/*")) == []
    assert list((tmp_path / "uploads").iterdir()) == []
    assert (await ada.fetch(1)).status == 404


async def test_a_picture_in_a_small_frame_is_measured_by_its_contents(ada: User) -> None:
    image = b",\0\0\0\0" + (12000).to_bytes(2, "little") * 2 + b"\0\2\2D\1\0;"
    hidden = b"GIF89a\1\0\1\0\x80\0\0\xff\xff\xff\0\0\0" + image
    answered = await ada.post(hidden)
    assert (answered.status, answered.json["error"]["field"]) == (400, "upload")
    unmeasured = await ada.file(b"\xff\xd8" + b"\xff\xfe\0\2" * 5000 + b"\xff\xd9")
    assert (unmeasured["type"], unmeasured["thumbnail_url"]) == ("application/octet-stream", None)
    sent = {"to_user": "ada", "kind": "image", "file_id": unmeasured["file_id"]}
    assert await ada.error("send", token=ada.token, **sent) == (400, "invalid")


# Who may


async def test_an_avatar_is_shown_small_and_what_it_was_made_of_stays_private(url: str, ada: User) -> None:
    person = await Person.again(url, ada.token)
    eve = await User.of(url, (await Person.named(url, "eve")).token)
    file_id = (await ada.file(png(900, 300), "at home.png"))["file_id"]
    face = (await person.data("profile_set", avatar_file_id=file_id))["avatar_url"]
    group = (await person.data("group_create", title="x"))["conversation_id"]
    await person.data("group_update", conversation_id=group, avatar_file_id=file_id)
    for at in (file_id, f"{file_id}/thumbnail"):
        assert (await eve.fetch(at)).status == 404
        assert (await ada.fetch(at)).status == 200
    assert await eve.error("download", token=eve.token, file_id=file_id) == (404, "not_found")
    shown = await (await Web.at(url)).get(face)
    assert shown.status == 200
    assert "home" not in str(shown.headers)


async def test_who_may_have_what(url: str) -> None:
    people = {name: await Person.named(url, name) for name in ("ada", "bob", "eve", "dan")}
    webs = {name: await User.of(url, person.token) for name, person in people.items()}
    await befriend(people["ada"], people["bob"], username="bob")
    at = (await webs["ada"].file(HELLO))["file_id"]

    async def may() -> set[str]:
        return {name for name, web in webs.items() if (await web.fetch(at)).status == 200}

    assert await may() == {"ada"}
    group = (await people["ada"].data("group_create", title="x", members=["bob"]))["conversation_id"]
    sent = await people["ada"].data("send", conversation_id=group, kind="file", file_id=at)
    assert await may() == {"ada", "bob"}
    await people["bob"].data("group_leave", conversation_id=group)
    assert await may() == {"ada", "bob"}
    await people["bob"].data("delete", message_id=sent["message_id"])
    assert await may() == {"ada"}
    await people["ada"].data("send", to_user="bob", kind="file", file_id=at)
    assert await may() == {"ada", "bob"}
    await people["bob"].data("block", user="ada")
    assert await may() == {"ada", "bob"}  # what was said stays said


# What is deleted while it is sent


async def test_what_is_recalled_while_it_is_fetched(process: Process) -> None:
    """Who has begun to fetch it gets it whole; who comes after gets nothing."""
    person = await Person.named(process.url, "ada")
    ada = await User.of(process.url, person.token)
    content = noise(9_000_000)
    file = await ada.file(content)
    sent = await person.data("send", to_user="ada", kind="file", file_id=file["file_id"])
    slow = await ada.anew()
    slow.say("GET", f"/files/{file['file_id']}", **slow.auth)
    await slow.reader.readuntil(b"\r\n\r\n")
    await person.data("recall", message_id=sent["message_id"])
    while list((process.data / "files").glob("*/*")):
        await person.events()
    late = await User.of(process.url, person.token)
    assert (await late.fetch(file["file_id"])).status == 404
    assert (await late.get(file["url"])).status == 404
    assert await asyncio.wait_for(slow.reader.readexactly(len(content)), PATIENCE) == content
    for _ in range(40):
        file = await late.file(HELLO)
        sent = await person.data("send", to_user="ada", kind="file", file_id=file["file_id"])
        fetching = [
            asyncio.create_task((await User.of(process.url, person.token)).fetch(file["file_id"])) for _ in "123"
        ]
        await person.data("recall", message_id=sent["message_id"])
        for answered in await asyncio.gather(*fetching):
            assert (answered.status, answered.body[:5]) in ((200, b"hello"), (404, answered.body[:5]))
    assert "Traceback" not in process.log
    assert "does not take" not in process.log


# Pages of other hosts


async def test_pages_of_listed_origins_may_upload(tmp_path: Path) -> None:
    good = "https://good.example"
    async with running(config_for(tmp_path, origins=(good,))) as url:
        ada = await User.of(url, (await Person.named(url, "ada")).token)
        asked = {"origin": good, "access_control_request_method": "PATCH"}
        for path in ("/files", "/files/uploads/x", "/files/1"):
            preflight = await (await Web.at(url)).get(path, "OPTIONS", **asked)
            assert preflight.status == 204
            assert preflight.headers["access-control-allow-origin"] == [good]
            methods = preflight.headers["access-control-allow-methods"][0].split(", ")
            assert {"POST", "HEAD", "PATCH", "DELETE", "GET"} <= set(methods)
            may = {name.lower() for name in preflight.headers["access-control-allow-headers"][0].split(", ")}
            assert {
                "authorization", "tus-resumable", "upload-length", "upload-metadata", "upload-offset", "content-type",
                "upload-checksum", "x-http-method-override",
            } <= may  # fmt: skip
        created = await ada.create(13, origin=good)
        exposed = created.headers["access-control-expose-headers"][0].lower().split(", ")
        assert {"location", "upload-offset", "upload-expires", "tus-resumable", "chatd-file-id"} <= set(exposed)
        wrong = await ada.patch(created.headers["location"][0], 5, HELLO, origin=good)
        assert (wrong.status, wrong.headers["access-control-allow-origin"]) == (409, [good])
        evil = await (await Web.at(url)).get("/files", "OPTIONS", origin="https://evil.example")
        assert "access-control-allow-origin" not in evil.headers


async def test_limits_are_told(tmp_path: Path) -> None:
    files: Any = {"max_bytes": 1234}
    async with running(replace(config_for(tmp_path), files=Files(**files))) as url:
        options = await (await Web.at(url)).get("/files", "OPTIONS")
        assert options.headers["tus-max-size"] == ["1234"]
