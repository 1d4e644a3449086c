"""Signing up by invitation: who gets in, how often, and what is left of it."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from chatd.config import Accounts, Config
from tests.support import PASSWORD, SETTINGS, Person, Process, config_for, running

INVITE_ONLY = SETTINGS.replace("[accounts]\n", '[accounts]\nsignup = "invite"\n')


def by_invitation(folder: Path, **accounts: str) -> Config:
    settings = {"signup": "invite", **accounts}
    return replace(config_for(folder), accounts=Accounts(bcrypt_cost=4, **settings))  # type: ignore[arg-type]


async def signup(url: str, username: str, invite: str | None) -> str:
    """The code of what came of signing up, or "success"."""
    reply = await (await Person.at(url)).ask("signup", username=username, password=PASSWORD, invite=invite)
    return "success" if reply["success"] else reply["error"]["code"]


@pytest.fixture
async def process(tmp_path: Path) -> Process:
    return Process(tmp_path, INVITE_ONLY)


async def test_an_invite_made_beside_the_running_daemon_lets_the_first_people_in(process: Process) -> None:
    await process.start()
    try:
        assert await signup(process.url, "ada", None) == "bad_invite"
        status, token = await process.command("user", "invite", "--uses", "2", "--hours", "1")
        assert (status, token.count("\n")) == (0, 1)
        token = token.strip()
        assert await signup(process.url, "ada", token) == "success"
        ada = await Person.at(process.url)
        await ada.data("login", username="ada", password=PASSWORD)
        assert (await ada.data("invites"))["invites"] == []  # it is the command line's
        hers = await ada.data("invite_create", client_id="1")
        assert await signup(process.url, "bob", hers["token"]) == "success"
        assert await signup(process.url, "eve", token) == "success"
        assert [await signup(process.url, "tom", one) for one in (token, hers["token"])] == ["bad_invite"] * 2
        status, listed = await process.command("user", "list")
        assert status == 0
        assert [line.split("\t")[-1] for line in listed.splitlines()] == ["-", "ada", "-"]  # ada, bob, eve
        assert await process.kill(15) == 0
        stored = b"".join(path.read_bytes() for path in process.data.iterdir() if path.is_file())
        for secret in (token, hers["token"]):
            assert secret.encode() not in stored
            assert secret not in process.log
    finally:
        await process.end()


async def test_the_command_says_what_it_cannot_do(process: Process) -> None:
    file = process.folder / "chatd.toml"
    for settings, arguments, said in (
        (INVITE_ONLY, ("--uses", "0"), "--uses: must be a whole number from 1 to 1000000"),
        (INVITE_ONLY, ("--hours", "-1"), "--hours: must be a whole number from 1 to 87600"),
        (INVITE_ONLY.replace('"invite"', '"closed"'), (), "accounts.signup is closed: nobody may sign up, "),
    ):
        file.write_text(settings.format(port=0))
        status, output = await process.command("user", "invite", *arguments)
        assert status == 2
        assert output.startswith(f"chatd: {said}")


async def test_of_many_at_once_as_many_get_in_as_an_invite_allows(tmp_path: Path) -> None:
    async with running(by_invitation(tmp_path)) as url:
        token = (await _owner(url, tmp_path, uses=4))["token"]
        codes = await asyncio.gather(*(signup(url, f"guest{number}", token) for number in range(12)))
        assert sorted(codes) == ["bad_invite"] * 8 + ["success"] * 4
    assert _users(tmp_path) == 5


async def test_an_expired_invite_and_one_of_a_disabled_user_let_nobody_in(tmp_path: Path) -> None:
    async with running(by_invitation(tmp_path)) as url:
        token = (await _owner(url, tmp_path, uses=9))["token"]
        assert await signup(url, "bob", token) == "success"
        for statement in (
            "UPDATE invites SET expires_at = created_at",
            "UPDATE invites SET expires_at = created_at + 3600000",
            "UPDATE users SET disabled_at = 1 WHERE username = 'ada'",
            "UPDATE users SET disabled_at = NULL",
        ):
            _change(tmp_path, statement)
            passes = "3600000" in statement or "NULL" in statement
            assert await signup(url, f"user{passes}{len(statement)}", token) == ("success" if passes else "bad_invite")


async def test_without_an_invite_it_is_not_told_who_is_there(tmp_path: Path) -> None:
    async with running(by_invitation(tmp_path)) as url:
        await _owner(url, tmp_path, uses=1)
        assert await signup(url, "ada", None) == "bad_invite"
        assert await signup(url, "ada", "guessed") == "bad_invite"


async def test_a_user_has_so_many_open_invites(tmp_path: Path) -> None:
    async with running(by_invitation(tmp_path)) as url:
        await _owner(url, tmp_path, uses=1)
        ada = await Person.at(url)
        await ada.data("login", username="ada", password=PASSWORD)
        made = [await ada.data("invite_create") for _ in range(99)]
        assert await ada.error("invite_create") == "too_many"
        await ada.data("invite_revoke", invite_id=made[7]["id"])
        await ada.data("invite_create")


@pytest.mark.parametrize(
    ("settings", "code"), [({"invites": "nobody"}, "invites_closed"), ({"signup": "closed"}, "invites_closed")]
)
async def test_where_users_may_not_invite_they_are_told(tmp_path: Path, settings: dict[str, str], code: str) -> None:
    async with running(by_invitation(tmp_path)) as url:
        token = (await _owner(url, tmp_path, uses=1))["token"]
    async with running(by_invitation(tmp_path, **settings)) as url:
        ada = await Person.at(url)
        await ada.data("login", username="ada", password=PASSWORD)
        assert await ada.error("invite_create") == code
        came = await signup(url, "bob", token)
        assert came == ("signup_closed" if "signup" in settings else "success")


async def _owner(url: str, folder: Path, *, uses: int) -> dict[str, str]:
    """Ada, who was there before, makes an invite."""
    status, output = await Process.run_command(
        "user", "add", "ada", "--data", str(folder), cwd=folder, stdin=f"{PASSWORD}\n"
    )
    assert status == 0, output
    ada = await Person.at(url)
    await ada.data("login", username="ada", password=PASSWORD)
    made: dict[str, str] = await ada.data("invite_create", uses=uses)
    await ada.close()
    return made


def _change(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "chatd.db") as connection:
        connection.execute(statement)
    connection.close()


def _users(folder: Path) -> int:
    connection = sqlite3.connect(folder / "chatd.db")
    (count,) = connection.execute("SELECT COUNT(*) FROM users").fetchone()
    connection.close()
    return int(count)
