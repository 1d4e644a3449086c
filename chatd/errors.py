"""What can go wrong, one class per wire code.

Only a `ChatError` reaches a client. `code` is for programs and never changes once released;
the texts are for people, in English and Chinese, and may name details given to the constructor.
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

Lang = Literal["en", "zh"]


class Phrase(NamedTuple):
    """A text for people in the languages chatd speaks."""

    en: str
    zh: str

    def speak(self, lang: Lang) -> str:
        return self.zh if lang == "zh" else self.en


class ChatError(Exception):
    """An error that a client may see.

    `field` names the request's field at fault; `retry_after_ms` says when a `temporary` error may be gone.
    """

    code: ClassVar[str]
    says: ClassVar[Phrase]
    temporary: ClassVar[bool] = False
    status: ClassVar[int] = 400
    """Of the response over HTTP (RFC 9110, section 15)."""

    def __init__(self, *, field: str | None = None, retry_after_ms: int | None = None, **details: str | Phrase) -> None:
        super().__init__(self.code)
        self.field = field
        self.retry_after_ms = retry_after_ms
        self.details = details
        self.told: str | None = None
        """The message as a daemon worded it, in a client."""

    def message(self, lang: Lang) -> str:
        if self.told is not None:
            return self.told
        words = {
            name: value.speak(lang) if isinstance(value, Phrase) else value for name, value in self.details.items()
        }
        return self.says.speak(lang).format(field=self.field, **words)

    def __str__(self) -> str:
        return self.message("en")


# The frame itself


class InvalidJson(ChatError):
    """The frame is not JSON (RFC 8259), or nests too deeply."""

    code = "invalid_json"
    says = Phrase("The frame is not valid JSON: {reason}.", "该帧不是有效的 JSON：{reason}。")


class InvalidFrame(ChatError):
    """The frame is JSON, but not an object with a `type`."""

    code = "invalid_frame"
    says = Phrase("The frame must be {expected}.", "该帧必须是{expected}。")


class UnknownOp(ChatError):
    """`type` names no op."""

    code = "unknown_op"
    status = 404
    says = Phrase(
        'There is no op "{name}". Ask {{"type":"help"}} for the list.',
        '没有名为“{name}”的操作。发送 {{"type":"help"}} 可查看列表。',
    )


class Invalid(ChatError):
    """A field has the wrong type, a value out of range, is missing or unknown."""

    code = "invalid"
    says = Phrase("{field} {expected}.", "{field} {expected}。")


class NeedsSocket(ChatError):
    """The op is about the connection itself, and over HTTP there is none that lasts."""

    code = "needs_socket"
    says = Phrase("{name} needs a WebSocket.", "操作 {name} 需要 WebSocket 连接。")


class TooLarge(ChatError):
    """A file is larger than `[files] max_bytes` or than was said, or a body over HTTP than `[server] frame_bytes`."""

    code = "too_large"
    status = 413
    says = Phrase("This may have {most} bytes at most.", "最多 {most} 字节。")


class TooFast(ChatError):
    """A rate limit."""

    code = "rate_limited"
    status = 429
    says = Phrase("Too fast. Please wait a moment.", "操作太频繁，请稍后再试。")
    temporary = True


class TooManyConnections(ChatError):
    """The user has as many live connections as `[server] connections_per_user` allows."""

    code = "too_many_connections"
    status = 429
    says = Phrase("This account has too many open connections.", "该账号的连接数过多。")
    temporary = True


class Busy(ChatError):
    """More work is waiting than the daemon will queue."""

    code = "busy"
    status = 429
    says = Phrase("The server is busy. Please try again.", "服务器繁忙，请重试。")
    temporary = True


class Unavailable(ChatError):
    """The database did not accept the change; nothing of it was kept."""

    code = "unavailable"
    status = 500
    says = Phrase("The server could not store this. Nothing was changed.", "服务器无法保存，未做任何更改。")
    temporary = True


class Internal(ChatError):
    """A defect of chatd. The id stands in the server's log beside the traceback."""

    code = "internal"
    status = 500
    says = Phrase("Internal error {error_id}.", "内部错误 {error_id}。")


# Who is asking


class Unauthenticated(ChatError):
    """The op needs an identity: `signup`, `login` or `auth` first."""

    code = "unauthenticated"
    status = 401
    says = Phrase("Please sign up, log in or authenticate first.", "请先注册、登录或认证。")


class AlreadyAuthenticated(ChatError):
    """This connection has an identity already; `logout` first."""

    code = "already_authenticated"
    status = 409
    says = Phrase("This connection is already logged in as {username}.", "此连接已登录为 {username}。")


class BadCredentials(ChatError):
    """Unknown user or wrong password: which of them is not told."""

    code = "bad_credentials"
    status = 401
    says = Phrase("Wrong username or password.", "用户名或密码错误。")


class BadToken(ChatError):
    """The token is unknown, expired or revoked."""

    code = "bad_token"
    status = 401
    says = Phrase("This token is not valid. Please log in again.", "令牌无效，请重新登录。")


class AccountDisabled(ChatError):
    """The credentials are right, but an administrator has disabled the account."""

    code = "account_disabled"
    status = 403
    says = Phrase("This account is disabled.", "该账号已被停用。")


class SignupClosed(ChatError):
    """`[accounts] signup` is closed."""

    code = "signup_closed"
    status = 403
    says = Phrase("Sign-up is closed on this server.", "本服务器未开放注册。")


class BadInvite(ChatError):
    """The invite is missing, unknown, used up, expired or revoked: which of them is not told."""

    code = "bad_invite"
    status = 403
    says = Phrase("This takes an invite that is still valid.", "需要有效的邀请。")


class InvitesClosed(ChatError):
    """`[accounts] invites` is nobody, or nobody at all may sign up."""

    code = "invites_closed"
    status = 403
    says = Phrase("On this server users invite nobody.", "本服务器不允许用户邀请他人。")


class UsernameTaken(ChatError):
    """Another account has this username (compared NFKC-casefolded)."""

    code = "username_taken"
    status = 409
    says = Phrase("The username {username} is taken.", "用户名 {username} 已被占用。")


class EmailTaken(ChatError):
    """Another account has this email address."""

    code = "email_taken"
    status = 409
    says = Phrase("This email address is in use.", "该邮箱已被使用。")


class MailDisabled(ChatError):
    """`[mail]` names no server: this daemon sends no mail."""

    code = "mail_disabled"
    status = 403
    says = Phrase("This server sends no mail.", "本服务器不发送邮件。")


class BadCode(ChatError):
    """The code is wrong, older than five minutes, used, replaced by a newer one, or was guessed at five times."""

    code = "bad_code"
    status = 401
    says = Phrase("This code is wrong or no longer valid.", "验证码错误或已失效。")


# Things and people


class NotFound(ChatError):
    """It does not exist, or you may not know that it does: the two look the same."""

    code = "not_found"
    status = 404
    says = Phrase("Not found.", "未找到。")


class Conflict(ChatError):
    """This `client_id` was used before with another request."""

    code = "conflict"
    status = 409
    says = Phrase("This client_id was already used for another request.", "该 client_id 已用于其他请求。")


class NotFriends(ChatError):
    """`[messages] direct = friends`, and you are not."""

    code = "not_friends"
    status = 403
    says = Phrase("You and {username} are not friends.", "您和 {username} 还不是好友。")


class AlreadyFriends(ChatError):
    """The friendship exists."""

    code = "already_friends"
    status = 409
    says = Phrase("You and {username} are friends already.", "您和 {username} 已经是好友。")


class RequestsClosed(ChatError):
    """The user's `friend_policy` is `closed`."""

    code = "requests_closed"
    status = 403
    says = Phrase("{username} accepts no friend requests.", "{username} 不接受好友申请。")


class Unreachable(ChatError):
    """The user receives no messages from you; why is not told."""

    code = "unreachable"
    status = 403
    says = Phrase("{username} cannot be reached.", "无法联系 {username}。")


class Blocked(ChatError):
    """You have blocked this user: `unblock` first."""

    code = "blocked"
    status = 403
    says = Phrase("You have blocked {username}.", "您已屏蔽 {username}。")


# Messages


class Recalled(ChatError):
    """The message was taken back: nothing is left that could be done with it."""

    code = "recalled"
    status = 409
    says = Phrase("This message was recalled.", "该消息已被撤回。")


class NotYours(ChatError):
    """Only who wrote a message may do that with it."""

    code = "not_yours"
    status = 403
    says = Phrase("Only who wrote the message may do that.", "只有消息的发送者可以这样做。")


class TooLate(ChatError):
    """`[messages] edit_window` or `recall_window` is over."""

    code = "too_late"
    status = 403
    says = Phrase("That was possible for {window} seconds only.", "该操作仅在 {window} 秒内可用。")


class TooMany(ChatError):
    """There are as many of them as there may be."""

    code = "too_many"
    status = 409
    says = Phrase("There may be no more than {most}.", "最多只能有 {most} 个。")


# Groups


# Files


class WrongOffset(ChatError):
    """Not where the upload goes on: ask `upload_resume` where that is."""

    code = "wrong_offset"
    status = 409
    says = Phrase("The upload goes on at {offset}.", "应从 {offset} 处继续上传。")


class Incomplete(ChatError):
    """Not all bytes of the upload have come."""

    code = "incomplete"
    status = 409
    says = Phrase("{received} of {size} bytes have come.", "已收到 {received}，共 {size} 字节。")


class QuotaExceeded(ChatError):
    """All files of the user may have `[files] user_bytes` together; what is recalled makes room."""

    code = "quota_exceeded"
    status = 413
    says = Phrase("There is no room: all your files may have {most} bytes.", "空间不足：您的文件总计最多 {most} 字节。")


# Groups


class NotMember(ChatError):
    """You have left this group, or were removed: you see what was said until then, and no more than that."""

    code = "not_member"
    status = 403
    says = Phrase("You are not in this group any more.", "您已不在该群中。")


class Forbidden(ChatError):
    """Your role in the group does not allow it."""

    code = "forbidden"
    status = 403
    says = Phrase("Your role in this group does not allow that.", "您在该群中的角色不允许此操作。")


class Muted(ChatError):
    """An admin of the group has muted you for a time."""

    code = "muted"
    status = 403
    says = Phrase("You may not write here until {until}.", "您在 {until} 之前不能在此发言。")
    temporary = True


class GroupFull(ChatError):
    """The group has `[groups] max_members`, or the user is in `[groups] per_user` groups."""

    code = "group_full"
    status = 409
    says = Phrase("There is no room: {most} is the limit.", "人数或群数已达上限 {most}。")


class AlreadyMember(ChatError):
    """The user is in this group."""

    code = "already_member"
    status = 409
    says = Phrase("{username} is in this group already.", "{username} 已在群中。")


def _tree(root: type[ChatError]) -> dict[str, type[ChatError]]:
    return {cls.code: cls for cls in root.__subclasses__()}


BY_CODE: dict[str, type[ChatError]] = _tree(ChatError)
"""Every error a client can see, by its wire code."""
