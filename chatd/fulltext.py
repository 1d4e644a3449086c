"""The full-text index: what of a message stands in it, how it follows edits and forgets recalls, how it is asked.

The index knows the entries of all logs up to the id in meta's `indexed`, in their order; the indexer (indexer.py) moves
that on. It promises too much at times (chatd/words.py), so whatever it gives is looked at again, with the text that the
asker may see; and what came after it is looked through without it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from chatd import words
from chatd.context import Context, Row
from chatd.db.query import by_dialect, query
from chatd.record import record
from chatd.wire import MAX_ID
from chatd.words import Term

TOKENS = f"1/{unicodedata.unidata_version}"
"""How texts are cut into tokens: our own version, and Unicode's. An index made otherwise is made anew."""

UNSEARCHABLE = ("encrypted",)
"""Kinds of messages that the server does not look into."""

META = query("/* fulltext.meta */ SELECT value FROM meta WHERE name = :name")
SET_META = query(
    """/* fulltext.set_meta */
    INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value
    """
)
ADD = by_dialect(
    sqlite="/* fulltext.add */ INSERT INTO search (rowid, tokens) VALUES (:id, :tokens)",
    postgres="""/* fulltext.add */
    INSERT INTO search (id, tokens) VALUES (:id, array_to_tsvector(string_to_array(CAST(:tokens AS TEXT), ' ')))
    """,
)
REMOVE = by_dialect(
    sqlite="/* fulltext.remove */ INSERT INTO search (search, rowid, tokens) VALUES ('delete', :id, :tokens)",
    postgres="/* fulltext.remove */ DELETE FROM search WHERE id = :id AND CAST(:tokens AS TEXT) IS NOT NULL",
)
CLEAR = by_dialect(
    sqlite="/* fulltext.clear */ INSERT INTO search (search) VALUES ('delete-all')",
    postgres="/* fulltext.clear */ DELETE FROM search",
)
BY_HAND = by_dialect(
    sqlite="/* fulltext.by_hand */ INSERT INTO search (search, rank) VALUES ('automerge', 0)",
    postgres="/* fulltext.by_hand */ SELECT 1",
)
"""FTS5 by itself merges so much at once that nobody can write for 40 to 100 ms."""

MERGE = by_dialect(
    sqlite="/* fulltext.merge */ INSERT INTO search (search, rank) VALUES ('merge', :pages)",
    postgres="/* fulltext.merge */ SELECT CAST(:pages AS BIGINT)",
)
LAST = query("/* fulltext.last */ SELECT COALESCE(MAX(id), 0) AS last_id FROM entries")
NEXT = query(
    """/* fulltext.next */
    SELECT e.id, e.event, e.conversation_id, e.seq, e.content AS text, t.id AS target_id, t.seq AS target_seq,
           COALESCE(t.kind, e.kind) AS kind,
           COALESCE(t.recalled_at, e.recalled_at) AS recalled_at
    FROM entries e
    LEFT JOIN entries t ON t.conversation_id = e.conversation_id AND t.seq = e.target_seq
    WHERE e.id > :indexed ORDER BY e.id LIMIT :most
    """
)
EDITED = query(
    """/* fulltext.edited */
    SELECT content FROM entries
    WHERE conversation_id = :conversation_id AND target_seq = :seq AND event = 'edit' AND seq < :before AND id <= :upto
    ORDER BY seq DESC LIMIT 1
    """
)
WRITTEN = query(
    "/* fulltext.written */ SELECT content FROM entries WHERE conversation_id = :conversation_id AND seq = :seq"
)


async def indexed_upto(ctx: Context) -> int:
    """The id of the last entry that the index knows."""
    row = await ctx.db.one(META, name="indexed")
    return 0 if row is None else int(row["value"])


async def behind(ctx: Context) -> int:
    """How many entries the index does not know yet."""
    row = await ctx.db.one(LAST)
    return (0 if row is None else row["last_id"]) - await indexed_upto(ctx)


async def begin(ctx: Context) -> None:
    """Have an index that was made otherwise than now be made anew."""
    made = await ctx.db.one(META, name="tokens")
    if made is None or made["value"] != TOKENS:
        await ctx.db.run(CLEAR)
        await ctx.db.run(BY_HAND)
        await ctx.db.run(SET_META, name="tokens", value=TOKENS)
        await ctx.db.run(SET_META, name="indexed", value="0")


async def index_next(ctx: Context, most: int) -> bool:
    """Index at most so many entries more. Whether there may be others."""
    rows = await ctx.db.all(NEXT, indexed=await indexed_upto(ctx), most=most)
    for row in rows:
        if row["event"] not in ("message", "edit") or row["recalled_at"] is not None or row["kind"] in UNSEARCHABLE:
            continue
        message_id, conversation_id = row["id"], row["conversation_id"]
        if row["event"] == "edit":
            message_id = row["target_id"]
            before = await _text(ctx, conversation_id, row["target_seq"], before=row["seq"])
            await ctx.db.run(REMOVE, id=message_id, tokens=_tokens(conversation_id, before))
        await ctx.db.run(ADD, id=message_id, tokens=_tokens(conversation_id, row["text"]))
    if rows:
        await ctx.db.run(SET_META, name="indexed", value=str(rows[-1]["id"]))
        await ctx.db.run(MERGE, pages=8 + len(rows) // 16)
    return len(rows) == most


async def forget(ctx: Context, message: Row) -> None:
    """Take a message, a row of the view `readable`, out of the index. To be called while its texts stand."""
    indexed = await indexed_upto(ctx)
    if message["id"] <= indexed and message["kind"] not in UNSEARCHABLE:
        text = await _text(ctx, message["conversation_id"], message["seq"], upto=indexed)
        await ctx.db.run(REMOVE, id=message["id"], tokens=_tokens(message["conversation_id"], text))


async def _text(ctx: Context, conversation_id: int, seq: int, *, before: int = MAX_ID, upto: int = MAX_ID) -> str:
    """The text that a message had before the entry of the seq `before`, when that of the id `upto` was the newest."""
    where = {"conversation_id": conversation_id, "seq": seq}
    row = await ctx.db.one(EDITED, before=before, upto=upto, **where) or await ctx.db.one(WRITTEN, **where)
    if row is None:
        raise LookupError(f"message {seq} of conversation {conversation_id} does not exist")
    return str(row["content"])


def _tokens(conversation_id: int, text: str) -> str:
    return " ".join([*words.held(text), _place(conversation_id)])


def _place(conversation_id: int) -> str:
    """The token of a conversation. No word has a § in it."""
    return f"§{conversation_id}"


# Asking

BUDGET = 4_000
"""How many candidates are looked at for one answer: then it says where to go on."""

UNLIMITED = MAX_ID
"""The budget where there cannot be more candidates than `BUDGET`: none of them need be counted."""

GLANCE = 1_000
"""How many are looked at first without naming the asker's conversations, where these are many."""

FEW = 32
"""So many conversations are cheaper named than passed over."""

LOOK = 500
"""How many of the asker's messages are held against the terms for one answer, where most have not got them."""

BEHIND = 2_000
"""How many of the newest entries, that the index does not know yet, are looked through."""

CANDIDATES = by_dialect(
    sqlite="""/* fulltext.candidates */
    SELECT r.*
    FROM (
        SELECT rowid AS id FROM search
        WHERE search MATCH :match AND rowid < :before AND rowid > :after ORDER BY rowid DESC LIMIT :budget
    ) c
    CROSS JOIN entries e ON e.id = c.id
    CROSS JOIN members own ON own.conversation_id = e.conversation_id AND own.user_id = :me
    CROSS JOIN readable r ON r.id = c.id AND r.viewer_id = :me
    WHERE r.recalled_at IS NULL AND r.user_id = COALESCE(:from_user_id, r.user_id)
    LIMIT :most
    """,
    postgres="""/* fulltext.candidates */
    SELECT r.*
    FROM (
        SELECT id FROM search
        WHERE tokens @@ CAST(replace(replace(replace(CAST(:match AS TEXT), '"', ''''), ' AND ', ' & '), ' OR ', ' | ')
                             AS tsquery)
          AND id < :before AND id > :after ORDER BY id DESC LIMIT :budget
    ) c
    CROSS JOIN LATERAL (SELECT * FROM readable WHERE id = c.id AND viewer_id = :me) r
    WHERE r.recalled_at IS NULL AND r.user_id = COALESCE(CAST(:from_user_id AS BIGINT), r.user_id)
    ORDER BY r.id DESC LIMIT :most
    """,
)
LAST_CANDIDATE = by_dialect(
    sqlite="""/* fulltext.last_candidate */
    SELECT rowid AS id FROM search WHERE search MATCH :match AND rowid < :before AND rowid > :after
    ORDER BY rowid DESC LIMIT 1 OFFSET :budget - 1
    """,
    postgres="""/* fulltext.last_candidate */
    SELECT id FROM search
    WHERE tokens @@ CAST(replace(replace(replace(CAST(:match AS TEXT), '"', ''''), ' AND ', ' & '), ' OR ', ' | ')
                         AS tsquery)
      AND id < :before AND id > :after ORDER BY id DESC LIMIT 1 OFFSET CAST(:budget AS BIGINT) - 1
    """,
)
UNKNOWN = query(
    """/* fulltext.unknown */
    SELECT r.* FROM (
        SELECT COALESCE(t.id, e.id) AS id
        FROM entries e
        LEFT JOIN entries t ON t.conversation_id = e.conversation_id AND t.seq = e.target_seq
        WHERE e.id > :indexed AND e.event IN ('message', 'edit')
        ORDER BY e.id DESC LIMIT :most
    ) n
    CROSS JOIN readable r
    WHERE r.id = n.id AND r.viewer_id = :me AND r.id < :before AND r.id > :after AND r.recalled_at IS NULL
      AND r.user_id = COALESCE(CAST(:from_user_id AS BIGINT), r.user_id)
    """
)
OUTDATED = query(
    """/* fulltext.outdated */
    SELECT r.* FROM (
        SELECT DISTINCT t.conversation_id, t.target_seq
        FROM members m
        JOIN entries t ON t.conversation_id = m.conversation_id AND t.event = 'edit'
                      AND t.target_seq > m.until_seq - CAST(:most AS BIGINT) AND t.target_seq <= m.until_seq
                      AND t.seq > m.until_seq
        WHERE m.user_id = :me AND m.until_seq IS NOT NULL LIMIT :most
    ) n
    CROSS JOIN readable r
    WHERE r.viewer_id = :me AND r.conversation_id = n.conversation_id AND r.seq = n.target_seq
      AND r.id < :before AND r.id > :after AND r.recalled_at IS NULL
      AND r.user_id = COALESCE(CAST(:from_user_id AS BIGINT), r.user_id)
    """
)
"""Messages of groups that the asker has left, edited since: the index has the new text, the asker the old one."""

NEWEST = query("/* fulltext.newest */ SELECT MAX(id) AS id FROM entries")
EXTENT = query(
    """/* fulltext.extent */
    SELECT COUNT(*) AS conversations, COALESCE(SUM(c.last_seq), 0) AS entries
    FROM members m JOIN conversations c ON c.id = m.conversation_id
    WHERE m.user_id = :me AND c.last_message_seq >= m.from_seq
    """
)
MINE = query(
    """/* fulltext.mine */
    SELECT c.id FROM members m JOIN conversations c ON c.id = m.conversation_id
    WHERE m.user_id = :me AND c.last_message_seq >= m.from_seq
    """
)


@record
class Bounds:
    """Where to look: message ids between `after` and `before`, both excluded; one conversation, one author, or any."""

    after: int
    before: int
    conversation_id: int | None
    from_user_id: int | None


@record
class Found:
    """Messages, rows of the view `readable`, the newest first. `following`: go on below this id.

    `is_complete`: the index knows, or it was looked through, all that there is.
    """

    messages: Sequence[Row]
    following: int | None
    is_complete: bool


async def find(ctx: Context, terms: Sequence[Term], bounds: Bounds, *, limit: int) -> Found:
    """The newest messages that the asker may see and that have all the terms."""
    indexed = await indexed_upto(ctx)
    newest = await ctx.db.one(NEWEST)
    where = {"me": ctx.user_id, "after": bounds.after, "from_user_id": bounds.from_user_id}
    unknown = await ctx.db.all(UNKNOWN, indexed=indexed, most=BEHIND, before=bounds.before, **where)
    outdated = await ctx.db.all(OUTDATED, most=BEHIND, before=bounds.before, **where)
    seen = {row["id"]: row for row in (*unknown, *outdated) if bounds.conversation_id in (None, row["conversation_id"])}
    found = {message_id: row for message_id, row in seen.items() if _has(terms, row)}
    start = bounds.before
    following: int | None = None
    there = (newest["id"] if newest is not None else None) or 0
    for match, budget in await _passes(ctx, terms, bounds, newest=there, limit=limit):
        rows, following = await _pass(ctx, terms, match, start, budget, limit=limit, where=where)
        found |= {row["id"]: row for row in rows if row["id"] not in seen}
        if following is None or sum(message_id >= following for message_id in found) > limit:
            break
        start = following
    ids = sorted((message_id for message_id in found if message_id >= (following or 0)), reverse=True)
    if len(ids) > limit:
        ids, following = ids[:limit], ids[limit - 1]
    is_complete = newest is None or (newest["id"] or 0) - indexed <= BEHIND
    return Found([found[message_id] for message_id in ids], following, is_complete)


async def _pass(
    ctx: Context,
    terms: Sequence[Term],
    match: str,
    before: int,
    budget: int,
    *,
    limit: int,
    where: Mapping[str, int | None],
) -> tuple[list[Row], int | None]:
    """Candidates that have the terms, more than `limit` of them if possible, and below which id there may be others."""
    found: list[Row] = []
    looked, most = 0, limit + 1
    after, last = where["after"], None
    while True:
        among = {"match": match, "after": after, "before": before, "budget": budget}
        rows = await ctx.db.all(CANDIDATES, most=most, **{**where, **among})
        found += [row for row in rows if _has(terms, row)]
        is_all = len(rows) < most
        if not looked and (is_all or len(found) <= limit) and budget < UNLIMITED:
            last = await ctx.db.one(LAST_CANDIDATE, **among)
            after = after if last is None else last["id"] - 1
        if is_all:
            return found, None if last is None else last["id"]
        looked, before = looked + most, rows[-1]["id"]
        if len(found) > limit or looked >= LOOK:
            return found, before
        most = min(4 * most, LOOK - looked)


def _has(terms: Sequence[Term], row: Row) -> bool:
    return row["kind"] not in UNSEARCHABLE and words.matches(terms, row["content"])


async def _passes(
    ctx: Context, terms: Sequence[Term], bounds: Bounds, *, newest: int, limit: int
) -> Iterator[tuple[str, int]]:
    """What to ask the index, and for how many candidates each: what costs least, whoever asks.

    Passing over what others wrote costs 1.5 microseconds a message. Naming a conversation costs 22, and what the
    conversations named have costs each of them as much as a fiftieth of passing over it.
    """
    plain = " AND ".join(f'"{token}"' for token in dict.fromkeys(token for term in terms for token in term.tokens))
    if bounds.conversation_id is not None:
        return iter([(f'{plain} AND "{_place(bounds.conversation_id)}"', BUDGET)])
    mine = await ctx.db.one(EXTENT, me=ctx.user_id)
    if mine is None or not mine["conversations"]:
        return iter(())
    passing = min(BUDGET, limit * newest // mine["entries"])
    if mine["conversations"] * (15 + mine["entries"] / 50) >= passing:
        return iter([(plain, BUDGET)])
    places = " OR ".join(f'"{_place(row["id"])}"' for row in await ctx.db.all(MINE, me=ctx.user_id))
    named = f"{plain} AND ({places})"
    budget = BUDGET if mine["entries"] > BUDGET else UNLIMITED
    return iter([(named, budget)] if mine["conversations"] <= FEW else [(plain, GLANCE), (named, budget)])
