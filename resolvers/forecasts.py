"""What would become of a question."""

import msgspec

from chat.ideas import Idea
from db.scopes import Row
from resolvers.ideas import placed
from resolvers.operations import Operation


async def route(operation: Operation, idea: Idea) -> Row:
    """Say who would answer, or why nobody would."""
    forecast = await operation.works.forecasts.route(operation.viewer, await placed(operation, idea), operation.reads)
    nobody = {"policy_id": idea.policy_id, "deployment_id": None, "model": None, "region": None, "credential_owner": None}
    taken = nobody if forecast.taken is None else msgspec.structs.asdict(forecast.taken)
    candidates = [msgspec.structs.asdict(candidate) for candidate in forecast.candidates]
    return {**taken, "reason": forecast.reason, "attempts": [], "candidates": candidates}
