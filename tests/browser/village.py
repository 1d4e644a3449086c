"""A dozen people who have known each other for a while: what the pictures of the page show.

Ada is the one who looks. What was said is said over the wire, as people do; only when it was said is put right in the
database afterwards, while the daemon is down.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.browser import pictures
from tests.browser.people import group, people, upload
from tests.support import Person, Process, befriend

ME = "ada"
HOUR, DAY = 60, 24 * 60

PEOPLE: Mapping[str, tuple[str, str, int | None]] = {
    "ada": ("Ada", "Reads maps for fun.", 1),
    "mei": ("林美", "山、湖、茶。", 9),
    "bob": ("Bob Keller", "Bakes on Saturdays.", 4),
    "nora": ("Nora", "Photographs water.", 5),
    "tomas": ("Tomás", "", 0),
    "jun": ("王俊", "周末爬山,平时写代码。", 2),
    "lihua": ("李华", "读书会的人", 15),
    "sofia": ("Sofia Rossi", "Back in October.", 11),
    "kai": ("Kai", "", None),
    "yuki": ("Yuki", "Trains and noodles.", 23),
    "omar": ("Omar", "", None),
    "ines": ("Inês", "", 17),
    "paul": ("Paul", "", 18),
    "xiaoyu": ("晓雨", "", 7),
    "otto": ("Otto", "", None),
}
"""By username: the name that is shown, the bio, the seed of the portrait."""

FRIENDS = ("mei", "bob", "nora", "tomas", "jun", "lihua", "sofia", "kai", "yuki", "omar", "ines")
ASKING = (("paul", "We met at the hut last Sunday. – Paul"), ("xiaoyu", "你好,我是晓雨,读书会的新成员。"))
PRESENT = (
    ("mei", "online", ""),
    ("bob", "away", "back at two"),
    ("nora", "online", ""),
    ("jun", "dnd", "开会中"),
    ("yuki", "online", ""),
)


@dataclass(frozen=True, slots=True)
class Line:
    """What somebody says, so many minutes ago. `answers` counts from the conversation's first line on."""

    ago: int
    who: str
    content: str = ""
    kind: str = "text"
    file: str | None = None
    answers: int | None = None
    mentions: tuple[str, ...] = ()
    reactions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    edited: str | None = None
    recalled: bool = False
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation of Ada's: with one person, or a group with a title. `read` is how many lines from its end it is
    that she has not read.
    """

    lines: tuple[Line, ...]
    unread: int = 0
    title: str | None = None
    notice: str = ""
    members: tuple[str, ...] = ()
    picture: int | None = None
    pinned: bool = False
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Post:
    """A moment. `comments` are who said what, and which of those before it this answers."""

    ago: int
    who: str
    content: str
    images: tuple[str, ...] = ()
    location: str | None = None
    likes: tuple[str, ...] = ()
    comments: tuple[tuple[str, str, int | None], ...] = ()


CLIMBERS, BOOKS = "Sunday climbers", "读书会 Book club"

TALKS: Mapping[str, Talk] = {
    "mei": Talk(
        (
            Line(DAY + 190, "mei", "你看天气预报了吗?星期天是晴天 ☀️"),
            Line(DAY + 188, ME, "太好了!那我们去湖边吧。"),
            Line(DAY + 186, ME, "Shall we take the early train, the one at 7:12?"),
            Line(DAY + 180, "mei", "早一点好,人少。", answers=2, reactions={"👍": (ME,)}),
            Line(DAY + 90, "mei", "location", kind="location"),
            Line(
                85, "mei", "上次在那里拍的:", kind="image", file="lake.jpg", reactions={"❤️": (ME,), "😍": (ME, "mei")}
            ),
            Line(82, ME, "So still! I would swim there, even in October."),
            Line(80, "mei", kind="voice", file="voice.wav"),
            Line(64, ME, "哈哈,好的。I'll bring the thermos and something sweet."),
            Line(61, "mei", "那我带茶和面包。Bob 的面包 🍞", reactions={"🎉": (ME,)}),
            Line(14, ME, "Here is what we need, all on one page:", kind="file", file="Packing list.pdf"),
            Line(9, "mei", "收到!星期天见 👋"),
        )
    ),
    CLIMBERS: Talk(
        (
            Line(3 * DAY, ME, "Welcome, everybody. One rule: whoever is first puts the kettle on."),
            Line(3 * DAY - 20, "bob", "Then I shall be second.", reactions={"😂": (ME, "nora", "mei", "kai")}),
            Line(2 * DAY, "nora", "The ridge from below, yesterday evening", kind="image", file="ridge.jpg"),
            Line(2 * DAY - 15, "kai", "Wow. Is that snow already?"),
            Line(2 * DAY - 12, "nora", "Only above 2,400. The north side stays wet, take the other path.", answers=3),
            Line(300, ME, "Meet on Sunday at 7:00, platform 3. Ropes: Bob. Map: me.", pinned=True),
            Line(290, "tomas", "I cannot, my knee …", recalled=True),
            Line(
                288,
                "tomas",
                "I come to the hut by bus and wait for you there with soup.",
                reactions={"❤️": (ME, "nora")},
            ),
            Line(40, "mei", "有没有人可以带多一双手套?", mentions=()),
            Line(22, "bob", "@mei Two pairs, one is yours.", mentions=("mei",), answers=8),
            Line(6, "nora", "@ada how long is the way down?", mentions=("ada",)),
            Line(4, "kai", "And is there cake?"),
        ),
        unread=2,
        title=CLIMBERS,
        notice="Sunday, 7:00, platform 3. Check the weather the evening before.",
        members=("bob", "mei", "nora", "kai", "tomas", "jun"),
        picture=2,
        pinned=True,
    ),
    "bob": Talk(
        (
            Line(5 * HOUR, "bob", "Rye or wheat for Sunday?"),
            Line(5 * HOUR - 3, ME, "Rye, please!", edited="Rye, please! And one of the small ones for Mei."),
            Line(4 * HOUR, "bob", kind="image", file="oven.jpg"),
            Line(33, "bob", "Out of the oven at six, so it will still be warm."),
        ),
        unread=1,
    ),
    "nora": Talk(
        (
            Line(2 * HOUR, ME, "Your lake pictures are wonderful. May I print one?"),
            Line(48, "nora", "Of course! Which one?"),
            Line(47, "nora", "I have them in large, too."),
            Line(46, "nora", kind="image", file="evening.jpg"),
        ),
        unread=3,
    ),
    BOOKS: Talk(
        (
            Line(DAY + 300, "lihua", "这个月读《看不见的城市》,大家觉得怎么样?"),
            Line(DAY + 280, "jun", "我喜欢,很短,但是可以读很久。"),
            Line(DAY + 100, "sofia", "I read it in Italian, twice. Thursday suits me."),
            Line(130, "lihua", "那就星期四晚上八点,老地方。", reactions={"👍": ("jun", "sofia", ME)}),
            Line(120, "jun", "好的!"),
        ),
        unread=5,
        title=BOOKS,
        notice="每月一本书 · One book a month",
        members=("lihua", "jun", "sofia"),
        picture=5,
        silent=True,
    ),
    "jun": Talk(
        (
            Line(7 * HOUR, "jun", "代码我看完了,只有两个小问题。"),
            Line(6 * HOUR + 50, ME, "谢谢!我今天晚上改。"),
            Line(6 * HOUR + 48, "jun", "不急,明天也可以。"),
        )
    ),
    "sofia": Talk(
        (
            Line(DAY + 600, "sofia", "Greetings from Trieste! The wind is everything they say."),
            Line(DAY + 560, ME, "Hold on to your hat, and come back in one piece."),
        )
    ),
    "tomas": Talk((Line(DAY + 700, "tomas", "Thank you for asking, the knee is much better."),)),
    "yuki": Talk(
        (
            Line(2 * DAY, "yuki", "夜行列車に乗りました 🚃"),
            Line(2 * DAY - 5, ME, "Send a picture of the noodles!"),
        )
    ),
    "lihua": Talk((Line(3 * DAY, "lihua", "书我放在前台了,你有空去拿。"), Line(3 * DAY - 60, ME, "谢谢李华!"))),
    "kai": Talk((Line(5 * DAY, ME, "Do you still have my headlamp?"), Line(5 * DAY - 30, "kai", "Yes. On Sunday!"))),
    ME: Talk((Line(6 * DAY, ME, "Thermos, gloves, map 1:25,000, something sweet"),)),
}
"""By the other's username, or the group's title; under her own name, Ada's notes."""

LAKES = tuple(f"walk {number}.jpg" for number in range(1, 10))

MOMENTS = (
    Post(4 * DAY, "sofia", "Trieste, in the wind.", ("sea.jpg",), "geo:45.6495,13.7768 Trieste", ("nora", ME)),
    Post(2 * DAY, "jun", "周末的山,一个人也没有。", (), None, ("lihua", "mei", ME)),
    Post(
        DAY + 200,
        "mei",
        "三张照片,一个早上。Morning fog, then none.",
        ("fog.jpg", "tea.jpg", "lake.jpg"),
        "geo:46.6863,7.8632 湖边",
        ("nora", "bob", "jun", ME),
        (("jun", "第二张真好看!", None), (ME, "下次带上我 🙋", None), ("mei", "一定!", 1)),
    ),
    Post(
        DAY,
        "bob",
        "Twelve loaves, none of them burnt. Come by before noon.",
        ("oven.jpg",),
        None,
        (ME, "mei", "kai", "tomas"),
        (("kai", "Keep one for me!", None), ("bob", "It has your name on it.", 0)),
    ),
    Post(
        5 * HOUR,
        "nora",
        "All around the lake, in one day and nine pictures.",
        LAKES,
        "geo:48.2010,16.3695 the lake",
        ("mei", "bob", ME, "sofia", "jun"),
        (
            (ME, "The seventh! Where is that?", None),
            ("nora", "Behind the mill, where the path ends.", 0),
            ("mei", "太美了", None),
        ),
    ),
    Post(
        50,
        ME,
        "Map, thermos, good company: Sunday can come.",
        (),
        None,
        ("mei", "nora"),
        (("bob", "And bread.", None),),
    ),
)

PLACE = "geo:46.6863,7.8632 湖边 · By the lake"


@dataclass(slots=True)
class Village:
    """The people and what there is of them. `ids` are those of the conversations, by the key of the talk."""

    daemon: Process
    people: dict[str, Person] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    files: dict[tuple[str, str], int] = field(default_factory=dict)
    times: list[tuple[str, int, int]] = field(default_factory=list)
    """Table, id, minutes ago."""

    async def settle(self) -> None:
        """Make everything, put right when it was, and have some of the people come."""
        await self._come()
        for key, talk in TALKS.items():
            await self._talk(key, talk)
        for post in MOMENTS:
            await self._post(post)
        await asyncio.gather(*(person.close() for person in self.people.values()))
        await self.daemon.kill(15)
        with contextlib.closing(sqlite3.connect(self.daemon.data / "chatd.db")) as database:
            self._put_right(database)
        await self.daemon.start()
        for username, status, text in PRESENT:
            person = await Person.again(self.daemon.url, self.people[username].token)
            await person.data("presence_set", status=status, text=text)

    async def _come(self) -> None:
        self.people = dict(zip(PEOPLE, await people(self.daemon.url, *PEOPLE), strict=True))
        for username, (nickname, bio, seed) in PEOPLE.items():
            avatar = {} if seed is None else {"avatar_file_id": await self._file(username, f"portrait {seed}")}
            await self.people[username].data("profile_set", nickname=nickname, bio=bio, **avatar)
        me = self.people[ME]
        for username in FRIENDS:
            self.ids[username] = await befriend(me, self.people[username], username=username)
        for one, other in (("mei", "jun"), ("mei", "nora"), ("mei", "bob"), ("bob", "kai"), ("jun", "lihua")):
            await befriend(self.people[one], self.people[other], username=other)
        await me.data("friend_remark", user="kai", remark="Kai (climbing)")
        for username, note in ASKING:
            await self.people[username].data("friend_request", to_user=ME, note=note)
        await me.data("friend_request", to_user="otto", note="From the book shop.")
        self.ids[ME] = (await me.data("send", to_user=ME, content="Welcome home"))["conversation_id"]

    async def _file(self, who: str, name: str) -> int:
        """The id of a file of somebody's, by its name; of a picture the name is the seed, too."""
        if (who, name) not in self.files:
            seed = sum(name.encode())
            if name.startswith("portrait "):
                content = pictures.portrait(int(name.partition(" ")[2]))
            elif name.endswith(".jpg"):
                content = pictures.landscape(seed)
            elif name.endswith(".wav"):
                content = pictures.voice(7.4, seed)
            else:
                content = b"%PDF-1.4\n" + b"% " + b"thermos gloves map " * 4000 + b"\n%%EOF\n"
            self.files[who, name] = await upload(self.daemon.url, self.people[who], content, name)
        return self.files[who, name]

    # Conversations

    async def _talk(self, key: str, talk: Talk) -> None:
        me = self.people[ME]
        if talk.title is not None:
            self.ids[key] = await group(me, talk.title, *talk.members)
            avatar = {} if talk.picture is None else {"avatar_file_id": await self._file(ME, f"{talk.picture}.jpg")}
            await me.data("group_update", conversation_id=self.ids[key], notice=talk.notice, **avatar)
        conversation_id = self.ids[key]
        said: list[dict[str, Any]] = []
        for line in talk.lines:
            said.append(await self._say(conversation_id, line, said))
        for line, message in zip(talk.lines, said, strict=True):
            await self._afterwards(line, message["message_id"])
        settings = {"pinned": talk.pinned, "silent": talk.silent}
        await me.data("conversation_set", conversation_id=conversation_id, **settings)
        last = said[-1]["seq"]
        read = said[-1 - talk.unread]["seq"] if talk.unread < len(said) else 0
        if read:
            await me.data("read", conversation_id=conversation_id, seq=read)
        for other in talk.members or (key,):
            await self.people[other].data("read", conversation_id=conversation_id, seq=last)

    async def _say(self, conversation_id: int, line: Line, said: list[dict[str, Any]]) -> dict[str, Any]:
        fields: dict[str, Any] = {"kind": line.kind, "content": PLACE if line.kind == "location" else line.content}
        if line.file is not None:
            fields["file_id"] = await self._file(line.who, line.file)
        if line.answers is not None:
            fields["reply_to"] = said[line.answers]["message_id"]
        person = self.people[line.who]
        mentions = list(line.mentions)
        sent: dict[str, Any] = await person.data("send", conversation_id=conversation_id, mentions=mentions, **fields)
        self.times.append(("entries", sent["message_id"], line.ago))
        return sent

    async def _afterwards(self, line: Line, message_id: int) -> None:
        for emoji, whose in line.reactions.items():
            for username in whose:
                await self.people[username].data("react", message_id=message_id, emoji=emoji)
        if line.edited is not None:
            await self.people[line.who].data("edit", message_id=message_id, content=line.edited)
        if line.recalled:
            await self.people[line.who].data("recall", message_id=message_id)
        if line.pinned:
            await self.people[line.who].data("pin", message_id=message_id)

    # Moments

    async def _post(self, post: Post) -> None:
        images = [await self._file(post.who, name) for name in post.images]
        place = {} if post.location is None else {"location": post.location}
        posted = await self.people[post.who].data("moment_post", content=post.content, images=images, **place)
        moment_id = posted["moment_id"]
        self.times.append(("moments", moment_id, post.ago))
        for username in post.likes:
            await self._if_seen(username, "moment_like", moment_id=moment_id)
        comments: list[int] = []
        for username, content, answers in post.comments:
            reply = {} if answers is None else {"reply_to": comments[answers]}
            fields = {"moment_id": moment_id, "content": content, **reply}
            comment = await self.people[username].data("moment_comment", **fields)
            comments.append(comment["comment_id"])
            self.times.append(("moment_comments", comments[-1], post.ago - 3 * len(comments)))

    async def _if_seen(self, username: str, op: str, **fields: Any) -> None:
        """Not everybody here is a friend of everybody."""
        reply = await self.people[username].ask(op, **fields)
        assert reply["success"] or reply["error"]["code"] == "not_found", reply

    # Time

    def _put_right(self, database: sqlite3.Connection) -> None:
        now = time.time_ns() // 1_000_000
        rows = [(now - minutes * 60_000, at) for table, at, minutes in self.times if table == "entries"]
        database.executemany("UPDATE entries SET created_at = ? WHERE id = ?", rows)
        database.executemany("UPDATE moments SET created_at = ? WHERE id = ?", self._rows("moments", now))
        database.executemany(
            "UPDATE moment_comments SET created_at = ? WHERE id = ?", self._rows("moment_comments", now)
        )
        database.execute(
            """UPDATE conversations SET last_at = (SELECT MAX(e.created_at) FROM entries e
               WHERE e.conversation_id = conversations.id AND e.seq = conversations.last_message_seq)
               WHERE last_message_seq > 0"""
        )
        database.commit()

    def _rows(self, table: str, now: int) -> Iterable[tuple[int, int]]:
        return [(now - minutes * 60_000, at) for one, at, minutes in self.times if one == table]
