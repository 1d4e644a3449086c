"""Fixtures: `daemon`, a process with its page; `tabs`, which opens that page and looks at the end for what went wrong.

All tests here run in one event loop, for the browser lives in it and is started once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser import chromium
from tests.browser.tab import Tabs
from tests.support import PATIENCE, SETTINGS, Person, Process, Web

HERE = Path(__file__).parent
LACKS = [
    *(["no Chromium (CHATD_CHROMIUM)"] if chromium.PATH is None else []),
    *(["no axe-core (CHATD_AXE)"] if "CHATD_AXE" not in os.environ else []),
]

expect.set_options(timeout=PATIENCE * 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what is here into the browser's loop, or aside where there is no browser."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            if LACKS:
                item.add_marker(pytest.mark.skip(reason=f"there is {', '.join(LACKS)}"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium.chromium() as browser:
        yield browser


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def goodbye() -> AsyncIterator[None]:
    """Whoever is still connected at the end of a test leaves: as everywhere, in the browser's loop."""
    Person.everybody.clear()
    Web.everybody.clear()
    yield
    for person in Person.everybody:
        person.socket.transport.abort()
    await asyncio.gather(*(person.socket.wait_closed() for person in Person.everybody))
    await asyncio.gather(*(web.close() for web in Web.everybody))


@pytest_asyncio.fixture(loop_scope="session")
async def daemon(tmp_path: Path) -> AsyncIterator[Process]:
    """A daemon that can be killed and started again, where people see who is there."""
    process = Process(tmp_path, SETTINGS.replace("enabled = false", "enabled = true"))
    await process.start()
    yield process
    await process.end()


@pytest_asyncio.fixture(loop_scope="session")
async def tabs(browser: Browser, daemon: Process) -> AsyncIterator[Tabs]:
    tabs = Tabs(browser, daemon)
    yield tabs
    wrongs = tabs.wrongs()
    await tabs.close()
    assert not wrongs, "\n" + "\n".join(wrongs)
