"""Estimates of what might be said."""

from dataclasses import asdict

from chat.estimates import Estimate
from chat.ideas import Idea
from db.scopes import Row
from resolvers.ideas import placed
from resolvers.operations import Operation


async def cost(operation: Operation, idea: Idea) -> Row:
    """Estimate what an answer would use and cost."""
    estimate: Estimate = await operation.works.estimates.cost(operation.viewer, await placed(operation, idea), operation.reads)
    return {**asdict(estimate), "price": estimate.price}
