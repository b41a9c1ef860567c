"""What somebody might say, thought through before it is said: whom it would be asked of, and after what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from auth.viewers import Viewer
from chat.assistants import Content, opened_content, version_of_chat
from chat.contents import plain_text, sealed, text_parts
from chat.contexts import Given, check_fits, given, read_branch
from db.scopes import Reads, Row
from errors import NotFound
from inference.deployments import Model, Policy
from inference.offers import Models, readers_of
from settings import Settings


@dataclass(frozen=True, kw_only=True)
class Idea:
    """What somebody might say, or nothing yet: in a chat after a message of it, or in a chat of its own; and of whom they would ask it."""

    texts: Sequence[str] = ()
    chat_id: UUID | None = None
    leaf_id: UUID | None = None
    model_id: UUID | None = None
    policy_id: UUID | None = None
    max_output_tokens: int | None = None


class Prepared(NamedTuple):
    """Who would be asked, and what they would be given, exactly as a worker would give it; `chosen` is None where nobody chose a model."""

    model_id: UUID
    chosen: UUID | None
    policy: Policy
    given: Given


class _Found(NamedTuple):
    """What an idea goes on from."""

    branch: list[Row]
    version: Content | None
    model_id: UUID | None
    cipher: TenantCipher


class Ideas:
    """Prepares a request that nobody sends. Whether the viewer may read the chat was checked before; `reads` is where it is read."""

    def __init__(self, *, keyring: Keyring, models: Models, settings: Settings) -> None:
        self._keyring = keyring
        self._models = models
        self._settings = settings

    async def prepared(self, viewer: Viewer, idea: Idea, reads: Reads) -> Prepared:
        """Find what is needed to ask; raises what asking would raise of models and policies."""
        who, found = (viewer.tenant_id, viewer.user_id), await self._found(viewer, idea, reads)
        model_id = await self._models.usable(*who, found.model_id, idea.policy_id)
        policy = await self._models.policy_for(*who, model_id, idea.policy_id)
        return Prepared(model_id, found.model_id, policy, self._given(idea, found, policy.readers))

    async def model_of(self, viewer: Viewer, idea: Idea, reads: Reads) -> UUID | None:
        """Say which model somebody chose for it, if anybody did: whoever says it, or the chat's assistant."""
        return (await self._found(viewer, idea, reads)).model_id

    async def policy_of(self, viewer: Viewer, idea: Idea, reads: Reads) -> Policy:
        """Say where it would be asked, however long it is; raises what asking would raise of models and policies."""
        who, chosen = (viewer.tenant_id, viewer.user_id), await self.model_of(viewer, idea, reads)
        return await self._models.policy_for(*who, await self._models.usable(*who, chosen, idea.policy_id), idea.policy_id)

    async def looked_at(self, viewer: Viewer, idea: Idea, reads: Reads) -> tuple[Model, Given]:
        """Say what which model would be given, even one that cannot be asked now; raises `NotFound` for one that is not there."""
        who, found = (viewer.tenant_id, viewer.user_id), await self._found(viewer, idea, reads)
        offering = await self._models.offering(*who)
        model_id = found.model_id or offering.default_model_id
        if (model := await self._models.find(*who, model_id)) is None:
            raise NotFound("There is no Model with this id.", path=("model",))
        return model, self._given(idea, found, readers_of(offering, model_id, None) or [model])

    async def _found(self, viewer: Viewer, idea: Idea, reads: Reads) -> _Found:
        cipher = await self._keyring.cipher(viewer.tenant_id)
        if idea.chat_id is None:
            return _Found([], None, idea.model_id, cipher)
        branch: list[Row] = []
        async with reads.reading(viewer.tenant_id) as scope:
            using = await version_of_chat(scope, viewer.tenant_id, idea.chat_id)
            if idea.leaf_id is not None:
                branch = await read_branch(scope, viewer.tenant_id, idea.chat_id, idea.leaf_id, self._settings)
        version = None if using is None else opened_content(cipher, using)
        return _Found(branch, version, idea.model_id or (using["model_id"] if using else None), cipher)

    def _given(self, idea: Idea, found: _Found, readers: Sequence[Model]) -> Given:
        """What would be given, with what would be said behind all that was; raises `ContextOverflow` where that alone is too much."""
        said_id, parts, branch = uuid7(), text_parts(list(idea.texts)), found.branch
        if parts:
            said: Any = {"id": said_id, "role": "USER", "content": sealed(found.cipher, said_id, parts)}
            branch = [*branch, said]
        whole = given(branch, found.version, found.cipher, readers=readers, asked=idea.max_output_tokens, settings=self._settings)
        if parts:
            check_fits(plain_text(parts), whole.window.before, limit=whole.window.limit)
        return whole
