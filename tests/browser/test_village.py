"""The village that the pictures show is whole, and each view's picture can be taken."""

from __future__ import annotations

from tests.browser.screenshots import VIEWS, show
from tests.browser.tab import Tabs
from tests.browser.village import BOOKS, CLIMBERS, FRIENDS, ME, Village
from tests.support import Person, Process


async def test_ada_finds_the_village_as_it_is_told(daemon: Process, tabs: Tabs) -> None:
    village = Village(daemon)
    await village.settle()
    ada = await Person.again(daemon.url, village.people[ME].token)
    listed = (await ada.data("conversations"))["conversations"]
    by_id = {one["conversation_id"]: one for one in listed}
    unread = {key: by_id[at]["unread_count"] for key, at in village.ids.items() if at in by_id}
    assert {key: count for key, count in unread.items() if count} == {
        CLIMBERS: 2, "bob": 1, "nora": 3, BOOKS: 5
    }  # fmt: skip
    assert (by_id[village.ids[CLIMBERS]]["pinned"], by_id[village.ids[BOOKS]]["silent"]) == (True, True)
    said = (await ada.data("history", conversation_id=village.ids["mei"]))["messages"]
    assert {one["kind"] for one in said} == {"text", "image", "voice", "file", "location"}
    assert [one["created_at"] for one in said] == sorted({one["created_at"] for one in said})
    assert len({one["created_at"][:10] for one in said}) >= 2  # some of it on another day
    climbed = (await ada.data("history", conversation_id=village.ids[CLIMBERS]))["messages"]
    assert sum(one["recalled_at"] is not None for one in climbed) == 1
    friends = (await ada.data("friends"))["friends"]
    assert len(friends) == len(FRIENDS)
    assert {one["status"] for one in friends} >= {"online", "away", "dnd", "offline"}
    assert sum(one["avatar_url"] is not None for one in friends) >= 8
    assert len((await ada.data("friend_requests", status="pending"))["requests"]) == 2
    moments = (await ada.data("moments"))["moments"]
    assert {len(one["images"]) for one in moments} == {0, 1, 3, 9}
    tab = await tabs.open(ME)
    for name, view in VIEWS.items():
        if view.who == ME:
            await show(tab, view, village)
            assert await tab.page.evaluate("document.body.innerText.length > 0"), name
