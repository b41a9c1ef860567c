"""What would become of a question, said before it is asked."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from auth.viewers import Viewer
from chat.contexts import ContextOverflow
from chat.drafts import check_length, check_texts
from chat.ideas import Idea, Ideas
from chat.routes import Taken, taken
from db.scopes import Reads
from inference.attempts import Attempt
from inference.offers import ModelIsUnavailable, Models
from inference.routing import Considered, Router
from inference.selection import NobodyFits
from settings import Settings

TOO_LONG: Final = "the message is too long for it"


class Forecast(NamedTuple):
    """Who would be asked, None for nobody; why, in words; and all that could be, those first that are preferred."""

    taken: Taken | None
    reason: str
    candidates: Sequence[Considered]


class Forecasts:
    """Says who would answer, as things stand now; nothing is asked, booked or written."""

    def __init__(self, *, ideas: Ideas, models: Models, router: Router, settings: Settings) -> None:
        self._ideas = ideas
        self._models = models
        self._router = router
        self._settings = settings

    async def route(self, viewer: Viewer, idea: Idea, reads: Reads) -> Forecast:
        """Say who would be asked, and why, or why nobody could be; raises what is wrong with the question itself."""
        check_texts(idea.texts, self._settings)
        check_length(idea.max_output_tokens)
        try:
            prepared = await self._ideas.prepared(viewer, idea, reads)
            decision = await self._router.explain(prepared.policy, prepared.given.request(), chat_id=idea.chat_id)
        except NobodyFits as nobody:
            return Forecast(None, nobody.message, [Considered.of(one, available=False, reason=why) for one, why in nobody.misfits])
        except ContextOverflow as overflow:
            policy = await self._ideas.policy_of(viewer, idea, reads)
            return Forecast(None, overflow.message, [Considered.of(one, available=False, reason=TOO_LONG) for one in policy.candidates])
        except ModelIsUnavailable as unavailable:
            return Forecast(None, unavailable.message, await self._unasked(viewer, idea, reads))
        who = taken(prepared.policy, Attempt.imagined(decision.deployment, decision.reason))
        return Forecast(who, decision.reason, decision.considered)

    async def _unasked(self, viewer: Viewer, idea: Idea, reads: Reads) -> list[Considered]:
        """Say of the places that would be asked why nobody is."""
        chosen = await self._ideas.model_of(viewer, idea, reads)
        found = await self._models.unasked(viewer.tenant_id, viewer.user_id, chosen, idea.policy_id)
        return [Considered(place.id, model, place.region, available=False, reason=why) for place, model, why in found]
