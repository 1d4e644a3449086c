"""One module per feature. Importing this package registers every op.

The catalogue goes on: moments, calls and administration will each be one more module in this list.
"""

from chatd.ops import (
    accounts,
    blocks,
    codes,
    connection,
    conversations,
    files,
    friend_requests,
    friends,
    group_joining,
    group_members,
    groups,
    history,
    invites,
    message_changes,
    messages,
    presence,
    profiles,
    receipts,
    search,
    sessions,
    sync,
    uploading,
)

__all__ = [
    "accounts",
    "blocks",
    "codes",
    "connection",
    "conversations",
    "files",
    "friend_requests",
    "friends",
    "group_joining",
    "group_members",
    "groups",
    "history",
    "invites",
    "message_changes",
    "messages",
    "presence",
    "profiles",
    "receipts",
    "search",
    "sessions",
    "sync",
    "uploading",
]
