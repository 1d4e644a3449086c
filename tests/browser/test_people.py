"""People find each other, become friends and part; groups are made, joined, governed and left. Through two windows."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.async_api import Dialog, Locator, Page, ViewportSize, expect

from tests.browser.people import friends, group, people
from tests.browser.tab import DESKTOP, PHONE, Tab, Tabs
from tests.files import png
from tests.support import PASSWORD, Person, Process, befriend

EVIL = "<img src=x onerror=alert(1)>"
TEN_MINUTES = 10 * 60_000


async def _id(person: Person) -> int:
    user_id: int = (await person.data("profile"))["user_id"]
    return user_id


def _row(page: Page, href: str) -> Locator:
    return page.locator(f"a.row[href='{href}']")


async def _choose(page: Page, opener: str, item: str) -> None:
    """Open a menu by the name of its button, and take something from it."""
    await page.get_by_role("button", name=opener, exact=True).click()
    await page.get_by_role("menuitem", name=item, exact=True).click()


async def _search(page: Page, text: str) -> None:
    await page.get_by_role("searchbox", name="Find people and groups").fill(text)


async def _sure(page: Page, yes: str) -> None:
    await page.get_by_role("dialog").get_by_role("button", name=yes, exact=True).click()


def _switch(page: Page, name: str) -> Locator:
    return page.get_by_role("switch", name=name, exact=True)


# Friends


async def test_two_become_friends(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await people(daemon.url, "ada", "bob")
    hers, his = await tabs.open("ada", "#/friends"), await tabs.open("bob", "#/friends")
    await expect(hers.page.get_by_role("heading", name="Nobody here yet")).to_be_visible()

    await _search(hers.page, "@BO")
    await hers.page.get_by_role("button", name="Add bob as a friend").click()
    await hers.page.get_by_label("A few words").fill("It is ada, from the hall.")
    await hers.page.get_by_role("button", name="Ask", exact=True).click()
    await expect(hers.page.get_by_text("bob is asked.")).to_be_visible()
    await expect(hers.page.get_by_text("Asked", exact=True)).to_be_visible()

    await expect(his.page.get_by_text("It is ada, from the hall.")).to_be_visible()
    await expect(his.page.get_by_role("link", name=re.compile("Friends.*1 friend request"))).to_be_visible()
    await his.page.get_by_role("button", name="Accept ada").click()
    await expect(his.page.get_by_role("heading", name="Online")).to_be_visible()
    await expect(_row(his.page, f"#/u/{await _id(ada)}")).to_contain_text("Online")
    await expect(his.page.get_by_role("button", name="Accept ada")).to_be_hidden()

    await _search(hers.page, "")
    await _row(hers.page, f"#/u/{await _id(bob)}").click()
    await expect(hers.page.get_by_role("heading", level=1, name="bob")).to_be_visible()
    await hers.page.get_by_role("link", name="Message").click()
    await expect(hers.page).to_have_url(re.compile(r"#/c/\d+$"))


async def test_a_request_is_withdrawn_and_another_rejected(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await people(daemon.url, "ada", "bob")
    hers, his = await tabs.open("ada", f"#/u/{await _id(bob)}"), await tabs.open("bob", "#/friends")
    await hers.page.get_by_role("button", name="Add friend").click()
    await hers.page.keyboard.press("Control+Enter")  # no way to send, and no harm
    await hers.page.get_by_role("button", name="Ask", exact=True).click()
    await expect(his.page.get_by_role("button", name="Accept ada")).to_be_visible()
    await hers.page.get_by_role("button", name="Withdraw request").click()
    await expect(his.page.get_by_role("button", name="Accept ada")).to_be_hidden()
    await expect(hers.page.get_by_role("button", name="Add friend")).to_be_visible()

    await bob.data("friend_request", to_user="ada", note="Sorry, I was away.")
    await expect(hers.page.locator(".stage").get_by_text("Sorry, I was away.")).to_be_visible()
    await hers.page.locator(".stage").get_by_role("button", name="Reject").click()
    await expect(his.page.get_by_role("heading", name="Waiting for an answer")).to_be_hidden()
    await expect(hers.page.get_by_role("button", name="Add friend")).to_be_visible()
    assert (await ada.data("friends"))["friends"] == []


async def test_a_remark_and_an_end(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    await bob.data("profile_set", nickname="Bob Bauer", bio="Bread.\nhttps://example.org/bread.")
    hers = await tabs.open("ada", f"#/u/{await _id(bob)}")
    page = hers.page
    await expect(page.get_by_role("heading", level=1, name="Bob Bauer")).to_be_visible()
    await expect(page.get_by_role("link", name="https://example.org/bread", exact=True)).to_be_visible()
    await _choose(page, "More", "Name only you see")
    await page.keyboard.type("Bobby")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1, name="Bobby")).to_be_visible()
    await expect(page.get_by_text("@bob · Bob Bauer")).to_be_visible()

    await _choose(page, "More", "Remove friend")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(page.get_by_role("button", name="Add friend")).to_be_hidden()
    await _choose(page, "More", "Remove friend")
    await _sure(page, "Remove friend")
    await expect(page.get_by_role("button", name="Add friend")).to_be_visible()
    await expect(page.get_by_role("link", name="Message")).to_be_visible()  # to what was said

    await _choose(page, "More", "Block")
    await _sure(page, "Block")
    await expect(page.get_by_text("You have blocked")).to_be_visible()
    assert [one["username"] for one in (await ada.data("blocks"))["users"]] == ["bob"]
    await page.locator(".stage").get_by_role("button", name="Unblock").click()
    await _sure(page, "Unblock")
    await expect(page.get_by_text("You have blocked")).to_be_hidden()


async def test_nobody_is_there(tabs: Tabs, daemon: Process) -> None:
    await people(daemon.url, "ada")
    tab = await tabs.open("ada", "#/u/999")
    await expect(tab.page.get_by_role("heading", name="Nobody is here")).to_be_visible()
    await tab.go("#/g/999")
    await expect(tab.page.get_by_role("heading", name="No such group")).to_be_visible()
    await tab.go("#/u/nonsense")
    await expect(tab.page.get_by_role("heading", name="Nobody is here")).to_be_visible()
    await tab.go("#/friends")
    await _search(tab.page, "zz")
    await expect(tab.page.get_by_text("Nothing is called that.")).to_be_visible()


async def test_by_keyboard_alone(tabs: Tabs, daemon: Process) -> None:
    """From the search to the rows and back; the focus stays where it was while others come and go."""
    _, bob, carl = await friends(daemon.url, "ada", "bob", "carl")
    tab = await tabs.open("ada", "#/friends")
    page = tab.page
    search = page.get_by_role("searchbox")
    await expect(_row(page, f"#/u/{await _id(bob)}")).to_contain_text("Online")
    await search.focus()
    await page.keyboard.press("ArrowDown")
    await expect(_row(page, f"#/u/{await _id(bob)}")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(_row(page, f"#/u/{await _id(carl)}")).to_be_focused()
    await carl.data("presence_set", status="away", text="lunch")
    await expect(_row(page, f"#/u/{await _id(carl)}")).to_contain_text("Away · lunch")
    await expect(_row(page, f"#/u/{await _id(carl)}")).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("ArrowUp")
    await expect(search).to_be_focused()
    await page.keyboard.type("car")
    await expect(page.get_by_text("1 found.")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1, name="carl")).to_be_visible()
    await search.focus()
    await page.keyboard.press("Escape")
    await expect(search).to_have_value("")


# Presence


async def test_what_others_see_is_kept(tabs: Tabs, daemon: Process) -> None:
    ada, _ = await friends(daemon.url, "ada", "bob")
    own = f"#/u/{await _id(ada)}"
    hers, his = await tabs.open("ada", own), await tabs.open("bob", "#/friends")
    row = _row(his.page, own)
    await ada.close()
    await hers.page.get_by_role("radio", name="Do not disturb").check()
    await expect(row).to_contain_text("Do not disturb")
    await hers.page.get_by_label("A few words beside it").fill("writing")
    await hers.page.keyboard.press("Enter")
    await expect(row).to_contain_text("Do not disturb · writing")
    await hers.page.reload()
    await hers.ready()
    await expect(hers.page.get_by_role("radio", name="Do not disturb")).to_be_checked()
    await expect(row).to_contain_text("Do not disturb · writing")
    await hers.page.get_by_role("radio", name="Invisible").check()
    await expect(his.page.get_by_role("heading", name="Not here now")).to_be_visible()
    await expect(row).to_contain_text("Last seen")


async def test_who_does_nothing_is_away(tabs: Tabs, daemon: Process) -> None:
    ada, _ = await friends(daemon.url, "ada", "bob")
    his = await tabs.open("bob", f"#/u/{await _id(ada)}")
    hers = await tabs.blank("ada")
    await hers.page.clock.install()
    await hers.go()
    await ada.close()
    seen = his.page.locator(".presence")
    await expect(seen).to_have_text("Online")
    await hers.page.clock.fast_forward(TEN_MINUTES + 1000)
    await expect(seen).to_have_text("Away")
    await hers.page.mouse.move(200, 200)
    await expect(seen).to_have_text("Online")


# Groups


async def test_a_group_is_made_and_governed(tabs: Tabs, daemon: Process) -> None:
    ada, bob, carl = await friends(daemon.url, "ada", "bob", "carl")
    hers, his = await tabs.open("ada"), await tabs.open("bob")
    page = hers.page
    await _choose(page, "New", "New group")
    await page.get_by_label("Name of the group").fill("Climbing")
    await page.get_by_role("searchbox", name="Find somebody").fill("bo")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Without bob")).to_be_visible()
    await page.get_by_text("Notice, and how others join").click()
    await page.get_by_label("Notice", exact=True).fill("Sundays at nine.")
    await page.get_by_role("radio", name="On request").check()
    await page.get_by_role("button", name="Create group").click()
    await expect(page).to_have_url(re.compile(r"#/c/\d+$"))
    conversation_id = int(page.url.rpartition("/")[2])
    await expect(_row(his.page, f"#/c/{conversation_id}")).to_contain_text("Climbing")

    await hers.go(f"#/g/{conversation_id}")
    await his.go(f"#/g/{conversation_id}")
    await expect(his.page.get_by_text("Sundays at nine.")).to_be_visible()
    await expect(his.page.get_by_text("2 members · you are in it")).to_be_visible()
    await expect(his.page.get_by_role("button", name="Add members")).to_be_hidden()

    await page.get_by_role("button", name="Add members").click()
    await page.get_by_role("dialog").get_by_role("checkbox", name="carl").check()
    await _sure(page, "Add")
    await expect(his.page.get_by_text("3 members")).to_be_visible()

    await _choose(page, "What to do with bob", "Make admin")
    await expect(his.page.get_by_role("button", name="Add members")).to_be_visible()
    await _choose(his.page, "More", "Rename group")
    await his.page.keyboard.type("Ropes")
    await his.page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1, name="Ropes")).to_be_visible()

    await _choose(his.page, "What to do with carl", "Mute for an hour")
    await expect(page.get_by_text("Muted until")).to_be_visible()
    assert await carl.error("send", conversation_id=conversation_id, content="?") == "muted"
    await _choose(page, "What to do with carl", "Let write again")
    await expect(his.page.get_by_text("Muted until")).to_be_hidden()
    await _choose(page, "What to do with carl", "Remove from group")
    await _sure(page, "Remove from group")
    await expect(his.page.get_by_text("2 members")).to_be_visible()

    await _choose(page, "What to do with bob", "Hand over the group")
    await _sure(page, "Hand over the group")
    await expect(page.get_by_text("you are an admin")).to_be_visible()
    await _choose(his.page, "More", "Dissolve group")
    await _sure(his.page, "Dissolve group")
    await expect(page.get_by_text("You are not in this group any more.")).to_be_visible()
    await expect(page.get_by_role("heading", level=1, name="Ropes")).to_be_visible()
    assert await ada.error("group_get", conversation_id=conversation_id) == "not_found"
    assert await bob.error("send", conversation_id=conversation_id, content="?") is not None


async def test_my_settings_of_a_group_and_leaving(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation_id = await group(ada, "Climbing", "bob")
    hers, his = await tabs.open("ada", f"#/g/{conversation_id}"), await tabs.open("bob", f"#/g/{conversation_id}")
    second = await his.beside(f"#/g/{conversation_id}")
    await _switch(his.page, "Mute").check()
    await _switch(his.page, "Keep on top").check()
    await expect(_switch(second.page, "Mute")).to_be_checked()
    await expect(_switch(second.page, "Keep on top")).to_be_checked()
    mine = {one["conversation_id"]: one for one in (await bob.data("conversations"))["conversations"]}
    assert mine[conversation_id]["silent"]
    assert mine[conversation_id]["pinned"]

    await his.page.get_by_role("button", name="Leave group").click()
    await _sure(his.page, "Leave group")
    await expect(his.page.get_by_text("You are not in this group any more.")).to_be_visible()
    await expect(his.page.get_by_role("heading", name="Members")).to_be_hidden()
    await expect(hers.page.get_by_text("1 member ·")).to_be_visible()
    await his.page.get_by_role("link", name="Open chat").click()
    await expect(his.page).to_have_url(re.compile(f"#/c/{conversation_id}$"))


async def test_a_group_has_a_picture(tabs: Tabs, daemon: Process) -> None:
    ada, _ = await friends(daemon.url, "ada", "bob")
    conversation_id = await group(ada, "Climbing", "bob")
    hers, his = await tabs.open("ada", f"#/g/{conversation_id}"), await tabs.open("bob", f"#/g/{conversation_id}")
    async with hers.page.expect_file_chooser() as choosing:
        await hers.page.get_by_role("button", name="Picture of the group").click()
    await (await choosing.value).set_files({"name": "rock.png", "mimeType": "image/png", "buffer": png(64, 64)})
    await expect(his.page.locator(".stage .avatar-large img")).to_be_visible()
    await hers.page.get_by_role("button", name="Picture of the group").click()
    await hers.page.get_by_role("menuitem", name="Remove the picture").click()
    await expect(his.page.locator(".stage .avatar-large img")).to_have_count(0)


async def test_a_link_leads_in_who_has_no_account_yet(tabs: Tabs, daemon: Process) -> None:
    (ada,) = await people(daemon.url, "ada")
    conversation_id = await group(ada, "Climbing")
    link = await ada.data("group_link", conversation_id=conversation_id)
    page = (await tabs.open(None, f"#/join/{link['token']}")).page
    await page.get_by_role("tab", name="Sign up").click()
    await page.get_by_label("Username").fill("dora")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign up").click()
    await page.get_by_role("button", name="Join the group").click()
    await expect(page).to_have_url(re.compile(f"#/c/{conversation_id}$"))


async def test_a_link_lets_in_as_long_as_it_is_good(tabs: Tabs, daemon: Process) -> None:
    ada, _, _ = await people(daemon.url, "ada", "bob", "carl")
    conversation_id = await group(ada, "Climbing")
    hers = await tabs.open("ada", f"#/g/{conversation_id}")
    await hers.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await hers.page.get_by_role("button", name="New link").click()
    await hers.page.get_by_label("May be used").select_option("once")
    await hers.page.get_by_role("button", name="Make and copy").click()
    await expect(hers.page.get_by_text("The link is copied.")).to_be_visible()
    link = await hers.page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{tabs.site}/#/join/")
    route = link.removeprefix(f"{tabs.site}/")

    his = await tabs.open("bob", route)
    await expect(his.page.get_by_role("heading", name="Climbing")).to_be_visible()
    await expect(his.page.get_by_text("1 member", exact=True)).to_be_visible()
    await his.page.get_by_role("button", name="Join the group").click()
    await expect(his.page).to_have_url(re.compile(f"#/c/{conversation_id}$"))
    await expect(hers.page.get_by_text("2 members")).to_be_visible()

    carls = await tabs.open("carl", route)
    await expect(carls.page.get_by_role("alert")).to_contain_text("no longer good")
    await expect(carls.page.get_by_role("link", name="To the chats")).to_be_focused()

    await hers.page.get_by_role("button", name="New link").click()
    await hers.page.get_by_role("button", name="Make and copy").click()
    await expect(hers.page.locator(".links").get_by_text("any number of times")).to_be_visible()
    again = await hers.page.evaluate("navigator.clipboard.readText()")
    await his.go(again.removeprefix(f"{tabs.site}/"))
    await expect(his.page.get_by_role("alert")).to_contain_text("in this group already")
    await hers.page.get_by_role("button", name="Revoke link").click()
    await _sure(hers.page, "Revoke link")
    await expect(hers.page.get_by_text("There is none. Who has a link comes in at once.")).to_be_visible()
    assert await ada.data("group_links", conversation_id=conversation_id) == {"links": []}


async def test_a_group_is_found_and_asked(tabs: Tabs, daemon: Process) -> None:
    ada, _ = await people(daemon.url, "ada", "bob")
    conversation_id = await group(ada, "Climbing")
    hers, his = await tabs.open("ada", f"#/g/{conversation_id}"), await tabs.open("bob", "#/friends")
    await hers.page.get_by_role("radio", name="On request").check()
    await _search(his.page, "climb")
    await expect(his.page.get_by_text("Ask to join", exact=True)).to_be_visible()
    await his.page.get_by_role("button", name="Ask to join Climbing").click()
    await his.page.get_by_label("A few words to the admins").fill("I have a rope.")
    await _sure(his.page, "Ask to join")
    await expect(his.page.get_by_text("Asked", exact=True)).to_be_visible()
    await his.page.reload()
    await _search(his.page, "climb")
    await expect(his.page.get_by_text("Asked", exact=True)).to_be_visible()
    await expect(hers.page.get_by_text("I have a rope.")).to_be_visible()
    await hers.page.get_by_role("button", name="Let in bob").click()
    await expect(hers.page.get_by_text("I have a rope.")).to_be_hidden()
    await expect(hers.page.get_by_text("2 members")).to_be_visible()
    await expect(his.page.get_by_role("link", name="Open Climbing")).to_be_visible()

    await hers.page.get_by_role("radio", name="Open", exact=True).check()
    await his.page.get_by_role("link", name="Open Climbing").click()
    await his.go(f"#/g/{conversation_id}")
    await his.page.get_by_role("button", name="Leave group").click()
    await _sure(his.page, "Leave group")
    await his.page.get_by_role("button", name="Join", exact=True).click()
    await expect(his.page).to_have_url(re.compile(f"#/c/{conversation_id}$"))


async def test_many_members_come_in_pages(tabs: Tabs, daemon: Process) -> None:
    ada, *others = await people(daemon.url, "ada", *(f"member{number:03}" for number in range(110)))
    made = await ada.data("group_create", title="Many", joining="open")
    for other in others:
        await other.data("group_join", conversation_id=made["conversation_id"])
    tab = await tabs.open("ada", f"#/g/{made['conversation_id']}")
    members = tab.page.locator(".members li")
    await expect(members).to_have_count(100)
    await tab.page.get_by_role("button", name="Show more").click()
    await expect(members).to_have_count(111)
    await expect(tab.page.get_by_role("button", name="Show more")).to_be_hidden()
    await tab.go(f"#/g/{made['conversation_id']}")
    await tab.page.get_by_role("searchbox", name="Find a member").fill("109")
    await expect(members).to_have_count(1)


# Choosing


async def test_whom_one_means_is_asked(tabs: Tabs, daemon: Process) -> None:
    """As the composer does for a contact, and a message for where it goes."""
    ada, _, _ = await friends(daemon.url, "ada", "bob", "carl")
    conversation_id = await group(ada, "Climbing", "bob")
    tab = await tabs.open("ada")
    page = tab.page
    ask = """async ([what, options]) => {
        const { Model } = await import('/web/app/model.js')
        const picker = await import('/web/app/people_picker.js')
        const { user_id } = JSON.parse(localStorage.getItem('chatd.session'))
        const { Cache } = await import('/web/app/cache.js')
        const cache = await Cache.open(user_id)
        const model = new Model({ me: { user_id }, cache })
        await model.restore()
        const { Rules } = await import('/web/app/rules.js')
        globalThis.picked = picker[what]({ model, rules: new Rules(cache) }, options)
    }"""
    await expect(_row(page, f"#/c/{conversation_id}")).to_be_visible()
    await tab.go("#/friends")
    await expect(page.get_by_role("link", name="carl")).to_be_visible()  # it is known who is a friend
    await page.evaluate(ask, ["pickTargets", {"title": "Where to?"}])
    dialog = page.get_by_role("dialog", name="Where to?")
    await expect(dialog.get_by_role("listitem")).to_have_count(4)  # the notes, too
    await tab.axe()
    await dialog.get_by_role("searchbox").fill("climb")
    await expect(dialog.get_by_role("listitem")).to_have_count(1)
    await page.keyboard.press("Enter")
    assert await page.evaluate("picked") == {"conversation_id": conversation_id}

    await page.evaluate(ask, ["pickPeople", {"title": "Whom?", "most": 1}])
    dialog = page.get_by_role("dialog", name="Whom?")
    await dialog.get_by_role("checkbox", name="bob").check()
    await dialog.get_by_role("checkbox", name="carl").check()
    await expect(dialog.get_by_role("checkbox", name="bob")).not_to_be_checked()
    await dialog.get_by_role("button", name="Without carl").click()
    await expect(dialog.get_by_role("button", name="OK")).to_be_disabled()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Space")
    await tab.axe()
    await dialog.get_by_role("button", name="OK").click()
    assert [one["username"] for one in await page.evaluate("picked")] == ["bob"]

    await page.evaluate(ask, ["pickPeople", {"title": "Whom?"}])
    await page.keyboard.press("Escape")
    assert await page.evaluate("picked") is None


# What others write


async def test_what_people_write_is_text(tabs: Tabs, daemon: Process) -> None:
    ada, bob, carl = await people(daemon.url, "ada", "bob", "carl")
    for person in (bob, carl):
        await person.data("profile_set", nickname=EVIL, bio=EVIL)
    await befriend(ada, bob, username="bob")
    await bob.data("presence_set", status="away", text=EVIL)
    await ada.data("friend_remark", user="bob", remark=EVIL)
    made = await bob.data("group_create", title=EVIL, notice=EVIL, joining="approve", members=["ada"])
    conversation_id = made["conversation_id"]
    await bob.data("group_role", conversation_id=conversation_id, user="ada", role="admin")
    await carl.data("group_join", conversation_id=conversation_id, note=EVIL)
    await carl.data("friend_request", to_user="ada", note=EVIL)
    tab = await tabs.open("ada")

    async def opened(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        await dialog.dismiss()

    dialogs: list[str] = []
    tab.page.on("dialog", opened)
    for route, most in (
        ("#/friends", 4),
        (f"#/u/{await _id(bob)}", 7),
        (f"#/u/{await _id(carl)}", 7),
        (f"#/g/{conversation_id}", 5),
    ):
        await tab.go(route)
        shown = tab.page.get_by_text(EVIL)
        await expect(shown.nth(most - 1)).to_be_attached()
        await expect(tab.page.locator("[onerror], img[src='x']")).to_have_count(0)
    await tab.go("#/friends")
    await _search(tab.page, "<img")
    await expect(tab.page.get_by_text("3 found.")).to_be_visible()
    await expect(tab.page.locator("[onerror], img[src='x']")).to_have_count(0)
    assert dialogs == []


# For everybody


async def _looked_at(tab: Tab, route: str) -> None:
    await tab.go(route)
    await tab.axe()
    wide = await tab.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, (route, wide)


@pytest.mark.parametrize(
    ("viewport", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")]
)
async def test_nobody_is_shut_out(
    tabs: Tabs, daemon: Process, viewport: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    ada, bob, carl, dora = await people(daemon.url, "ada", "bob", "carl", "dora")
    for other, username in ((bob, "bob"), (carl, "carl")):
        await befriend(ada, other, username=username)
    await bob.data("profile_set", nickname="Bob Bauer", bio="Bread, mostly: https://example.org/bread")
    await bob.data("presence_set", status="away", text="back at two")
    await carl.data("presence_set", status="dnd")
    await dora.data("friend_request", to_user="ada", note="We met at the hall.")
    conversation_id = await group(ada, "Climbing", "bob", "carl")
    await ada.data("group_update", conversation_id=conversation_id, notice="Sundays at nine.", joining="approve")
    await ada.data("group_role", conversation_id=conversation_id, user="bob", role="admin")
    await ada.data("group_mute", conversation_id=conversation_id, user="carl", until="2999-01-31T12:00:00.000Z")
    await ada.data("group_link", conversation_id=conversation_id, uses=10, hours=24)
    await dora.data("group_join", conversation_id=conversation_id, note="I have a rope.")
    await dora.data("group_create", title="Clock makers", joining="open")

    tab = await tabs.open("ada", viewport=viewport, scheme=scheme)
    page = tab.page
    routes = [f"#/u/{await _id(person)}" for person in (ada, bob, dora)]
    for route in ("#/friends", *routes, "#/u/999", f"#/g/{conversation_id}", "#/g/999", "#/join/token"):
        await _looked_at(tab, route)
    await tab.go("#/friends")
    await _search(page, "c")
    await expect(page.get_by_role("heading", name="Groups")).to_be_visible()
    await tab.axe()
    await _search(page, "dora")
    await expect(page.get_by_role("button", name="Accept dora")).to_be_visible()
    await _search(page, "")
    await _choose(page, "New", "New group")
    await page.get_by_text("Notice, and how others join").click()
    await page.get_by_role("checkbox", name="carl").check()
    await tab.axe()
    await page.keyboard.press("Escape")
    await tab.go(f"#/g/{conversation_id}")
    await page.get_by_role("button", name="What to do with carl").click()
    await tab.axe()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="New link").click()
    await tab.axe()
