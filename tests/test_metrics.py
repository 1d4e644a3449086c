"""`GET /metrics` of a daemon that people talk to: what it shows is what was done, and only those who may read it do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import re
import shutil
import socket
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from chatd import config as settings
from chatd import fulltext
from chatd.config import Config, Presence, Search
from chatd.errors import BY_CODE, Unavailable
from chatd.limits import Rate
from chatd.op import REGISTRY
from chatd.transactions import Transactions
from tests.support import PATIENCE, Answered, Person, Web, befriend, config_for, running

TOKEN = "0123456789abcdef"
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


class Shown:
    """What one answer shows."""

    def __init__(self, text: str) -> None:
        self.types = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
        self.values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                assert key not in self.values, f"{key} stands there twice"
                self.values[key] = sample.value

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.values}

    def value(self, name: str, /, **labels: str) -> float:
        return self.values[name, tuple(sorted(labels.items()))]

    def by(self, label: str, name: str) -> dict[str, float]:
        """The sums of what has this name, by the values of a label."""
        sums: Counter[str] = Counter()
        for (one, labels), value in self.values.items():
            if one == name:
                sums[dict(labels)[label]] += value  # type: ignore[assignment]  # a Counter counts floats too
        return dict(sums)

    def outcomes(self, op: str) -> dict[str, float]:
        """How often an op ended how; not how it did not."""
        found = {}
        for (name, labels), value in self.values.items():
            if name == "chatd_ops_total" and dict(labels)["op"] == op and value:
                found[dict(labels)["outcome"]] = value
        return found


async def shown(web: Web, **headers: str) -> Shown:
    answered = await web.get("/metrics", **headers)
    assert answered.status == 200, answered
    return Shown(answered.body.decode())


async def shown_when(web: Web, condition: Callable[[Shown], bool]) -> Shown:
    """What is shown as soon as it is like this."""
    async with asyncio.timeout(PATIENCE):
        while not condition(seen := await shown(web)):
            pass
    return seen


@contextlib.asynccontextmanager
async def watched(config: Config) -> AsyncIterator[tuple[str, Web]]:
    """A daemon, and somebody who watches it."""
    async with running(config) as url:
        yield url, await Web.at(url)


@pytest.fixture
async def web(url: str) -> Web:
    return await Web.at(url)


# Ops


async def test_ops_are_counted_by_name_and_outcome(url: str, web: Web) -> None:
    ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
    await befriend(ada, bob, username="bob")
    for number in range(5):
        await ada.data("send", to_user="bob", content=str(number), client_id=str(number))
    await ada.data("send", to_user="bob", content="4", client_id="4")
    assert await ada.error("send", to_user="bob", content="other", client_id="4") == "conflict"
    assert await ada.error("send", to_user="nobody", content="x") == "not_found"
    assert await ada.error("send", to_user="bob") == "invalid"
    assert await ada.error("send", to_user="bob", content="x", colour="red") == "invalid"
    assert await ada.error("login", username="ada", password="wrong horse") == "already_authenticated"
    guest = await Person.at(url)
    assert await guest.error("login", username="ada", password="wrong horse") == "bad_credentials"
    assert await guest.error("send", to_user="bob", content="x") == "unauthenticated"
    seen = await shown(web)
    assert seen.outcomes("send") == {"ok": 6, "conflict": 1, "not_found": 1, "invalid": 2, "unauthenticated": 1}
    assert seen.outcomes("signup") == {"ok": 2}
    assert seen.outcomes("login") == {"already_authenticated": 1, "bad_credentials": 1}
    assert seen.outcomes("friend_request") == {"ok": 1}
    assert seen.by("op", "chatd_ops_total")["heartbeat"] == 2
    assert "history" not in seen.by("op", "chatd_ops_total")


async def test_ops_over_http_are_counted_too(web: Web) -> None:
    token = (await web.data("signup", username="ada", password="correct horse"))["token"]
    await web.data("friends", token=token)
    assert await web.error("friends") == (401, "unauthenticated")
    assert await web.error("friends", token="wrong") == (401, "bad_token")
    assert await web.error("auth", token=token) == (400, "needs_socket")
    for body, authorization, status in ((b"\xff", "", 400), (b"x" * 65537, "", 413), (b"{}", "Basic YTpi", 401)):
        web = await Web.at(f"ws://127.0.0.1:{web.writer.get_extra_info('peername')[1]}/ws")
        web.say("POST", "/api/profile", body, **({"authorization": authorization} if authorization else {}))
        assert (await web.answer()).status == status
    seen = await shown(await Web.at(f"ws://127.0.0.1:{web.writer.get_extra_info('peername')[1]}/ws"))
    assert seen.outcomes("friends") == {"ok": 1, "unauthenticated": 1, "bad_token": 1}
    assert seen.outcomes("auth") == {"needs_socket": 1}
    assert seen.outcomes("profile") == {"invalid_json": 1, "too_large": 1, "bad_token": 1}


async def test_a_defect_is_an_outcome(url: str, web: Web, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    person = await Person.at(url)
    with patch.dict(REGISTRY, heartbeat=replace(REGISTRY["heartbeat"], function=broken)):
        assert await person.error("heartbeat") == "internal"
    assert (await shown(web)).outcomes("heartbeat") == {"internal": 1}
    caplog.clear()


async def test_a_histogram_has_a_place_for_everything_that_was_counted(url: str, web: Web) -> None:
    ada = await Person.named(url, "ada")
    for number in range(20):
        await ada.data("send", to_user="ada", content=str(number))
        await ada.error("send", to_user="nobody", content=str(number))
    seen = await shown(web)
    series = {(name.removesuffix("_count"), labels) for name, labels in seen.values if name.endswith("_count")}
    assert {name for name, _ in series} == {"chatd_op_seconds", "chatd_commit_batch_size", "chatd_commit_seconds"}
    for name, labels in series:
        buckets = [
            (float(dict(these)["le"]), value)
            for (one, these), value in seen.values.items()
            if one == f"{name}_bucket" and set(these) > set(labels) and len(these) == len(labels) + 1
        ]
        assert len(buckets) > 10
        assert buckets == sorted(buckets), "each bucket holds those before it"
        assert buckets[-1] == (float("inf"), seen.values[f"{name}_count", labels])
        most = sum(
            (value - before) * bound
            for (_, before), (bound, value) in zip([(0.0, 0.0), *buckets], buckets, strict=False)
            if value > before
        )
        assert 0 < seen.values[f"{name}_sum", labels] <= most
    assert seen.by("op", "chatd_ops_total") == seen.by("op", "chatd_op_seconds_count")
    assert seen.value("chatd_ops_total", op="send", outcome="ok") == 20


async def test_what_waits_for_the_writer_takes_its_time(tmp_path: Path) -> None:
    async with watched(config_for(tmp_path)) as (url, web):
        ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
        with contextlib.closing(sqlite3.connect(tmp_path / "chatd.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            begun = time.monotonic()
            await ada.say("send", to_user="ada", content="held up")
            await shown_when(web, lambda seen: not seen.outcomes("send"))
            for number in range(7):
                await bob.say("send", to_user="bob", content=str(number))
            await shown_when(web, lambda seen: seen.value("chatd_writer_waiting_jobs") >= 7)
            held = time.monotonic()
            while time.monotonic() < held + 0.05:
                await shown(web)
            released = time.monotonic()
            other.execute("COMMIT")
        await ada.reply()
        for _ in range(7):
            await bob.reply()
        seen, ended = await shown(web), time.monotonic()
        assert seen.value("chatd_writer_waiting_jobs") == 0
        assert 8 * (released - held) <= seen.value("chatd_op_seconds_sum", op="send") <= 8 * (ended - begun)
        assert seen.value("chatd_op_seconds_bucket", op="send", le="0.05") == 0


# Commits


async def test_commits_are_counted_with_what_shared_them(tmp_path: Path) -> None:
    async with watched(replace(config_for(tmp_path), search=Search(index=False))) as (url, web):
        ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
        before, begun = await shown(web), time.monotonic()
        for number in range(3):
            await ada.data("send", to_user="ada", content=str(number))
        await ada.data("friends")
        ada.say_at_once({"type": "send", "to_user": "ada", "content": str(number)} for number in range(6))
        for _ in range(6):
            reply = await ada.reply()
        assert reply["success"], reply["error"]
        await bob.data("send", to_user="bob", content="x")
        after, took = await shown(web), time.monotonic() - begun

        def grown(name: str, **labels: str) -> float:
            return after.value(name, **labels) - before.value(name, **labels)

        assert grown("chatd_commit_batch_size_count") == grown("chatd_commit_seconds_count") == 5
        assert grown("chatd_commit_batch_size_sum") == 10
        assert grown("chatd_commit_batch_size_bucket", le="1.0") == 4
        assert grown("chatd_commit_batch_size_bucket", le="4.0") == 4
        assert grown("chatd_commit_batch_size_bucket", le="8.0") == 5
        assert 0 < grown("chatd_commit_seconds_sum") < took


# Connections


async def test_connections_are_counted_by_kind_and_state(url: str, web: Web) -> None:
    ada, phone = await Person.named(url, "ada"), await Person.at(url)
    await phone.data("login", username="ada", password="correct horse")
    await Person.named(url, "bob")
    guest = await Person.at(url)
    other = await Web.at(url)
    await other.get("/healthz")
    silent = await Web.at(url)
    silent.writer.write(b"GET /ws HTTP/1.1\r\n")
    seen = await shown_when(web, lambda seen: seen.value("chatd_connections", kind="websocket", state="handshake") == 1)
    states = {"user": 3, "guest": 1, "handshake": 1, "closing": 0}
    for state, count in states.items():
        assert seen.value("chatd_connections", kind="websocket", state=state) == count, state
    assert seen.value("chatd_connections", kind="http", state="open") == 2
    assert seen.value("chatd_users_online") == 2
    await phone.data("logout")
    await ada.close()
    await guest.close()
    await silent.close()
    await other.close()
    seen = await shown_when(web, lambda seen: sum(seen.by("kind", "chatd_connections").values()) == 3)
    assert seen.value("chatd_connections", kind="websocket", state="user") == 1
    assert seen.value("chatd_connections", kind="websocket", state="guest") == 1
    assert seen.value("chatd_users_online") == 1


@contextlib.asynccontextmanager
async def deaf(url: str, token: str) -> AsyncIterator[None]:
    """Somebody who reads nothing any more, and for whom the kernel keeps little."""
    host, _, port = url.removeprefix("ws://").removesuffix("/ws").rpartition(":")
    ear = socket.socket()
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    ear.setblocking(False)
    await asyncio.get_running_loop().sock_connect(ear, (host, int(port)))
    person = await Person.at(url, sock=ear)
    await person.data("auth", token=token)
    person.socket.transport.pause_reading()
    yield
    person.socket.transport.abort()


async def talk(ada: Person, bob: Person, messages: int) -> None:
    """So many messages of 8 KB for bob, who reads them."""
    ada.say_at_once({"type": "send", "to_user": "bob", "content": "x" * 8000} for _ in range(messages))
    for _ in range(messages):
        reply = await ada.reply()
        assert reply["success"], reply["error"]
        await bob.next()


@pytest.mark.parametrize(
    ("outbox_bytes", "messages", "least", "most"),
    [
        (2_000_000, 30, 1_700_000, 2_500_000),  # nearly all of it waits in the connection
        (1024, 1, 50_000, 100_000),  # nearly all of it waits in asyncio's transport
    ],
)
async def test_who_does_not_read_is_seen_and_counted_when_dropped(
    tmp_path: Path, outbox_bytes: int, messages: int, least: int, most: int
) -> None:
    async with watched(config_for(tmp_path, outbox_bytes=outbox_bytes)) as (url, web):
        ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
        await befriend(ada, bob, username="bob")
        largest = 0.0
        async with deaf(url, bob.token), asyncio.timeout(PATIENCE):
            seen = await shown(web)
            assert (seen.value("chatd_outbox_bytes"), seen.value("chatd_slow_readers_total")) == (0, 0)
            while not seen.value("chatd_slow_readers_total"):
                await talk(ada, bob, messages)
                seen = await shown(web)
                assert seen.value("chatd_outbox_bytes") == seen.value("chatd_outbox_largest_bytes")
                largest = max(largest, seen.value("chatd_outbox_bytes"))
            assert least < largest < most
            assert seen.value("chatd_slow_readers_total") == 1
            assert seen.value("chatd_connections", kind="websocket", state="closing") == 1
        await shown_when(web, lambda seen: seen.value("chatd_outbox_bytes") == 0)


async def test_what_all_have_not_read_is_added_up(tmp_path: Path) -> None:
    async with watched(config_for(tmp_path, outbox_bytes=1 << 30)) as (url, web):
        ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
        await befriend(ada, bob, username="bob")
        async with deaf(url, bob.token), deaf(url, bob.token), asyncio.timeout(PATIENCE):
            seen = await shown(web)
            while seen.value("chatd_outbox_bytes") <= 1.5 * seen.value("chatd_outbox_largest_bytes"):
                await talk(ada, bob, 30)
                seen = await shown(web)
            assert seen.value("chatd_outbox_bytes") <= 2 * seen.value("chatd_outbox_largest_bytes")


REFUSED = {"connections": 0.0, "address": 0.0, "origin": 0.0}


async def test_pages_that_are_refused_are_counted(url: str, web: Web) -> None:
    assert (await shown(web)).by("reason", "chatd_refused_connections_total") == REFUSED
    with pytest.raises(InvalidStatus):
        await Person.at(url, origin="https://evil.example")
    assert (await (await Web.at(url)).get("/", origin="https://evil.example")).status == 403
    assert (await shown(web)).by("reason", "chatd_refused_connections_total") == {**REFUSED, "origin": 2}


@pytest.mark.parametrize(
    ("reason", "most"), [("connections", {"connections": 3}), ("address", {"connections_per_address": 3})]
)
async def test_connections_that_are_too_many_are_counted(tmp_path: Path, reason: str, most: dict[str, int]) -> None:
    async with watched(config_for(tmp_path, **most)) as (url, web):
        people = [await Person.at(url) for _ in range(2)]
        for _ in range(2):
            with pytest.raises(InvalidStatus):
                await Person.at(url)
        await people[0].close()  # whoever watches has to be let in too
        seen = Shown("")
        async with asyncio.timeout(PATIENCE):
            while not seen.values:
                answered = await web.get("/metrics")
                seen = Shown(answered.body.decode() if answered.status == 200 else "")
        refused = seen.by("reason", "chatd_refused_connections_total")
        assert refused[reason] >= 2
        assert {**refused, reason: 0} == REFUSED


async def test_who_asks_too_fast_is_counted(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    rates = replace(config.rates, ops=Rate(per_second=0.001, burst=3))
    async with watched(replace(config, rates=rates)) as (url, web):
        person = await Person.at(url)
        replies = [await person.ask("heartbeat") for _ in range(7)]
        assert [reply["success"] for reply in replies] == [True] * 3 + [False] * 4
        over_http = [(await web.ask("nonsense"))[0] for _ in range(5)]
        assert over_http == [404] * 3 + [429] * 2
        seen = await shown(web)
        assert seen.value("chatd_rate_limited_total") == 6
        assert seen.outcomes("heartbeat") == {"ok": 3, "rate_limited": 4}
        assert seen.outcomes("unknown") == {"unknown_op": 3, "rate_limited": 2}


async def test_events_are_counted_as_they_are_heard(url: str, web: Web) -> None:
    ada, bob, chen = people = [await Person.named(url, name) for name in ("ada", "bob", "chen")]
    await ada.data("friend_request", to_user="bob")
    await bob.data("friend_respond", request_id=1, accept=True)
    await ada.data("group_create", title="Climbing", members=["bob"])
    phone = await Person.again(url, ada.token)
    await ada.data("send", to_user="bob", content="hi", client_id="1")
    heard = sum([len(await person.events()) for person in (*people, phone)])
    assert not await chen.events()
    assert heard > 8
    assert (await shown(web)).value("chatd_events_delivered_total") == heard


async def test_short_lived_events_are_counted_too(tmp_path: Path) -> None:
    config = replace(config_for(tmp_path), presence=Presence(debounce=0.01, grace=0.02))
    async with watched(config) as (url, web):
        ada, bob = await Person.named(url, "ada"), await Person.named(url, "bob")
        await ada.data("friend_request", to_user="bob")
        await bob.data("friend_respond", request_id=1, accept=True)
        await bob.data("presence_set", status="away")
        heard = [await ada.next()]
        while heard[-1]["data"].get("status") != "away":
            heard.append(await ada.next())
        await ada.data("typing", to_user="bob")
        heard += [*await ada.events(), *await bob.events()]
        assert {event["event"] for event in heard} >= {"friend_request", "typing"}
        assert (await shown(web)).value("chatd_events_delivered_total") == len(heard)


# The database and the machine


async def test_the_indexers_lag_is_the_entries_it_does_not_know(tmp_path: Path) -> None:
    async def nothing(*_: Any) -> bool:
        return False

    with patch.object(fulltext, "index_next", nothing):
        async with watched(config_for(tmp_path)) as (url, web):
            ada = await Person.named(url, "ada")
            assert (await shown(web)).value("chatd_indexer_lag_entries") == 0
            for number in range(5):
                await ada.data("send", to_user="ada", content=str(number))
            with contextlib.closing(sqlite3.connect(tmp_path / "chatd.db")) as connection:
                (entries,) = connection.execute("SELECT COUNT(*) FROM entries").fetchone()
            assert entries >= 5
            assert (await shown(web)).value("chatd_indexer_lag_entries") == entries
    async with watched(config_for(tmp_path)) as (_, web):
        await shown_when(web, lambda seen: seen.value("chatd_indexer_lag_entries") == 0)


async def test_without_an_index_it_has_no_lag(tmp_path: Path) -> None:
    async with watched(replace(config_for(tmp_path), search=Search(index=False))) as (_, web):
        assert "chatd_indexer_lag_entries" not in (await shown(web)).names


async def test_a_database_that_does_not_answer_takes_nothing_else_with_it(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(*_: Any) -> None:
        raise Unavailable

    async def wait(*_: Any) -> None:
        await asyncio.Event().wait()

    before = (await shown(web)).names
    with patch.object(Transactions, "on_reader", refuse):
        assert (await shown(web)).names == before - {"chatd_indexer_lag_entries"}
    with patch("chatd.metrics.PATIENCE", 0.01), patch.object(Transactions, "on_reader", wait):
        assert (await shown(web)).names == before - {"chatd_indexer_lag_entries"}
    assert "how far the index is cannot be shown" in caplog.text


async def test_sizes_are_the_files(tmp_path: Path) -> None:
    async with watched(replace(config_for(tmp_path), search=Search(index=False))) as (url, web):
        ada = await Person.named(url, "ada")
        await ada.data("send", to_user="ada", content="x" * 8000)
        seen = await shown(web)  # nothing writes any more
        assert seen.value("chatd_database_bytes") == (tmp_path / "chatd.db").stat().st_size > 0
        assert seen.value("chatd_wal_bytes") == (tmp_path / "chatd.db-wal").stat().st_size > 8000
        free = shutil.disk_usage(tmp_path).free
        assert seen.value("chatd_disk_free_bytes") == pytest.approx(free, rel=0.1)
        with patch("chatd.metrics.Path.stat", side_effect=FileNotFoundError):
            assert (await shown(web)).value("chatd_wal_bytes") == 0


async def test_the_process_shows_itself(url: str, web: Web) -> None:
    seen = await shown(web)
    files = len(os.listdir("/proc/self/fd"))  # the daemon is in this process
    assert seen.value("process_open_fds") == pytest.approx(files, abs=3)
    assert seen.value("process_resident_memory_bytes") > 10_000_000
    assert 0 < seen.value("process_cpu_seconds_total") <= sum(os.times()[:2]) + 0.1
    assert seen.value("process_start_time_seconds") < time.time() + 1
    ((_, labels),) = [key for key in seen.values if key[0] == "chatd_build_info"]
    assert seen.values["chatd_build_info", labels] == 1
    assert dict(labels)["python"] == platform.python_version()
    assert dict(labels)["sqlite"] == sqlite3.sqlite_version


# The text


async def test_the_text_is_prometheus(web: Web) -> None:
    for op in REGISTRY:
        await web.ask(op, **REGISTRY[op].example)
    answered = await web.get("/metrics")
    assert answered.headers["content-type"] == ["text/plain; version=0.0.4; charset=utf-8"]
    seen = Shown(answered.body.decode())
    assert len(seen.types) == len(dict(seen.types)), "each family has one head"
    assert set(seen.by("op", "chatd_op_seconds_count")) == set(REGISTRY)
    assert seen.by("op", "chatd_ops_total") == seen.by("op", "chatd_op_seconds_count")
    for name, kind in seen.types:
        assert re.fullmatch(r"(chatd|process)_[a-z_]+", name), "nothing comes from the registry that all share"
        assert (kind == "counter") == name.endswith("_total")
        assert name in seen.names or kind == "histogram"
    head = await web.get("/metrics", "HEAD")
    assert (head.status, head.headers["content-type"]) == (200, answered.headers["content-type"])


async def test_a_client_makes_no_label(url: str, web: Web) -> None:
    person = await Person.named(url, "ada")
    hostile = ['x"} 1\nchatd_evil 1', "unknown", "SEND", "发送", "x" * 5000, "", " send", "ok", *map(str, range(300))]
    for name in hostile:
        assert not (await person.ask(name))["success"]
    for wrong in ("null", "1", "[]", "{}", "true"):
        await person.socket.send(f'{{"type":{wrong}}}')
        assert not (await person.reply())["success"]
    await person.socket.send("no JSON at all")
    await person.reply()
    for path in ("nonsense", "a%22%7D", "x/y", "SEND", "\xe5"):
        web.say("POST", f"/api/{path}", b"{}")
        assert (await web.answer()).status in (400, 404), path
    web = await Web.at(url)
    seen = await shown(web)
    assert set(seen.by("op", "chatd_ops_total")) == {"signup", "unknown"}
    assert seen.by("op", "chatd_ops_total")["unknown"] >= len(hostile) + 6 + 4
    labels = {(name, value) for _, those in seen.values for name, value in those}
    assert {value for name, value in labels if name == "outcome"} <= {*BY_CODE, "ok"}
    assert {name for name, _ in labels} == {
        "op", "outcome", "le", "kind", "state", "reason", "version", "python", "sqlite",
    }  # fmt: skip


async def test_readme_names_what_there_is(web: Web) -> None:
    section = README[README.index("**Metrics.**") :]
    named = set(re.findall(r"`(chatd_[a-z_]+)", section[: section.index("\n**")]))
    assert len(named) >= 5
    await web.ask("heartbeat")
    seen = await shown(web)
    assert named <= {name for name, _ in seen.types}


async def test_a_daemon_that_nobody_watches_does_not_load_the_library() -> None:
    program = "import sys, chatd.app; sys.exit('prometheus_client' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=Path(__file__).parent.parent)
    assert await asyncio.wait_for(process.wait(), PATIENCE) == 0


# Who may read it


def like_nothing(answered: Answered) -> bool:
    return (answered.status, answered.body) == (404, b"There is nothing here. GET / says what this is.\n")


def config_with(tmp_path: Path, *, proxies: tuple[str, ...] = (), **metrics: Any) -> Config:
    return replace(config_for(tmp_path, trusted_proxies=proxies), metrics=settings.Metrics(**metrics))


@pytest.mark.parametrize("allow", [(), ("10.0.0.0/8", "::1/128", "127.0.0.2"), ("128.0.0.0/1",)])
async def test_for_who_may_not_there_is_nothing(tmp_path: Path, allow: tuple[str, ...]) -> None:
    async with watched(config_with(tmp_path, allow=allow)) as (_, web):
        for method in ("GET", "POST", "OPTIONS", "get"):
            assert like_nothing(await web.get("/metrics", method))
        assert like_nothing(await web.get("/metrics", authorization="Bearer "))
        assert like_nothing(await web.get("/metrics", authorization=f"Bearer {TOKEN}"))


@pytest.mark.parametrize("allow", [("127.0.0.1",), ("127.0.0.0/8",), ("10.0.0.0/8", "0.0.0.0/0")])
async def test_an_address_that_is_allowed_may(tmp_path: Path, allow: tuple[str, ...]) -> None:
    async with watched(config_with(tmp_path, allow=allow)) as (_, web):
        await shown(web)


async def test_they_can_only_be_read(web: Web) -> None:
    answered = await web.get("/metrics", "POST")
    assert (answered.status, answered.headers["allow"]) == (405, ["GET, HEAD"])
    for path in ("/metrics/", "/Metrics", "//metrics", "/metrics/x"):
        assert like_nothing(await web.get(path))
    await shown(web)


async def test_the_token_may_from_anywhere(tmp_path: Path) -> None:
    async with watched(config_with(tmp_path, allow=(), token=TOKEN)) as (_, web):
        await shown(web, authorization=f"Bearer {TOKEN}")
        await shown(web, authorization=f"bearer {TOKEN}", x_forwarded_for="192.0.2.1")
        for wrong in (f"Bearer {TOKEN}x", f"Bearer {TOKEN[1:]}", f"Basic {TOKEN}", TOKEN, "Bearer", "", "Bearer \xe5"):
            assert like_nothing(await web.get("/metrics", authorization=wrong)), wrong
        assert like_nothing(await web.get("/metrics"))


async def test_besides_the_token_an_address_may_do(tmp_path: Path) -> None:
    async with watched(config_with(tmp_path, allow=("127.0.0.1",), token=TOKEN)) as (_, web):
        await shown(web)
        await shown(web, authorization="Bearer wrong")


async def test_behind_a_trusted_proxy_the_clients_address_counts(tmp_path: Path) -> None:
    config = config_with(tmp_path, proxies=("127.0.0.1", "10.0.0.1"), allow=("192.0.2.0/24", "127.0.0.1"))
    async with watched(config) as (_, web):
        await shown(web, x_forwarded_for="192.0.2.7")
        await shown(web, x_forwarded_for="6.6.6.6, 192.0.2.7, 10.0.0.1")
        await shown(web)
        for hops in ("6.6.6.6", "192.0.2.7, 6.6.6.6", "192.0.2.7, 6.6.6.6, 10.0.0.1", "127.0.0.1", "", "10.0.0.1"):
            assert like_nothing(await web.get("/metrics", x_forwarded_for=hops)), hops


async def test_who_comes_through_a_proxy_that_is_not_trusted_is_not_taken_for_it(web: Web) -> None:
    for hops in ("6.6.6.6", "127.0.0.1, 6.6.6.6", "6.6.6.6, 127.0.0.1", "6.6.6.6,,127.0.0.1", ", 127.0.0.1", "::1", ""):
        assert like_nothing(await web.get("/metrics", x_forwarded_for=hops)), hops
    await shown(web)
    await shown(web, x_forwarded_for="127.0.0.1, 127.0.0.1")


async def test_a_proxy_that_is_trusted_vouches_for_nobody_elses(tmp_path: Path) -> None:
    async with watched(config_with(tmp_path, proxies=("10.0.0.1",), allow=("127.0.0.1",))) as (_, web):
        for hops in ("6.6.6.6, 127.0.0.1", "10.0.0.1", "127.0.0.1, 10.0.0.1"):
            assert like_nothing(await web.get("/metrics", x_forwarded_for=hops)), hops
