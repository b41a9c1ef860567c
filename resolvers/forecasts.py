"""What would become of a question."""

import msgspec

from chat.forecasts import Question
from db.scopes import Row
from resolvers.operations import Operation


async def route(operation: Operation, question: Question) -> Row:
    """Say who would answer."""
    return {**msgspec.structs.asdict(await operation.works.forecasts.route(operation.viewer, question)), "attempts": []}
