"""Which models are to answer: those that the viewer chose, as far as they may ask them."""

from collections.abc import Sequence
from uuid import UUID

from auth.viewers import Viewer
from errors import Invalid
from inference.offers import Models
from settings import Settings

_PATH = ("modelIds",)
DEFAULT: tuple[UUID | None, ...] = (None,)


class Choices:
    """Checks which models a viewer chose; asked before an act begins, because what a tenant offers is read in a scope of its own."""

    def __init__(self, models: Models, settings: Settings) -> None:
        self._models = models
        self._most = settings.run_parallel_models

    async def checked(self, viewer: Viewer, model_ids: Sequence[UUID], policy_id: UUID | None = None) -> tuple[UUID | None, ...]:
        """Return the models that answer side by side: the one that is chosen by default (None) where the viewer chose none."""
        if len(model_ids) > self._most or len(set(model_ids)) < len(model_ids):
            message = f"Choose 1 to {self._most} models, each once."
            raise Invalid(message, path=_PATH, constraint=f"unique_items=1..{self._most}")
        await self._models.check(viewer.tenant_id, viewer.user_id, model_ids, policy_id)
        return tuple(model_ids) or DEFAULT
