"""The README is true: its reference is the generated one, and its first conversation goes as it says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import sys
import termios
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from chatd import cli, ops, reference
from chatd.client import Client
from tests.support import PATIENCE, SETTINGS, Person, Process

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
CONVERSATION = README[README.index("## A first conversation") : README.index("## With curl")]
STEP = re.compile(r"\*\*(\w+)\*\*(?:'s window:| sees:| is:)\n\n((?:    .+\n)+)")
CHANGING = {"created_at", "token", "now"}

assert ops


def test_the_reference_is_the_generated_one() -> None:
    assert README.endswith(reference.markdown()), "run `chatd help-ops` and put what it prints at the end of README.md"


def test_every_command_of_the_command_line_is_there() -> None:
    commands = re.findall(r"^    (\w[\w-]+)(?: |$)", cli.parser().format_help(), re.MULTILINE)
    assert set(commands) == {"serve", "check-config", "check", "rollback", "help-ops", "protocol", "openapi", "user"}
    for command in commands:
        assert f"chatd {command}" in README or f"[{command}]" in README


def _steps() -> list[tuple[str, str, list[dict[str, Any]]]]:
    """(who, "says" or "sees", frames), in order."""
    steps = []
    for match in STEP.finditer(CONVERSATION):
        frames = [orjson.loads(line) for line in match.group(2).splitlines()]
        steps.append((match.group(1), "says" if "window" in match.group(0) else "sees", frames))
    assert len(steps) == 10, "the README's first conversation is written otherwise than this test reads it"
    return steps


async def test_the_session_with_curl_works(process: Process) -> None:
    section = README[README.index("## With curl") : README.index("## Files")]
    script = "".join(line[4:] + "\n" for line in section.splitlines() if line.startswith("    "))
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script.replace(":8080", f":{process.port}")),
        cwd=process.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(shell.communicate(), PATIENCE)
    *replies, file_id, sends, health = output.decode().splitlines()
    assert (shell.returncode, health) == (0, "ok"), output
    assert int(file_id) > 1  # that of the upload that went on
    assert sends == 'chatd_ops_total{op="send",outcome="ok"} 2.0'
    told = [orjson.loads(reply) for reply in replies]
    assert all(reply["success"] for reply in told), told
    assert [reply["op"] for reply in told] == re.findall(r"^    as \$\w+ (\w+)", section, re.MULTILINE)
    by_op = {reply["op"]: reply["data"] for reply in told}
    assert by_op["friends"]["friends"][0]["username"] == "dan"
    assert by_op["history"]["messages"][-1]["content"] == "Hello dan!"
    (first, _) = [reply["data"] for reply in told if reply["op"] == "send"]
    assert by_op["search"]["messages"][0]["id"] == first["message_id"]
    (content,) = (process.data / "files").glob("*/*")  # of both files
    assert content.stat().st_size == 1_000_000


async def test_the_token_that_a_site_makes_lets_its_user_in(tmp_path: Path) -> None:
    section = README[README.index("**Beside an existing site.**") : README.index("**Mail.**")]
    settings, program = re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, re.MULTILINE)
    (tmp_path / "site.secret").write_text("ab" * 32 + "\n")
    secret = settings.replace('"site.secret"', f'"{tmp_path}/site.secret"').replace("\n    ", "\n")
    process = Process(tmp_path, f"{SETTINGS}{secret}")
    await process.start()
    try:
        made = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", textwrap.dedent(program), "ada"), cwd=tmp_path, stdout=asyncio.subprocess.PIPE
        )
        token, _ = await asyncio.wait_for(made.communicate(), PATIENCE)
        ada = await Person.again(process.url, token.decode().strip())
        assert (await ada.data("profile"))["username"] == "ada"
    finally:
        await process.end()


class Wscat:
    """A real wscat at a terminal: lines in and lines out."""

    def __init__(self, keyboard: int, screen: asyncio.StreamReader) -> None:
        self._keyboard = keyboard
        self._screen = screen

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Wscat]:
        """Start it and wait until it is connected."""
        keyboard, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (50, 5000))  # so that no line is wrapped
        process = await asyncio.create_subprocess_exec(
            *(os.environ["CHATD_WSCAT"], "-c", url), stdin=terminal, stdout=terminal, start_new_session=True
        )
        os.close(terminal)
        screen = asyncio.StreamReader(limit=2**20)
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(screen), os.fdopen(keyboard, "rb", 0)
        )
        window = cls(keyboard, screen)
        try:
            await window._shows(b"Connected")
            yield window
        finally:
            process.kill()
            await process.wait()
            pipe.close()

    async def _shows(self, what: bytes) -> bytes:
        """The next line on the screen that has this in it."""
        while what not in (line := await asyncio.wait_for(self._screen.readline(), PATIENCE)):
            assert line, "wscat has ended"
        return line

    async def type(self, line: str) -> None:
        os.write(self._keyboard, line.encode() + b"\r")

    async def sees(self) -> dict[str, Any]:
        """The next frame that was received."""
        line = await self._shows(b"< {")
        frame: dict[str, Any] = orjson.loads(line[line.index(b"{") : line.rindex(b"}") + 1])
        return frame


@pytest.mark.skipif("CHATD_WSCAT" not in os.environ, reason="CHATD_WSCAT names no wscat")
async def test_the_first_conversation_goes_as_it_says(process: Process) -> None:
    """With real wscats, pasted line by line."""
    async with contextlib.AsyncExitStack() as stack:
        windows: dict[str, Wscat] = {}
        seen: dict[str, dict[str, Any]] = {}
        for who, does, frames in _steps():
            if who not in windows or frames[0].get("type") == "login":
                windows[who] = await stack.enter_async_context(Wscat.open(process.url))
            if does == "says":
                for frame in frames:
                    await windows[who].type(orjson.dumps(frame).decode())
                    seen[who] = await _reply(windows[who])
                    assert seen[who]["success"], seen[who]
            else:
                last = seen[who] if frames[0]["type"] == "reply" else await _event(windows[who], frames[0]["event"])
                assert _constant(last) == _constant(frames[0])


async def _reply(window: Wscat) -> dict[str, Any]:
    while (frame := await window.sees())["type"] != "reply":
        pass
    return frame


async def _event(window: Wscat, name: str) -> dict[str, Any]:
    while (frame := await window.sees()).get("event") != name:
        pass
    return frame


def _constant(value: Any) -> Any:
    """The value without what is another each time."""
    if isinstance(value, dict):
        return {key: _constant(inner) for key, inner in value.items() if key not in CHANGING}
    return [_constant(inner) for inner in value] if isinstance(value, list) else value


async def test_the_bot_answers(process: Process) -> None:
    bob = await Person.at(process.url)
    await bob.data("signup", username="bob", password="battery staple")
    text = README[README.index("    import asyncio\n") :]
    program = "\n".join(line[4:] for line in text[: text.index("\n## ")].splitlines())
    namespace: dict[str, Any] = {}
    program = program.replace("ws://127.0.0.1:8080/ws", process.url).replace("asyncio.run(main())", "")
    exec(program, namespace)  # noqa: S102  (it is what the README says to run)
    async with Client(process.url) as ada:
        await ada.signup(username="ada", password="correct horse")
        await ada.friend_request(to_user="bob")
        request = (await bob.data("friend_requests"))["requests"][0]
        await bob.data("friend_respond", request_id=request["request_id"], accept=True)
        await bob.events()
        bot = asyncio.create_task(namespace["main"]())
        assert (await bob.next())["event"] == "session"  # it has logged in
        await ada.send(to_user="bob", content="hello")
        async for event in ada.events():
            if event.event == "message":
                assert event.data["content"] == "You said: hello"
                break
    bot.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await bot
