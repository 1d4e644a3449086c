"""Scenes: tests that read as plays.

    -- users ada bob eve                     they sign up
    -- friends ada bob                       and become friends
    ada> send to_user=bob content="hi"       somebody asks for an op; values are JSON or bare words
    ada< reply success seq=1                 the next frame: a reply (success or an error's code), or an event
    bob< message seq=1 content="hi"          fields are looked for in data, then in the frame; dots go deeper
    bob< reply success request_id=$r         a variable is set where it is first seen, and compared or used after
    ada> moment_post images=[$p,$q]          in lists, too
    eve< nothing                             a heartbeat's reply comes, and nothing before it
    eve< ...                                 whatever has come by now is let pass
    -- crash                                 SIGKILL; the daemon starts again on the same data
    -- restart                               the same with SIGTERM
    -- ada leaves, -- ada returns            the connection; `returns` authenticates by token
    -- with presence                         friends are told who comes and goes: stands before the users
    -- with mail                             there is a mail server; stands before the users
    -- letter ada@example.org $code          the next letter is for this address, and this code is in it
    -- letter ada@example.org                the same, without a code
    -- everybody is told                     of what has happened to anybody's presence up to now
    ada.phone> …                             another device of ada's, which logs in when first named

At the end everybody must have heard nothing else.
"""

from __future__ import annotations

import contextlib
import re
import signal
from typing import Any

import orjson

from tests.smtp import Postbox
from tests.support import PASSWORD, Person, Process, befriend
from tests.witness import Witness

_LINE = re.compile(r"([\w.]+)([<>]) *(.*)")
_WORD = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+')
_VARIABLE = re.compile(r"\$\w+")
_MISSING = object()


class Play:
    """One scene on one daemon."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._people: dict[str, Person] = {}
        self._tokens: dict[str, str] = {}
        self._variables: dict[str, Any] = {}
        self._told = 0
        self._stack = contextlib.AsyncExitStack()

    async def perform(self, script: str) -> None:
        """Play every line. Raises AssertionError naming the line that went otherwise."""
        async with self._stack:
            await self._perform(script)

    async def _perform(self, script: str) -> None:
        for number, line in enumerate(script.splitlines(), 1):
            text = line.partition(" # ")[0].strip() if not line.startswith("#") else ""
            if not text:
                continue
            try:
                await self._line(text)
            except Exception as error:
                raise AssertionError(f"line {number}: {text}\n{error}") from error
        for name, person in self._people.items():
            heard = await person.events()
            assert not heard, f"at the end {name} has also heard {heard}"
            await person.close()

    async def _line(self, text: str) -> None:
        if text.startswith("-- "):
            await self._direction(*text[3:].split())
            return
        match = _LINE.fullmatch(text)
        assert match is not None, "neither a direction nor somebody's line"
        name, way, rest = match.groups()
        person = await self._person(name)
        if way == ">":
            op, *fields = _words(rest)
            await person.say(op, **{key: self._value(value) for key, value in map(_pair, fields)})
        elif rest == "nothing":
            heard = await person.events()
            assert not heard, f"heard {heard}"
        elif rest == "...":
            await person.events()
        else:
            self._expect(await person.next(), _words(rest))

    async def _person(self, name: str) -> Person:
        if name not in self._people:
            username = name.partition(".")[0]
            person = self._people[name] = await Witness.at(self._process.url)
            if username in self._tokens:
                person.token = (await person.data("login", username=username, password=PASSWORD))["token"]
                self._tokens[name] = person.token
                for device, other in self._people.items():
                    if device.partition(".")[0] == username:
                        await other.events()
        return self._people[name]

    async def _direction(self, word: str, *names: str) -> None:
        if word == "users":
            for name in names:
                self._people[name] = await Witness.named(self._process.url, name)
                self._tokens[name] = self._people[name].token
        elif word == "friends":
            one, other = names
            self._variables[f"{one}_{other}"] = await befriend(self._people[one], self._people[other], username=other)
        elif word in ("crash", "restart"):
            await self._process.kill(signal.SIGKILL if word == "crash" else signal.SIGTERM)
            await self._process.start()
            for name, person in self._people.items():
                await person.close()
                self._people[name] = await Witness.again(self._process.url, self._tokens[name])
        elif word == "with":
            await (self._with_mail() if names == ("mail",) else self._with_presence())
        elif word == "letter":
            await self._letter(*names)
        elif (word, *names) == ("everybody", "is", "told"):
            self._told += 1
            await self._watched.data("presence_set", text=str(self._told))
            while (await self._watcher.next())["data"].get("text") != str(self._told):
                pass
        elif names == ("leaves",):
            await self._people.pop(word).close()
        elif names == ("returns",):
            self._people[word] = await Witness.again(self._process.url, self._tokens[word])
        else:
            raise AssertionError("no such direction")

    async def _with_presence(self) -> None:
        await self._process.kill(signal.SIGTERM)
        self._process.settings = self._process.settings.replace("enabled = false", "enabled = true")
        await self._process.start()
        self._watched, self._watcher = [await Witness.named(self._process.url, f"watch{one}") for one in "er"]
        await befriend(self._watched, self._watcher, username="watchr")

    async def _with_mail(self) -> None:
        await self._process.kill(signal.SIGTERM)
        self._postbox = await self._stack.enter_async_context(Postbox.open())
        mail = f'host = "localhost"\nport = {self._postbox.port}\nsecurity = "none"\nsender = "chat@example.org"\n'
        self._process.settings += f"[mail]\n{mail}"
        await self._process.start()

    async def _letter(self, address: str, *codes: str) -> None:
        letter = await self._postbox.letter()
        assert letter["To"] == address, f"it is for {letter['To']}"
        found = re.findall(r"\b\d{6}\b", letter.get_content())
        assert len(found) == len(codes), f"it says {letter.get_content()}"
        self._variables |= dict(zip([code[1:] for code in codes], found, strict=True))

    def _expect(self, frame: dict[str, Any], words: list[str]) -> None:
        kind, *fields = words
        if kind == "reply":
            outcome, *fields = fields
            assert frame["type"] == "reply", f"an event came: {frame}"
            came = "success" if frame["success"] else frame["error"]["code"]
            assert came == outcome, f"{frame}"
        else:
            assert frame.get("event") == kind, f"{frame}"
        for path, wanted in map(_pair, fields):
            found = _find(frame, path.split("."))
            if wanted.startswith("$") and wanted[1:] not in self._variables:
                assert found is not _MISSING, f"no {path} in {frame}"
                self._variables[wanted[1:]] = found
            else:
                assert found == self._value(wanted), f"{path} is {found!r} in {frame}"

    def _value(self, text: str) -> Any:
        if text.startswith("$"):
            return self._tokens[text[7:]] if text.startswith("$token_") else self._variables[text[1:]]
        if text.startswith("["):
            text = _VARIABLE.sub(lambda match: orjson.dumps(self._value(match.group(0))).decode(), text)
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return text


def _words(rest: str) -> list[str]:
    return _WORD.findall(rest)


def _pair(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    return key, value


def _find(frame: dict[str, Any], path: list[str]) -> Any:
    for start in (frame.get("data"), frame.get("error"), frame):
        found: Any = start
        for step in path:
            if isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, list) and step == "count":
                found = len(found)
            elif isinstance(found, dict) and step in found:
                found = found[step]
            else:
                found = _MISSING
                break
        if found is not _MISSING:
            return found
    return _MISSING
