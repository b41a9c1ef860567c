"""What somebody might say, thought through before it is said: whom it would be asked of, and after what."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from auth.viewers import Viewer
from chat.contexts import read_branch
from db.scopes import Row, TenantScopes
from inference.deployments import Policy
from inference.offers import Models
from settings import Settings


@dataclass(frozen=True, kw_only=True)
class Idea:
    """What somebody might say: in a chat after a message of it, or in a chat of its own; and of whom they would ask it."""

    texts: Sequence[str]
    chat_id: UUID | None = None
    leaf_id: UUID | None = None
    model_id: UUID | None = None
    policy_id: UUID | None = None
    max_output_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a request would be made of: the messages that lead to the idea, and who may be asked."""

    model_id: UUID
    policy: Policy
    branch: Sequence[Row]
    cipher: TenantCipher


class Ideas:
    """Prepares a request that nobody sends. Whether the viewer may read the chat was checked before."""

    def __init__(self, *, scopes: TenantScopes, keyring: Keyring, models: Models, settings: Settings) -> None:
        self._scopes = scopes
        self._keyring = keyring
        self._models = models
        self._settings = settings

    async def prepared(self, viewer: Viewer, idea: Idea) -> Prepared:
        """Find what is needed to ask; raises what asking would raise of models and policies."""
        who = (viewer.tenant_id, viewer.user_id)
        model_id = await self._models.usable(*who, idea.model_id, idea.policy_id)
        policy = await self._models.policy_for(*who, model_id, idea.policy_id)
        cipher = await self._keyring.cipher(viewer.tenant_id)
        branch: list[Row] = []
        if idea.chat_id is not None and idea.leaf_id is not None:
            async with self._scopes.reading(viewer.tenant_id) as scope:
                branch = await read_branch(scope, viewer.tenant_id, idea.chat_id, idea.leaf_id, self._settings)
        return Prepared(model_id=model_id, policy=policy, branch=branch, cipher=cipher)
