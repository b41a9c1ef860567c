"""Redacting messages."""

from uuid import UUID

from db.scopes import Row
from resolvers.operations import Operation


async def redact(operation: Operation, message_id: UUID) -> Row:
    """Take a message's content away for good."""
    return await operation.works.redactions.redact(operation.viewer, message_id)
