"""Fixtures: `url` of a daemon in this process, `process` for one that can be killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import Person, Process, Web, config_for, running


@pytest.fixture(autouse=True)
async def goodbye() -> AsyncIterator[None]:
    """Whoever is still connected at the end of a test leaves."""
    Person.everybody.clear()
    Web.everybody.clear()
    yield
    for person in Person.everybody:
        person.socket.transport.abort()
    await asyncio.gather(*(person.socket.wait_closed() for person in Person.everybody))
    await asyncio.gather(*(web.close() for web in Web.everybody))


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with running(config_for(tmp_path)) as address:
        yield address


@pytest.fixture(params=["asyncio", "uvloop"])
async def process(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Process]:
    process = Process(tmp_path, uvloop=request.param == "uvloop")
    await process.start()
    yield process
    await process.end()
