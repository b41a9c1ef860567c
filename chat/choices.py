"""Which models are to answer: those that the viewer chose, as far as they may ask them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from auth.viewers import Viewer
from errors import Invalid
from inference.deployments import Model
from inference.offerings import Offering
from inference.offers import Models, check_named, check_policy, check_unnamed, readers_of
from settings import Settings

_PATH = ("modelIds",)
DEFAULT: tuple[UUID | None, ...] = (None,)


@dataclass(frozen=True)
class Choice:
    """What a viewer chose: models that answer side by side, the one by default (None) where they chose none, and a policy, if they did.

    `offering` is all that they can ask.
    """

    models: tuple[UUID | None, ...]
    policy_id: UUID | None
    offering: Offering
    settings: Settings

    def check(self, models: Sequence[UUID | None], policy_id: UUID | None) -> None:
        """Check that these can be asked, which take the places of what was chosen: an assistant's model, or the policy of an answer before.

        Raises what `check_policy` and `check_named` raise of what the viewer named, and `ModelIsUnavailable` for a model that came by
        itself. A policy that came by itself and is gone is for the run to tell.
        """
        if policy_id != self.policy_id and policy_id not in self.offering.policies:
            return
        policy = check_policy(self.offering, policy_id)
        for chosen, model_id in zip(self.models, models, strict=True):
            if chosen is None:
                check_unnamed(self.offering, model_id, policy)
            else:
                check_named(self.offering, chosen, policy)

    def readers(self, model_id: UUID | None, policy_id: UUID | None) -> Sequence[Model]:
        """The models that may be given a question which one of the models is asked."""
        policy = None if policy_id is None else self.offering.policies.get(policy_id)
        return readers_of(self.offering, model_id, policy)


class Choices:
    """Finds what a viewer can choose from; asked before an act begins, because what a tenant offers is read in a scope of its own."""

    def __init__(self, models: Models, settings: Settings) -> None:
        self._models = models
        self._settings = settings

    async def of(self, viewer: Viewer, model_ids: Sequence[UUID] = (), policy_id: UUID | None = None) -> Choice:
        """Take a choice; it is checked when the act knows who answers, so that a retry is told what was made at first."""
        most = self._settings.run_parallel_models
        if len(model_ids) > most or len(set(model_ids)) < len(model_ids):
            raise Invalid(f"Choose 1 to {most} models, each once.", path=_PATH, constraint=f"unique_items=1..{most}")
        offering = await self._models.offering(viewer.tenant_id, viewer.user_id)
        return Choice(tuple(model_ids) or DEFAULT, policy_id, offering, self._settings)
