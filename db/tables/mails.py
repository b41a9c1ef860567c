"""Mails that wait for a worker to send them, encrypted under the platform's key."""

from piccolo.columns import UUID, Bytea, Integer, Timestamptz
from piccolo.table import Table


class Mail(Table, tablename="mails", schema="directory"):
    id = UUID(primary_key=True, default=None)
    content = Bytea()
    created_at = Timestamptz()
    attempts = Integer()
    next_attempt_at = Timestamptz()
    sent_at = Timestamptz(null=True, default=None)
    failed_at = Timestamptz(null=True, default=None)
