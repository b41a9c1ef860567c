"""What would become of a question, said before it is asked."""

import msgspec

from auth.viewers import Viewer
from chat.contexts import request_for
from chat.ideas import Idea, Ideas
from chat.routes import Taken, taken
from inference.attempts import Attempt
from inference.models import ModelMessage, ProviderFailed
from inference.offers import ModelIsUnavailable
from inference.routing import Router
from settings import Settings


class Forecasts:
    """Says who would answer, as things stand now; nothing is asked, booked or written."""

    def __init__(self, *, ideas: Ideas, router: Router, settings: Settings) -> None:
        self._ideas = ideas
        self._router = router
        self._settings = settings

    async def route(self, viewer: Viewer, idea: Idea) -> Taken:
        """Say who would be asked, and why; raises `ModelIsUnavailable` where nobody could be."""
        prepared = await self._ideas.prepared(viewer, idea)
        run = {"max_output_tokens": idea.max_output_tokens}
        request = request_for(run, prepared.branch, None, prepared.cipher, policy=prepared.policy, settings=self._settings)
        said = tuple(ModelMessage("user", text) for text in idea.texts)
        request = msgspec.structs.replace(request, messages=(*request.messages, *said))
        try:
            decision = await self._router.explain(prepared.policy, request, chat_id=idea.chat_id)
        except ProviderFailed as failure:
            raise ModelIsUnavailable(failure.message) from failure
        return taken(prepared.policy, Attempt.imagined(decision.deployment, decision.reason))
