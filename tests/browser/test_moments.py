"""Moments: told with pictures and a place, liked, answered, taken away; of one person, alone, and many of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Locator, expect

from tests.browser.people import friends, people, upload
from tests.browser.tab import PHONE, Tab, Tabs
from tests.files import png
from tests.support import Process

EVIL = "<img src=x onerror=alert(1)>"


def moment(tab: Tab, text: str) -> Locator:
    """The card of the moment with this text."""
    return tab.page.get_by_role("article").filter(has_text=text)


def news(tab: Tab) -> Locator:
    """What the rail says of moments."""
    return tab.page.get_by_role("navigation").get_by_role("link", name="Moments")


async def post(tab: Tab, text: str) -> None:
    await tab.page.get_by_role("textbox", name="What is new?").fill(text)
    await tab.page.get_by_role("button", name="Post", exact=True).click()


async def test_ada_tells_of_the_lake_and_bob_answers(tabs: Tabs, daemon: Process, tmp_path: Path) -> None:
    await friends(daemon.url, "ada", "bob")
    ada, bob = await tabs.open("ada", "#/moments"), await tabs.open("bob")
    await expect(ada.page.get_by_role("heading", name="Nothing here yet")).to_be_visible()
    pictures = [tmp_path / f"lake-{n}.png" for n in range(3)]
    for n, picture in enumerate(pictures):
        picture.write_bytes(png(12, 9, seed=40 * n))
    await ada.page.get_by_label("Add pictures").and_(ada.page.locator("input")).set_input_files(pictures)
    await ada.page.get_by_role("button", name="Remove lake-1.png").click()
    await ada.page.get_by_role("button", name="Place", exact=True).click()
    await ada.page.get_by_label("Name of the place").fill("The jetty")
    await ada.page.get_by_label("Latitude, longitude").fill("47.36, 8.54")
    await post(ada, "At the lake, see https://example.org/lake.")
    mine = moment(ada, "At the lake")
    await expect(mine.get_by_role("button", name="Picture")).to_have_count(2)
    await expect(mine.get_by_role("link", name="https://example.org/lake")).to_have_attribute(
        "rel", "noopener noreferrer nofollow"
    )
    await expect(mine.get_by_role("link", name="The jetty")).to_have_attribute(
        "href", "https://www.openstreetmap.org/?mlat=47.36&mlon=8.54#map=15/47.36/8.54"
    )
    await expect(ada.page.get_by_role("textbox", name="What is new?")).to_have_value("")
    await mine.get_by_role("button", name="Picture 2 of 2").click()
    await expect(ada.page.get_by_role("dialog")).to_contain_text("At the lake")
    await ada.page.keyboard.press("Escape")
    await expect(mine.get_by_role("button", name="Picture 2 of 2")).to_be_focused()
    await news(ada).page.get_by_role("link", name="Chats").click()

    await news(bob).click()
    his = moment(bob, "At the lake")
    await his.get_by_role("button", name="Like").click()
    await expect(his.get_by_role("button", name="Like", exact=True)).to_have_attribute("aria-pressed", "true")
    await his.get_by_role("button", name="Comment").click()
    await bob.page.keyboard.type("How beautiful!")
    await bob.page.keyboard.press("Enter")
    await expect(his.get_by_text("How beautiful!")).to_be_visible()

    await expect(news(ada)).to_contain_text("2 new notices")
    await news(ada).click()
    told = ada.page.get_by_role("region", name="Since you last looked")
    await expect(told.get_by_role("link")).to_have_text(["bob wrote a comment", "bob likes your moment"])
    await expect(news(ada)).not_to_contain_text("new notice")
    await mine.get_by_role("button", name="1 like").click()
    await expect(ada.page.get_by_role("dialog").get_by_role("link")).to_contain_text("bob")
    await ada.page.keyboard.press("Escape")
    await mine.get_by_role("button", name="Reply to bob").click()
    await ada.page.keyboard.type("Come along next time.")
    await ada.page.keyboard.press("Enter")
    await expect(his.get_by_role("listitem").filter(has_text="Come along")).to_contain_text("ada to bob")

    await mine.get_by_role("button", name="More about this moment").click()
    await ada.page.get_by_role("menuitem", name="Delete").click()
    await ada.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(mine).to_have_count(0)
    await expect(ada.page.get_by_role("heading", name="Nothing here yet")).to_be_visible()


async def test_comments_are_few_until_all_are_wanted(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    moment_id = (await ada.data("moment_post", content="Who comes along?"))["moment_id"]
    for n in range(5):
        await bob.data("moment_comment", moment_id=moment_id, content=f"Me, {n} times")
    tab = await tabs.open("ada", "#/moments")
    card = moment(tab, "Who comes along?")
    comments = card.get_by_role("listitem")
    await expect(comments).to_have_count(3)
    await card.get_by_role("button", name="Show all 5 comments").click()
    await expect(comments).to_have_count(5)
    await bob.data("moment_comment", moment_id=moment_id, content="And once more")
    await expect(comments).to_have_count(6)
    await comments.last.get_by_role("button", name="Delete the comment of bob").click()
    await tab.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(comments).to_have_count(5)
    await expect(card.get_by_text("And once more")).to_have_count(0)


async def test_two_tabs_of_ada_agree(tabs: Tabs, daemon: Process) -> None:
    await people(daemon.url, "ada")
    first = await tabs.open("ada", "#/moments")
    second = await first.beside("#/moments")
    await post(first, "Told once")
    await expect(moment(second, "Told once")).to_have_count(1)
    await moment(second, "Told once").get_by_role("button", name="Like").click()
    await expect(moment(first, "Told once").get_by_role("button", name="1 like")).to_be_visible()
    await expect(moment(first, "Told once")).to_have_count(1)


async def test_what_was_begun_stays_while_one_looks_elsewhere(tabs: Tabs, daemon: Process) -> None:
    await people(daemon.url, "ada")
    tab = await tabs.open("ada", "#/moments")
    writing = tab.page.get_by_role("textbox", name="What is new?")
    await writing.fill("Half a thou")
    await tab.page.get_by_role("link", name="Settings").click()
    await tab.page.get_by_role("link", name="Moments").click()
    await expect(writing).to_have_value("Half a thou")
    await tab.page.get_by_role("combobox", name="Who may see it").select_option("private")
    await tab.page.get_by_role("button", name="Post", exact=True).click()
    await expect(moment(tab, "Half a thou")).to_contain_text("Only me")
    await tab.page.get_by_role("button", name="Post", exact=True).click()
    await expect(tab.page.get_by_role("alert").filter(has_text="is required")).to_be_visible()
    await expect(writing).to_be_focused()


async def test_older_moments_come_as_one_scrolls(tabs: Tabs, daemon: Process) -> None:
    ada, _ = await friends(daemon.url, "ada", "bob")
    for n in range(25):
        await ada.data("moment_post", content=f"Day {n}.\n\n\n\n\n\nIt rained.")
    tab = await tabs.open("bob", "#/moments")
    cards = tab.page.get_by_role("article")
    await expect(cards.first).to_contain_text("Day 24.")
    for n in range(24, -1, -4):
        await moment(tab, f"Day {n}.").scroll_into_view_if_needed()
    await expect(cards).to_have_count(25)
    await expect(cards.last).to_contain_text("Day 0.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_what_people_write_is_text(tabs: Tabs, daemon: Process, scheme: Literal["light", "dark"]) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    await bob.data("profile_set", nickname=EVIL)
    picture = await upload(daemon.url, bob, png(9, 9), f"{EVIL}.png")
    posted = await bob.data(
        "moment_post", content=f"{EVIL} javascript:alert(1)", images=[picture], location=f"geo:1,2 {EVIL}"
    )
    await bob.data("moment_comment", moment_id=posted["moment_id"], content=EVIL)
    await bob.data("moment_like", moment_id=posted["moment_id"])
    mine = (await ada.data("moment_post", content="Mine"))["moment_id"]
    tab = await tabs.open("ada", "#/moments", scheme=scheme)
    await bob.data("moment_comment", moment_id=mine, content=EVIL)
    await expect(moment(tab, "Mine").get_by_role("listitem")).to_contain_text(f"{EVIL} {EVIL}")  # who, and what
    card = moment(tab, "javascript:")
    await expect(card.get_by_role("heading")).to_have_text(EVIL)
    await expect(card.get_by_role("link", name=EVIL)).to_have_count(3)  # who posted, where, and who commented
    assert await tab.page.locator("img[src='x']").count() == 0
    await tab.axe()
    await card.get_by_role("button", name="1 like").click()
    await tab.axe()
    await tab.page.keyboard.press("Escape")
    await tab.go(f"#/moments/{posted['moment_id']}")
    await expect(tab.page.get_by_role("heading", name="Moment", exact=True)).to_be_visible()
    await tab.axe()
    him = (await ada.data("profile", user="bob"))["user_id"]
    await tab.go(f"#/u/{him}/moments")
    await expect(tab.page.get_by_role("heading", level=1)).to_have_text(f"Moments of {EVIL}")
    await tab.axe()


async def test_a_moment_that_is_gone_says_so(tabs: Tabs, daemon: Process) -> None:
    (ada,) = await people(daemon.url, "ada")
    moment_id = (await ada.data("moment_post", content="Not for long"))["moment_id"]
    tab = await tabs.open("ada", f"#/moments/{moment_id}", viewport=PHONE)
    await expect(moment(tab, "Not for long")).to_be_visible()
    await ada.data("moment_delete", moment_id=moment_id)
    await expect(tab.page.get_by_role("heading", name="This moment is not there")).to_be_visible()
    await tab.axe()
    await tab.page.get_by_role("button", name="Back").click()
    await expect(tab.page.get_by_role("heading", name="Nothing here yet")).to_be_visible()
    await tab.axe()
