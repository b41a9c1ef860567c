"""What an answer would cost, before anybody says anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from auth.viewers import Viewer
from chat.assistants import Content, opened_content, version_of_chat
from chat.contents import sealed, text_parts
from chat.contexts import MESSAGE_TOKENS, read_branch, room_of, window_of
from chat.drafts import check_length, check_texts
from db.scopes import Row, TenantScopes
from db.statements import assistants, runs
from inference.deployments import Policy, Price
from inference.models import ModelRequest, Usage, estimated_usage
from inference.offers import Models
from settings import Settings

# Of how many of a person's latest answers the usual length is taken.
LATEST: Final = 100
ROLES: Final = {"USER": "user", "ASSISTANT": "assistant", "SYSTEM": "system"}


@dataclass(frozen=True, kw_only=True)
class Idea:
    """What somebody might say: in a chat after a message of it, or in a chat of its own."""

    texts: Sequence[str]
    chat_id: UUID | None = None
    leaf_id: UUID | None = None
    model_id: UUID | None = None
    policy_id: UUID | None = None
    max_output_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What one answer would use and cost; costs are None where no price is known, or prices are in several currencies."""

    model_id: UUID
    input_tokens: int
    expected_output_tokens: int
    max_output_tokens: int
    price: Price | None
    expected_cost: Decimal | None
    max_cost: Decimal | None


@dataclass(frozen=True, kw_only=True)
class _Asked:
    model_id: UUID
    policy: Policy
    request: ModelRequest


class Estimates:
    """Thinks through what a viewer might say. Whether they may read the chat was checked before."""

    def __init__(self, *, scopes: TenantScopes, keyring: Keyring, models: Models, settings: Settings) -> None:
        self._scopes = scopes
        self._keyring = keyring
        self._models = models
        self._settings = settings

    async def cost(self, viewer: Viewer, idea: Idea) -> Estimate:
        """Estimate an answer; raises what saying it would raise."""
        asked = await self._asked(viewer, idea)
        used, longest = estimated_usage(asked.request, output_bytes=0), asked.request.max_output_tokens
        async with self._scopes.reading(viewer.tenant_id) as scope:
            usual = await runs.usual_output(scope, viewer.tenant_id, viewer.user_id, idea.model_id, latest=LATEST)
        expected = min(self._settings.estimate_output_tokens if usual is None else usual, longest)
        price = asked.policy.candidates[0].model.price
        return Estimate(
            model_id=asked.model_id,
            input_tokens=used.input_tokens,
            expected_output_tokens=expected,
            max_output_tokens=longest,
            price=price,
            expected_cost=None if price is None else price.cost(Usage(input_tokens=used.input_tokens, output_tokens=expected)),
            max_cost=highest_cost(_prices(asked.policy), most_input_tokens(asked.request), longest),
        )

    async def _asked(self, viewer: Viewer, idea: Idea) -> _Asked:
        check_texts(idea.texts, self._settings)
        check_length(idea.max_output_tokens)
        cipher = await self._keyring.cipher(viewer.tenant_id)
        branch: list[Row] = []
        version: Row | None = None
        if idea.chat_id is not None:
            async with self._scopes.reading(viewer.tenant_id) as scope:
                if (using := await version_of_chat(scope, viewer.tenant_id, idea.chat_id)) is not None:
                    (version,) = await assistants.versions_by_ids(scope, viewer.tenant_id, [using["id"]])
                if idea.leaf_id is not None:
                    branch = await read_branch(scope, viewer.tenant_id, idea.chat_id, idea.leaf_id, self._settings)
        chosen = idea.model_id or (version["model_id"] if version is not None else None)
        who = (viewer.tenant_id, viewer.user_id)
        (model_id,) = await self._models.usable(*who, () if chosen is None else (chosen,), idea.policy_id)
        policy = await self._models.policy_for(*who, model_id, idea.policy_id)
        said_id = uuid7()
        said: Any = {"id": said_id, "role": "USER", "content": sealed(cipher, said_id, text_parts(list(idea.texts)))}
        content = None if version is None else opened_content(cipher, version)
        return _Asked(model_id=model_id, policy=policy, request=self._request(idea, [*branch, said], content, cipher, policy))

    def _request(self, idea: Idea, rows: Sequence[Row], content: Content | None, cipher: TenantCipher, policy: Policy) -> ModelRequest:
        """What would be sent: the latest messages, as many as fit beside the longest answer."""
        model, settings = policy.candidates[0].model, self._settings
        asked = idea.max_output_tokens or (content.parameters.max_output_tokens if content else None) or settings.model_max_output_tokens
        longest = min(asked, settings.model_max_output_tokens, model.max_output_tokens)
        room = room_of(model.context_tokens, longest, longest)
        window = window_of(rows, content, cipher, limit=room.limit)
        return ModelRequest(messages=window.messages(), max_output_tokens=room.most)


def most_input_tokens(request: ModelRequest) -> int:
    """A bound for what any tokenizer makes of it: byte-level ones make no more tokens than there are bytes."""
    return sum(len(message.text.encode()) + MESSAGE_TOKENS for message in request.messages)


def highest_cost(prices: Sequence[Price | None], input_tokens: int, output_tokens: int) -> Decimal | None:
    """What one answer costs at most, in whichever class its tokens count; None unless all prices are known and in one currency."""
    known = [price for price in prices if price is not None]
    if len(known) < len(prices) or len({price.currency for price in known}) != 1:
        return None
    nothing: dict[str, Any] = {"input_tokens": 0, "output_tokens": 0}
    worst = [
        Usage(**(nothing | {read: input_tokens, written: output_tokens}))
        for read in ("input_tokens", "cache_write_tokens")
        for written in ("output_tokens", "reasoning_tokens")
    ]
    return max(price.cost(usage) for price in known for usage in worst)


def _prices(policy: Policy) -> list[Price | None]:
    """The prices of all that a policy may lead to."""
    fallbacks = [deployment for rule in policy.fallbacks for deployment in rule.to]
    return [deployment.model.price for deployment in (*policy.candidates, *fallbacks)]
