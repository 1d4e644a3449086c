"""Guessing passwords, hashing under load, and what must not be found where."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from chatd import cli
from chatd.config import Accounts
from chatd.limits import Rate
from tests.support import PASSWORD, PATIENCE, ROOT, SETTINGS, Person, Process, Web, befriend, config_for, running


async def test_a_wrong_password_and_an_unknown_user_take_the_same_time_and_say_the_same(tmp_path: Path) -> None:
    config = replace(config_for(tmp_path), accounts=Accounts(bcrypt_cost=10))
    async with running(config) as url:
        for number in range(7):
            await (await Person.named(url, f"user{number}")).close()
        guest = await Person.at(url)
        times: dict[str, list[float]] = {"user": [], "nobody": []}
        said = set()
        for number in range(7):  # another account each time: the same one would be slowed down
            for kind, measured in times.items():
                started = time.perf_counter()
                reply = await guest.ask("login", username=f"{kind}{number}", password="wrong horse")
                measured.append(time.perf_counter() - started)
                said.add((reply["message"], reply["error"]["code"], reply["error"]["field"]))
        assert said == {("Wrong username or password.", "bad_credentials", None)}
        ratio = statistics.median(times["user"]) / statistics.median(times["nobody"])
        assert 0.5 < ratio < 2.0, times  # without the hash for nobody it would be beyond 20


async def test_messages_flow_while_a_hundred_people_log_in(process: Process) -> None:
    process.settings = SETTINGS.replace("bcrypt_cost = 4", "bcrypt_cost = 12")
    ada, bob = await Person.named(process.url, "ada"), await Person.named(process.url, "bob")
    await befriend(ada, bob, username="bob")
    await process.kill(15)
    await process.start()  # from here on hashing is dear
    ada, bob = await Person.again(process.url, ada.token), await Person.again(process.url, bob.token)
    guests = [await Person.at(process.url) for _ in range(100)]
    for guest in guests:
        await guest.say("login", username="nobody", password="wrong horse")
    times = []
    for number in range(100):
        started = time.perf_counter()
        await ada.data("send", to_user="bob", content=str(number))
        await bob.next()
        times.append(time.perf_counter() - started)
    assert statistics.median(times) < 0.1, times  # one hash takes 0.25 s; on the loop, each message would wait for many
    assert max(times) < 2.0, times
    for guest in guests:
        guest.socket.transport.abort()


async def test_guessing_slows_down_and_does_not_lock_the_owner_out(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    config = replace(config, rates=replace(config.rates, account=Rate(per_second=0.001, burst=8)))
    async with running(config) as url:
        await (await Person.named(url, "ada")).close()
        guesser = await Person.at(url)
        codes = [await guesser.error("login", username="ada", password=f"wrong {n:03}") for n in range(8)]
        assert codes == ["bad_credentials"] * 7 + ["rate_limited"]  # the signup took one of the eight
    trusting = replace(config_for(tmp_path, trusted_proxies=("127.0.0.1",)), rates=config.rates)
    async with running(trusting) as url:  # the owner, from elsewhere
        for number in range(7):
            guesser = await Person.at(url, additional_headers={"X-Forwarded-For": f"192.0.2.{number}"})
            assert await guesser.error("login", username="ada", password="wrong horse") == "bad_credentials"
        owner = await Person.at(url, additional_headers={"X-Forwarded-For": "198.51.100.1"})
        started = time.perf_counter()
        assert (await owner.data("login", username="ada", password=PASSWORD))["token"]
        assert 0.1 < time.perf_counter() - started < 5.0


async def test_no_secret_is_found_in_the_log_or_the_database(process: Process) -> None:
    process.settings = SETTINGS + '[log]\nlevel = "debug"\n'
    await process.crash()
    secret = "a very secret horse"
    ada = await Person.at(process.url)
    signed_up = await ada.data("signup", username="ada", password=secret)
    guest = await Person.at(process.url)
    await guest.error("login", username="ada", password=secret + "!")
    logged_in = await guest.data("login", username="ada", password=secret)
    await ada.data("password_set", old_password=secret, new_password=secret + "?", client_id="pw")
    await ada.error("auth", token=signed_up["token"])
    assert await process.kill(15) == 0
    stored = b"".join(path.read_bytes() for path in process.data.iterdir() if path.is_file())
    for needle in (secret, signed_up["token"], logged_in["token"]):
        assert needle not in process.log
        assert needle.encode() not in stored
    with sqlite3.connect(process.data / "chatd.db") as connection:
        (hashed,) = connection.execute("SELECT password_hash FROM users").fetchone()
    connection.close()
    assert hashed.startswith("$2b$04$")


async def test_passwords_are_compared_whole(url: str) -> None:
    for number, (password, other) in enumerate([("é" * 500, "é" * 499 + "e"), ("x" * 100 + "a", "x" * 100 + "b")]):
        await (await Person.at(url)).data("signup", username=f"user{number}", password=password)
        guest = await Person.at(url)
        assert await guest.error("login", username=f"user{number}", password=other) == "bad_credentials"
        await guest.data("login", username=f"user{number}", password=password)


async def test_commands_beside_the_running_daemon(process: Process) -> None:
    status, output = await process.command("user", "add", "Zoë", stdin="correct horse\n")
    assert (status, output) == (0, "added Zoë, user 1\n")
    status, output = await process.command("user", "add", "zoë", stdin="correct horse\n")
    assert (status, output) == (2, "chatd: The username zoë is taken.\n")
    zoe = await Person.at(process.url)
    await zoe.data("login", username="ZOË", password=PASSWORD)
    status, output = await process.command("user", "disable", "zoë")
    assert (status, output) == (0, "zoë is disabled; all sessions ended\n")
    await zoe.socket.wait_closed()
    assert zoe.socket.close_code == 4001
    guest = await Person.at(process.url)
    assert await guest.error("login", username="zoë", password=PASSWORD) == "account_disabled"
    await process.command("user", "enable", "zoë")
    status, output = await process.command("user", "passwd", "zoë", stdin="battery staple\n")
    assert status == 0, output
    await guest.data("login", username="zoë", password="battery staple")
    status, output = await process.command("user", "list")
    assert status == 0
    assert output.startswith("1\tZoë\tactive\t-\t20")
    for arguments in (("passwd", "nobody"), ("disable", "nobody")):
        status, output = await process.command("user", *arguments, stdin="correct horse\n")
        assert (status, output) == (2, "chatd: there is no user nobody\n")
    status, output = await process.command("user", "passwd", "zoë", stdin="short\n")
    assert (status, output) == (2, "chatd: the password must be text of 8 to 1024 bytes\n")


async def test_a_second_daemon_on_the_same_data_does_not_start(process: Process) -> None:
    status, output = await process.command("serve", "--listen", "127.0.0.1:0")
    assert status == 2
    assert output == f"chatd: {process.data}/chatd.db is in use by another chatd, pid {process.pid}\n"


async def test_an_address_in_use_is_said_in_one_line(process: Process, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    status, output = await Process(folder).command("serve", "--listen", f"127.0.0.1:{process.port}")
    assert status == 2
    assert output.startswith(f"chatd: cannot listen on 127.0.0.1:{process.port}: ")
    assert output.count("\n") == 1


async def test_the_settings_are_checked_before_the_start(tmp_path: Path) -> None:
    file = tmp_path / "chatd.toml"
    for text, said in (
        ("[server]\nlisten = 5", "server.listen: must be text, not 5"),
        ("[server]\nlisten = 'nowhere'", "server.listen: must be HOST:PORT with a port from 0 to 65535, not 'nowhere'"),
        (
            "[servre]",
            "servre: there is no such setting; there are: server, database, accounts, messages, groups, presence, ",
        ),
        ("[accounts]\nbcrypt_cost = 3", "accounts.bcrypt_cost: must be a whole number from 4 to 16, not 3"),
        ("[rates]\nchat = { per_second = 1.0 }", "rates.chat.burst: is required"),
        ("listen", "not valid TOML: "),
    ):
        file.write_text(text)
        for command in ("check-config", "serve"):
            status, output = await Process.run_command(command, cwd=tmp_path)
            assert status == 2
            assert output.startswith(f"chatd: {said}")
            assert output.count("\n") == 1
    assert not (tmp_path / "data").exists()
    file.write_text("[accounts]\nbcrypt_cost = 4\n[metrics]\ntoken = '0123456789abcdef'")
    status, output = await Process.run_command("check-config", cwd=tmp_path)
    assert status == 0
    assert "accounts.bcrypt_cost = 4\n" in output
    assert "metrics.token = '…'\n" in output
    assert "0123456789abcdef" not in output


@pytest.mark.parametrize("command", ["check-config", "help-ops"])
async def test_who_reads_no_further_ends_a_command_quietly(tmp_path: Path, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chatd", command),
        stdout=writer,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(writer)
    _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert (process.returncode, said) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize(
    ("signup", "first"),
    [
        ("open", '{"type":"signup","username":"ada","password":"correct horse"}\n'),
        ("invite", '{"type":"signup","username":"ada","password":"correct horse","invite":"..."}\n'),
        ("closed", '{"type":"login","username":"ada","password":"correct horse"}\n'),
    ],
)
async def test_what_is_shown_to_newcomers_is_what_is_asked_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], signup: Any, first: str
) -> None:
    config = replace(config_for(tmp_path), accounts=Accounts(bcrypt_cost=4, signup=signup))
    async with running(config) as url:
        web = await Web.at(url)
        web.say("GET", "/")
        assert f"> {first}" in (await web.answer()).body.decode()
    cli._announce(("::1", 8080), signup)
    shown = capsys.readouterr().out
    assert shown.endswith(f" npx wscat -c ws://[::1]:8080/ws\n                   {first}")
    assert ("chatd user invite" in shown) == (signup == "invite")
    assert ("log in: " in shown, "sign up: " in shown) == (signup == "closed", signup != "closed")


async def test_closed_signup_leaves_only_the_administrator(tmp_path: Path) -> None:
    config = replace(config_for(tmp_path), accounts=Accounts(bcrypt_cost=4, signup="closed"))
    async with running(config) as url:
        guest = await Person.at(url)
        assert await guest.error("signup", username="ada", password=PASSWORD) == "signup_closed"


async def test_idle_sessions_end(process: Process) -> None:
    ada = await Person.named(process.url, "ada")
    assert await process.kill(15) == 0
    with sqlite3.connect(process.data / "chatd.db") as connection:
        connection.execute("UPDATE sessions SET last_used_at = last_used_at - 31 * 24 * 3600 * 1000")
    connection.close()
    await process.start()
    guest = await Person.at(process.url)
    assert await guest.error("auth", token=ada.token) == "bad_token"


async def test_past_the_limit_the_oldest_session_ends(tmp_path: Path) -> None:
    config = replace(config_for(tmp_path), accounts=Accounts(bcrypt_cost=4, sessions_per_user=2))
    async with running(config) as url:
        first = await Person.named(url, "ada")
        second, third = await Person.at(url), await Person.at(url)
        for person in (second, third):
            await person.data("login", username="ada", password=PASSWORD)
        await asyncio.wait_for(first.socket.wait_closed(), 5)
        assert first.socket.close_code == 4001
        assert len((await second.data("sessions"))["sessions"]) == 2


async def test_many_guesses_at_once_are_no_way_around_the_limit(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    config = replace(config, rates=replace(config.rates, account=Rate(per_second=0.001, burst=10)))
    async with running(config) as url:
        guests = [await Person.at(url) for _ in range(50)]
        for guest in guests:
            await guest.say("login", username="nobody", password="wrong horse")
        codes = [(await guest.reply())["error"]["code"] for guest in guests]
        assert (codes.count("bad_credentials"), codes.count("rate_limited")) == (10, 40)


async def test_logging_in_costs_nothing_of_the_limit(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    config = replace(config, rates=replace(config.rates, account=Rate(per_second=0.001, burst=3)))
    async with running(config) as url:
        await (await Person.named(url, "ada")).close()
        for _ in range(10):
            await (await Person.at(url)).data("login", username="ada", password=PASSWORD)


async def test_a_session_that_is_ended_while_it_authenticates_is_ended(process: Process) -> None:
    ada = await Person.named(process.url, "ada")
    phones = [await Person.at(process.url) for _ in range(40)]
    devices = [await phone.data("login", username="ada", password=PASSWORD) for phone in phones]
    assert await process.kill(15) == 0
    with sqlite3.connect(process.data / "chatd.db") as connection:  # long unused: each auth touches its session
        connection.execute("UPDATE sessions SET last_used_at = last_used_at - 7200000")
    connection.close()
    await process.start()
    ada = await Person.again(process.url, ada.token)
    guests = [await Person.at(process.url) for _ in devices]
    for guest, device in zip(guests, devices, strict=True):
        await guest.say("auth", token=device["token"])
        await ada.say("session_revoke", session_id=device["session_id"])
    for _ in devices:
        assert (await ada.reply())["success"]
    for guest in guests:
        with contextlib.suppress(ConnectionClosed):
            await guest.say("send", to_user="ada", content="still here")
            replies = [await guest.reply(), await guest.reply()]
            assert replies[-1]["error"]["code"] == "unauthenticated"
    assert (await ada.data("history", user="ada"))["messages"] == []


async def test_a_login_too_many_opens_no_session(tmp_path: Path) -> None:
    async with running(config_for(tmp_path, connections_per_user=1)) as url:
        ada = await Person.named(url, "ada")
        assert await (await Person.at(url)).error("login", username="ada", password=PASSWORD) == "too_many_connections"
        assert len((await ada.data("sessions"))["sessions"]) == 1


async def test_names_that_show_nothing_are_refused(url: str) -> None:
    guest = await Person.at(url)
    for name in ("ada\ufe0f", "a\u034fda", "\u3164" * 3, "\u115f" * 3, "a" + "\u0301" * 7 + "da", "\u0301ada"):
        assert await guest.error("signup", username=name, password=PASSWORD) == "invalid"
    for name in ("Ádá", "हिन्दी", "张三丰", "محمد", "ada_1.x-y"):
        assert (await (await Person.at(url)).data("signup", username=name, password=PASSWORD))["username"] == name


async def test_what_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    with sqlite3.connect(foreign / "chatd.db") as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    garbage = tmp_path / "garbage"
    garbage.mkdir()
    (garbage / "chatd.db").write_bytes(b"Dear diary " * 999)
    folder = tmp_path / "folder"
    (folder / "chatd.db").mkdir(parents=True)
    file = tmp_path / "file"
    file.touch()
    for data in (foreign, garbage, folder, Path("/proc/self"), file):
        for command in (("serve", "--listen", "127.0.0.1:0"), ("user", "list"), ("check",)):
            status, output = await Process.run_command(*command, "--data", str(data), cwd=tmp_path)
            assert (status, output.count("\n")) == (2, 1), (data, command, output)
            assert output.startswith("chatd: ")


async def test_only_its_owner_reads_the_database(process: Process) -> None:
    assert (process.data / "chatd.db").stat().st_mode & 0o077 == 0
