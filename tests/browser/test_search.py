"""Search: hits that are marked and lead to the message, filters, names, and an address that keeps it all."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.async_api import Locator, expect

from tests.browser.people import friends, group, write
from tests.browser.tab import PHONE, Tab, Tabs
from tests.support import Person, Process

EVIL = "<img src=x onerror=alert(1)>"


async def with_bob(ada: Person) -> int:
    """The conversation with the one friend."""
    conversation_id: int = (await ada.data("friends"))["friends"][0]["conversation_id"]
    return conversation_id


def hits(tab: Tab) -> Locator:
    return tab.page.get_by_role("list", name="Messages found").get_by_role("link")


async def test_ada_looks_for_what_bob_said(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    direct = await with_bob(ada)
    club = await group(ada, "Climbing club", "bob")
    await write(bob, direct, "The rope is in the cellar", "Nothing else")
    await write(ada, direct, "Which rope?")
    await write(bob, club, "Bring ropes, all of you")
    tab = await tabs.open("ada", "#/search")
    box = tab.page.get_by_role("searchbox")
    await expect(box).to_be_focused()
    await box.fill("rope")
    await expect(hits(tab)).to_have_count(3)
    await expect(tab.page.get_by_role("status").filter(has_text="3 messages")).to_be_visible()
    await expect(hits(tab).first).to_contain_text("Climbing club")
    await expect(hits(tab).first.locator("mark")).to_have_text("rope")
    await expect(hits(tab).nth(1)).to_contain_text("You: Which rope?")

    await tab.page.get_by_text("Filters", exact=True).click()
    await tab.page.get_by_label("From").fill("bob")
    await expect(hits(tab)).to_have_count(2)
    await tab.page.get_by_label("Conversation", exact=True).select_option("bob")
    await expect(hits(tab)).to_have_count(1)
    await tab.page.get_by_label("Until").fill("2020-01-01")
    await expect(tab.page.get_by_text("No message has these words.")).to_be_visible()
    await tab.page.get_by_label("Until").fill("")
    await tab.page.get_by_label("From").fill("nobody-at-all")
    await expect(tab.page.get_by_text("Nobody is called nobody-at-all.")).to_be_visible()
    await tab.page.get_by_role("button", name="No filters").click()
    await expect(hits(tab)).to_have_count(3)

    await box.focus()
    await tab.page.keyboard.press("ArrowDown")
    await tab.page.keyboard.press("ArrowDown")
    await tab.page.keyboard.press("Enter")
    await expect(hits(tab).nth(1)).to_have_attribute("aria-current", "true")
    assert tab.page.url.endswith(f"#/c/{direct}/{(await ada.data('search', q='which'))['messages'][0]['seq']}?q=rope")


async def test_going_back_shows_the_search_again(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    direct = await with_bob(ada)
    await write(bob, direct, "One lake", "Two lakes")
    tab = await tabs.open("ada", f"#/search?q=lake&in={direct}&from=bob", viewport=PHONE)
    await expect(hits(tab)).to_have_count(2)
    await expect(tab.page.get_by_label("From")).to_have_value("bob")
    await hits(tab).first.click()
    await expect(hits(tab).first).not_to_be_visible()
    await tab.page.go_back()
    await expect(hits(tab)).to_have_count(2)
    await expect(tab.page.get_by_role("searchbox")).to_have_value("lake")


async def test_older_hits_come_as_one_scrolls(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    await write(bob, await with_bob(ada), *(f"Word number {n}" for n in range(45)))
    tab = await tabs.open("ada", "#/search?q=word")
    await expect(hits(tab).first).to_contain_text("number 44")
    await hits(tab).last.scroll_into_view_if_needed()
    await expect(hits(tab).nth(39)).to_be_attached()
    await hits(tab).last.scroll_into_view_if_needed()
    await expect(hits(tab)).to_have_count(45)


async def test_what_is_typed_last_is_what_is_found(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    await write(bob, await with_bob(ada), "apples", "apricots")
    tab = await tabs.open("ada", "#/search")
    await tab.page.get_by_role("searchbox").press_sequentially("apricots", delay=5)
    await expect(hits(tab)).to_have_count(1)
    assert tab.page.url.endswith("#/search?q=apricots")
    await tab.page.keyboard.press("Escape")
    await expect(hits(tab)).to_have_count(0)
    assert tab.page.url.endswith("#/search")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_names_and_texts_are_text(tabs: Tabs, daemon: Process, scheme: Literal["light", "dark"]) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    await bob.data("profile_set", nickname=EVIL)
    await group(ada, f"Club {EVIL}", "bob")
    await write(bob, await with_bob(ada), f"img {EVIL}")
    tab = await tabs.open("ada", scheme=scheme)
    await expect(tab.page.get_by_text(EVIL, exact=True).first).to_be_visible()
    await tab.go("#/search")
    await tab.axe()
    await tab.page.get_by_role("searchbox").fill("img")
    await expect(hits(tab)).to_have_count(1)
    await expect(hits(tab)).to_contain_text(f"img {EVIL}")
    names = tab.page.get_by_role("list", name="People and conversations").get_by_role("link")
    await expect(names).to_have_count(2)
    await expect(names.first).to_contain_text(EVIL)
    assert await tab.page.locator("img[src='x']").count() == 0
    await tab.page.get_by_text("Filters", exact=True).click()
    await tab.axe()
