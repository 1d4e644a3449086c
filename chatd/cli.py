"""The command line."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gc
import getpass
import logging
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import orjson

from chatd import app, config, invites, names, openapi, protocol, reference
from chatd.access import USER_BY_KEY
from chatd.context import Context, Row
from chatd.db import check, migrations
from chatd.db.query import Query, query
from chatd.db.sqlite import Database, result_of
from chatd.errors import ChatError, NotFound
from chatd.hub import Hub
from chatd.issuer import issuer_of
from chatd.passwords import hash_password
from chatd.session import NOBODY
from chatd.site import FIRST_FRAMES
from chatd.store import Store
from chatd.users import add_user
from chatd.wire import rfc3339

T = TypeVar("T")

USERS = query(
    """/* cli.users */
    SELECT u.id, u.username, u.nickname, u.email, u.created_at, u.last_seen_at, u.disabled_at, i.username AS inviter
    FROM users u LEFT JOIN users i ON i.id = u.invited_by ORDER BY u.username_key
    """
)
SET_PASSWORD = query("/* cli.set_password */ UPDATE users SET password_hash = :password_hash WHERE id = :id")
END_TOKENS = query(
    """/* cli.end_tokens */
    INSERT INTO ended_tokens (token_hash, expires_at)
    SELECT token_hash, expires_at FROM sessions WHERE user_id = :id AND expires_at IS NOT NULL
    ON CONFLICT DO NOTHING
    """
)
SET_DISABLED = query("/* cli.set_disabled */ UPDATE users SET disabled_at = :at WHERE id = :id")
CONTENTS = query(
    """/* cli.contents */
    SELECT sha256, size FROM files UNION SELECT thumbnail, NULL FROM files WHERE thumbnail IS NOT NULL
    """
)
UPLOADS = query("/* cli.uploads */ SELECT token FROM uploads")
END_SESSIONS = query("/* cli.end_sessions */ DELETE FROM sessions WHERE user_id = :id")
END_ALL: tuple[tuple[Query, dict[str, Any]], ...] = ((END_TOKENS, {}), (END_SESSIONS, {}))
"""Ends a user's sessions, and what an issuer's tokens among them are worth."""


class UsageError(Exception):
    """One line for whoever typed the command."""


def main(argv: list[str] | None = None) -> int:
    """Run a command. Returns the exit status."""
    arguments = parser().parse_args(_with_default(sys.argv[1:] if argv is None else argv))
    os.umask(0o077)  # what chatd writes is for its owner's eyes
    try:
        settings = _settings(arguments)
        status: int = arguments.run(settings, arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # `chatd check-config | head`: who reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python has yet to write as it ends
        return 128 + signal.SIGPIPE
    except (config.ConfigError, app.StartError, migrations.MigrationError, UsageError, ChatError) as error:
        print(f"chatd: {error}", file=sys.stderr)
        return 2
    except (OSError, UnicodeError, sqlite3.Error) as error:  # a folder, a file, an address that cannot be used
        print(f"chatd: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return status


def _with_default(argv: list[str]) -> list[str]:
    """`chatd --listen …` is `chatd serve --listen …`."""
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        return ["serve", *argv]
    return argv


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", metavar="FILE", type=Path, help="settings; ./chatd.toml where there is one")
    common.add_argument("--data", metavar="DIR", help="the folder with the database, instead of [database] data")
    root = argparse.ArgumentParser(prog="chatd", description="A self-hosted chat server.")
    commands = root.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: Callable[..., int], what: str, under: Any = commands) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = under.add_parser(name, parents=[common], help=what, description=what)
        command.set_defaults(run=run)
        return command

    add("serve", _serve, "serve (the default)").add_argument(
        "--listen", metavar="HOST:PORT", help="where to listen, instead of [server] listen"
    )
    add("check-config", _check_config, "say whether the settings are right, and print them")
    add("check", _check, "check the integrity of the database")
    add("rollback", _rollback, "go back to the copy made before the last migration")
    add("help-ops", _help_ops, "print the protocol reference as Markdown")
    add("protocol", _protocol, "print the protocol as JSON Schema")
    add("openapi", _openapi, "print what can be asked over HTTP as an OpenAPI document")
    user = commands.add_parser("user", help="users: add, invite, list, passwd, disable, enable")
    users = user.add_subparsers(metavar="COMMAND", required=True)
    for name, run, what in (
        ("add", _user_add, "add a user; the password is asked for, or read from standard input"),
        ("passwd", _user_passwd, "set a user's password and end the user's sessions"),
        ("disable", _user_disable, "close an account: its connections end within a second"),
        ("enable", _user_enable, "open an account again"),
    ):
        add(name, run, what, users).add_argument("username")
    add("list", _user_list, "list the users", users)
    invite = add("invite", _user_invite, "make an invite and print its token", users)
    invite.add_argument("--uses", metavar="N", type=int, default=1, help="how many may sign up with it (1)")
    invite.add_argument("--hours", metavar="H", type=int, default=24 * 7, help="for how many hours (168, a week)")
    return root


def _settings(arguments: argparse.Namespace) -> config.Config:
    path: Path | None = arguments.config
    if path is None and Path("chatd.toml").exists():
        path = Path("chatd.toml")
    settings = config.load(path) if path is not None else config.Config()
    if arguments.data is not None:
        settings = dataclasses.replace(settings, database=dataclasses.replace(settings.database, data=arguments.data))
    listen = getattr(arguments, "listen", None)
    if listen is not None:
        config.address(listen)
        settings = dataclasses.replace(settings, server=dataclasses.replace(settings.server, listen=listen))
    return settings


# Serving


def _serve(settings: config.Config, arguments: argparse.Namespace) -> int:
    logging.basicConfig(
        stream=sys.stderr,
        level=settings.log.level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    gc.freeze()  # what is loaded by now stays: the collector need not look at it again
    gc.set_threshold(50_000)  # frames make no cycles; looking for some after every 700 objects costs 5 % of the CPU
    with asyncio.Runner(loop_factory=_new_event_loop()) as runner:
        runner.run(app.serve(settings, lambda address: _announce(address, settings.accounts.signup)))
    return 0


def _new_event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop: uvloop where it is installed (`chatd[speed]`), else asyncio itself."""
    try:
        import uvloop  # noqa: PLC0415  (only serving needs it, and not everybody has it)
    except ImportError:
        return None
    return uvloop.new_event_loop


def _announce(address: tuple[str, int], signup: str) -> None:
    host, port = address
    shown = f"[{host}]" if ":" in host else host
    print(f"chatd ready on http://{shown}:{port} pid={os.getpid()}")
    print(f"    in a browser:  http://{shown}:{port}/")
    if signup == "invite":
        print("    an invite:     chatd user invite")
    print(f"    {'log in: ' if signup == 'closed' else 'sign up:'}       npx wscat -c ws://{shown}:{port}/ws")
    print(f"                   {FIRST_FRAMES[signup]}", flush=True)


# Settings and reference


def _check_config(settings: config.Config, arguments: argparse.Namespace) -> int:
    issuer_of(settings.accounts.jwt)
    _print_settings(settings)
    return 0


def _print_settings(table: Any, path: str = "") -> None:
    """A line for each setting, that of a section within a section too; a secret is not shown."""
    for setting in dataclasses.fields(table):
        value = getattr(table, setting.name)
        if dataclasses.is_dataclass(value):
            _print_settings(value, f"{path}{setting.name}.")
        else:
            print(f"{path}{setting.name} = {value if setting.repr or not value else '…'!r}")


def _help_ops(settings: config.Config, arguments: argparse.Namespace) -> int:
    print(reference.markdown(), end="")
    return 0


def _protocol(settings: config.Config, arguments: argparse.Namespace) -> int:
    return _print(protocol.document())


def _openapi(settings: config.Config, arguments: argparse.Namespace) -> int:
    return _print(openapi.document())


def _print(document: protocol.Json) -> int:
    print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    return 0


# The database


def _existing(settings: config.Config) -> Path:
    path = Path(settings.database.data) / "chatd.db"
    if not path.exists():
        raise UsageError(f"there is no database at {path}")
    migrations.require_current(path)
    return path


async def _in_database(path: Path, work: Callable[[Context], Coroutine[Any, Any, T]], settings: config.Config) -> T:
    database = await Database.open(path, readers=0, batch=1, waiting=1)
    try:
        result: T = await result_of(
            database.write,
            lambda db: work(
                Context(
                    db=db,
                    config=settings,
                    identity=NOBODY,
                    now=time.time_ns() // 1_000_000,
                    hub=Hub(),
                )
            ),
        )
    finally:
        await database.close()
    return result


def _run(settings: config.Config, work: Callable[[Context], Coroutine[Any, Any, T]], *, create: bool = False) -> T:
    if create:
        path = app.database_path(settings)
        migrations.prepare(path, config.shipped("schema.sql").read_text(encoding="utf-8"))
    else:
        path = _existing(settings)
    return asyncio.run(_in_database(path, work, settings))


def _check(settings: config.Config, arguments: argparse.Namespace) -> int:
    path = _existing(settings)
    connection = sqlite3.connect(path)
    try:
        problems = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        problems += [f"foreign key: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
    except sqlite3.DatabaseError as error:
        problems = [str(error)]
    finally:
        connection.close()
    if not problems:
        problems = _run(settings, lambda ctx: check.violations(ctx.db)) + _check_files(settings, path)
    for problem in problems:
        print(problem)
    print(f"{path}: {'ok' if not problems else f'{len(problems)} problems'}")
    return 1 if problems else 0


def _check_files(settings: config.Config, path: Path) -> list[str]:
    """What the data folder has otherwise than the database. A daemon that runs is about to delete what is left over."""

    async def rows(ctx: Context) -> tuple[dict[str, int | None], set[str]]:
        held = sorted(await ctx.db.all(CONTENTS), key=lambda row: row["size"] is not None)
        return {row["sha256"]: row["size"] for row in held}, {row["token"] for row in await ctx.db.all(UPLOADS)}

    store = Store(path.parent)
    try:
        with app.lock(path):
            held, tokens = _run(settings, rows)
            return [*store.faults(held), *store.strays(held, tokens)]
    except app.StartError:
        held, _ = _run(settings, rows)
        return list(store.faults(held))


def _rollback(settings: config.Config, arguments: argparse.Namespace) -> int:
    path = Path(settings.database.data) / "chatd.db"
    with app.lock(path):
        undone = migrations.rollback(path)
    print(f"{path} is the copy made before the migration; the migrated one is kept as {undone}")
    return 0


# Users


def _new_password() -> str:
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise UsageError("the two passwords differ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not 8 <= len(password.encode()) <= 1024:
        raise UsageError("the password must be text of 8 to 1024 bytes")
    return password


def _user_add(settings: config.Config, arguments: argparse.Namespace) -> int:
    username = names.username(arguments.username)
    password_hash = hash_password(_new_password(), cost=settings.accounts.bcrypt_cost)
    user_id = _run(settings, lambda ctx: add_user(ctx, username=username, password_hash=password_hash), create=True)
    print(f"added {username}, user {user_id}")
    return 0


def _user_list(settings: config.Config, arguments: argparse.Namespace) -> int:
    async def users(ctx: Context) -> list[Row]:
        return list(await ctx.db.all(USERS))

    for row in _run(settings, users):
        state = "disabled" if row["disabled_at"] is not None else "active"
        seen = rfc3339(row["last_seen_at"]) if row["last_seen_at"] is not None else "-"
        joined = f"{rfc3339(row['created_at'])}\t{seen}\t{row['inviter'] or '-'}"
        print(f"{row['id']}\t{row['username']}\t{state}\t{row['email'] or '-'}\t{joined}")
    return 0


def _user_invite(settings: config.Config, arguments: argparse.Namespace) -> int:
    for name, most in (("uses", 1_000_000), ("hours", 24 * 365 * 10)):
        if not 1 <= getattr(arguments, name) <= most:
            raise UsageError(f"--{name}: must be a whole number from 1 to {most}")
    if settings.accounts.signup == "closed":
        raise UsageError("accounts.signup is closed: nobody may sign up, with an invite or without")

    async def invite(ctx: Context) -> invites.Invite:
        return await invites.make(ctx, user_id=None, uses=arguments.uses, hours=arguments.hours, note="")

    print(_run(settings, invite, create=True).token)
    return 0


def _change(settings: config.Config, username: str, *changes: tuple[Any, dict[str, Any]]) -> None:
    async def change(ctx: Context) -> None:
        user = await ctx.db.one(USER_BY_KEY, key=names.key(username))
        if user is None:
            raise NotFound(field="username")
        for statement, values in changes:
            await ctx.db.run(statement, id=user["id"], **values)

    try:
        _run(settings, change)
    except NotFound:
        raise UsageError(f"there is no user {username}") from None


def _user_passwd(settings: config.Config, arguments: argparse.Namespace) -> int:
    _existing(settings)
    password_hash = hash_password(_new_password(), cost=settings.accounts.bcrypt_cost)
    _change(settings, arguments.username, (SET_PASSWORD, {"password_hash": password_hash}), *END_ALL)
    print(f"{arguments.username} has a new password; all sessions ended")
    return 0


def _user_disable(settings: config.Config, arguments: argparse.Namespace) -> int:
    at = time.time_ns() // 1_000_000
    _change(settings, arguments.username, (SET_DISABLED, {"at": at}), *END_ALL)
    print(f"{arguments.username} is disabled; all sessions ended")
    return 0


def _user_enable(settings: config.Config, arguments: argparse.Namespace) -> int:
    _change(settings, arguments.username, (SET_DISABLED, {"at": None}))
    print(f"{arguments.username} is enabled")
    return 0
