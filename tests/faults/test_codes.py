"""Codes by mail, where they are guessed, late, used twice, or asked for by whom they do not concern."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatd.client import Client
from chatd.config import Accounts
from chatd.limits import Rate
from tests.smtp import Postbox, mailing
from tests.support import PASSWORD, PATIENCE, SETTINGS, Person, Process, Web, config_for, running

ADA = "ada@example.org"


class Clock:
    """What time it is, for the daemon in this process."""

    def __init__(self) -> None:
        self.ahead = 0

    def go_on(self, *, seconds: float = 0.0) -> None:
        self.ahead += int(seconds * 1_000_000_000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock, real = Clock(), time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + clock.ahead)
    return clock


@pytest.fixture
async def box() -> AsyncIterator[Postbox]:
    async with Postbox.open() as box:
        yield box


@pytest.fixture
async def url(tmp_path: Path, box: Postbox) -> AsyncIterator[str]:
    """A daemon that sends mail."""
    async with running(mailing(config_for(tmp_path), box.port)) as url:
        yield url


@pytest.fixture
async def ada(url: str) -> Person:
    """Ada, whose address is known."""
    return await Person.named(url, "ada", email=ADA)


@pytest.fixture
async def guest(url: str) -> Person:
    return await Person.at(url)


async def mailed(guest: Person, box: Postbox, purpose: str = "login", email: str = ADA) -> str:
    """The code that comes when one is asked for."""
    await guest.data("send_code", email=email, purpose=purpose)
    return await box.code(email)


def another(code: str) -> str:
    """A code that is not this one."""
    return f"{(int(code) + 1) % 1_000_000:06}"


def rows(tmp_path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(tmp_path / "chatd.db")) as connection:
        found = connection.execute(sql).fetchall()
        connection.commit()
        return found


# Over HTTP as over a socket


async def test_the_three_purposes_over_http(url: str, box: Postbox) -> None:
    web = await Web.at(url)
    await web.data("send_code", email=ADA, purpose="signup", lang="zh")
    code = await box.code(ADA)
    assert await web.error("signup_code", email=ADA, code=another(code), username="ada", password=PASSWORD) == (
        401,
        "bad_code",
    )
    made = await web.data("signup_code", email=ADA, code=code, username="ada", password=PASSWORD, nickname="Ada")
    assert (await web.data("profile", token=made["token"]))["nickname"] == "Ada"
    await web.data("send_code", email=ADA, purpose="login")
    login = await web.data("login_code", email=ADA, code=await box.code(ADA), device="phone")
    assert login["user_id"] == made["user_id"]
    await web.data("send_code", email=ADA, purpose="reset")
    reset = await web.data("reset_password", email=ADA, code=await box.code(ADA), new_password="battery staple")
    for token in (made["token"], login["token"]):
        assert await web.error("friends", token=token) == (401, "bad_token")
    assert len((await web.data("sessions", token=reset["token"]))["sessions"]) == 1
    assert await web.error("login", username="ada", password=PASSWORD) == (401, "bad_credentials")
    await web.data("login", username="ada", password="battery staple")
    assert await web.error("send_code", token=reset["token"], email=ADA, purpose="login") == (
        409,
        "already_authenticated",
    )


async def test_the_client_logs_in_by_codes(url: str, box: Postbox) -> None:
    async with Client(url) as client:
        await client.send_code(email=ADA, purpose="signup")
        made = await client.signup_code(email=ADA, code=await box.code(ADA), username="ada", password=PASSWORD)
        assert client.token == made.token
    async with Client(url) as client:
        await client.send_code(email=ADA, purpose="reset")
        await client.reset_password(email=ADA, code=await box.code(ADA), new_password="battery staple")
        await client.logout()
        await client.send_code(email=ADA, purpose="login")
        await client.login_code(email=ADA, code=await box.code(ADA))
        assert [one.current for one in (await client.sessions()).sessions] == [True]


async def test_without_mail_there_are_no_codes(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)) as url:
        web = await Web.at(url)
        for purpose in ("signup", "login", "reset"):
            assert await web.error("send_code", email=ADA, purpose=purpose) == (403, "mail_disabled")


# Whose an address is


@pytest.mark.parametrize("how", ["signup", "email_set"])
@pytest.mark.parametrize("op", ["login_code", "reset_password"])
async def test_an_account_laid_out_for_somebody_else_is_theirs_alone(
    url: str, guest: Person, box: Postbox, op: str, how: str
) -> None:
    eve = await Person.named(url, "laid-out", **({"email": ADA} if how == "signup" else {}))
    if how == "email_set":
        await eve.data("email_set", password=PASSWORD, email=ADA)
    device = await Person.at(url)
    await device.data("login", username="laid-out", password=PASSWORD)
    code = await mailed(guest, box, "login" if op == "login_code" else "reset")
    new = {} if op == "login_code" else {"new_password": "battery staple"}
    ada = await guest.data(op, email=ADA, code=code, **new)
    for one in (eve, device):
        await asyncio.wait_for(one.socket.wait_closed(), PATIENCE)
        assert one.socket.close_code == 4001
    web = await Web.at(url)
    assert await web.error("friends", token=eve.token) == (401, "bad_token")
    for name in ({"username": "laid-out"}, {"email": ADA}):
        assert await web.error("login", password=PASSWORD, **name) == (401, "bad_credentials")
    sessions = (await web.data("sessions", token=ada["token"]))["sessions"]
    assert [one["session_id"] for one in sessions] == [ada["session_id"]]


async def test_who_has_proved_an_address_keeps_password_and_sessions(
    url: str, ada: Person, guest: Person, box: Postbox, clock: Clock
) -> None:
    """Until there is another address."""
    web, other = await Web.at(url), "other@example.org"

    async def log_in(email: str) -> str:
        clock.go_on(seconds=60)
        await web.data("send_code", email=email, purpose="login")
        token: str = (await web.data("login_code", email=email, code=await box.code(email)))["token"]
        return token

    await web.data("send_code", email=ADA, purpose="reset")
    reset = await web.data("reset_password", email=ADA, code=await box.code(ADA), new_password=PASSWORD)
    mine = [reset["token"], await log_in(ADA)]
    await web.data("email_set", token=mine[0], password=PASSWORD, email=ADA.upper())  # the same, written otherwise
    mine.append(await log_in(ADA.upper()))
    for token in mine:
        await web.data("email_set", token=token, password=PASSWORD, email=other)
    last = await log_in(other)
    for token in mine:
        assert await web.error("friends", token=token) == (401, "bad_token")
    assert await web.error("login", username="ada", password=PASSWORD) == (401, "bad_credentials")
    await web.data("friends", token=last)


# Guessing


async def test_after_five_wrong_codes_the_right_one_is_worth_nothing(
    ada: Person, guest: Person, box: Postbox, clock: Clock
) -> None:
    code = await mailed(guest, box)
    for _ in range(5):
        assert await guest.error("login_code", email=ADA, code=another(code)) == "bad_code"
    assert await guest.error("login_code", email=ADA, code=code) == "bad_code"
    clock.go_on(seconds=60)
    await guest.data("login_code", email=ADA, code=await mailed(guest, box))


async def test_after_four_wrong_codes_the_right_one_is(ada: Person, guest: Person, box: Postbox) -> None:
    code = await mailed(guest, box)
    for _ in range(4):
        assert await guest.error("login_code", email=ADA, code=another(code)) == "bad_code"
    await guest.data("login_code", email=ADA, code=code)


async def test_many_guesses_at_once_are_five(ada: Person, guest: Person, box: Postbox, url: str) -> None:
    code = await mailed(guest, box)
    guests = [await Person.at(url) for _ in range(8)]
    for one in guests[:5]:
        await one.say("login_code", email=ADA, code=another(code))
    codes = [(await one.reply())["error"]["code"] for one in guests[:5]]
    for one in guests[5:]:
        await one.say("login_code", email=ADA, code=code)
    codes += [(await one.reply())["error"]["code"] for one in guests[5:]]
    assert codes == ["bad_code"] * 8


async def test_a_wrong_code_counts_like_a_failed_login(tmp_path: Path, box: Postbox) -> None:
    config = mailing(config_for(tmp_path), box.port)
    config = replace(config, rates=replace(config.rates, account=Rate(per_second=0.001, burst=4)))
    async with running(config) as url:
        await (await Person.named(url, "ada", email=ADA)).close()
        guest = await Person.at(url)
        code = await mailed(guest, box)  # signing up and asking took two of the four
        codes = [await guest.error("login_code", email=ADA, code=another(code)) for _ in range(3)]
        assert codes == ["bad_code", "bad_code", "rate_limited"]
        assert await guest.error("send_code", email="bob@example.org", purpose="login") == "rate_limited"


async def test_the_right_code_gives_the_attempt_back(tmp_path: Path, box: Postbox) -> None:
    config = mailing(config_for(tmp_path), box.port)
    config = replace(config, rates=replace(config.rates, account=Rate(per_second=0.001, burst=3)))
    async with running(config) as url:
        await (await Person.named(url, "ada", email=ADA)).close()
        guest = await Person.at(url)
        await guest.data("login_code", email=ADA, code=await mailed(guest, box))
        await (await Person.at(url)).data("signup", username="bob", password=PASSWORD)


async def test_a_code_is_for_its_address_and_its_purpose(ada: Person, guest: Person, box: Postbox, url: str) -> None:
    bob = "bob@example.org"
    await Person.named(url, "bob", email=bob)
    code = await mailed(guest, box)
    assert await guest.error("reset_password", email=ADA, code=code, new_password="stolen horse") == "bad_code"
    assert await guest.error("signup_code", email=ADA, code=code, username="eve", password=PASSWORD) == "bad_code"
    assert await guest.error("login_code", email=bob, code=code) == "bad_code"
    await guest.data("login_code", email=ADA, code=code)


# Time


async def test_a_code_is_worth_something_for_five_minutes(
    ada: Person, guest: Person, box: Postbox, clock: Clock
) -> None:
    code = await mailed(guest, box)
    clock.go_on(seconds=301)
    assert await guest.error("login_code", email=ADA, code=code) == "bad_code"
    code = await mailed(guest, box)
    clock.go_on(seconds=290)
    await guest.data("login_code", email=ADA, code=code)


async def test_an_address_gets_one_code_a_minute(ada: Person, guest: Person, box: Postbox, clock: Clock) -> None:
    first = await mailed(guest, box)
    for email, purpose in ((ADA, "login"), ("ADA@EXAMPLE.org", "reset"), (ADA, "signup")):
        reply = await guest.ask("send_code", email=email, purpose=purpose)
        assert (reply["error"]["code"], reply["error"]["temporary"]) == ("rate_limited", True)
        assert 50_000 < reply["error"]["retry_after_ms"] <= 60_000
    clock.go_on(seconds=60)
    second = await mailed(guest, box)
    assert first == second or await guest.error("login_code", email=ADA, code=first) == "bad_code"
    await guest.data("login_code", email=ADA, code=second)
    assert box.letters.empty()


async def test_after_ten_codes_there_is_one_an_hour_until_one_is_used(
    ada: Person, guest: Person, box: Postbox, clock: Clock
) -> None:
    for number in range(10):
        code = await mailed(guest, box, "reset" if number % 2 else "login")
        clock.go_on(seconds=60)
    reply = await guest.ask("send_code", email=ADA, purpose="login")
    assert 3_500_000 < reply["error"]["retry_after_ms"] <= 3_540_000
    clock.go_on(seconds=3540)
    code = await mailed(guest, box)
    clock.go_on(seconds=60)
    assert await guest.error("send_code", email=ADA, purpose="login") == "rate_limited"
    clock.go_on(seconds=86_400)
    for _ in range(2):
        code = await mailed(guest, box)
        clock.go_on(seconds=60)
    await guest.data("login_code", email=ADA, code=code)


async def test_who_used_one_begins_anew(ada: Person, guest: Person, box: Postbox, clock: Clock) -> None:
    for number in range(9):
        code = await mailed(guest, box, "reset" if number % 2 else "login")
        clock.go_on(seconds=60)
    await guest.data("login_code", email=ADA, code=code)
    await guest.data("logout")
    for number in range(9):
        await mailed(guest, box, "reset" if number % 2 else "login")
        clock.go_on(seconds=60)


async def test_old_codes_are_tidied_away(tmp_path: Path, box: Postbox) -> None:
    config = mailing(config_for(tmp_path), box.port)
    async with running(config) as url:
        guest = await Person.at(url)
        for name in ("old", "new"):
            await guest.data("send_code", email=f"{name}@example.org", purpose="login")
    rows(tmp_path, "UPDATE codes SET sent_at = sent_at - 86400000 WHERE email_key = 'old@example.org'")
    async with running(config) as url:
        await Person.named(url, "ada")  # what is written later is written after it
    assert rows(tmp_path, "SELECT email_key FROM codes") == [("new@example.org",)]


# Using it twice


@pytest.mark.parametrize("purpose", ["signup", "login", "reset"])
async def test_a_code_is_used_once(url: str, guest: Person, box: Postbox, purpose: str) -> None:
    if purpose != "signup":
        await Person.named(url, "ada", email=ADA)
    code = await mailed(guest, box, purpose)
    op, fields = {
        "signup": ("signup_code", {"password": PASSWORD}),
        "login": ("login_code", {}),
        "reset": ("reset_password", {"new_password": "battery staple"}),
    }[purpose]
    guests = [await Person.at(url) for _ in range(4)]
    for number, one in enumerate(guests):
        name = {"username": f"user{number}"} if purpose == "signup" else {}
        await one.say(op, email=ADA, code=code, **fields, **name)
    replies = [await one.reply() for one in guests]
    assert sorted(reply["success"] for reply in replies) == [False, False, False, True]
    assert {reply["error"]["code"] for reply in replies if not reply["success"]} == {"bad_code"}
    name = {"username": "later"} if purpose == "signup" else {}
    assert await (await Person.at(url)).error(op, email=ADA, code=code, **fields, **name) == "bad_code"


async def test_what_fails_does_not_use_it(guest: Person, box: Postbox, url: str, tmp_path: Path) -> None:
    code = await mailed(guest, box, "signup")
    bob = await Person.named(url, "bob", email=ADA)  # meanwhile
    assert await guest.error("signup_code", email=ADA, code=code, username="ada", password=PASSWORD) == "email_taken"
    assert await guest.error("signup_code", email=ADA, code=code, username="BOB", password=PASSWORD) == "username_taken"
    assert await guest.error("signup_code", email=ADA, code=code, username="a d", password=PASSWORD) == "invalid"
    rows(tmp_path, "UPDATE users SET email = NULL, email_key = NULL")
    await guest.data("signup_code", email=ADA, code=code, username="ada", password=PASSWORD)
    await bob.close()


# Who is told what


@pytest.mark.parametrize("purpose", ["signup", "login", "reset"])
async def test_the_answer_is_the_same_for_known_and_unknown_addresses(
    ada: Person, guest: Person, box: Postbox, purpose: str
) -> None:
    nobody = "nobody@example.org"
    for op, fields, codes in (
        ("send_code", {"purpose": purpose}, {None}),
        ("send_code", {"purpose": purpose}, {"rate_limited"}),
        ("send_code", {"purpose": "login"}, {"rate_limited"}),
        ("login_code", {"code": "abcdef"}, {"bad_code"}),
        ("reset_password", {"code": "abcdef", "new_password": PASSWORD}, {"bad_code"}),
        ("signup_code", {"code": "abcdef", "username": "eve", "password": PASSWORD}, {"bad_code"}),
    ):
        replies = [await guest.ask(op, email=email, **fields) for email in (ADA, nobody)]
        for reply in replies:
            if not reply["success"]:
                reply["error"]["retry_after_ms"] = bool(reply["error"]["retry_after_ms"])
        assert replies[0] == replies[1]
        assert {reply["error"]["code"] if not reply["success"] else None for reply in replies} == codes
    letters = {}
    for _ in range(2 if purpose == "signup" else 1):
        letter = await box.letter()
        letters[letter["To"]] = letter["Subject"]
    if purpose == "signup":
        assert letters[ADA] == "You have an account already"
        assert letters[nobody].startswith("Your code to sign up: ")
    else:
        assert list(letters) == [ADA]
    assert box.letters.empty()


async def test_a_known_and_an_unknown_address_take_the_same_time(tmp_path: Path, box: Postbox) -> None:
    config = replace(mailing(config_for(tmp_path), box.port), accounts=Accounts(bcrypt_cost=10))
    async with running(config) as url:
        for number in range(7):
            await (await Person.named(url, f"user{number}", email=f"user{number}@example.org")).close()
        guest = await Person.at(url)
        for op, fields in (
            ("send_code", {"purpose": "login"}),
            ("login_code", {"code": "abcdef"}),
            ("reset_password", {"code": "abcdef", "new_password": PASSWORD}),  # for which there never was a code
        ):
            times: dict[str, list[float]] = {"user": [], "nobody": []}
            for number in range(7):
                for kind, measured in times.items():
                    started = time.perf_counter()
                    await guest.ask(op, email=f"{kind}{number}@example.org", **fields)
                    measured.append(time.perf_counter() - started)
            ratio = statistics.median(times["user"]) / statistics.median(times["nobody"])
            assert 0.5 < ratio < 2.0, (op, times)
            assert min(times["nobody"]) > 0.01, (op, times)  # it was hashed


async def test_a_letter_is_in_the_language_of_who_gets_it(url: str, guest: Person, box: Postbox, clock: Clock) -> None:
    await Person.named(url, "ming", email="ming@example.org", lang="zh")
    await Person.named(url, "ada", email=ADA)
    for email, purpose, lang, subject, text in (
        ("ming@example.org", "login", "en", "登录验证码：", "您的验证码是"),
        ("ming@example.org", "reset", "en", "重设密码验证码：", "您的验证码是"),
        ("ming@example.org", "signup", "en", "您已有账号", "ming"),
        (ADA, "reset", "zh", "Your code to set a new password: ", "your code is"),
        (ADA, "signup", "zh", "You have an account already", "There is an account already: ada."),
        ("new@example.org", "signup", "zh", "注册验证码：", "您的验证码是"),
        ("newer@example.org", "signup", "en", "Your code to sign up: ", "your code is"),
    ):
        await guest.data("send_code", email=email, purpose=purpose, lang=lang)
        letter = await box.letter()
        assert letter["To"] == email
        assert letter["Subject"].startswith(subject)
        assert text in letter.get_content()
        clock.go_on(seconds=60)


async def test_a_letter_goes_to_the_address_of_the_account(url: str, guest: Person, box: Postbox) -> None:
    await Person.named(url, "ada", email="Ada@Example.org")
    await guest.data("send_code", email="aDA@eXAMPLE.ORG", purpose="reset")
    assert (await box.letter())["To"] == "Ada@Example.org"


@pytest.mark.parametrize(
    "email",
    ["ada", "a@b,ada@example.org", "ａｄａ@example.org", "ada@example.org\r\nBcc: eve@example.org", "ada@例子.中国"],
)
async def test_what_is_not_one_address_is_invalid(ada: Person, guest: Person, email: str) -> None:
    for op, fields in (
        ("send_code", {"purpose": "reset"}),
        ("login_code", {"code": "123456"}),
        ("reset_password", {"code": "123456", "new_password": PASSWORD}),
        ("signup_code", {"code": "123456", "username": "eve", "password": PASSWORD}),
    ):
        reply = await guest.ask(op, email=email, **fields)
        assert (reply["error"]["code"], reply["error"]["field"]) == ("invalid", "email")


async def test_closed_signup_is_closed_by_code_too(tmp_path: Path, box: Postbox) -> None:
    config = replace(mailing(config_for(tmp_path), box.port), accounts=Accounts(bcrypt_cost=4, signup="closed"))
    async with running(config) as url:
        guest = await Person.at(url)
        assert await guest.error("send_code", email=ADA, purpose="signup") == "signup_closed"
        signup = await guest.error("signup_code", email=ADA, code="123456", username="ada", password=PASSWORD)
        assert signup == "signup_closed"
        await guest.data("send_code", email=ADA, purpose="login")


async def test_a_disabled_account_stays_closed(ada: Person, guest: Person, box: Postbox, tmp_path: Path) -> None:
    code = await mailed(guest, box)
    rows(tmp_path, "UPDATE users SET disabled_at = 1")
    assert await guest.error("login_code", email=ADA, code=another(code)) == "bad_code"
    assert await guest.error("login_code", email=ADA, code=code) == "account_disabled"


async def test_a_login_too_many_does_not_use_the_code(tmp_path: Path, box: Postbox) -> None:
    async with running(mailing(config_for(tmp_path, connections_per_user=1), box.port)) as url:
        ada, guest = await Person.named(url, "ada", email=ADA), await Person.at(url)
        code = await mailed(guest, box)
        assert await guest.error("login_code", email=ADA, code=code) == "too_many_connections"
        await ada.data("logout")
        await guest.data("login_code", email=ADA, code=code)


# The mail server


async def test_where_too_many_letters_wait_no_codes_are_sent(tmp_path: Path, box: Postbox) -> None:
    box.refusals.extend(["451 later"] * 2)
    async with running(mailing(config_for(tmp_path), box.port, waiting=2, backoff=PATIENCE)) as url:
        guest = await Person.at(url)
        for number in range(2):
            await guest.data("send_code", email=f"user{number}@example.org", purpose="signup")
        for email in (ADA, "user0@example.org"):
            assert await guest.error("send_code", email=email, purpose="login") == "busy"


async def test_a_mail_server_that_hangs_holds_nobody_up(process: Process) -> None:
    visitors: list[asyncio.StreamWriter] = []
    arrived = asyncio.Event()

    async def arrive(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitors.append(writer)
        arrived.set()

    server = await asyncio.start_server(arrive, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await process.kill(15) == 0
    process.settings = SETTINGS + f'[mail]\nhost = "127.0.0.1"\nport = {port}\nsender = "a@b"\ntimeout = 600\n'
    await process.start()
    guest = await Person.at(process.url)
    started = time.perf_counter()
    for number in range(8):
        await guest.data("send_code", email=f"user{number}@example.org", purpose="signup")
    await asyncio.wait_for(arrived.wait(), PATIENCE)
    assert (await guest.ask("heartbeat"))["success"]
    assert await process.kill(15) == 0
    assert time.perf_counter() - started < 10
    server.close()
    for writer in visitors:
        writer.transport.abort()
    assert "Traceback" not in process.log


async def test_no_code_is_found_in_the_log_or_the_database(process: Process, box: Postbox) -> None:
    settings = f'host = "localhost"\nport = {box.port}\nsecurity = "none"\nsender = "a@b"\nbackoff = 0.1\n'
    process.settings = SETTINGS + f'[log]\nlevel = "debug"\n[mail]\n{settings}'
    await process.crash()
    ada, guest = await Person.named(process.url, "ada", email=ADA), await Person.at(process.url)
    box.refusals.append("451 later")
    code = await mailed(guest, box)
    await guest.data("login_code", email=ADA, code=code)
    new = await mailed(await Person.at(process.url), box, "reset")
    assert await process.kill(15) == 0
    assert "a letter to ada@example.org waits: (451, b'later'" in process.log
    for needle in (code, new):
        assert needle not in process.log
    with closing(sqlite3.connect(process.data / "chatd.db")) as connection:
        ((stored,),) = connection.execute("SELECT code_hash FROM codes").fetchall()
    assert stored.startswith("$2b$04$")
    await ada.close()


async def test_the_password_of_the_mail_server_is_not_printed(process: Process) -> None:
    mail = 'host = "mail.test"\nusername = "chat"\npassword = "very hush"\nsender = "chatd <chat@example.org>"\n'
    (process.folder / "chatd.toml").write_text(f"[mail]\n{mail}")
    status, output = await process.command("check-config")
    assert status == 0
    assert "mail.password = '…'" in output
    assert "hush" not in output
