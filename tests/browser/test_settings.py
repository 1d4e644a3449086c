"""Settings: what others see of me, how I log in, what I allow, where I am logged in, and what this browser does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import expect

from tests.browser.people import friends, people
from tests.browser.tab import PHONE, SESSION, Tabs
from tests.files import png
from tests.support import PASSWORD, Person, Process

EVIL = "<img src=x onerror=alert(1)>"
PAGES = ("profile", "account", "privacy", "devices", "notifications", "look", "about")


@pytest.mark.parametrize("viewport", [None, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_for_everybody(
    tabs: Tabs, daemon: Process, scheme: Literal["light", "dark"], viewport: object
) -> None:
    ada, _ = await friends(daemon.url, "ada", "bob")
    await ada.data("profile_set", nickname=EVIL, bio=EVIL)
    await ada.data("block", user="bob")
    await ada.data("invite_create", note=EVIL)
    options = {} if viewport is None else {"viewport": viewport}
    tab = await tabs.open("ada", "#/settings", scheme=scheme, **options)
    await expect(tab.page.get_by_role("heading", name="Settings")).to_be_visible()
    await tab.axe()
    for page in PAGES:
        await tab.go(f"#/settings/{page}")
        await tab.axe()
        assert await tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page
    assert await tab.page.locator("img[src='x']").count() == 0


async def test_ada_gives_herself_a_name_and_a_face(tabs: Tabs, daemon: Process, tmp_path: Path) -> None:
    await people(daemon.url, "ada")
    tab = await tabs.open("ada", "#/settings")
    other = await tab.beside("#/settings/profile")
    await tab.page.get_by_label("Nickname").fill("Ada L.")
    await tab.page.get_by_label("A few words").fill(EVIL)
    await other.page.get_by_label("Phone").fill("not yet saved")
    await tab.page.get_by_role("button", name="Save").click()
    await expect(other.page.get_by_label("Nickname")).to_have_value("Ada L.")
    await expect(other.page.get_by_label("A few words")).to_have_value(EVIL)
    await expect(other.page.get_by_label("Phone")).to_have_value("not yet saved")

    picture = tmp_path / "face.png"
    picture.write_bytes(png(40, 30, seed=200))
    await tab.page.locator("input[type=file]").set_input_files(picture)
    await tab.axe()
    await tab.page.get_by_role("button", name="Use this picture").click()
    await expect(tab.page.locator(".settings-face img")).to_be_attached()
    await expect(other.page.locator(".settings-face img")).to_be_attached()
    await tab.page.get_by_role("button", name="Remove").click()
    await tab.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(other.page.locator(".settings-face img")).to_have_count(0)


async def test_a_new_password_ends_what_else_there_is(tabs: Tabs, daemon: Process) -> None:
    await people(daemon.url, "ada")
    tab, phone = await tabs.open("ada", "#/settings/account"), await tabs.open("ada", viewport=PHONE)
    await tab.page.get_by_role("button", name="Change password").click()
    dialog = tab.page.get_by_role("dialog")
    await dialog.get_by_label("Old password").fill("not the old one")
    await dialog.get_by_label("New password").fill("battery staple")
    await dialog.get_by_role("button", name="Change password").click()
    await expect(dialog.get_by_role("alert")).not_to_be_empty()
    await dialog.get_by_label("Old password").fill(PASSWORD)
    await dialog.get_by_role("button", name="Change password").click()
    await expect(dialog).to_have_count(0)
    await expect(phone.page.get_by_text("This session was ended. Log in again.")).to_be_visible()
    await tab.page.get_by_role("button", name="Change email").click()
    await dialog.get_by_label("Email").fill("ada@example.org")
    await dialog.get_by_label("Your password").fill("battery staple")
    await dialog.get_by_role("button", name="Save").click()
    await expect(tab.page.get_by_text("ada@example.org")).to_be_visible()


async def test_ada_invites_and_thinks_better_of_it(tabs: Tabs, daemon: Process) -> None:
    await people(daemon.url, "ada")
    tab = await tabs.open("ada", "#/settings/account")
    await tab.page.get_by_role("button", name="Make an invite").click()
    await tab.page.get_by_label("Note").fill("for bob")
    await tab.page.get_by_role("dialog").get_by_role("button", name="Make an invite").click()
    await expect(tab.page.get_by_label("Give this to whom you invite")).not_to_have_value("")
    await tab.axe()
    await tab.page.keyboard.press("Escape")
    await tab.page.get_by_role("button", name="Revoke for bob").click()
    await tab.page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(tab.page.get_by_text("for bob")).to_have_count(0)


async def test_what_is_ada_s_can_be_taken_along(tabs: Tabs, daemon: Process) -> None:
    await people(daemon.url, "ada")
    tab = await tabs.open("ada", "#/settings/account")
    await tab.page.get_by_role("button", name="Prepare the download").click()
    async with tab.page.expect_download() as downloading:
        await tab.page.get_by_role("link", name="Download").click()
    assert (await (await downloading.value).path()).read_bytes().startswith(b"PK")


async def test_what_ada_allows(tabs: Tabs, daemon: Process) -> None:
    ada, _ = await friends(daemon.url, "ada", "bob")
    await ada.data("block", user="bob")
    tab = await tabs.open("ada", "#/settings/privacy")
    other = await tab.beside("#/settings/privacy")
    await tab.page.get_by_label("Nobody").check()
    await expect(other.page.get_by_label("Nobody")).to_be_checked()
    await tab.page.get_by_label("Read receipts").uncheck()
    await expect(other.page.get_by_label("Read receipts")).not_to_be_checked()
    settings = (await ada.data("profile"))["settings"]
    assert (settings["friend_policy"], settings["receipts"]) == ("closed", False)
    await tab.page.get_by_role("button", name="Unblock bob").click()
    await expect(other.page.get_by_text("Nobody.", exact=True)).to_be_visible()
    assert (await ada.data("blocks"))["users"] == []


async def test_a_device_is_logged_out_from_afar(tabs: Tabs, daemon: Process) -> None:
    (ada,) = await people(daemon.url, "ada")
    await ada.data("heartbeat")
    tab, phone = await tabs.open("ada", "#/settings/devices"), await tabs.open("ada", viewport=PHONE)
    mine = tab.page.get_by_role("listitem").filter(has_text="This browser")
    await expect(mine.get_by_role("button")).to_have_count(0)
    ends = tab.page.get_by_role("button", name="Log out browser")
    await expect(ends).to_have_count(1)
    await ends.click()
    await tab.page.get_by_role("dialog").get_by_role("button", name="Log out").click()
    await expect(phone.page.get_by_text("This session was ended. Log in again.")).to_be_visible()
    await expect(ends).to_have_count(0)
    await tab.page.get_by_role("button", name="Log out everywhere else").click()
    await tab.page.get_by_role("dialog").get_by_role("button", name="Log out everywhere else").click()
    await expect(tab.page.get_by_role("button", name="Log out everywhere else")).to_be_hidden()
    async with asyncio.timeout(10):
        await ada.socket.wait_closed()


async def test_another_language_and_the_dark(tabs: Tabs, daemon: Process) -> None:
    (ada,) = await people(daemon.url, "ada")
    tab = await tabs.open("ada", "#/settings/look")
    await tab.page.get_by_label("Dark").check()
    assert await tab.page.evaluate("document.documentElement.dataset.theme") == "dark"
    await tab.axe()
    async with tab.page.expect_navigation():
        await tab.page.get_by_label("Language of this page").select_option("zh")
    await expect(tab.page.get_by_role("heading", name="设置")).to_be_visible()
    assert await tab.page.evaluate("document.documentElement.lang") == "zh"
    assert (await ada.data("profile"))["settings"]["lang"] == "zh"
    for page in PAGES:  # every word is there
        await tab.go(f"#/settings/{page}")
    for route in ("moments", "search?q=a"):
        await tab.go(f"#/{route}")
    await tab.axe()


async def test_what_this_browser_tells(tabs: Tabs, daemon: Process) -> None:
    await people(daemon.url, "ada")
    tab = await tabs.open("ada", "#/settings/notifications", permissions=["notifications"])
    await tab.page.get_by_label("Notifications").check()
    await tab.page.get_by_label("Sound").uncheck()
    await tab.go("#/settings/notifications")
    await expect(tab.page.get_by_label("Notifications")).to_be_checked()
    await expect(tab.page.get_by_label("Sound")).not_to_be_checked()


async def test_ada_logs_out(tabs: Tabs, daemon: Process) -> None:
    await people(daemon.url, "ada")
    tab = await tabs.open("ada", "#/settings", viewport=PHONE)
    await tab.page.get_by_role("link", name="About").click()
    await tab.page.get_by_role("button", name="All settings").click()
    token = await tab.page.evaluate(f"JSON.parse(localStorage.getItem('{SESSION}')).token")
    await tab.page.get_by_role("button", name="Log out").click()
    await tab.page.get_by_role("dialog").get_by_role("button", name="Log out").click()
    await expect(tab.page.get_by_role("tab", name="Log in")).to_be_visible()
    assert await tab.page.evaluate(f"localStorage.getItem('{SESSION}')") is None
    assert await (await Person.at(daemon.url)).error("auth", token=token) == "bad_token"


async def test_ada_is_gone_for_good(tabs: Tabs, daemon: Process) -> None:
    await people(daemon.url, "ada")
    tab = await tabs.open("ada", "#/settings/account")
    await tab.page.get_by_role("button", name="Delete account").click()
    dialog = tab.page.get_by_role("dialog")
    await dialog.get_by_label("Your password").fill(PASSWORD)
    await dialog.get_by_label("I understand").check()
    await tab.axe()
    await dialog.get_by_role("button", name="Delete account").click()
    await expect(tab.page.get_by_text("Your account is deleted.")).to_be_visible()
    await expect(tab.page.get_by_role("tab", name="Log in")).to_be_visible()
    guest = await Person.at(daemon.url)
    assert await guest.error("login", username="ada", password=PASSWORD) == "bad_credentials"
