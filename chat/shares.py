"""Links that show a chat to people who take no part in it: made, listed and revoked by its owners."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from auth.encryption.ciphers import KeyIsMissing, TenantCipher
from auth.policies.chats import can_manage_chat
from auth.policies.shares import can_share_chat
from auth.tokens import hash_token, share_token
from auth.viewers import Viewer
from chat.acts import Act, Acts
from chat.claims import Made
from chat.expiries import await_expiry
from chat.headings import opened_titles
from chat.locks import manageable, visible
from chat.turns import RunInProgress
from db.scopes import Row
from db.statements import members, messages, runs, shares
from db.tables.shares import ChatShare
from errors import Invalid, NotFound, PermissionDenied
from events.facts import ChatShareCreated, ChatShareRevoked, record
from events.jobs import Jobs
from settings import Settings

AUDIENCES: Final = ("ANYONE", "TENANT", "USERS")


@dataclass(frozen=True, kw_only=True)
class ShareDraft:
    """A link that somebody wants: to what the chat is at any time, or to one branch as it is now."""

    audience: str
    live: bool = False
    leaf_id: UUID | None = None
    user_ids: tuple[UUID, ...] = ()
    expires_at: datetime | None = None


class Shares:
    """Makes and ends links. What a link's maker may not do any more, the link does not do either: see `chat.guests`."""

    def __init__(self, *, acts: Acts, jobs: Jobs, settings: Settings) -> None:
        self._acts = acts
        self._jobs = jobs
        self._settings = settings

    async def create(self, viewer: Viewer, chat_id: UUID, draft: ShareDraft, *, key: str) -> Row:
        """Make a link."""
        made, content = Made(chat_id, share=uuid7()), {"chat": chat_id.hex, **msgspec.to_builtins(draft)}
        async with self._acts.begun(viewer) as act:
            if (earlier := await act.claimed("chatShareCreate", key, content, made)) is not None:
                return await _made_before(act, earlier)
            self._check(draft)
            chat = await visible(act.scope, viewer, chat_id)
            if not can_share_chat(viewer, chat, draft.audience):
                needed = "chats:share" if can_manage_chat(viewer, chat) else "chats:write"
                raise PermissionDenied("You may not share this chat with them.", required_scopes=(needed,))
            most = self._settings.chat_max_shares
            if await shares.count_of_chat(act.scope, act.tenant_id, chat_id) >= most:
                raise Invalid(
                    f"A chat has at most {most} links, the revoked ones included.", path=("chatId",), constraint=f"max_items={most}"
                )
            for user_id in draft.user_ids:
                if await members.standing(act.scope, act.tenant_id, user_id) is None:
                    raise NotFound("There is no member with this id.", path=("userIds",))
            leaf_id = None if draft.live else await _leaf(act, chat, draft.leaf_id)
            share = await shares.create(act.scope, _made(act, made, chat, draft, leaf_id))
            await record(act.scope, act.tenant_id, ChatShareCreated(chat_id=chat_id, share_id=share["id"]), by=viewer)
            await await_expiry(self._jobs, act.scope, share)
            return share

    async def revoke(self, viewer: Viewer, share_id: UUID) -> Row:
        """End a link at once; again is no mistake."""
        missing = NotFound("There is no ChatShare with this id.", path=("shareId",))
        async with self._acts.begun(viewer) as act:
            share = await shares.by_id(act.scope, act.tenant_id, share_id)
            if share is None:
                raise missing
            await manageable(act.scope, viewer, share["chat_id"], missing)
            if (revoked := await shares.revoke(act.scope, act.tenant_id, share_id)) is None:
                raise missing
            if not revoked["revoked_before"]:
                await record(act.scope, act.tenant_id, ChatShareRevoked(chat_id=share["chat_id"], share_id=share_id), by=viewer)
            return revoked

    def _check(self, draft: ShareDraft) -> None:
        most = self._settings.share_max_users
        if draft.live and draft.leaf_id is not None:
            raise Invalid("A live link follows the chat's head and has no leaf.", path=("leaf",), constraint="without=live")
        if (draft.audience == "USERS") != bool(draft.user_ids):
            raise Invalid("`userIds` goes with the audience USERS, and USERS with it.", path=("userIds",), constraint="with=audience")
        if len(draft.user_ids) > most:
            raise Invalid(f"A link is for at most {most} people.", path=("userIds",), constraint=f"max_items={most}")
        if draft.expires_at is not None and draft.expires_at <= datetime.now(UTC):
            raise Invalid("A link expires in the future.", path=("expiresAt",), constraint="future")


async def _leaf(act: Act, chat: Row, leaf_id: UUID | None) -> UUID:
    """Find the message that a snapshot ends with; what is still being said cannot be shown as it is."""
    if busy := await runs.open_by_chats(act.scope, act.tenant_id, [chat["id"]]):
        raise RunInProgress(busy[0])
    leaf_id = leaf_id or chat["head_message_id"]
    if leaf_id is None:
        raise Invalid("The chat is empty; there is nothing to show as it is now.", path=("live",), constraint="not_empty")
    leaf = await messages.by_id(act.scope, act.tenant_id, leaf_id)
    if leaf is None or leaf["chat_id"] != chat["id"]:
        raise NotFound("There is no message with this id in the chat.", path=("leaf",))
    return leaf_id


async def _made_before(act: Act, made: Made) -> Row:
    """Read again the link that an earlier request with the same key made, as far as the viewer still sees it."""
    missing = NotFound("The link that this idempotency key was used for is gone.", path=("idempotencyKey",))
    await manageable(act.scope, act.viewer, made.chat, missing)
    share = None if made.share is None else await shares.by_id(act.scope, act.tenant_id, made.share)
    if share is None:
        raise missing
    return share


def _made(act: Act, made: Made, chat: Row, draft: ShareDraft, leaf_id: UUID | None) -> ChatShare:
    assert made.share is not None, "its id was chosen with the key"
    share_id, version = made.share, max(act.cipher.versions)
    title = None
    if leaf_id is not None:
        (opened,) = opened_titles(act.cipher, [chat])
        if isinstance(opened, Exception):
            raise opened
        title = None if opened is None else act.cipher.encrypt("chat_shares", "title", share_id, opened.encode())
    return ChatShare(
        tenant_id=act.tenant_id, id=share_id, chat_id=chat["id"], created_by=act.viewer.user_id, audience=draft.audience,
        user_ids=list(draft.user_ids), leaf_id=leaf_id, title=title, token_hash=hash_token(_token(act.cipher, share_id, version)),
        key_version=version, expires_at=draft.expires_at, titled_from_id=None if title is None else chat["titled_from_id"],
    )  # fmt: skip


def _token(cipher: TenantCipher, share_id: UUID, version: int) -> str:
    """Make a link's token: who has neither the link nor the tenant's key cannot guess its 256 bits."""
    return share_token(cipher.tenant_id, cipher.hmac("chat share", share_id.bytes, version=version))


def url_of(cipher: TenantCipher, share: Row, settings: Settings) -> str | None:
    """Write a link again; None when its key is gone.

    The token stands behind the `#`: browsers send that to no server, so it is in no log and no Referer.
    """
    try:
        return f"{settings.public_url.rstrip('/')}/share#{_token(cipher, share['id'], share['key_version'])}"
    except KeyIsMissing:
        return None
