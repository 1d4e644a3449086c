"""What counts as unread is what nobody has looked at: here, in other tabs, and for the server."""

from __future__ import annotations

import re

from playwright.async_api import Locator, expect

from tests.browser.people import friends, group, write
from tests.browser.tab import Tab, Tabs
from tests.browser.test_conversation import bubbles, direct, message, say
from tests.support import Person, Process


def badge(tab: Tab) -> Locator:
    return tab.page.locator(".row .badge")


def counts(number: int) -> re.Pattern[str]:
    return re.compile(rf"^{number}{number} unread")  # for the eye, and for the ear


async def hear_of_reading(person: Person, seq: int) -> None:
    """Wait until the other has told that they have read so far."""
    while (frame := await person.next()).get("event") != "receipt" or frame["data"]["read_seq"] < seq:
        pass


async def test_what_came_while_one_was_away_counts(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.open("ada", f"#/c/{conversation}")
    await write(bob, conversation, "hi")
    await expect(bubbles(tab)).to_have_text(["hi"])
    await say(tab, "my answer")
    await expect(tab.page.locator(".tick-sent")).to_have_count(1)
    await tab.page.close()
    await write(bob, conversation, "one", "two")
    again = Tab(tab.device, await tab.context.new_page())
    await again.go("#/")
    await expect(badge(again)).to_have_text(counts(2))


async def test_what_is_answered_here_is_read_elsewhere(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    here, elsewhere = await tabs.open("ada", f"#/c/{conversation}"), await tabs.open("ada", "#/")
    await expect(elsewhere.page.locator(".row")).to_have_count(1)
    for number, text in enumerate(("one", "two"), 1):
        await write(bob, conversation, text)
        await expect(bubbles(here)).to_have_count(number)
    await say(here, "my answer")
    await expect(elsewhere.page.locator(".row-text")).to_contain_text("my answer")
    await expect(badge(elsewhere)).to_have_count(0)


async def test_what_was_looked_at_is_told_after_a_reload(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.open("ada", f"#/c/{conversation}")
    for number, text in enumerate(("one", "two"), 1):  # the second is told only a second later
        await write(bob, conversation, text)
        await expect(bubbles(tab)).to_have_count(number)
    await expect(badge(tab)).to_have_count(0)
    await tab.page.reload()
    last = (await bob.data("history", conversation_id=conversation))["messages"][-1]["seq"]
    await hear_of_reading(bob, last)


async def test_what_was_looked_at_without_a_connection_is_told_later(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.open("ada", f"#/c/{conversation}")
    await expect(tab.page.get_by_role("heading", name="bob")).to_be_visible()
    await tab.page.get_by_role("link", name="Chats").click()
    await write(bob, conversation, "one", "two")
    await expect(badge(tab)).to_have_text(counts(2))
    with tab.cut_off():
        await tab.context.set_offline(True)
        await expect(tab.page.locator(".weather")).to_be_visible()
        await tab.page.locator(".row").click()
        await expect(bubbles(tab)).to_have_text(["one", "two"])  # it had come when there was a connection
        await tab.context.set_offline(False)
        last = (await bob.data("history", conversation_id=conversation))["messages"][-1]["seq"]
        await hear_of_reading(bob, last)
    await expect(badge(tab)).to_have_count(0)


async def test_one_begins_where_one_had_stopped(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    await write(bob, conversation, *(f"old {number}." for number in range(50)))
    await ada.data("read", conversation_id=conversation)
    await write(bob, conversation, *(f"number {number}." for number in range(30)))
    tab = await tabs.open("ada", "#/")
    await expect(tab.page.locator(".row .badge")).to_have_count(1)
    await tab.page.locator(".row").click()
    await expect(bubbles(tab).first).to_be_attached()
    await expect(tab.page.locator(".unread-line")).to_be_in_viewport()
    await expect(message(tab, "number 0.")).to_be_in_viewport()
    assert (await ada.data("unread_count"))["total"] == 30


async def test_many_that_fit_the_window_are_read(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.open("ada", "#/")
    await expect(tab.page.locator(".row")).to_have_count(1)
    await write(bob, conversation, *(f"number {number}" for number in range(9)))
    await expect(badge(tab)).to_have_text(counts(9))
    await tab.page.locator(".row").click()
    await expect(bubbles(tab)).to_have_count(9)
    await expect(badge(tab)).to_have_count(0)
    await expect(tab.page.get_by_role("button", name="To the newest message")).to_be_hidden()


async def test_a_conversation_one_has_left_is_not_read(tabs: Tabs, daemon: Process) -> None:
    ada, bob, _ = await friends(daemon.url, "ada", "bob", "carl")
    with_bob = next(
        one["conversation_id"]
        for one in (await ada.data("conversations"))["conversations"]
        if (one["peer"] or {}).get("username") == "bob"
    )
    climbing = await group(ada, "Climbing", "carl")
    await write(bob, with_bob, "long ago")
    await ada.data("read", conversation_id=with_bob)
    tab = await tabs.open("ada", f"#/c/{climbing}")
    await expect(tab.page.get_by_role("heading", name="Climbing")).to_be_visible()
    with tab.cut_off():
        await tab.context.set_offline(True)
        await expect(tab.page.locator(".weather")).to_be_visible()
        await tab.page.evaluate(f"location.hash = '#/c/{with_bob}'")
        await expect(tab.page.get_by_role("heading", name="bob")).to_be_visible()
        await tab.page.evaluate(f"location.hash = '#/c/{climbing}'")
        await expect(tab.page.get_by_role("heading", name="Climbing")).to_be_visible()
        await write(bob, with_bob, "one", "two", "three")
        await tab.context.set_offline(False)
        await say(tab, "Here I am")
        await expect(tab.page.locator(".tick-sent")).to_have_count(1)
    await expect(badge(tab)).to_have_text(counts(3))
    assert (await ada.data("unread_count"))["total"] == 3


async def test_what_is_taken_back_or_deleted_does_not_count(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.open("ada", "#/")
    await expect(tab.page.locator(".row")).to_have_count(1)
    first, second, _third = await write(bob, conversation, "one", "two", "three")
    await expect(badge(tab)).to_have_text(counts(3))
    await bob.data("recall", message_id=first)
    await expect(badge(tab)).to_have_text(counts(2))
    await ada.data("delete", message_id=second)
    await expect(badge(tab)).to_have_text(counts(1))
