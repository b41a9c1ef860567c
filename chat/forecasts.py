"""What would become of a question, said before it is asked."""

from auth.viewers import Viewer
from chat.drafts import check_length, check_texts
from chat.ideas import Idea, Ideas
from chat.routes import Taken, taken
from db.scopes import Reads
from inference.attempts import Attempt
from inference.models import ProviderFailed
from inference.offers import ModelIsUnavailable
from inference.routing import Router
from settings import Settings


class Forecasts:
    """Says who would answer, as things stand now; nothing is asked, booked or written."""

    def __init__(self, *, ideas: Ideas, router: Router, settings: Settings) -> None:
        self._ideas = ideas
        self._router = router
        self._settings = settings

    async def route(self, viewer: Viewer, idea: Idea, reads: Reads) -> Taken:
        """Say who would be asked, and why; raises what saying it would raise, and `ModelIsUnavailable` where nobody could be asked."""
        check_texts(idea.texts, self._settings)
        check_length(idea.max_output_tokens)
        prepared = await self._ideas.prepared(viewer, idea, reads)
        try:
            decision = await self._router.explain(prepared.policy, prepared.given.request(), chat_id=idea.chat_id)
        except ProviderFailed as failure:
            raise ModelIsUnavailable(failure.message) from failure
        return taken(prepared.policy, Attempt.imagined(decision.deployment, decision.reason))
