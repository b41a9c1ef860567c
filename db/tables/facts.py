"""Facts: what happened in a tenant, each written in the transaction of its change; and the eras that their order is counted in."""

from piccolo.columns import JSONB, UUID, BigInt, Integer, Text, Timestamptz
from piccolo.table import Table


class Fact(Table, tablename="facts", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    era = Integer()
    xact = BigInt()
    at = Timestamptz()
    type = Text()
    subject_id = UUID(default=None)
    chat_id = UUID(null=True, default=None)
    user_id = UUID(null=True, default=None)
    actor_id = UUID(null=True, default=None)
    actor_key_id = UUID(null=True, default=None)
    details = JSONB()


class Era(Table, tablename="eras", schema="directory"):
    number = Integer(primary_key=True, default=None)
    cluster = BigInt()
    began_at = Timestamptz()
