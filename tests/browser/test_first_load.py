"""How much the page brings when it is opened for the first time, and how soon it can be used."""

from __future__ import annotations

from statistics import median

import pytest

from tests.browser.people import friends
from tests.browser.tab import Tab, Tabs
from tests.support import Process

MOST = 150_000
"""Bytes over the wire until the network is idle, with the heads of the answers; not what the worker keeps behind it."""

SOONEST = 1_000.0
"""Milliseconds from asking for the page until its first view can be used: it sets the mark `chatd-ready` then."""


async def first_load(tab: Tab) -> tuple[int, float]:
    """Bytes and milliseconds of opening the page in a browser that knows nothing of it."""
    finished: list[int] = []
    cdp = await tab.context.new_cdp_session(tab.page)
    cdp.on("Network.loadingFinished", lambda event: finished.append(int(event["encodedDataLength"])))
    await cdp.send("Network.enable")
    await tab.page.goto(f"{tab.device.site}/", wait_until="networkidle")
    await tab.ready()
    ready = await tab.page.evaluate("performance.getEntriesByName('chatd-ready')[0].startTime")
    return sum(finished), ready


@pytest.mark.parametrize("username", [None, "ada"])
async def test_the_page_is_light_and_quick(tabs: Tabs, daemon: Process, username: str | None) -> None:
    _, bob = await friends(daemon.url, "ada", "bob")
    await bob.data("send", to_user="ada", content="Hello!")
    loads = [await first_load(await tabs.blank(username)) for _ in range(3)]
    print(f"first load of {username or 'a guest'}: {loads}")
    assert 1_000 < max(brought for brought, _ in loads) < MOST, loads
    assert median(ready for _, ready in loads) < SOONEST, loads
