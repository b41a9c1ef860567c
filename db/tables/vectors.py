"""The vectors of messages, and the messages that wait for theirs."""

from piccolo.columns import UUID, Column, Integer, Timestamptz
from piccolo.table import Table


class HalfVector(Column):
    """pgvector's `halfvec`: numbers of two bytes each."""

    value_type = str

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        super().__init__()

    @property
    def column_type(self) -> str:
        """The type as PostgreSQL spells it."""
        return f"HALFVEC({self._dimensions})"


class MessageVectors(Table, tablename="message_vectors", schema="penny"):
    tenant_id = UUID(default=None)
    message_id = UUID(primary_key=True, default=None)
    chunk = Integer()
    chat_id = UUID(default=None)
    author_id = UUID(null=True, default=None)
    created_at = Timestamptz()
    key_version = Integer()
    embedding = HalfVector(256)


class VectorsDue(Table, tablename="vectors_due", schema="penny"):
    tenant_id = UUID(default=None)
    message_id = UUID(primary_key=True, default=None)
    due_at = Timestamptz()
