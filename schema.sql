-- chatd's whole schema: valid SQLite; PostgreSQL gets it through a few token substitutions (chatd/db/query.py).
-- Times are milliseconds since the epoch, booleans 0 or 1, *_key columns are NFKC-casefolded.

-- One row per fact about the database itself: 'epoch' (random; a restore changes it), 'version' (of this schema),
-- 'link_key' (with the epoch, signs links to files), 'tokens' and 'indexed' (of the full-text index).
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id            INTEGER PRIMARY KEY,
    username      TEXT NOT NULL,
    username_key  TEXT NOT NULL UNIQUE,
    nickname      TEXT NOT NULL DEFAULT '',
    nickname_key  TEXT NOT NULL DEFAULT '',
    email         TEXT,
    email_key     TEXT UNIQUE,
    email_proved  INTEGER NOT NULL DEFAULT 0,      -- whether a code that was mailed there was used on this account
    phone         TEXT,
    bio           TEXT NOT NULL DEFAULT '',
    password_hash TEXT,                            -- null: no password is right
    lang          TEXT NOT NULL DEFAULT 'en',
    friend_policy TEXT NOT NULL DEFAULT 'approve' CHECK (friend_policy IN ('open', 'approve', 'closed')),
    receipts      INTEGER NOT NULL DEFAULT 1,      -- whether read and delivered pointers are shown, both ways
    find_by_email INTEGER NOT NULL DEFAULT 0,      -- whether user_search finds me by my exact address
    avatar_file_id INTEGER,                        -- of files, which come later
    issuer        TEXT,                            -- whose tokens name this user by subject: their `iss`, or ''
    subject       TEXT,
    invited_by    INTEGER REFERENCES users (id),
    last_seen_at  INTEGER,                         -- when the last of the user's connections went away
    disabled_at   INTEGER,
    leaving_at    INTEGER,                         -- since then the account is being erased (chatd/erasing.py):
    told_upto     INTEGER NOT NULL DEFAULT 0,      -- in conversations up to this one it was said,
    erased_upto   INTEGER NOT NULL DEFAULT 0,      -- and of entries up to this one nothing is left
    erased_at     INTEGER,
    created_at    INTEGER NOT NULL,
    UNIQUE (issuer, subject),
    CHECK ((issuer IS NULL) = (subject IS NULL))
) STRICT;
CREATE INDEX users_by_nickname ON users (nickname_key);
CREATE INDEX users_leaving ON users (id) WHERE leaving_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX users_by_avatar ON users (avatar_file_id) WHERE avatar_file_id IS NOT NULL;

-- What people have uploaded. The bytes lie in the data folder under their SHA-256 (hexadecimal), once for all files that
-- hold the same (chatd/store.py); so does the thumbnail of a picture. Ids are not given twice: a signed link outlives its
-- file for a while, and must not lead to another.
CREATE TABLE files (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id       INTEGER NOT NULL REFERENCES users (id),
    name          TEXT NOT NULL,
    type          TEXT NOT NULL,                   -- the media type, from the content
    size          INTEGER NOT NULL,
    width         INTEGER,
    height        INTEGER,
    duration_ms   INTEGER,
    sha256        TEXT NOT NULL,
    thumbnail     TEXT,
    unnamed_since INTEGER,                         -- since then nothing names it: no message, no avatar, no moment
    created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX files_by_user ON files (user_id, id);
CREATE INDEX files_by_content ON files (sha256);
CREATE INDEX files_by_thumbnail ON files (thumbnail) WHERE thumbnail IS NOT NULL;
CREATE INDEX files_unnamed ON files (unnamed_since) WHERE unnamed_since IS NOT NULL;

-- Uploads that have begun, and for a while those that are files now. What has come of one lies in the data folder.
CREATE TABLE uploads (
    id         INTEGER PRIMARY KEY,
    token      TEXT NOT NULL UNIQUE,
    user_id    INTEGER NOT NULL REFERENCES users (id),
    name       TEXT NOT NULL,
    size       INTEGER,                            -- null: it was not told in advance
    file_id    INTEGER REFERENCES files (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_by_user ON uploads (user_id);
CREATE INDEX uploads_by_file ON uploads (file_id) WHERE file_id IS NOT NULL;
CREATE INDEX uploads_by_expiry ON uploads (expires_at);

-- Who holds an invite's token may sign up. Only its SHA-256 is kept.
CREATE TABLE invites (
    id         INTEGER PRIMARY KEY,
    token_hash BLOB NOT NULL UNIQUE,
    user_id    INTEGER REFERENCES users (id),       -- who made it; null: the command line
    note       TEXT NOT NULL,
    uses_left  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX invites_by_user ON invites (user_id);

-- A token is 256 random bits, or an issuer's; only a SHA-256 is kept, of the latter that of its signature. Ids are not
-- given twice: what was made for one session must not be good for another.
CREATE TABLE sessions (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id      INTEGER NOT NULL REFERENCES users (id),
    token_hash   BLOB NOT NULL UNIQUE,
    device       TEXT,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at   INTEGER                            -- of an issuer's token: when it is worth nothing any more
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at) WHERE expires_at IS NOT NULL;

-- An issuer's tokens whose sessions were ended here: they open none again, though the issuer would still vouch.
CREATE TABLE ended_tokens (
    token_hash BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;

-- The codes that were mailed to an address, whoever's it is: the newest for each purpose. Success removes them all.
-- Housekeeping does so a day later: until then they count how many the address has been sent.
CREATE TABLE codes (
    email_key TEXT NOT NULL,
    purpose   TEXT NOT NULL CHECK (purpose IN ('signup', 'login', 'reset')),
    code_hash TEXT NOT NULL,                        -- bcrypt
    attempts  INTEGER NOT NULL DEFAULT 0,
    sent      INTEGER NOT NULL,                     -- how many codes in a row, this one included
    sent_at   INTEGER NOT NULL,
    PRIMARY KEY (email_key, purpose)
) STRICT, WITHOUT ROWID;

-- A retry gets the first answer again: (user, client_id) is unique for ever, whatever the op. The client_id stands
-- first in the key: ids that begin with the time, as chatd.client's do, are stored side by side, whoever sent them.
CREATE TABLE requests (
    user_id   INTEGER NOT NULL REFERENCES users (id),
    client_id TEXT NOT NULL,
    digest    BLOB NOT NULL,                        -- of the op and its fields; bcrypt where they hold a password
    reply     TEXT NOT NULL,                        -- the reply's data, JSON
    PRIMARY KEY (client_id, user_id)
) STRICT, WITHOUT ROWID;

-- An append-only log each. direct: low_id < high_id are its two members; self: both are its one member; group: null.
CREATE TABLE conversations (
    id               INTEGER PRIMARY KEY,
    kind             TEXT NOT NULL CHECK (kind IN ('self', 'direct', 'group')),
    low_id           INTEGER REFERENCES users (id),
    high_id          INTEGER REFERENCES users (id),
    last_seq         INTEGER NOT NULL DEFAULT 0,    -- of the newest entry
    last_message_seq INTEGER NOT NULL DEFAULT 0,    -- of the newest entry that is a message
    last_at          INTEGER NOT NULL,              -- when the newest message (or the conversation) came
    created_at       INTEGER NOT NULL,
    UNIQUE (low_id, high_id)
) STRICT;

-- What only groups have. Apart from conversations, whose rows every message changes.
CREATE TABLE groups (
    conversation_id INTEGER PRIMARY KEY REFERENCES conversations (id),
    title           TEXT NOT NULL,
    title_key       TEXT NOT NULL,
    notice          TEXT NOT NULL DEFAULT '',
    joining         TEXT NOT NULL CHECK (joining IN ('open', 'approve', 'invite')),
    avatar_file_id  INTEGER REFERENCES files (id),
    member_count    INTEGER NOT NULL,               -- of those who are in it now
    dissolved_at    INTEGER
) STRICT;
CREATE INDEX groups_by_title ON groups (title_key);
CREATE INDEX groups_by_avatar ON groups (avatar_file_id) WHERE avatar_file_id IS NOT NULL;

-- Who is in a conversation, and how far each has read. Pointers only grow; moved_at is when one last did.
-- Who has left a group keeps the row, and sees what was said until until_seq.
CREATE TABLE members (
    conversation_id INTEGER NOT NULL REFERENCES conversations (id),
    user_id         INTEGER NOT NULL REFERENCES users (id),
    role            TEXT NOT NULL DEFAULT 'member' CHECK (role IN ('member', 'admin', 'owner')),
    from_seq        INTEGER NOT NULL,               -- the first entry this member may see
    until_seq       INTEGER,                        -- the last one, for who is in it no more
    title           TEXT,                           -- the group's when this member left it
    muted_until     INTEGER,                        -- until then this member may not write
    silent          INTEGER NOT NULL DEFAULT 0,     -- whether this member's devices shall stay quiet
    pinned          INTEGER NOT NULL DEFAULT 0,     -- whether it stands above the others in this member's list
    read_seq        INTEGER NOT NULL DEFAULT 0,
    delivered_seq   INTEGER NOT NULL DEFAULT 0,
    joined_at       INTEGER NOT NULL,
    left_at         INTEGER,
    moved_at        INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user_id);
CREATE INDEX members_left ON members (user_id) WHERE until_seq IS NOT NULL;

-- The entries that a member who left and came back may not see: what was said in between.
CREATE TABLE absences (
    conversation_id INTEGER NOT NULL REFERENCES conversations (id),
    user_id         INTEGER NOT NULL REFERENCES users (id),
    from_seq        INTEGER NOT NULL,
    until_seq       INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, user_id, from_seq)
) STRICT, WITHOUT ROWID;

-- Who holds a link's token may join.
CREATE TABLE group_links (
    id              INTEGER PRIMARY KEY,
    conversation_id INTEGER NOT NULL REFERENCES groups (conversation_id),
    token           TEXT NOT NULL UNIQUE,
    user_id         INTEGER NOT NULL REFERENCES users (id),  -- who made it
    uses_left       INTEGER,                        -- null: any number
    expires_at      INTEGER,
    created_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX group_links_by_conversation ON group_links (conversation_id);

-- Who asks to be let into a group whose admins decide.
CREATE TABLE join_requests (
    conversation_id INTEGER NOT NULL REFERENCES groups (conversation_id),
    user_id         INTEGER NOT NULL REFERENCES users (id),
    note            TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX join_requests_by_user ON join_requests (user_id);

-- The logs. An entry is an event: a message has kind and content, and what else it says (a reply, mentions) as JSON in
-- data; an edit has its text in content; of any other everything stands in data. Content is only ever changed to be
-- erased: a message's text is that of its newest edit.
CREATE TABLE entries (
    id              INTEGER PRIMARY KEY,            -- the wire's message_id
    conversation_id INTEGER NOT NULL REFERENCES conversations (id),
    seq             INTEGER NOT NULL,
    event           TEXT NOT NULL,
    user_id         INTEGER NOT NULL REFERENCES users (id),  -- who did it
    target_seq      INTEGER,                        -- the message that an edit, a recall, a reaction, a pin is about
    client_id       TEXT,
    kind            TEXT,
    content         TEXT,
    data            TEXT,
    created_at      INTEGER NOT NULL,
    recalled_at     INTEGER,                        -- since then nothing is left of the message but its place
    UNIQUE (conversation_id, seq)
) STRICT;
CREATE INDEX entries_edits ON entries (conversation_id, target_seq, seq) WHERE event = 'edit';

-- The messages that name a file.
CREATE TABLE attachments (
    conversation_id INTEGER NOT NULL,
    seq             INTEGER NOT NULL,               -- the message's
    file_id         INTEGER NOT NULL REFERENCES files (id),
    PRIMARY KEY (conversation_id, seq),
    FOREIGN KEY (conversation_id, seq) REFERENCES entries (conversation_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX attachments_by_file ON attachments (file_id);

-- since_seq is the entry that says so: who left before it does not see it.
CREATE TABLE reactions (
    conversation_id INTEGER NOT NULL,
    seq             INTEGER NOT NULL,               -- the message's
    emoji           TEXT NOT NULL,
    user_id         INTEGER NOT NULL REFERENCES users (id),
    since_seq       INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, seq, emoji, user_id),
    FOREIGN KEY (conversation_id, seq) REFERENCES entries (conversation_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE pins (
    conversation_id INTEGER NOT NULL,
    seq             INTEGER NOT NULL,               -- the message's
    user_id         INTEGER NOT NULL REFERENCES users (id),
    since_seq       INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, seq),
    FOREIGN KEY (conversation_id, seq) REFERENCES entries (conversation_id, seq)
) STRICT, WITHOUT ROWID;

-- The messages that somebody has deleted, each for oneself alone.
CREATE TABLE deletions (
    conversation_id INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    user_id         INTEGER NOT NULL REFERENCES users (id),
    PRIMARY KEY (conversation_id, seq, user_id),
    FOREIGN KEY (conversation_id, seq) REFERENCES entries (conversation_id, seq)
) STRICT, WITHOUT ROWID;

-- Both directions of a friendship, a row each.
CREATE TABLE friends (
    user_id    INTEGER NOT NULL REFERENCES users (id),
    friend_id  INTEGER NOT NULL REFERENCES users (id),
    remark     TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, friend_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE blocks (
    user_id    INTEGER NOT NULL REFERENCES users (id),
    blocked_id INTEGER NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, blocked_id)
) STRICT, WITHOUT ROWID;

-- The last request from one user to another; asking again reopens it.
CREATE TABLE friend_requests (
    id         INTEGER PRIMARY KEY,
    from_id    INTEGER NOT NULL REFERENCES users (id),
    to_id      INTEGER NOT NULL REFERENCES users (id),
    note       TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('pending', 'accepted', 'rejected')),
    created_at INTEGER NOT NULL,
    UNIQUE (from_id, to_id)
) STRICT;
CREATE INDEX friend_requests_received ON friend_requests (to_id, id);
CREATE INDEX friend_requests_sent ON friend_requests (from_id, id);

-- What people show of their days. Ids are not given twice: what was deleted is still named in logs.
CREATE TABLE moments (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL REFERENCES users (id),
    content    TEXT NOT NULL,
    location   TEXT,                                -- a geo URI (RFC 5870)
    visibility TEXT NOT NULL CHECK (visibility IN ('all', 'friends', 'private')),
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX moments_by_user ON moments (user_id, id);
CREATE INDEX moments_for_friends ON moments (user_id, id) WHERE visibility <> 'private';
CREATE INDEX moments_for_all ON moments (user_id, id) WHERE visibility = 'all';

CREATE TABLE moment_images (
    moment_id INTEGER NOT NULL REFERENCES moments (id),
    position  INTEGER NOT NULL,                     -- 1, 2, 3 …
    file_id   INTEGER NOT NULL REFERENCES files (id),
    PRIMARY KEY (moment_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX moment_images_by_file ON moment_images (file_id);

CREATE TABLE moment_likes (
    moment_id INTEGER NOT NULL REFERENCES moments (id),
    user_id   INTEGER NOT NULL REFERENCES users (id),
    liked_at  INTEGER,                              -- null: taken back; given again, it is no news to the author
    PRIMARY KEY (moment_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX moment_likes_by_user ON moment_likes (user_id);

CREATE TABLE moment_comments (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    moment_id  INTEGER NOT NULL REFERENCES moments (id),
    user_id    INTEGER NOT NULL REFERENCES users (id),
    content    TEXT NOT NULL,
    reply_to   INTEGER REFERENCES moment_comments (id) ON DELETE SET NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX moment_comments_by_moment ON moment_comments (moment_id, id);
CREATE INDEX moment_comments_by_user ON moment_comments (user_id);
CREATE INDEX moment_comments_by_reply ON moment_comments (reply_to) WHERE reply_to IS NOT NULL;

-- Who sees which message, and with which text: the one place that says so. Not what came before the first stay or
-- between two, not what one has deleted for oneself; after the last stay neither new messages nor new texts of old ones.
-- SQLite leaves out a LEFT JOIN that nothing is asked of.
CREATE VIEW readable AS
SELECT m.user_id AS viewer_id, m.read_seq, m.delivered_seq, c.kind AS conversation_kind,
       e.id, e.conversation_id, e.seq, e.user_id, u.username, e.client_id, e.kind, e.data, e.created_at, e.recalled_at,
       COALESCE(v.content, e.content) AS content, v.created_at AS edited_at
FROM members m
JOIN entries e ON e.conversation_id = m.conversation_id AND e.event = 'message' AND e.seq >= m.from_seq
              AND (m.until_seq IS NULL OR e.seq <= m.until_seq)
LEFT JOIN conversations c ON c.id = m.conversation_id
LEFT JOIN users u ON u.id = e.user_id
LEFT JOIN entries v ON v.conversation_id = e.conversation_id AND v.seq = (
    SELECT MAX(t.seq) FROM entries t
    WHERE t.conversation_id = e.conversation_id AND t.target_seq = e.seq AND t.event = 'edit'
      AND (m.until_seq IS NULL OR t.seq <= m.until_seq)
)
WHERE NOT EXISTS (SELECT 1 FROM absences a WHERE a.conversation_id = e.conversation_id AND a.user_id = m.user_id
                                           AND a.from_seq <= e.seq AND a.until_seq >= e.seq)
  AND NOT EXISTS (SELECT 1 FROM deletions d WHERE d.conversation_id = e.conversation_id AND d.seq = e.seq
                                            AND d.user_id = m.user_id);

-- Who sees which moment: the one place that says so. What is for friends ends with the friendship, and a block, which ends
-- it too, goes both ways. (CROSS JOIN: SQLite takes the tables in this order.)
CREATE VIEW visible_moments AS
SELECT v.id AS viewer_id, m.id, m.user_id, m.content, m.location, m.visibility, m.created_at
FROM users v
CROSS JOIN moments m
WHERE m.user_id = v.id
   OR (m.visibility = 'friends' AND EXISTS (SELECT 1 FROM friends f WHERE f.user_id = m.user_id AND f.friend_id = v.id))
   OR (m.visibility = 'all'
       AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = m.user_id AND b.blocked_id = v.id)
       AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = v.id AND b.blocked_id = m.user_id));

-- Who sees whose likes and comments: of those who see the moment themselves one's own, one's friends' and the author's;
-- the author everybody's. The two differ in what they are about alone.
CREATE VIEW visible_likes AS
SELECT v.viewer_id, v.user_id AS author_id, l.moment_id, l.user_id, l.liked_at
FROM visible_moments v
CROSS JOIN moment_likes l
WHERE l.moment_id = v.id AND l.liked_at IS NOT NULL AND (
    l.user_id IN (v.viewer_id, v.user_id)
    OR ((v.viewer_id = v.user_id
         OR EXISTS (SELECT 1 FROM friends f WHERE f.user_id = v.viewer_id AND f.friend_id = l.user_id))
        AND EXISTS (SELECT 1 FROM visible_moments w WHERE w.viewer_id = l.user_id AND w.id = l.moment_id))
);
CREATE VIEW visible_comments AS
SELECT v.viewer_id, v.user_id AS author_id, c.id, c.moment_id, c.user_id, c.content, c.reply_to, c.created_at
FROM visible_moments v
CROSS JOIN moment_comments c
WHERE c.moment_id = v.id AND (
    c.user_id IN (v.viewer_id, v.user_id)
    OR ((v.viewer_id = v.user_id
         OR EXISTS (SELECT 1 FROM friends f WHERE f.user_id = v.viewer_id AND f.friend_id = c.user_id))
        AND EXISTS (SELECT 1 FROM visible_moments w WHERE w.viewer_id = c.user_id AND w.id = c.moment_id))
);

-- The full-text index: of each message the tokens of its text, and one for its conversation (chatd/fulltext.py).
CREATE VIRTUAL TABLE search USING fts5 (tokens, content='', tokenize='ascii', detail=none, columnsize=0);

-- A member's view of each conversation, as it stands or stood when the member left. unread_count stops at 1000; a
-- peer's pointers are null where receipts are off.
CREATE VIEW inbox AS
SELECT i.*, CASE WHEN i.last_message_seq <= i.read_seq THEN 0 ELSE (
           SELECT COUNT(*) FROM (
               SELECT 1 AS one FROM readable r
               WHERE r.viewer_id = i.user_id AND r.conversation_id = i.conversation_id AND r.seq > i.read_seq
                 AND r.user_id <> i.user_id AND r.recalled_at IS NULL
               LIMIT 1000
           ) AS unread
       ) END AS unread_count
FROM (
    SELECT m.user_id, m.conversation_id, c.kind, m.role, m.from_seq, m.until_seq, m.read_seq, m.delivered_seq,
           m.muted_until, m.silent, m.pinned, m.joined_at, m.moved_at,
           COALESCE(m.title, g.title) AS title, CASE WHEN m.until_seq IS NULL THEN g.member_count END AS member_count,
           CASE WHEN m.until_seq IS NULL THEN g.avatar_file_id END AS avatar_file_id,
           COALESCE(m.until_seq, c.last_seq) AS last_seq,
           COALESCE(m.left_at, c.last_at) AS last_at,
           CASE WHEN (m.until_seq IS NULL OR c.last_message_seq <= m.until_seq)
                 AND c.last_message_seq >= m.from_seq
                 AND NOT EXISTS (SELECT 1 FROM absences a
                                 WHERE a.conversation_id = m.conversation_id AND a.user_id = m.user_id
                                   AND a.from_seq <= c.last_message_seq AND a.until_seq >= c.last_message_seq)
                 AND NOT EXISTS (SELECT 1 FROM deletions d
                                 WHERE d.conversation_id = m.conversation_id AND d.user_id = m.user_id
                                   AND d.seq = c.last_message_seq)
           THEN c.last_message_seq ELSE COALESCE((
               SELECT r.seq FROM readable r WHERE r.viewer_id = m.user_id AND r.conversation_id = m.conversation_id
               ORDER BY r.seq DESC LIMIT 1
           ), 0) END AS last_message_seq,
           p.id AS peer_id, p.username AS peer_username, p.nickname AS peer_nickname,
           p.avatar_file_id AS peer_avatar_file_id,
           pm.read_seq AS peer_read_seq, pm.delivered_seq AS peer_delivered_seq, pm.moved_at AS peer_moved_at
    FROM members m
    JOIN conversations c ON c.id = m.conversation_id
    JOIN users u ON u.id = m.user_id
    LEFT JOIN groups g ON c.kind = 'group' AND g.conversation_id = c.id
    LEFT JOIN users p ON c.kind = 'direct' AND p.id = c.low_id + c.high_id - m.user_id
    LEFT JOIN members pm ON pm.conversation_id = m.conversation_id AND pm.user_id = p.id
                        AND u.receipts = 1 AND p.receipts = 1
                        AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = m.user_id AND b.blocked_id = p.id)
                        AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = p.id AND b.blocked_id = m.user_id)
) AS i;
