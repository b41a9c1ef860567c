"""What would become of a question."""

import msgspec

from chat.ideas import Idea
from db.scopes import Row
from resolvers.ideas import placed
from resolvers.operations import Operation


async def route(operation: Operation, idea: Idea) -> Row:
    """Say who would answer."""
    taken = await operation.works.forecasts.route(operation.viewer, await placed(operation, idea), operation.reads)
    return {**msgspec.structs.asdict(taken), "attempts": []}
