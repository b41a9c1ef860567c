"""What would become of a question, said before it is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from auth.encryption.keyring import Keyring
from auth.policies.chats import can_read_chat
from auth.viewers import Viewer
from chat.contexts import read_branch, request_for
from chat.routes import Taken, taken
from db.scopes import Row, TenantScopes
from db.statements import chats
from errors import NotFound
from inference.attempts import Attempt
from inference.models import ModelMessage, ProviderFailed
from inference.offers import ModelIsUnavailable, Models
from inference.routing import Router
from settings import Settings


@dataclass(frozen=True, kw_only=True)
class Question:
    """What somebody thinks of saying, in a chat or without one, and of whom they would ask it."""

    texts: Sequence[str]
    chat_id: UUID | None = None
    parent_id: UUID | None = None
    model_id: UUID | None = None
    policy_id: UUID | None = None
    max_output_tokens: int | None = None


class Forecasts:
    """Says who would answer, as things stand now; nothing is asked, booked or written."""

    def __init__(self, *, scopes: TenantScopes, keyring: Keyring, models: Models, router: Router, settings: Settings) -> None:
        self._scopes = scopes
        self._keyring = keyring
        self._models = models
        self._router = router
        self._settings = settings

    async def route(self, viewer: Viewer, question: Question) -> Taken:
        """Say who would be asked, and why; raises `ModelIsUnavailable` where nobody could be."""
        await self._models.usable(
            viewer.tenant_id, viewer.user_id, () if question.model_id is None else [question.model_id], question.policy_id
        )  # fmt: skip
        policy = await self._models.policy_for(viewer.tenant_id, viewer.user_id, question.model_id, question.policy_id)
        cipher = await self._keyring.cipher(viewer.tenant_id)
        run: dict[str, Any] = {"max_output_tokens": question.max_output_tokens, "chat_id": question.chat_id}
        branch: list[Row] = []
        if question.chat_id is not None:
            async with self._scopes.reading(viewer.tenant_id) as scope:
                chat = await chats.by_id(scope, viewer.tenant_id, question.chat_id)
                if chat is None or not can_read_chat(viewer, chat):
                    raise NotFound("There is no Chat with this id.", path=("chatId",))
                if (leaf_id := question.parent_id or chat["head_message_id"]) is not None:
                    branch = await read_branch(scope, viewer.tenant_id, question.chat_id, leaf_id, self._settings)
        request = request_for(run, branch, None, cipher, policy=policy, settings=self._settings)
        said = tuple(ModelMessage("user", text) for text in question.texts)
        request = msgspec.structs.replace(request, messages=(*request.messages, *said))
        try:
            decision = await self._router.explain(policy, request, chat_id=question.chat_id)
        except ProviderFailed as failure:
            raise ModelIsUnavailable(failure.message) from failure
        return taken(policy, Attempt.imagined(decision.deployment, decision.reason))
