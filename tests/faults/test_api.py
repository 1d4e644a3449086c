"""Ops by plain HTTP, beside people at sockets: the same replies, the same events, the same refusals."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import orjson
import pytest

from chatd.config import Accounts, Config, Presence
from chatd.errors import BY_CODE
from chatd.limits import Rate
from chatd.op import REGISTRY
from tests.support import PASSWORD, PATIENCE, SETTINGS, Answered, Person, Process, Web, befriend, config_for, running

LISTED = {200, 400, 401, 403, 404, 409, 413, 429, 500}


@pytest.fixture
async def web(url: str) -> Web:
    return await Web.at(url)


async def signed_up(web: Web, username: str) -> str:
    """Sign up by HTTP. Returns the token."""
    token: str = (await web.data("signup", username=username, password=PASSWORD))["token"]
    return token


async def post(web: Web, op: str, body: bytes, **headers: str) -> Answered:
    web.say("POST", f"/api/{op}", body, **headers)
    return await web.answer()


# A conversation


async def test_a_conversation_without_a_socket(web: Web) -> None:
    ada = await signed_up(web, "ada")
    bob = await signed_up(web, "bob")
    request = await web.data("friend_request", token=ada, to_user="bob", note="It is ada.")
    assert request["state"] == "pending"
    (waiting,) = (await web.data("friend_requests", token=bob))["requests"]
    assert (waiting["request_id"], waiting["note"]) == (request["request_id"], "It is ada.")
    await web.data("friend_respond", token=bob, request_id=request["request_id"], accept=True)
    sent = await web.data("send", token=ada, to_user="bob", content="Climbing on Sunday?")
    assert sent["seq"] == 1
    assert (await web.data("unread_count", token=bob))["total"] == 1
    (message,) = (await web.data("history", token=bob, user="ada"))["messages"]
    assert (message["id"], message["content"]) == (sent["message_id"], "Climbing on Sunday?")
    assert (await web.data("search", token=bob, q="climb"))["messages"][0]["id"] == sent["message_id"]
    await web.data("logout", token=ada)
    assert await web.error("friends", token=ada) == (401, "bad_token")
    ada = (await web.data("login", username="ada", password=PASSWORD))["token"]
    assert [friend["username"] for friend in (await web.data("friends", token=ada))["friends"]] == ["bob"]


async def test_a_reply_is_the_same_as_at_the_socket(url: str, web: Web) -> None:
    ada = await Person.named(url, "ada")
    for op, fields in (
        ("friends", {}),
        ("help", {}),
        ("history", {"user": "nobody"}),
        ("send", {"content": 7, "to_user": "ada"}),
        ("send", {"content": "x", "colour": "red"}),
        ("profile", {"user": "ada", "id": "mine"}),
        ("friends", {"id": {}}),
        ("send", {"content": "a\0b", "to_user": "ada"}),
        ("login", {"username": "ada", "password": PASSWORD}),
    ):
        status, reply = await web.ask(op, token=ada.token, **fields)
        assert reply == {**await ada.ask(op, **fields), "op": op}  # which one is always known here
        assert status == (200 if reply["success"] else BY_CODE[reply["error"]["code"]].status)


async def test_a_reply_is_in_the_users_language(web: Web) -> None:
    token = await signed_up(web, "ada")
    await web.data("profile_set", token=token, lang="zh")
    assert (await web.ask("friends", token=token))[1]["message"] == "您的好友"
    assert (await web.ask("history", token=token, user="nobody"))[1]["message"] == "未找到。"
    assert (await web.ask("nonsense", token=token))[1]["message"].startswith("There is no op")  # nobody was asked who


# With people at sockets


async def test_what_is_done_without_a_socket_is_heard_at_sockets(url: str, web: Web) -> None:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    request = await web.data("friend_request", token=ada.token, to_user="bob")
    heard = await bob.next()
    assert (heard["event"], heard["data"]["request_id"]) == ("friend_request", request["request_id"])
    await web.data("friend_respond", token=bob.token, request_id=request["request_id"], accept=True)
    assert "friend" in {event["event"] for event in await ada.events()}
    await bob.events()
    sent = await web.data("send", token=ada.token, to_user="bob", content="hi", client_id="1")
    to_bob, to_ada = await bob.next(), await ada.next()
    assert (to_bob["seq"], to_bob["data"]["content"], to_bob["data"]["client_id"]) == (sent["seq"], "hi", None)
    assert (to_ada["seq"], to_ada["data"]["content"], to_ada["data"]["client_id"]) == (sent["seq"], "hi", "1")
    await web.data("edit", token=ada.token, message_id=sent["message_id"], content="hello")
    await web.data("react", token=ada.token, message_id=sent["message_id"], emoji="👍")
    assert [event["event"] for event in await bob.events()] == ["edit", "reaction"]


async def test_logging_out_ends_the_sessions_sockets(url: str, web: Web) -> None:
    ada, phone = await Person.named(url, "ada"), await Person.at(url)
    other = (await phone.data("login", username="ada", password=PASSWORD))["token"]
    await web.data("logout", token=ada.token)
    await asyncio.wait_for(ada.socket.wait_closed(), PATIENCE)
    assert ada.socket.close_code == 4001
    assert (await phone.ask("friends"))["success"]
    (session,) = (await web.data("sessions", token=other))["sessions"]
    assert session["current"]
    await web.data("session_revoke", token=other, session_id=session["session_id"])
    assert await web.error("sessions", token=other) == (401, "bad_token")


async def test_who_has_no_socket_is_not_there(tmp_path: Path) -> None:
    config = replace(config_for(tmp_path), presence=Presence(debounce=0.02, grace=0.05))
    async with running(config) as url:
        web, bob = await Web.at(url), await Person.named(url, "bob")
        ada, carol = [await signed_up(web, name) for name in ("ada", "carol")]
        for token in (ada, carol):
            request = await web.data("friend_request", token=token, to_user="bob")
            await bob.data("friend_respond", request_id=request["request_id"], accept=True)
        await bob.events()
        for _ in range(5):
            await web.data("send", token=ada, to_user="bob", content="not there")
            await web.data("login", username="ada", password=PASSWORD)
            assert (await web.data("online", token=bob.token))["count"] == 0
        assert await web.error("presence_set", token=ada, status="dnd") == (400, "needs_socket")
        await Person.again(url, carol)
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["event"] != "join":
            heard.append(await bob.next())
        assert heard[-1]["data"]["username"] == "carol"
        assert {event["event"] for event in heard} == {"message", "join"}


async def test_who_has_no_socket_needs_no_room_for_one(tmp_path: Path) -> None:
    async with running(config_for(tmp_path, connections_per_user=1)) as url:
        ada, web = await Person.named(url, "ada"), await Web.at(url)
        for _ in range(3):
            assert (await web.data("login", username="ada", password=PASSWORD))["token"]
        assert (await ada.ask("heartbeat"))["success"]


async def test_numbers_have_no_holes_whoever_writes_and_however(url: str) -> None:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    await befriend(ada, bob, username="bob")
    webs = [await Web.at(url) for _ in range(10)]

    async def write(web: Web) -> list[int]:
        return [(await web.data("send", token=ada.token, to_user="bob", content="x"))["seq"] for _ in range(20)]

    numbers = [number for some in await asyncio.gather(*map(write, webs)) for number in some]
    assert sorted(numbers) == list(range(1, 201))
    for person in (ada, bob):
        assert [event["seq"] for event in await person.events()] == list(range(1, 201))


# The same request again


async def test_a_retry_is_recognized_however_it_comes(url: str, web: Web) -> None:
    ada = await Person.named(url, "ada")
    fields = {"to_user": "ada", "content": "once", "client_id": "1"}
    first = await web.data("send", token=ada.token, **fields)
    assert "duplicate" not in first
    assert await web.data("send", token=ada.token, **fields) == {**first, "duplicate": True}
    assert await ada.data("send", **fields) == {**first, "duplicate": True}
    assert await web.error("send", token=ada.token, **{**fields, "content": "twice"}) == (409, "conflict")
    change = {"old_password": PASSWORD, "new_password": "battery staple", "client_id": "2"}
    await web.data("password_set", token=ada.token, **change)
    assert (await web.data("password_set", token=ada.token, **change))["duplicate"]
    assert len((await web.data("history", token=ada.token, user="ada"))["messages"]) == 1


async def test_a_request_whose_client_is_gone_is_done_once(process: Process) -> None:
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    await befriend(ada, bob, username="bob")
    for number in range(20):
        web = await Web.at(process.url)
        body = {"to_user": "bob", "content": str(number), "client_id": str(number)}
        web.say("POST", "/api/send", orjson.dumps(body), authorization=f"Bearer {ada.token}")
        await web.writer.drain()
        if number % 2:
            web.reset()
        else:
            web.writer.write_eof()  # and does not read
        again = await Web.at(process.url)
        await again.data("send", token=ada.token, **body)
    for person in (ada, bob):
        assert [event["data"]["content"] for event in await person.events()] == [str(number) for number in range(20)]
    assert await process.kill(15) == 0
    assert "Traceback" not in process.log


# Who is asking


@pytest.mark.parametrize("scheme", ["Bearer {}", "bearer {}", "BEARER   {}", "Bearer {} "])
async def test_a_token_says_who_asks(web: Web, scheme: str) -> None:
    token = await signed_up(web, "ada")
    answered = await post(web, "friends", b"{}", authorization=scheme.format(token))
    assert (answered.status, answered.json["op"]) == (200, "friends")


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer", "Bearer ", "{}", "Basic {}", "Bearer{}", "Bearer {}x", "Bearer x{}", "Bearer {},{}", "Bearer {} {}",
        "Token {}", "Bearer \xe9", "Bearer " + "x" * 9000, "", '"Bearer {}"', "Bearer %00",
    ],
)  # fmt: skip
async def test_what_is_no_token_is_nobodys(web: Web, authorization: str) -> None:
    token = await signed_up(web, "ada")
    for op in ("friends", "heartbeat"):
        answered = await post(web, op, b"{}", authorization=authorization.format(token, token))
        assert (answered.status, answered.json["error"]["code"]) == (401, "bad_token")


async def test_two_tokens_are_none(web: Web) -> None:
    token = await signed_up(web, "ada")
    line = f"Authorization: Bearer {token}\r\n"
    web.writer.write(f"POST /api/friends HTTP/1.1\r\nHost: x\r\n{line}{line}\r\n".encode())
    assert (await web.answer()).status == 401


async def test_a_guest_may_ask_what_guests_may(web: Web) -> None:
    assert (await web.data("heartbeat"))["now"]
    assert "send" in (await web.data("help"))["ops"]
    assert await web.error("friends") == (401, "unauthenticated")
    assert await web.error("login", username="ada", password="wrong horse") == (401, "bad_credentials")


async def test_who_has_a_token_is_somebody_already(web: Web) -> None:
    token = await signed_up(web, "ada")
    assert await web.error("login", token=token, username="ada", password=PASSWORD) == (409, "already_authenticated")
    assert await web.error("signup", token=token, username="eve", password=PASSWORD) == (409, "already_authenticated")


async def test_nobody_is_remembered_between_two_requests(web: Web) -> None:
    await web.data("friends", token=await signed_up(web, "ada"))
    assert await web.error("friends") == (401, "unauthenticated")


async def test_the_user_of_a_disabled_account_is_nobody(process: Process) -> None:
    web = await Web.at(process.url)
    token, kept = await signed_up(web, "ada"), await signed_up(web, "bob")
    status, output = await process.command("user", "disable", "ada")
    assert status == 0, output
    with sqlite3.connect(process.data / "chatd.db") as connection:  # with a session left
        connection.execute("UPDATE users SET disabled_at = 1 WHERE username = 'bob'")
    connection.close()
    assert await web.error("friends", token=token) == (401, "bad_token")
    assert await web.error("friends", token=kept) == (403, "account_disabled")
    assert await web.error("login", username="ada", password=PASSWORD) == (403, "account_disabled")


async def test_a_session_that_is_used_this_way_is_in_use(process: Process) -> None:
    web = await Web.at(process.url)
    token = await signed_up(web, "ada")
    with sqlite3.connect(process.data / "chatd.db") as connection:
        connection.execute("UPDATE sessions SET last_used_at = last_used_at - 7200000")
        (before,) = connection.execute("SELECT last_used_at FROM sessions").fetchone()
        connection.commit()
        await web.data("friends", token=token)
        (after,) = connection.execute("SELECT last_used_at FROM sessions").fetchone()
    connection.close()
    assert after >= before + 7200000


async def test_no_secret_is_found_in_the_log(process: Process) -> None:
    process.settings = SETTINGS + '[log]\nlevel = "debug"\n'
    await process.crash()
    web, secret = await Web.at(process.url), "a very secret horse"
    token = (await web.data("signup", username="ada", password=secret))["token"]
    await web.error("login", username="ada", password=secret + "!")
    await web.data("friends", token=token)
    await web.get(f"/api/friends?token={token}", authorization=f"Bearer {token}")
    web.writer.write(f"POST /api/friends HTTP/1.1\r\nAuthorization: Bearer {token}\r\nbroken\r\n\r\n".encode())
    assert (await web.answer()).status == 400
    assert await process.kill(15) == 0
    for needle in (secret, token):
        assert needle not in process.log


# What is refused


@pytest.mark.parametrize(
    "name",
    [
        "nonsense", "", "Send", "send/", "a/b", "%73end", "x" * 9000, "__class__", "send%00", '"><script>', "..",
        "api/send",
    ],
)  # fmt: skip
async def test_what_is_no_op_is_not_found(web: Web, name: str) -> None:
    answered = await post(web, name, b"not even JSON")
    assert (answered.status, answered.json["error"]["code"]) == (404, "unknown_op")
    assert answered.json["op"] == name[:64]
    assert answered.headers["content-type"] == ["application/json"]
    assert answered.headers["x-content-type-options"] == ["nosniff"]


@pytest.mark.parametrize("name", sorted(name for name, op in REGISTRY.items() if op.needs_socket))
async def test_what_is_about_a_socket_needs_one(web: Web, name: str) -> None:
    assert await web.error(name, **REGISTRY[name].example) == (400, "needs_socket")


def test_what_is_about_a_socket_is_known() -> None:
    assert {name for name, op in REGISTRY.items() if op.needs_socket} == {"auth", "presence_set"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"nonsense", "invalid_json"),
        (b"{}{}", "invalid_json"),
        (b"\xff", "invalid_json"),
        (b'{"id":"\xc3\x28"}', "invalid_json"),
        (b'{"id":"\\ud800"}', "invalid_json"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        (b"NaN", "invalid_json"),
        (b"[" * 30_000, "invalid_json"),
        (b"\0", "invalid_json"),
        (b"username=ada&password=x", "invalid_json"),
        (b"[]", "invalid_frame"),
        (b"null", "invalid_frame"),
        (b"7", "invalid_frame"),
        (b'"send"', "invalid_frame"),
        (b'{"id":{}}', "invalid"),
        (b'{"id":1e400}', "invalid_json"),
        (b'{"id":18446744073709551616}', "invalid"),
        (b'{"x":1}', "invalid"),
        (b'{"\\u0000":1}', "invalid"),
        (b'{"client_id":"1"}', "invalid"),
        (b'{"x":' * 200 + b"1" + b"}" * 200, "invalid"),
        (b'{"x":' * 300 + b"1" + b"}" * 300, "invalid"),
        (b'{"x":' * 1000 + b"1" + b"}" * 1000, "invalid"),
        (b'{"x":' * 5000 + b"1" + b"}" * 5000, "invalid_json"),
        (b'{"id":' + b"[" * 300 + b"]" * 300 + b"}", "invalid"),
    ],
)
async def test_a_body_that_makes_no_sense_is_refused(
    web: Web, body: bytes, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    answered = await post(web, "heartbeat", body)
    assert (answered.status, answered.headers["content-type"]) == (400, ["application/json"])
    assert (answered.json["type"], answered.json["error"]["code"]) == ("reply", code)
    assert (await web.data("heartbeat"))["now"]
    assert not caplog.records


@pytest.mark.parametrize("body", [b"", b"{}", b" {} ", b'{"type":"logout"}', b'{"type":null}', b'{"id":null}'])
async def test_the_path_names_the_op_and_a_body_may_be_missing(web: Web, body: bytes) -> None:
    answered = await post(web, "heartbeat?op=help", body, content_type="text/plain")
    assert (answered.status, answered.json["op"]) == (200, "heartbeat")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_is_as_long_as_a_frame_at_most(tmp_path: Path, chunked: bool) -> None:
    async with running(config_for(tmp_path, frame_bytes=4096)) as url:
        token = await signed_up(await Web.at(url), "ada")
        for size, status in ((4096, 200), (4097, 413), (1_000_000, 413)):
            web = await Web.at(url)
            body = b'{"to_user":"ada","content":"hi"}'.ljust(size)
            told = {"authorization": f"Bearer {token}"}
            if chunked:
                web.say("POST", "/api/send", transfer_encoding="chunked", **told)
                web.writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (size, body))
            else:
                web.say("POST", "/api/send", body, **told)
            assert (await web.answer()).status == status
            await web.close()
        web = await Web.at(url)
        assert len((await web.data("history", token=token, user="ada"))["messages"]) == 1


async def test_a_body_that_is_too_long_gets_a_reply_like_any_other(web: Web) -> None:
    answered = await post(web, "heartbeat", b"x" * 65537)
    assert (answered.status, answered.headers["content-type"]) == (413, ["application/json"])
    assert (answered.json["op"], answered.json["success"]) == ("heartbeat", False)
    assert BY_CODE[answered.json["error"]["code"]].status == 413


async def test_who_is_told_to_log_in_is_told_how(web: Web) -> None:
    """RFC 9110, section 15.5.2: a 401 has a challenge."""
    for told in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic wrong"}):
        answered = await post(web, "friends", b"{}", **told)
        assert answered.status == 401
        assert answered.headers["www-authenticate"][0].lower().startswith("bearer")


async def test_refusals_have_the_status_of_their_error(web: Web) -> None:
    ada, bob = await signed_up(web, "ada"), await signed_up(web, "bob")
    await web.data("send", token=ada, to_user="ada", content="x", client_id="1")
    asked: list[tuple[str | None, str, dict[str, Any], int, str]] = [
        (ada, "send", {"to_user": "ada"}, 400, "invalid"),
        (ada, "send", {"to_user": "bob", "content": "hi"}, 403, "not_friends"),
        (ada, "send", {"to_user": "nobody", "content": "hi"}, 404, "not_found"),
        (ada, "send", {"to_user": "ada", "content": "y", "client_id": "1"}, 409, "conflict"),
        (ada, "friend_respond", {"request_id": 7, "accept": True}, 404, "not_found"),
        (None, "signup", {"username": "ADA", "password": PASSWORD}, 409, "username_taken"),
        (None, "signup", {"username": "eve", "password": "short"}, 400, "invalid"),
        (None, "logout", {}, 401, "unauthenticated"),
        (bob, "password_set", {"old_password": "wrong horse", "new_password": PASSWORD}, 401, "bad_credentials"),
    ]
    for token, op, fields, status, code in asked:
        assert await web.error(op, token=token, **fields) == (status, code), op
    await web.data("block", token=ada, user="bob")
    assert await web.error("friend_request", token=ada, to_user="bob") == (403, "blocked")
    group = (await web.data("group_create", token=ada, title="Climbing"))["conversation_id"]
    assert await web.error("group_update", token=bob, conversation_id=group, title="Mine") == (404, "not_found")


async def test_closed_signup_is_forbidden(tmp_path: Path) -> None:
    config = replace(config_for(tmp_path), accounts=Accounts(bcrypt_cost=4, signup="closed"))
    async with running(config) as url:
        signup = await (await Web.at(url)).error("signup", username="ada", password=PASSWORD)
        assert signup == (403, "signup_closed")


async def test_a_defect_is_an_internal_error(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(ctx: Any, request: Any) -> Any:
        raise ZeroDivisionError

    with patch.dict(
        REGISTRY, {name: dataclasses.replace(REGISTRY[name], function=broken) for name in ("heartbeat", "help")}
    ):
        assert await web.error("heartbeat") == (500, "internal")
        assert await web.error("help") == (500, "internal")
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert (await web.data("heartbeat"))["now"]


async def test_a_database_that_refuses_is_an_error_of_the_daemon(web: Web) -> None:
    token = await signed_up(web, "ada")

    async def refused(ctx: Any, request: Any) -> Any:
        raise sqlite3.OperationalError("disk I/O error")

    with patch.dict(
        REGISTRY, {name: dataclasses.replace(REGISTRY[name], function=refused) for name in ("logout", "friends")}
    ):
        assert await web.error("logout", token=token) == (500, "unavailable")
        assert await web.error("friends", token=token) == (500, "unavailable")
    assert (await web.data("friends", token=token))["friends"] == []


# Every op


async def test_every_op_is_answered(url: str, web: Web, caplog: pytest.LogCaptureFixture) -> None:
    """Its example may make no sense here, but never an error of the daemon's."""
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    await befriend(ada, bob, username="bob")
    seen: set[int] = set()
    others = {name: op for name, op in REGISTRY.items() if name != "account_delete"}  # which has its own tests
    for name, op in others.items():
        for asks in (op.example, {}, {**op.example, "x": 1}, {**op.example, "client_id": name}):
            for token in (None, (await web.data("login", username="ada", password=PASSWORD))["token"]):
                told = {} if token is None else {"authorization": f"Bearer {token}"}
                answered = await post(web, name, orjson.dumps(asks), **told)
                status, reply = answered.status, answered.json
                seen.add(status)
                assert list(reply)[:5] == ["type", "op", "id", "success", "message"], reply
                assert (reply["type"], reply["op"]) == ("reply", name)
                assert status in LISTED - {500}, (name, reply)
                expected = 200 if reply["success"] else BY_CODE[reply["error"]["code"]].status
                assert status == expected, (name, reply)
                refused = not reply["success"] and reply["error"]["code"] == "needs_socket"
                assert refused == op.needs_socket, (name, reply)
                if name == "password_set" and status == 200:
                    renewed = {"old_password": op.example["new_password"], "new_password": PASSWORD}
                    await web.data("password_set", token=token, **renewed)
    assert seen >= {200, 400, 401, 404, 409}
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")]


# Limits


def limited(config: Config, **rates: Rate) -> Config:
    return replace(config, rates=replace(config.rates, **rates))


NEVER = 0.001
"""Tokens a second that no test waits for."""


async def test_an_address_may_ask_for_so_much(tmp_path: Path) -> None:
    config = limited(config_for(tmp_path, trusted_proxies=("127.0.0.1",)), ops=Rate(per_second=NEVER, burst=4))
    async with running(config) as url:

        async def beat(web: Web, address: str) -> tuple[int, dict[str, Any]]:
            answered = await post(web, "heartbeat", b"{}", x_forwarded_for=address)
            return answered.status, answered.json

        webs = [await Web.at(url) for _ in range(4)]
        for web in webs:
            assert (await beat(web, "192.0.2.1"))[0] == 200
        for web in [*webs, await Web.at(url)]:
            status, reply = await beat(web, "192.0.2.1")
            assert (status, reply["error"]["code"], reply["error"]["temporary"]) == (429, "rate_limited", True)
            assert 0 < reply["error"]["retry_after_ms"] <= 1000 / NEVER + 1
        assert (await beat(await Web.at(url), "192.0.2.2"))[0] == 200
        person = await Person.at(url, additional_headers={"X-Forwarded-For": "192.0.2.1"})
        assert (await person.ask("heartbeat"))["success"], "a socket has a limit of its own"
        web = await Web.at(url)
        assert (await web.get("/healthz", x_forwarded_for="192.0.2.1")).status == 200, "this is not limited"


@pytest.mark.parametrize(
    ("op", "body", "authorization"),
    [("heartbeat", b"{}", "Bearer wrong"), ("heartbeat", b"{", ""), ("nonsense", b"{}", "")],
)
async def test_what_is_refused_counts_too(tmp_path: Path, op: str, body: bytes, authorization: str) -> None:
    config = limited(config_for(tmp_path), ops=Rate(per_second=NEVER, burst=3))
    async with running(config) as url:
        web = await Web.at(url)
        told = {"authorization": authorization} if authorization else {}
        statuses = [(await post(web, op, body, **told)).status for _ in range(5)]
        assert statuses[3:] == [429, 429]
        assert 429 not in statuses[:3]


async def test_a_user_may_write_so_much_however(tmp_path: Path) -> None:
    async with running(limited(config_for(tmp_path), chat=Rate(per_second=NEVER, burst=2))) as url:
        ada, web = await Person.named(url, "ada"), await Web.at(url)
        await ada.data("send", to_user="ada", content="1")
        await web.data("send", token=ada.token, to_user="ada", content="2")
        assert await ada.error("send", to_user="ada", content="3") == "rate_limited"
        status, reply = await web.ask("send", token=ada.token, to_user="ada", content="3")
        assert (status, reply["error"]["code"]) == (HTTPStatus.TOO_MANY_REQUESTS, "rate_limited")
        assert reply["error"]["retry_after_ms"] > 0


async def test_passwords_are_guessed_no_faster_this_way(tmp_path: Path) -> None:
    async with running(limited(config_for(tmp_path), account=Rate(per_second=NEVER, burst=4))) as url:
        web, guest = await Web.at(url), await Person.at(url)
        await signed_up(web, "ada")
        wrong = {"username": "ada", "password": "wrong horse"}
        assert await web.error("login", **wrong) == (401, "bad_credentials")
        assert await guest.error("login", **wrong) == "bad_credentials"
        assert await (await Web.at(url)).error("login", **wrong) == (401, "bad_credentials")
        assert await web.error("login", **wrong) == (429, "rate_limited")
        assert await guest.error("login", **wrong) == "rate_limited"


async def test_many_guesses_at_once_are_no_way_around_the_limit(tmp_path: Path) -> None:
    async with running(limited(config_for(tmp_path), account=Rate(per_second=NEVER, burst=5))) as url:
        webs = await asyncio.gather(*(Web.at(url) for _ in range(20)))
        wrong = {"username": "nobody", "password": "wrong horse"}
        statuses = [status for status, _ in await asyncio.gather(*(web.error("login", **wrong) for web in webs))]
        assert (statuses.count(401), statuses.count(429)) == (5, 15)


# Nonsense


@contextlib.asynccontextmanager
async def still_serving(url: str) -> AsyncIterator[None]:
    yield
    web = await Web.at(url)
    assert (await web.get("/readyz")).status == 200
    token = await signed_up(web, "afterwards")
    assert (await web.data("send", token=token, to_user="afterwards", content="hi"))["seq"] == 1


PIECES = [
    b"GET", b"POST", b" ", b"/", b"/api/send", b"/ws", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n\r\n", b"\n",
    b"Host: x\r\n", b"Content-Length: ", b"5\r\n", b"-1", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"ffff\r\n",
    b"Expect: 100-continue\r\n", b"{}", b'{"to_user":', b"\0", b"\xff\xfe", b"Connection: close\r\n",
    b"Upgrade: websocket\r\n", b"Authorization: Bearer x\r\n", b"x" * 5000,
    b"POST /api/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
]  # fmt: skip


async def test_nonsense_is_never_a_defect(url: str, caplog: pytest.LogCaptureFixture) -> None:
    random = Random(7)
    async with still_serving(url):
        for _ in range(500):
            web = await Web.at(url)
            web.writer.write(b"".join(random.choices(PIECES, k=random.randint(1, 30))) + b"\r\n\r\n")
            web.writer.write_eof()
            with contextlib.suppress(ConnectionResetError):
                answer = await asyncio.wait_for(web.reader.read(), PATIENCE)
                assert b"HTTP/1.1 500 " not in answer
                assert not answer or answer.startswith(b"HTTP/1.1 ")
            await web.close()
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")], caplog.text
