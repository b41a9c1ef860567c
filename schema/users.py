"""People, and whoever else may act."""

from datetime import datetime
from typing import Annotated, Self, TypeAlias
from uuid import UUID

import strawberry

from resolvers import users
from resolvers.operations import Operation
from schema.fields import Columns, column
from schema.nodes import Node
from schema.scalars import URL


@strawberry.type(description="A person, whatever tenants they belong to.")
class User(Node):
    name: str = column("name", description="What others call them.")
    email: str = column("email", description="Their e-mail address.")
    avatar_url: URL | None = column("avatar_url", description="Address of their picture.")
    locale: str | None = column("locale", description="The language that they prefer, as a BCP 47 tag such as `de-AT`.")
    erased_at: datetime | None = column("erased_at", description="When their personal data was erased.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await users.by_id(operation, id, columns))


Principal: TypeAlias = Annotated[User, strawberry.union("Principal", description="Whoever acts: a person.")]
