"""Our own integrity checks: what SQLite cannot know of a chat's data. Each query finds what must not be there."""

from __future__ import annotations

from dataclasses import dataclass

from chatd.context import Transaction
from chatd.db.query import Query, by_dialect, query


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold, and the query that finds where it does not: one row per violation, with an `id`."""

    holds: str
    violations: Query


RULES = (
    Rule(
        "the entries of a log are numbered 1, 2, 3 … without a hole",
        query(
            """/* check.holes */
            SELECT c.id FROM conversations c LEFT JOIN entries e ON e.conversation_id = c.id
            GROUP BY c.id, c.last_seq
            HAVING COUNT(e.id) <> c.last_seq OR COALESCE(MAX(e.seq), 0) <> c.last_seq OR COALESCE(MIN(e.seq), 1) <> 1
            """
        ),
    ),
    Rule(
        "a conversation knows its newest message",
        query(
            """/* check.last_message */
            SELECT c.id FROM conversations c
            LEFT JOIN entries e ON e.conversation_id = c.id AND e.event = 'message'
            GROUP BY c.id, c.last_message_seq HAVING COALESCE(MAX(e.seq), 0) <> c.last_message_seq
            """
        ),
    ),
    Rule(
        "pointers lie within their log, and what is read is delivered",
        query(
            """/* check.pointers */
            SELECT c.id FROM members m JOIN conversations c ON c.id = m.conversation_id
            WHERE m.read_seq < 0 OR m.read_seq > m.delivered_seq OR m.delivered_seq > COALESCE(m.until_seq, c.last_seq)
               OR m.until_seq > c.last_seq OR m.from_seq < 1 OR m.from_seq > c.last_seq + 1
            """
        ),
    ),
    Rule(
        "a message has kind and content, an edit its content, and all but a message have data",
        query(
            """/* check.entries */
            SELECT id FROM entries WHERE (event = 'message') <> (kind IS NOT NULL)
                                      OR (event IN ('message', 'edit')) <> (content IS NOT NULL)
                                      OR (event <> 'message' AND data IS NULL)
            """
        ),
    ),
    Rule(
        "what is about a message comes after it, and an edit is its author's",
        query(
            """/* check.targets */
            SELECT e.id FROM entries e
            LEFT JOIN entries t ON t.conversation_id = e.conversation_id AND t.seq = e.target_seq
                               AND t.event = 'message' AND t.seq < e.seq
            WHERE (e.event IN ('edit', 'recall', 'reaction', 'pin')) <> (e.target_seq IS NOT NULL)
               OR (e.target_seq IS NOT NULL AND t.id IS NULL) OR (e.event = 'edit' AND t.user_id <> e.user_id)
            """
        ),
    ),
    Rule(
        "nothing is left of a message that was recalled",
        query(
            """/* check.recalled */
            SELECT e.id FROM entries e
            LEFT JOIN entries v ON v.conversation_id = e.conversation_id AND v.target_seq = e.seq AND v.event = 'edit'
                               AND v.content <> ''
            LEFT JOIN entries r ON r.conversation_id = e.conversation_id AND r.target_seq = e.seq
                               AND r.event = 'recall'
            LEFT JOIN reactions a ON a.conversation_id = e.conversation_id AND a.seq = e.seq
            LEFT JOIN pins p ON p.conversation_id = e.conversation_id AND p.seq = e.seq
            JOIN users u ON u.id = e.user_id
            WHERE e.recalled_at IS NOT NULL
              AND (e.event <> 'message' OR e.content <> '' OR e.data IS NOT NULL OR v.id IS NOT NULL
                   OR (r.id IS NULL AND u.leaving_at IS NULL) OR a.seq IS NOT NULL OR p.seq IS NOT NULL)
            """
        ),
    ),
    Rule(
        "reactions, pins and deletions are of messages, and have their entry in the log",
        query(
            """/* check.marks */
            SELECT k.conversation_id AS id
            FROM (SELECT conversation_id, seq, user_id, since_seq, 'reaction' AS event FROM reactions
                  UNION ALL SELECT conversation_id, seq, user_id, since_seq, 'pin' AS event FROM pins) k
            LEFT JOIN entries m ON m.conversation_id = k.conversation_id AND m.seq = k.seq AND m.event = 'message'
            LEFT JOIN entries e ON e.conversation_id = k.conversation_id AND e.seq = k.since_seq
                               AND e.event = k.event AND e.target_seq = k.seq AND e.user_id = k.user_id
            WHERE m.id IS NULL OR e.id IS NULL
            UNION ALL
            SELECT d.conversation_id AS id FROM deletions d
            LEFT JOIN entries m ON m.conversation_id = d.conversation_id AND m.seq = d.seq AND m.event = 'message'
            WHERE m.id IS NULL
            """
        ),
    ),
    Rule(
        "the full-text index has each message up to where it knows them, once, and none that was recalled",
        by_dialect(
            sqlite="""/* check.indexed */
            SELECT c.id FROM conversations c
            WHERE (SELECT COUNT(*) FROM search WHERE search MATCH '"§' || c.id || '"') <> (
                SELECT COUNT(*) FROM entries e
                WHERE e.conversation_id = c.id AND e.event = 'message' AND e.kind <> 'encrypted'
                  AND e.recalled_at IS NULL
                  AND e.id <= COALESCE((SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'indexed'), 0)
            )
            """,
            postgres="""/* check.indexed */
            SELECT c.id FROM conversations c
            WHERE (SELECT COUNT(*) FROM search WHERE tokens @@ CAST('''§' || c.id || '''' AS tsquery)) <> (
                SELECT COUNT(*) FROM entries e
                WHERE e.conversation_id = c.id AND e.event = 'message' AND e.kind <> 'encrypted'
                  AND e.recalled_at IS NULL
                  AND e.id <= COALESCE((SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'indexed'), 0)
            )
            """,
        ),
    ),
    Rule(
        "a friendship stands in both directions",
        query(
            """/* check.friends */
            SELECT f.user_id AS id FROM friends f
            LEFT JOIN friends back ON back.user_id = f.friend_id AND back.friend_id = f.user_id
            WHERE back.user_id IS NULL
            """
        ),
    ),
    Rule(
        "friends have a conversation, and neither blocks the other",
        query(
            """/* check.friends_talk */
            SELECT f.user_id AS id FROM friends f
            LEFT JOIN conversations c ON c.kind = 'direct'
                AND c.low_id = CASE WHEN f.user_id < f.friend_id THEN f.user_id ELSE f.friend_id END
                AND c.high_id = CASE WHEN f.user_id < f.friend_id THEN f.friend_id ELSE f.user_id END
            LEFT JOIN blocks b ON b.user_id = f.user_id AND b.blocked_id = f.friend_id
            WHERE c.id IS NULL OR b.user_id IS NOT NULL
            """
        ),
    ),
    Rule(
        "a direct conversation has its two members, a self conversation its one",
        query(
            """/* check.members */
            SELECT c.id FROM conversations c
            LEFT JOIN members m ON m.conversation_id = c.id AND m.user_id IN (c.low_id, c.high_id)
            LEFT JOIN members stranger ON stranger.conversation_id = c.id
                                      AND stranger.user_id NOT IN (c.low_id, c.high_id)
            WHERE c.kind <> 'group'
            GROUP BY c.id, c.kind, c.low_id, c.high_id
            HAVING COUNT(DISTINCT m.user_id) <> CASE c.kind WHEN 'self' THEN 1 ELSE 2 END
                OR COUNT(stranger.user_id) > 0
                OR (c.kind = 'self') <> (c.low_id = c.high_id) OR c.low_id > c.high_id
            """
        ),
    ),
    Rule(
        "a group counts its members, and has one owner until it is dissolved",
        query(
            """/* check.groups */
            SELECT c.id FROM conversations c
            LEFT JOIN groups g ON g.conversation_id = c.id
            LEFT JOIN members m ON m.conversation_id = c.id AND m.until_seq IS NULL
            WHERE c.kind = 'group' OR g.conversation_id IS NOT NULL
            GROUP BY c.id, c.kind, g.member_count, g.dissolved_at
            HAVING c.kind <> 'group' OR g.member_count IS NULL OR COUNT(m.user_id) <> g.member_count
                OR COUNT(CASE m.role WHEN 'owner' THEN 1 END) <> CASE WHEN g.dissolved_at IS NULL THEN 1 ELSE 0 END
            """
        ),
    ),
    Rule(
        "an absence lies between two stays in a group",
        query(
            """/* check.absences */
            SELECT a.conversation_id AS id FROM absences a
            LEFT JOIN members m ON m.conversation_id = a.conversation_id AND m.user_id = a.user_id
            WHERE m.user_id IS NULL OR a.from_seq > a.until_seq OR a.from_seq <= m.from_seq
               OR a.until_seq >= COALESCE(m.until_seq, a.until_seq + 1)
            """
        ),
    ),
    Rule(
        "only groups have roles, and only who has left one keeps its title",
        query(
            """/* check.roles */
            SELECT m.conversation_id AS id FROM members m JOIN conversations c ON c.id = m.conversation_id
            WHERE (c.kind <> 'group' AND (m.role <> 'member' OR m.until_seq IS NOT NULL OR m.muted_until IS NOT NULL))
               OR (m.until_seq IS NULL) <> (m.title IS NULL) OR (m.until_seq IS NULL) <> (m.left_at IS NULL)
            """
        ),
    ),
    Rule(
        "a moment has something in it, and its images are its author's, numbered 1, 2, 3 …",
        query(
            """/* check.moments */
            SELECT m.id FROM moments m
            LEFT JOIN moment_images i ON i.moment_id = m.id
            LEFT JOIN files f ON f.id = i.file_id AND f.user_id = m.user_id AND f.unnamed_since IS NULL
            GROUP BY m.id, m.content, m.location
            HAVING (m.content = '' AND m.location IS NULL AND COUNT(i.position) = 0)
                OR COUNT(f.id) <> COUNT(i.position) OR COALESCE(MIN(i.position), 1) < 1
                OR COALESCE(MAX(i.position), 0) <> COUNT(i.position)
            """
        ),
    ),
    Rule(
        "a reply is to an earlier comment on the same moment, and nobody else answers what is private",
        query(
            """/* check.moment_answers */
            SELECT c.moment_id AS id FROM moment_comments c JOIN moment_comments p ON p.id = c.reply_to
            WHERE p.moment_id <> c.moment_id OR p.id >= c.id
            UNION ALL
            SELECT m.id FROM moments m
            JOIN (SELECT moment_id, user_id FROM moment_likes
                  UNION ALL SELECT moment_id, user_id FROM moment_comments) a ON a.moment_id = m.id
            WHERE m.visibility = 'private' AND a.user_id <> m.user_id
            """
        ),
    ),
    Rule(
        "every user has a log, but who leaves",
        query(
            """/* check.self_logs */
            SELECT u.id FROM users u LEFT JOIN conversations c ON c.low_id = u.id AND c.high_id = u.id
            WHERE c.id IS NULL AND u.leaving_at IS NULL
            """
        ),
    ),
    Rule(
        "nobody is a friend of, or blocks, oneself",
        query(
            """/* check.selfish */
            SELECT user_id AS id FROM friends WHERE user_id = friend_id
            UNION ALL SELECT user_id AS id FROM blocks WHERE user_id = blocked_id
            UNION ALL SELECT from_id AS id FROM friend_requests WHERE from_id = to_id
            """
        ),
    ),
)


async def violations(db: Transaction) -> list[str]:
    """What does not hold, a line each."""
    found: list[str] = []
    for rule in RULES:
        rows = await db.all(rule.violations)
        if rows:
            ids = ", ".join(str(row["id"]) for row in rows[:10])
            found.append(f"{rule.violations.name}: not true that {rule.holds}: {len(rows)} times, ids {ids}")
    return found
