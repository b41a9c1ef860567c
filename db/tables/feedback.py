"""What people think of answers."""

from piccolo.columns import UUID, Bytea, SmallInt, Timestamptz
from piccolo.table import Table


class Feedback(Table, tablename="feedback", schema="penny"):
    tenant_id = UUID(default=None)
    message_id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    rating = SmallInt(default=0)
    content = Bytea()
    created_at = Timestamptz()
    updated_at = Timestamptz()
