"""An evening of two people in front of the page, from signing up to logging out; the daemon falls over in between."""

from __future__ import annotations

import re

from playwright.async_api import FilePayload, Page, expect

from tests.browser.tab import PHONE, Tab, Tabs
from tests.files import png
from tests.support import Process


async def sign_up(page: Page, name: str) -> None:
    await page.get_by_role("tab", name="Sign up").click()
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_role("heading", name="Chats")).to_be_visible()


async def go(page: Page, part: str) -> None:
    await page.get_by_role("navigation", name="Where to").get_by_role("link", name=part).click()


async def say(page: Page, text: str) -> None:
    await page.get_by_role("textbox", name="Write a message").fill(text)
    await page.keyboard.press("Enter")


async def become_friends(ada: Page, bob: Page) -> None:
    await go(ada, "Friends")
    await ada.get_by_role("searchbox", name="Find people and groups").fill("bob")
    await ada.get_by_role("button", name="Add bob as a friend").click()
    await ada.get_by_role("button", name="Ask", exact=True).click()
    await go(bob, "Friends")
    await bob.get_by_role("button", name="Accept ada").click()
    await go(bob, "Chats")
    await bob.get_by_role("link", name="ada").click()
    await go(ada, "Chats")
    await ada.get_by_role("link", name="bob").click()


async def chat(ada: Page, bob: Page) -> None:
    await say(ada, "Good evening!")
    await expect(bob.locator(".message")).to_contain_text(["Good evening!"])
    await bob.get_by_role("button", name="Add something").click()
    async with bob.expect_file_chooser() as choosing:
        await bob.get_by_role("menuitem", name="Picture or video").click()
    await (await choosing.value).set_files(FilePayload(name="sea.png", mimeType="image/png", buffer=png(640, 480)))
    await ada.get_by_role("button", name="Picture from bob, open").click()
    await expect(ada.get_by_role("dialog", name="Picture")).to_be_visible()
    await ada.keyboard.press("Escape")
    await expect(bob.locator(".mine .tick-read")).to_have_count(1)


async def fall_over(daemon: Process, at_home: Tab, on_the_way: Tab) -> None:
    """What is written meanwhile arrives, once."""
    ada, bob = at_home.page, on_the_way.page
    with at_home.cut_off(), on_the_way.cut_off():
        await daemon.kill()
        await say(ada, "Can you hear me?")
        await say(bob, "Did you like it?")
        await expect(ada.locator(".tick-sending")).to_have_count(1)
        await daemon.start()
        for page in (ada, bob):
            await expect(page.locator(".message", has_text="Can you hear me?")).to_have_count(1)
            await expect(page.locator(".message", has_text="Did you like it?")).to_have_count(1)
            await expect(page.locator(".tick-sending")).to_have_count(0)
            await expect(page.locator(".weather")).to_be_hidden()


async def take_back(ada: Page, bob: Page) -> None:
    mistake = ada.locator(".message", has_text="Can you hear me?")
    await mistake.hover()
    await mistake.get_by_role("button", name="What to do with this message").click()
    await ada.get_by_role("menuitem", name="Take back").click()
    await ada.get_by_role("dialog").get_by_role("button", name="Take back").click()
    for page in (ada, bob):
        await expect(page.get_by_text("Can you hear me?")).to_have_count(0)


async def make_a_group(ada: Page, bob: Page) -> None:
    await ada.get_by_role("button", name="New", exact=True).click()
    await ada.get_by_role("menuitem", name="New group").click()
    making = ada.get_by_role("dialog")
    await making.get_by_label("Name of the group").fill("Climbing")
    await making.get_by_role("checkbox", name=re.compile("bob")).check()
    await making.get_by_role("button", name="Create group").click()
    await expect(ada.get_by_role("heading", name="Climbing")).to_be_visible()
    await say(ada, "On Sunday, @bob?")
    await bob.get_by_role("button", name="Back").click()
    await bob.get_by_role("link", name="Climbing").click()
    await expect(bob.locator(".mention")).to_have_text("@bob")
    await say(bob, "At ten.")
    await expect(ada.locator(".message", has_text="At ten.").locator(".author")).to_have_text("bob")


async def post_a_moment(ada: Page, bob: Page) -> None:
    await go(ada, "Moments")
    await ada.get_by_role("textbox", name="What is new?").fill("Packed for Sunday")
    await ada.get_by_role("button", name="Post", exact=True).click()
    await bob.get_by_role("button", name="Back").click()
    await go(bob, "Moments")
    packed = bob.get_by_role("article").filter(has_text="Packed for Sunday")
    await packed.get_by_role("button", name="Like").click()
    await expect(ada.get_by_role("article").get_by_role("button", name="1 like")).to_be_visible()


async def log_out(ada: Page, bob: Page) -> None:
    await go(bob, "Settings")
    await bob.get_by_role("button", name="Log out").click()
    confirm = bob.get_by_role("dialog").get_by_role("button", name="Log out")
    await confirm.or_(bob.get_by_role("tab", name="Log in")).first.wait_for()
    if await confirm.is_visible():
        await confirm.click()
    await expect(bob.get_by_role("tab", name="Log in")).to_be_visible()
    assert await bob.evaluate("localStorage.getItem('chatd.session')") is None
    await go(ada, "Chats")
    await expect(ada.get_by_role("link", name=re.compile("^bob"))).to_be_visible()


async def test_an_evening(tabs: Tabs, daemon: Process) -> None:
    at_home, on_the_way = await tabs.open(), await tabs.open(viewport=PHONE)
    ada, bob = at_home.page, on_the_way.page
    await sign_up(ada, "ada")
    await sign_up(bob, "bob")
    await become_friends(ada, bob)
    await chat(ada, bob)
    await fall_over(daemon, at_home, on_the_way)
    await take_back(ada, bob)
    await make_a_group(ada, bob)
    await post_a_moment(ada, bob)
    await log_out(ada, bob)
