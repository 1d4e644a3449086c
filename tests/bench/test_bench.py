"""The bench itself: a small run of everything quick, and that it tells when something is lost, doubled or wrong."""

from __future__ import annotations

import contextlib
import sqlite3
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.bench import plot, report, searches
from tests.bench.__main__ import SCENARIOS, measure, parser
from tests.bench.babble import Babble
from tests.bench.bench import Bench
from tests.bench.crowd import Crowd, ring
from tests.bench.figures import Broken, Figure, at_least, at_most, below, percentile
from tests.bench.ledger import Ledger, holes, number_in, text
from tests.bench.load import Client
from tests.bench.names import pairs, token_of, username_of
from tests.bench.process import Cores, check
from tests.bench.scenarios.crowd import Audience
from tests.bench.searches import Sought
from tests.bench.seed import NAME, seeding
from tests.bench.sizes import TINY

QUICK_ONES = ("pairs", "light", "fanout", "auth", "moments", "search", "indexing", "presence")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    cores = Cores()
    with cores.generating():
        yield Bench(sizes=TINY, folder=tmp_path, cores=cores)


async def test_a_small_run_of_the_quick_ones(bench: Bench, tmp_path: Path) -> None:
    figures, failures = await measure(bench, QUICK_ONES)
    assert failures == {}
    assert {figure.scenario for figure in figures} == set(QUICK_ONES)
    assert all(figure.values for figure in figures)
    named = {figure.name: figure for figure in figures}
    assert named["chatd: messages a second"].median > 0
    assert 0 < named["chatd: ack p50"].median <= named["chatd: ack p99"].median

    about = report.machine(bench.cores, bench.sizes, tmp_path)
    assert "chatd: CPU, forwarder = 1" in report.table(figures)
    lines = [orjson.loads(line) for line in report.json_lines(about, figures, failures).splitlines()]
    assert lines[0]["machine"]["sizes"] == "tiny"
    assert [line["figure"] for line in lines[1:]] == [figure.name for figure in figures]
    ET.fromstring(plot.svg(figures, "a <title>"))  # noqa: S314  # it is our own


async def test_a_scenario_that_breaks_is_a_failure_of_the_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(bench: Bench) -> list[Figure]:
        raise ExceptionGroup("of a task group", [Broken("a message was lost")])

    monkeypatch.setitem(SCENARIOS, "cold", breaks)
    figures, failures = await measure(bench, ["cold"])
    assert figures == []
    assert failures == {"cold": "a message was lost"}
    assert "FAILED: cold: a message was lost" in report.summary(figures, failures)


async def test_a_seeded_database_passes_the_check(tmp_path: Path) -> None:
    people = pairs(101)  # in a group they are added in more than one go
    names = [name for pair in people for name in pair]
    with seeding(tmp_path) as seed:
        seed.users(names)
        seed.group(names)
        seed.messages(seed.friends(people), 202, remembered=True)
    await check(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / NAME)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM requests").fetchone() == (202,)
        assert connection.execute("SELECT COUNT(*) FROM search WHERE search MATCH '\"0\"'").fetchone() == (202,)
        connection.execute("DELETE FROM entries WHERE seq = 2")
        assert len(holes(connection)) == 102
        connection.commit()
    with pytest.raises(Broken, match="without a hole"):
        await check(tmp_path)


# The members of a group who are online


class _Silent(Client):
    def send(self, frame: bytes) -> None:
        """Nobody is there."""


def _frame(index: int, number: int) -> bytes:
    """What tells one of them of a message: the first, who wrote it, by the reply."""
    if index == 0:
        return orjson.dumps({"type": "reply", "id": number, "success": True})
    return orjson.dumps({"type": "event", "event": "message", "data": {"content": text(number)}})


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (_frame(1, 1), None),
        (_frame(1, 0), "instead of message 1, client 1 got"),
        (_frame(1, 2), "instead of message 1, client 1 got"),
        (_frame(0, 1), "instead of message 1, client 1 got"),
    ],
)
async def test_everybody_hears_every_message_once_and_in_order(frame: bytes, problem: str | None) -> None:
    clients = [_Silent(), _Silent()]
    audience = Audience(clients, conversation_id=1, messages=2, window=8)
    for index, number in ((0, 0), (1, 0), (0, 1)):
        clients[index].hear(_frame(index, number))
    with pytest.raises(Broken, match=problem) if problem else contextlib.nullcontext():
        clients[1].hear(frame)
    if problem is None:
        await audience.tell()


# A crowd of friends


def _back(crowd: Crowd, heard: list[tuple[str, str]]) -> None:
    """All lose their connections at 0 s. ann and cyd are soon back, ben is late; so much of it is what ann hears."""
    for name, seconds in (("ann", 1.0), ("cyd", 2.0), ("ben", 10.0)):
        crowd.people[name].asked_at = crowd.people[name].entered_at = seconds
    ann, ben, cyd = (crowd.people[name] for name in ("ann", "ben", "cyd"))
    ann.see(["cyd"])
    ben.see(["ann", "cyd"])
    cyd.see(["ann"])
    for listener, events in ((ann, heard), (cyd, [("leave", "ben"), ("join", "ben")])):
        for event, name in events:
            listener.hear(orjson.dumps({"type": "event", "event": event, "data": {"username": name}}))


@pytest.mark.parametrize(
    ("heard", "problem"),
    [
        ([("leave", "ben"), ("join", "ben")], None),
        ([("join", "ben")], "ann was not told that ben has gone"),
        ([("leave", "ben")], "ann was not told that ben has come"),
        ([("leave", "ben"), ("join", "ben"), ("leave", "cyd")], "ann was told that cyd has gone, who was soon back"),
        ([("join", "ben"), ("join", "ben")], "ann got"),
        ([("join", "dan")], "ann got"),
        ([("typing", "ben")], "ann got"),
    ],
)
def test_who_comes_late_has_gone_and_come(heard: list[tuple[str, str]], problem: str | None) -> None:
    crowd = Crowd("", ring(["ann", "ben", "cyd"], 2), {name: {} for name in ("ann", "ben", "cyd")})
    with pytest.raises(Broken, match=problem) if problem else contextlib.nullcontext():
        _back(crowd, heard)
        crowd.were_told(grace=5.0, slack=2.0)


async def test_everybody_knows_in_the_end_who_is_there() -> None:
    crowd = Crowd("", ring(["ann", "ben", "cyd"], 2), {name: {} for name in ("ann", "ben", "cyd")})
    _back(crowd, [("leave", "ben"), ("join", "ben")])
    await crowd.know_all(0.0)
    crowd.people["ann"].hear(orjson.dumps({"type": "event", "event": "leave", "data": {"username": "cyd"}}))
    with pytest.raises(Broken, match="ann does not know that cyd is there"):
        await crowd.know_all(0.0)


def test_in_a_ring_everybody_has_as_many_friends() -> None:
    friends = ring([f"ann{number}" for number in range(7)], 4)
    assert friends["ann0"] == ["ann5", "ann6", "ann1", "ann2"]
    assert all(len(set(theirs)) == 4 for theirs in friends.values())
    assert all(name in friends[friend] for name, theirs in friends.items() for friend in theirs)


# What is found


def _page(ids: list[int], *, next: int | None = None, complete: bool = True, hit: bool = True) -> dict[str, Any]:
    messages = [{"id": message_id, "snippet": [{"text": "the", "hit": hit}]} for message_id in ids]
    return {"messages": messages, "next": next, "complete": complete}


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        (_page([9, 7], next=7), None),
        (_page([9], next=8), None),
        (_page([], next=8), None),
        (_page([9]), "message None was found instead of 7"),
        (_page([9, 8], next=8), "message 8 was found instead of 7"),
        (_page([9, 7, 4], next=4), "message 4 was found instead of None"),
        (_page([9, 7]), "1 messages are on no page"),
        (_page([9, 7], next=7, complete=False), "the index is behind"),
        (_page([9, 7], next=7, hit=False), "the snippet of message 9 does not show it"),
    ],
)
def test_a_page_has_what_is_to_be_found(page: dict[str, Any], problem: str | None) -> None:
    sought = Sought("ann", "a common word", "the", [10, 9, 7, 4])
    with pytest.raises(Broken, match=problem) if problem else contextlib.nullcontext():
        sought.verify(page, after=1, limit=2)


async def test_all_pages_have_what_is_to_be_found() -> None:
    class Forgetful(Client):
        async def ask(self, op: str, **fields: Any) -> Any:
            return _page([10, 9], next=9) if "before_message_id" not in fields else _page([7])

    await Sought("ann", "a common word", "the", [10, 9, 7]).follow(Forgetful(), limit=2)
    with pytest.raises(Broken, match="message None was found instead of 4"):
        await Sought("ann", "a common word", "the", [10, 9, 7, 4]).follow(Forgetful(), limit=2)


def test_a_text_says_what_is_looked_for() -> None:
    assert searches.says("not 的 👍", "Notification 你的 👍🏽")
    assert not searches.says("cat", "notification")


def test_babble_is_always_the_same() -> None:
    assert [Babble(1).sentence() for _ in range(2)] == [Babble(1).sentence() for _ in range(2)]
    assert Babble(1).sentence() != Babble(2).sentence()


# The ledger


def _ledger() -> Ledger:
    """Ann writes two messages; the first was acknowledged and delivered."""
    ledger = Ledger(["ann0000"], each=2)
    ledger.ack(0, 0, 1)
    ledger.hear("ann0000", 0, 1)
    return ledger


def test_everything_once_is_well() -> None:
    ledger = _ledger()
    assert not ledger.complete
    ledger.ack(0, 1, 3)
    ledger.hear("ann0000", 1, 3)
    assert ledger.complete
    ledger.settle()


@pytest.mark.parametrize(
    ("acks", "deliveries", "problem"),
    [
        ([], [(1, 2)], "message 1 was not acknowledged"),
        ([(1, 2)], [], "message 1 was not delivered"),
        ([(1, 2), (1, 3)], [(1, 2)], "message 1 was acknowledged twice"),
        ([(1, 2)], [(1, 2), (1, 3)], "message 1 was delivered twice"),
        ([(1, 1)], [(1, 2)], "message 1 got seq 1, which does not increase"),
        ([(1, 2)], [(1, 1)], "message 1 was heard as seq 1, which does not increase"),
        ([(1, 2)], [(1, 3)], "message 1 has seq 2 for one and 3 for the other"),
    ],
)
def test_the_ledger_tells(acks: list[tuple[int, int]], deliveries: list[tuple[int, int]], problem: str) -> None:
    ledger = _ledger()
    for number, seq in acks:
        ledger.ack(0, number, seq)
    for number, seq in deliveries:
        ledger.hear("ann0000", number, seq)
    with pytest.raises(Broken, match=problem):
        ledger.settle()


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([(1, 0), (2, 1)], None),
        ([(1, 0)], "message 1 was acknowledged as seq 2 and is not in the database"),
        ([(1, 0), (2, 1), (3, 1)], "message 1 stands in the database as seq 3, which nobody was told"),
        ([(1, 0), (3, 1)], "conversation 3 has 2 entries from 1 to 3"),
    ],
)
def test_what_was_acknowledged_must_be_in_the_database(
    tmp_path: Path, rows: list[tuple[int, int]], problem: str | None
) -> None:
    with seeding(tmp_path) as seed:
        seed.users(["ann0000", "ben0000"])
        seed.friends([("ann0000", "ben0000")])
    with contextlib.closing(sqlite3.connect(tmp_path / NAME)) as connection:
        connection.executemany(
            "INSERT INTO entries (conversation_id, seq, event, user_id, kind, content, created_at)"
            " VALUES (3, ?, 'message', 1, 'text', ?, 0)",
            [(seq, text(number)) for seq, number in rows],
        )
        connection.execute("UPDATE conversations SET last_seq = ? WHERE id = 3", (len(rows),))
        connection.commit()
    ledger = _ledger()
    ledger.ack(0, 1, 2)
    with pytest.raises(Broken, match=problem) if problem else contextlib.nullcontext():
        ledger.durable(tmp_path)


# Figures


def test_targets() -> None:
    assert at_most(2.0).met(2.0)
    assert not below(2.0).met(2.0)
    assert at_least(2.0).met(2.0)
    assert not at_least(2.0).met(1.9)
    assert at_most(2.0).used(1.0) == at_least(1.0).used(2.0) == 0.5
    assert at_most(0.8).used(-0.1) == 0.0


def test_a_figure_is_the_median_of_its_runs() -> None:
    figure = Figure("light", "p99", "ms", (9.0, 1.0, 3.0), at_most(3.0))
    assert (figure.median, figure.met) == (3.0, True)
    assert "✓ ≤ 3" in report.table([figure])
    assert "0 of 0 targets met" in report.summary([Figure("light", "p50", "ms", (1.0,))], {})
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([1.0], 0.99) == 1.0


def test_names_and_texts() -> None:
    assert username_of(token_of("ann0007")) == "ann0007"
    assert len(text(12)) == 100
    assert number_in(text(12)) == 12


def test_the_help_names_every_scenario() -> None:
    assert all(name in parser().format_help() for name in SCENARIOS)
