"""An issuer's tokens: who gets in with them, who does not, and when it is over."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from chatd.config import Accounts, Config, Jwt, from_toml
from tests.support import PASSWORD, PATIENCE, SETTINGS, Person, Process, Web, config_for, running

SECRET = "a secret of at least thirty-two bytes"
SETTINGS_WITH_ISSUER = f'{SETTINGS}[accounts.jwt]\nsecret = "{SECRET}"\n[log]\nlevel = "debug"\n'


def trusting(folder: Path, **settings: Any) -> Config:
    """Settings with an issuer."""
    return replace(config_for(folder), accounts=Accounts(bcrypt_cost=4, jwt=Jwt(**{"secret": SECRET, **settings})))


def token(sub: Any = "ada", *, secret: str = SECRET, valid: float = 3600, **claims: Any) -> str:
    """What the site would make. A claim that is None is left out."""
    told = {"sub": sub, "exp": int(time.time() + valid), **claims}
    return signed({name: value for name, value in told.items() if value is not None}, secret=secret)


def signed(
    claims: Any, *, secret: str = SECRET, header: dict[str, Any] | None = None, algorithm: str = "sha256"
) -> str:
    """A token with these claims, however odd: PyJWT makes none that it would not take."""
    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    body = ".".join(_base64(json.dumps(part).encode()) for part in (head, claims))
    return f"{body}.{_base64(hmac.digest(secret.encode(), body.encode(), algorithm))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with running(trusting(tmp_path)) as address:
        yield address


async def arrival(url: str, jwt: str) -> str:
    """The code of what came of `auth`, or "success"; over HTTP it is the same."""
    reply = await (await Person.at(url)).ask("auth", token=jwt)
    code: str = "success" if reply["success"] else reply["error"]["code"]
    assert reply["success"] or reply["error"]["field"] == "token"
    over_http = (
        (await (await Web.at(url)).ask("friends", token=jwt))[1] if jwt.isascii() and jwt.isprintable() else reply
    )
    assert ("success" if over_http["success"] else over_http["error"]["code"]) == code
    return code


# Getting in


async def test_the_user_of_a_token_is_made_on_first_sight_and_known_ever_after(tmp_path: Path) -> None:
    async with running(trusting(tmp_path, nickname_claim="name", email_claim="email")) as url:
        first = await Person.again(url, token("Ada", name="  Ada\x00 L.\ud83d", email="ada@example.org"))
        profile = await first.data("profile")
        assert (profile["user_id"], profile["username"], profile["nickname"]) == (1, "Ada", "Ada L.")
        assert profile["settings"]["email"] == "ada@example.org"
        another = await Person.again(url, token("Ada", name="Somebody else", valid=1800))
        assert (await another.data("profile"))["user_id"] == 1
        assert (await another.data("profile"))["nickname"] == "Ada L."
        assert len((await another.data("sessions"))["sessions"]) == 2
        assert await first.events() == []
        web = await Web.at(url)
        assert (await web.data("profile", token=token("bob", email="ada@example.org")))["settings"]["email"] is None
        assert await arrival(url, token("eve", name=["x"], email="no address")) == "success"


async def test_a_token_has_one_session_however_it_is_used(url: str) -> None:
    mine = token("ada")
    people = await asyncio.gather(*(Person.again(url, mine) for _ in range(10)))
    web = await Web.at(url)
    (session,) = (await web.data("sessions", token=mine))["sessions"]
    assert session["current"]
    assert session["expires_at"].endswith(".000Z")
    assert (await people[0].data("sessions"))["sessions"] == [session]


async def test_they_talk_with_the_others(url: str) -> None:
    ada, bob = await Person.again(url, token("ada")), await Person.named(url, "bob")
    await bob.data("friend_request", to_user="ada")
    await ada.data("friend_request", to_user="bob")
    await ada.events()
    await ada.data("send", to_user="bob", content="hi")
    assert (await bob.events())[-1]["data"]["content"] == "hi"


async def test_a_user_is_who_iss_and_sub_say_whatever_the_name(tmp_path: Path) -> None:
    async with running(trusting(tmp_path, username_claim="login")) as url:
        ada = await Person.again(url, token("17", login="ada"))
        renamed = await Person.again(url, token("17", login="ada.l"))
        assert (await renamed.data("profile"))["username"] == (await ada.data("profile"))["username"] == "ada"
        assert await arrival(url, token("17", login="x")) == "success"  # she is known
        assert await arrival(url, token("18", login="ADA")) == "username_taken"
        assert await arrival(url, token("17", login="ada", iss="https://other.test")) == "username_taken"
        assert await arrival(url, token(None, login="ada")) == "username_taken"
        assert await arrival(url, token(None, login="bob")) == "success"
        assert await arrival(url, token("bob", login="bob")) == "username_taken"
        assert await arrival(url, token("\tbob", login="bob")) == "invalid"  # nor is he whom no `sub` names


async def test_a_subject_may_be_a_number(tmp_path: Path) -> None:
    async with running(trusting(tmp_path, username_claim="login")) as url:
        ada = await Person.again(url, token(17, login="ada"))
        for same in (token(17, login="x"), token("17", login="x"), token(17, jti="2")):
            profile = await (await Person.again(url, same)).data("profile")
            assert (profile["user_id"], profile["username"]) == (1, "ada")
        assert await arrival(url, token(18, login="ada")) == "username_taken"
        assert await arrival(url, token(-(10**300), login="bob")) == "invalid"
        assert len((await ada.data("sessions"))["sessions"]) == 4


# Not getting in


async def test_an_account_that_was_there_before_is_not_taken_over(url: str) -> None:
    ada = await Person.named(url, "ada", email="ada@example.org")
    for name in ("ada", "ADA", "Ａda"):
        assert await arrival(url, token(name)) == "username_taken"
    reply = await (await Person.at(url)).ask("auth", token=token("Ada"))
    assert reply["message"] == "The username Ada is taken."
    assert len((await ada.data("sessions"))["sessions"]) == 1


def _forged() -> Iterator[tuple[str, str]]:
    now = int(time.time())
    good = {"sub": "ada", "exp": now + 86400}
    head, body, signature = signed(good).split(".")
    none = _base64(b'{"alg":"none"}')
    yield "wrong secret", token(secret=SECRET + "!")
    yield "no secret", token(secret="")
    for alg in (
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        None,
        5,
        ["HS256"],
        {"HS256": 1},
        "HS384",
        "HS512",
        "hs256",
        "RS256",
    ):
        yield f"header says {alg!r}", signed(good, header={"alg": alg})
    yield "no algorithm", signed(good, header={})
    yield "unsigned", f"{none}.{body}."
    yield "unsigned, with the old signature", f"{none}.{body}.{signature}"
    yield "HS512, properly", signed(good, header={"alg": "HS512"}, algorithm="sha512")
    yield "HS384, properly", signed(good, header={"alg": "HS384"}, algorithm="sha384")
    yield "no signature", f"{head}.{body}."
    yield "half a signature", f"{head}.{body}.{signature[:20]}"
    yield "another body", f"{head}.{_base64(json.dumps({**good, 'sub': 'bob'}).encode())}.{signature}"
    own = {"alg": "HS256", "jwk": {"kty": "oct", "k": _base64(b"mine")}, "kid": "mine"}
    yield "a key of its own", signed(good, header=own, secret="mine")
    yield "critical and unknown", signed(good, header={"alg": "HS256", "crit": ["exp"], "exp": 1})
    yield "detached", signed(good, header={"alg": "HS256", "crit": ["b64"], "b64": False})
    times: list[Any] = [now - 1, now, 0, -1, 0.5, True, None, "soon", str(now + 86400), [], {}, float("nan"), -(10**30)]
    for exp in times:
        yield f"exp is {exp!r}", signed({"sub": "ada", "exp": exp})
    yield "no exp", signed({"sub": "ada"})
    yield "not yet", token(nbf=now + 86400)
    yield "nbf is no time", token(nbf="now")
    yield "made tomorrow", token(iat=now + 86400)
    yield "for somebody else", token(aud="another site")
    bodies: list[Any] = [[], "ada", 7, None, [good], {}]
    for claims in bodies:
        yield f"claims {claims!r}", signed(claims)
    yield "empty", "."
    yield "dots", "..."
    yield "four parts", f"{head}.{body}.{body}.{signature}"
    yield "two parts", f"{head}.{body}"
    yield "not base64", f"{head}.{body}.!!!!"
    yield "not ASCII", f"{head}.{body}.{signature}é"
    yield "not JSON", f"{_base64(b'{')}.{body}.{signature}"
    yield "deep", f"{_base64(b'[' * 2900)}.{body}.{signature}"
    yield "long number", signed({"sub": "ada", "exp": 1})[:-1] + f"{_base64(b'9' * 2900)}"


@pytest.mark.parametrize("forged", [pytest.param(forged, id=what) for what, forged in _forged()])
async def test_what_the_issuer_has_not_made_lets_nobody_in(url: str, forged: str) -> None:
    assert await arrival(url, forged) == "bad_token"
    assert await arrival(url, token()) == "success"


@pytest.mark.parametrize(
    "sub",
    [
        7,
        True,
        ["ada"],
        "",
        "ad",
        "x" * 33,
        "a b",
        "ada\x00",
        "ada\n",
        "ada\u202e",
        "\ud83d",
        "<ada>",
        "ada'--",
        "ada/..",
        "😀😀😀",
        "ﷺ" * 99,
    ],
)
async def test_who_has_no_proper_name_is_told_what_one_is(url: str, sub: Any) -> None:
    guest = await Person.at(url)
    reply = await guest.ask("auth", token=token(sub))
    assert (reply["error"]["code"], reply["error"]["field"]) == ("invalid", "token")
    assert reply["message"].startswith("token must hold a username in its claim sub: 3 to 32 letters or digits")
    assert (await (await Web.at(url)).error("friends", token=token(sub)))[0] == 400


UNKEEPABLE: list[dict[str, Any]] = [
    {"iss": 7}, {"iss": "x" * 256}, {"iss": "a\x00"}, {"iss": None, "sub": ""}, {"sub": "\ud83d"}, {"sub": "x" * 256},
    {"sub": 3.5}, {"sub": True}, {"sub": ["17"]}, {"sub": {"id": 17}},
]  # fmt: skip


@pytest.mark.parametrize("claims", UNKEEPABLE, ids=repr)
async def test_who_has_a_name_needs_a_subject_that_can_be_kept(tmp_path: Path, claims: dict[str, Any]) -> None:
    async with running(trusting(tmp_path, username_claim="login")) as url:
        mine = token(**{"sub": "17", "login": "ada", **claims})
        assert await arrival(url, mine) == "invalid"
        reply = await (await Person.at(url)).ask("auth", token=mine)
        assert reply["message"].startswith("token must say whose it is: sub, and iss where there is one, as text of 1 ")
        assert await arrival(url, token(None, login=["ada"])) == "invalid"


async def test_a_token_is_for_whom_it_says_and_from_whom(tmp_path: Path) -> None:
    async with running(trusting(tmp_path, issuer="https://site.test", audience="chatd")) as url:
        right: dict[str, Any] = {"iss": "https://site.test", "aud": "chatd"}
        wrongs: list[dict[str, Any]] = [
            {"iss": None}, {"iss": "https://site.test/"}, {"iss": "https://site"}, {"iss": ["https://site.test"]},
            {"aud": None}, {"aud": "chat"}, {"aud": []}, {"aud": ["chat"]}, {"aud": {"chatd": 1}}, {"aud": 7},
        ]  # fmt: skip
        for wrong in wrongs:
            assert await arrival(url, token("ada", **{**right, **wrong})) == "bad_token", wrong
        assert await arrival(url, token("ada", **right)) == "success"
        assert await arrival(url, token("ada", iss="https://site.test", aud=["chatd", "mail"])) == "success"


async def test_clocks_may_differ_by_the_leeway(tmp_path: Path) -> None:
    async with running(trusting(tmp_path, leeway=60)) as url:
        now = int(time.time())
        assert await arrival(url, token(valid=-30, nbf=now + 30, iat=now + 30)) == "success"
        assert await arrival(url, token(valid=-90)) == "bad_token"
        assert await arrival(url, token(nbf=now + 90)) == "bad_token"


async def test_a_huge_token_is_none(url: str) -> None:
    guest = await Person.at(url)
    fitting = token("ada", pad="x" * 2900)
    assert 3900 < len(fitting) <= 4096
    assert await arrival(url, fitting) == "success"
    huge = token("ada", pad="x" * 3200)
    assert await guest.error("auth", token=huge) == "invalid"
    assert await (await Web.at(url)).error("friends", token=huge) == (401, "bad_token")
    assert await guest.error("auth", token=token(pad="x" * 40_000)) == "invalid"


async def test_without_an_issuer_a_token_of_one_is_none(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)) as url:
        assert await arrival(url, token()) == "bad_token"


async def test_a_disabled_user_stays_out_and_an_ended_token_is_no_good_after_that(tmp_path: Path) -> None:
    process = Process(tmp_path, SETTINGS_WITH_ISSUER)
    await process.start()
    try:
        mine, other = token("ada"), token("ada", jti="2")
        ada = await Person.again(process.url, mine)
        await process.command("user", "disable", "ada")
        await asyncio.wait_for(ada.socket.wait_closed(), PATIENCE)
        assert ada.socket.close_code == 4001
        assert await (await Person.at(process.url)).error("auth", token=other) == "account_disabled"
        assert await (await Web.at(process.url)).error("friends", token=other) == (403, "account_disabled")
        await process.command("user", "enable", "ada")
        assert await arrival(process.url, mine) == "bad_token"
        assert await arrival(process.url, other) == "success"
    finally:
        await process.end()


# Without a password


async def test_they_have_no_password(url: str) -> None:
    ada = await Person.again(url, token("ada"))
    guest = await Person.at(url)
    for password in (PASSWORD, "--------", "None None"):
        reply = await guest.ask("login", username="ada", password=password)
        assert (reply["message"], reply["error"]["code"]) == ("Wrong username or password.", "bad_credentials")
        assert await ada.error("password_set", old_password=password, new_password=PASSWORD) == "bad_credentials"
    assert await guest.error("signup", username="ADA", password=PASSWORD) == "username_taken"


# The end


async def test_a_session_ends_with_its_token_on_live_sockets_too(url: str) -> None:
    mine, longer = token("ada", valid=4), token("ada")
    ada = [await Person.again(url, mine), await Person.again(url, mine)]
    tablet = await Person.again(url, longer)
    web, (link, its) = await Web.at(url), [(await one.data("account_export"))["url"] for one in (ada[0], tablet)]
    assert (await web.get(link, "HEAD")).status == 200
    ends = jwt.decode(mine, options={"verify_signature": False})["exp"]
    for device in ada:
        await asyncio.wait_for(device.socket.wait_closed(), PATIENCE)
        assert device.socket.close_code == 4001
    assert 0 <= time.time() - ends < 4
    assert await arrival(url, mine) == "bad_token"
    assert len((await tablet.data("sessions"))["sessions"]) == 1
    assert await tablet.events() == []
    assert [(await web.get(one, "HEAD")).status for one in (link, its)] == [404, 200]


async def test_a_revoked_token_does_not_come_in_again(url: str) -> None:
    mine, other = token("ada", jti="1"), token("ada", jti="2")
    laptop, phone = await Person.again(url, mine), await Person.again(url, other)
    (session,) = [one for one in (await laptop.data("sessions"))["sessions"] if not one["current"]]
    await laptop.data("session_revoke", session_id=session["session_id"])
    await asyncio.wait_for(phone.socket.wait_closed(), PATIENCE)
    assert phone.socket.close_code == 4001
    for written in (other, f"{other}=", _respelled(other)):  # the same token in other letters
        assert await arrival(url, written) == "bad_token"
    await laptop.data("logout")
    assert await laptop.error("auth", token=mine) == "bad_token"
    await laptop.data("auth", token=token("ada", jti="3"))


def _respelled(token: str) -> str:
    """The last letter of 43 holds two bits that say nothing (RFC 4648, section 3.5)."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + letters[letters.index(token[-1]) ^ 1]


async def test_a_logout_over_http_ends_the_token(url: str) -> None:
    web, mine = await Web.at(url), token("ada")
    await web.data("logout", token=mine)
    assert await web.error("friends", token=mine) == (401, "bad_token")
    assert await arrival(url, mine) == "bad_token"


async def test_an_ended_token_stays_ended_after_a_crash(tmp_path: Path) -> None:
    process = Process(tmp_path, SETTINGS_WITH_ISSUER)
    await process.start()
    try:
        mine, other = token("ada"), token("ada", valid=7200)
        await (await Person.again(process.url, mine)).data("logout")
        await (await Person.again(process.url, other)).close()
        await process.crash()
        assert await arrival(process.url, mine) == "bad_token"
        assert await arrival(process.url, other) == "success"
        assert await process.kill(15) == 0
        stored = b"".join(path.read_bytes() for path in process.data.iterdir() if path.is_file())
        for part in (*mine.split("."), *other.split(".")):
            assert base64.urlsafe_b64decode(part + "==") not in stored
            assert part.encode() not in stored
            assert part not in process.log
        assert SECRET not in process.log
        assert "Traceback" not in process.log
        assert (await process.command("check"))[0] == 0
    finally:
        await process.end()


async def test_past_the_limit_the_oldest_session_ends_and_its_device_hears_of_it(tmp_path: Path) -> None:
    config = trusting(tmp_path)
    config = replace(config, accounts=replace(config.accounts, sessions_per_user=2))
    async with running(config) as url:
        tokens = [token("ada", jti=str(number)) for number in range(3)]
        first, second, third = [await Person.again(url, one) for one in tokens]
        await asyncio.wait_for(first.socket.wait_closed(), PATIENCE)
        assert first.socket.close_code == 4001
        assert [event["event"] for event in await second.events()] == ["session"]
        assert len((await third.data("sessions"))["sessions"]) == 2
        assert await arrival(url, tokens[0]) == "bad_token"


async def test_what_is_over_is_forgotten(tmp_path: Path) -> None:
    async with running(trusting(tmp_path)) as url:
        for _ in range(2):
            ada = await Person.again(url, token("ada", jti=str(_)))
            await ada.data("logout")
    past = int(time.time() * 1000) - 25 * 3600 * 1000
    _change(tmp_path, "UPDATE ended_tokens SET expires_at = ? WHERE rowid = 1", past)
    async with running(trusting(tmp_path)) as url:  # it tidies at its start
        await Person.again(url, token("ada", jti="9"))
    assert len(_rows(tmp_path, "SELECT * FROM ended_tokens")) == 1


def _change(folder: Path, statement: str, *values: int) -> None:
    with sqlite3.connect(folder / "chatd.db") as connection:
        connection.execute(statement, values)
    connection.close()


def _rows(folder: Path, statement: str) -> list[Any]:
    connection = sqlite3.connect(folder / "chatd.db")
    rows = connection.execute(statement).fetchall()
    connection.close()
    return rows


# The settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("secret = 'too short'", "accounts.jwt.secret: must have at least 32 bytes, not 9"),
        ("issuer = 'https://site.test'", "accounts.jwt.secret: is required, or accounts.jwt.secret_file, and not both"),
        (f"secret = '{SECRET}'\nsecret_file = 'x'", "accounts.jwt.secret: is required, or accounts.jwt.secret_file"),
        ("secret_file = 'nowhere'", "accounts.jwt.secret_file: nowhere: No such file or directory"),
        ("secret_file = 'short'", "accounts.jwt.secret_file: must have at least 32 bytes, not 31"),
        (
            'secret = """-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"""',
            "accounts.jwt.secret: The specified key is ",
        ),
        ("leeway = 3601", "accounts.jwt.leeway: must be a whole number from 0 to 3600, not 3601"),
        ("username_claim = ''", "accounts.jwt.username_claim: must be text of 1 to 64 characters, not ''"),
        ("algorithm = 'none'", "accounts.jwt.algorithm: there is no such setting; there are: secret, "),
    ],
)
async def test_settings_that_make_no_sense_stop_the_start(tmp_path: Path, settings: str, said: str) -> None:
    (tmp_path / "short").write_text("x" * 31 + "\n")
    (tmp_path / "chatd.toml").write_text(f"[accounts.jwt]\n{settings}")
    for command in ("serve", "check-config"):
        status, output = await Process.run_command(command, cwd=tmp_path)
        assert (status, output.count("\n")) == (2, 1), output
        assert output.startswith(f"chatd: {said}")
    assert not (tmp_path / "data").exists()


async def test_without_pyjwt_an_issuer_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(Exception, match=r"^accounts\.jwt: PyJWT is not installed; it comes with chatd\[jwt\]$"):
        async with running(trusting(tmp_path)):
            pass
    async with running(config_for(tmp_path)) as url:
        await Person.named(url, "ada")


async def test_the_secret_may_stand_in_a_file_and_is_shown_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    async with running(trusting(tmp_path, secret="", secret_file=str(tmp_path / "secret"))) as url:
        assert await arrival(url, token()) == "success"
    (tmp_path / "chatd.toml").write_text(f'[accounts.jwt]\nsecret = "{SECRET}"\n')
    status, output = await Process.run_command("check-config", cwd=tmp_path)
    assert status == 0
    assert "accounts.jwt.secret = '…'\naccounts.jwt.secret_file = ''\n" in output
    assert "rates.chat.per_second = 20.0\nrates.chat.burst = 100\n" in output
    assert SECRET not in output
    assert SECRET not in repr(from_toml(f'[accounts.jwt]\nsecret = "{SECRET}"\n'))


def test_the_token_of_the_tests_is_one_of_pyjwts() -> None:
    claims = {"sub": "ada", "exp": 2_000_000_000}
    assert jwt.decode(signed(claims), SECRET, algorithms=["HS256"]) == claims
    digest = hmac.new(SECRET.encode(), signed(claims).rpartition(".")[0].encode(), hashlib.sha256).digest()
    assert signed(claims).endswith(_base64(digest))
