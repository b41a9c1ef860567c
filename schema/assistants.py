"""Assistants: models with instructions, written in versions, released, and given to people."""

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Self, TypeAlias
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from chat.assistants import AssistantDraft
from chat.assistants import Grant as Given
from db.scopes import Row
from errors import Invalid
from events.facts import AssistantCreated, AssistantUpdated, AssistantVersionCreated, AssistantVersionReleased, AssistantVersionWithdrawn
from loaders.pages import Page
from resolvers import assistants, models, roles, tenants, users
from resolvers.operations import Operation
from schema.connections import After, Connection, First, asked
from schema.errors import Payload
from schema.fields import Columns, Info, batch, column, computed, mutation, name_of, query
from schema.ids import local_id
from schema.links import visible
from schema.models import Model
from schema.nodes import Node
from schema.roles import TenantRole
from schema.tenants import Tenant
from schema.users import Principal, User


@strawberry.enum(description="How far a version has come.")
class PublishState(enum.Enum):
    DRAFT = strawberry.enum_value("DRAFT", description="Written, and used by nobody yet.")
    RELEASED = strawberry.enum_value("RELEASED", description="Given out; the last one released is the one that chats use.")
    WITHDRAWN = strawberry.enum_value("WITHDRAWN", description="Taken back.")


@strawberry.enum(description="What somebody may do with an assistant. Each may do what those before it may.")
class GrantRole(enum.Enum):
    VIEWER = strawberry.enum_value("VIEWER", description="See that it is there.")
    USER = strawberry.enum_value("USER", description="Begin chats with it.")
    EDITOR = strawberry.enum_value("EDITOR", description="Read its instructions and write new versions.")
    OWNER = strawberry.enum_value("OWNER", description="Release and withdraw versions, and decide who is given it.")


@strawberry.type(description="Every member of the tenant.")
class Everyone:
    row: strawberry.Private[Row]

    @computed(description="The tenant.")
    def tenant(self) -> Tenant:
        return Tenant(row=self.row)


GrantPrincipal: TypeAlias = Annotated[
    User | TenantRole | Everyone, strawberry.union("GrantPrincipal", description="Whom something is given to.")
]


async def _principal(operation: Operation, grant: Row) -> GrantPrincipal | None:
    if grant["kind"] == "EVERYONE":
        return Everyone(row=await tenants.current(operation))
    if grant["kind"] == "ROLE":
        return TenantRole.of(await roles.by_id(operation, UUID(grant["id"])))
    return User.of(await users.by_id(operation, UUID(grant["id"])))


async def _granted_by(operation: Operation, grants: Sequence[Row], needed: Columns | None) -> list[Row | None]:
    return await users.visible_by_ids(operation, [UUID(grant["granted_by"]) for grant in grants], needed)


@strawberry.type(description="Somebody whom something is given to.")
class Grant:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Row]

    principal: GrantPrincipal | None = query(
        _principal, public=True, description="Whom it is given to; null where they have left or you may not see the tenant's members."
    )
    role: GrantRole = column("role", convert=GrantRole, description="What they may do with it.")
    granted_by: Principal | None = batch(
        _granted_by, needs=["granted_by"], description="Who gave it; null where they have left or you may not see the tenant's members."
    )
    expires_at: datetime | None = column(
        "expires_at", convert=lambda text: text and datetime.fromisoformat(text), description="Until when; null without an end."
    )


async def _grants(operation: Operation, rows: Sequence[Row], needed: object) -> list[list[Row]]:  # noqa: ARG001 - a batch's arguments
    return [assistants.grants_of(operation, row) for row in rows]


async def _versions(
    operation: Operation, rows: Sequence[Row], needed: Columns | None, first: First = None, after: After = None
) -> list[Page | Exception]:
    return await assistants.pages_of_versions(operation, rows, asked(operation, first=first, after=after), columns=needed)


@strawberry.type(description="A model with instructions, which people begin chats with.")
class Assistant(Node):
    slug: str = column("slug", description="Its short name, unique in the tenant: lower-case letters, digits and dashes.")
    name: str = batch(assistants.names, needs=["id", "name"], description="Its name for people.")
    owner: User | None = visible(
        users.visible_by_ids,
        column="owner_id",
        description="Who made it; null where they have left or you may not see the tenant's members.",
    )
    current: "AssistantVersion | None" = batch(
        assistants.currents, needs=["current_version_id"], description="The version that chats use now; null until one is released."
    )
    versions: Connection["AssistantVersion"] = batch(
        _versions,
        needs=["id", "owner_id", "grants", "current_version_id"],
        multipliers=["first"],
        description="Its versions for those who may edit it, the newest first; the current one alone for others.",
    )
    grants: list[Grant] = batch(
        _grants, needs=["owner_id", "grants"], description="Whom it is given to, for those who may edit it; empty for others."
    )
    created_at: datetime = column("created_at", description="When it was made.")
    updated_at: datetime = column(
        "updated_at", description="When a version was written, released or withdrawn, or it was given to somebody."
    )

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of((await assistants.visible_by_ids(operation, [id], columns))[0])


@strawberry.type(description="One version of an assistant; it never changes.")
class AssistantVersion(Node):
    assistant: Assistant | None = visible(assistants.visible_by_ids, column="assistant_id", description="The assistant.")
    number: int = column("number", description="Counts the assistant's versions, from 1.")
    state: PublishState = column("state", convert=PublishState, description="How far it has come.")
    instructions: str | None = batch(
        assistants.instructions,
        needs=["id", "assistant_id", "content"],
        description="What the model is told before anything else; null for those who may not edit the assistant.",
    )
    model: Model | None = visible(
        models.by_ids, column="model_id", description="The model that answers; null takes the tenant's usual one."
    )
    parameters: JSON = batch(
        assistants.parameters,
        needs=["id", "content"],
        description="How the model is asked: `temperature` and `maxOutputTokens`, where given.",
    )
    created_by: Principal | None = visible(
        users.visible_by_ids,
        column="created_by",
        description="Who wrote it; null where they have left or you may not see the tenant's members.",
    )
    created_at: datetime = column("created_at", description="When it was written.")
    changelog: str | None = batch(assistants.changelogs, needs=["id", "content"], description="What its writer said of it.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await assistants.version_by_id(operation, id, columns))


@strawberry.input(description="Somebody to give an assistant to: exactly one of `userId`, `roleId` and `everyone`.")
class GrantInput:
    user_id: strawberry.ID | None = strawberry.field(description="A member.", default=None)
    role_id: strawberry.ID | None = strawberry.field(description="All who have this role.", default=None)
    everyone: bool | None = strawberry.field(description="Every member of the tenant.", default=None)
    role: GrantRole = strawberry.field(description="What they may do with it.")
    expires_at: datetime | None = strawberry.field(description="Until when.", default=None)


@strawberry.input(description="A new version of an assistant, or a new assistant with its first one.")
class AssistantUpsertInput:
    assistant_id: strawberry.ID | None = strawberry.field(description="The assistant; without it a new one is made.", default=None)
    slug: str | None = strawberry.field(
        description="The short name of a new one: 1 to 64 letters a to z, digits and single dashes between them. It stays.", default=None
    )
    name: str | None = strawberry.field(description="Its name for people: 1 to 100 characters. A new one needs it.", default=None)
    instructions: str = strawberry.field(description="What the model is told before anything else: at most 65536 bytes of UTF-8.")
    model_id: strawberry.ID | None = strawberry.field(
        description="The model that answers; null takes the tenant's usual one.", default=None
    )
    parameters: JSON | None = strawberry.field(
        description="How the model is asked: `temperature` from 0 to 2, and `maxOutputTokens`.", default=None
    )
    changelog: str | None = strawberry.field(description="What to say of this version: at most 2000 characters.", default=None)
    grants: list[GrantInput] | None = strawberry.field(
        description="Whom to give it to, in place of all there were; without it they stay. Only owners do.", default=None
    )
    expected_number: int | None = strawberry.field(
        description="The newest version's number, as you know it; another one is a conflict.", default=None
    )


@strawberry.type(description="The version that was written.")
class AssistantUpsertPayload(Payload):
    version: AssistantVersion | None = strawberry.field(description="The version, a draft.", default=None)


@strawberry.input(description="A version to release or to withdraw.")
class AssistantPublishInput:
    version_id: strawberry.ID = strawberry.field(description="The version.")
    state: PublishState = strawberry.field(description="`RELEASED` or `WITHDRAWN`.", default=PublishState.RELEASED)


@strawberry.type(description="The assistant after a version was released or withdrawn.")
class AssistantPublishPayload(Payload):
    assistant: Assistant | None = strawberry.field(description="The assistant as it is now.", default=None)


async def _assistants(  # noqa: PLR0913 - the arguments of the field
    operation: Operation,
    roots: Sequence[object],  # noqa: ARG001 - a batch's: the query's one root
    needed: Columns | None,  # noqa: ARG001 - a row has all columns
    first: First = None,
    after: After = None,
    query: Annotated[str | None, strawberry.argument(description="Only those whose name or slug contains this text.")] = None,
) -> list[Page]:
    return [await assistants.page(operation, asked(operation, first=first, after=after), text=query)]


def _given(grant: GrantInput) -> Given:
    named = {"USER": grant.user_id, "ROLE": grant.role_id, "EVERYONE": grant.everyone or None}
    kinds = [kind for kind, value in named.items() if value is not None]
    if len(kinds) != 1:
        raise Invalid("A grant has exactly one of `userId`, `roleId` and `everyone`.", path=["grants"], constraint="one_of")
    ids = {"USER": (grant.user_id, "User"), "ROLE": (grant.role_id, "TenantRole")}
    text, kind = ids.get(kinds[0], (None, ""))
    granted = None if text is None else local_id(text, kind, path=["grants"])
    return Given(kind=kinds[0], id=granted, role=name_of(grant.role), expires_at=grant.expires_at)


async def _upsert(
    info: Info, input: Annotated[AssistantUpsertInput, strawberry.argument(description="The version.")]
) -> AssistantUpsertPayload:
    draft = AssistantDraft(
        assistant_id=None if input.assistant_id is None else local_id(input.assistant_id, "Assistant", path=["assistantId"]),
        slug=input.slug,
        name=input.name,
        instructions=input.instructions,
        model_id=None if input.model_id is None else local_id(input.model_id, "Model", path=["modelId"]),
        parameters=input.parameters,
        changelog=input.changelog,
        grants=None if input.grants is None else [_given(grant) for grant in input.grants],
        expected_number=input.expected_number,
    )
    return AssistantUpsertPayload(version=AssistantVersion.of(await assistants.upsert(info.context, draft)))


async def _publish(
    info: Info, input: Annotated[AssistantPublishInput, strawberry.argument(description="The version.")]
) -> AssistantPublishPayload:
    if input.state is PublishState.DRAFT:
        raise Invalid(
            "A version is released or withdrawn, and never a draft again.", path=["state"], constraint="one_of=RELEASED,WITHDRAWN"
        )
    version_id = local_id(input.version_id, "AssistantVersion", path=["versionId"])
    return AssistantPublishPayload(assistant=Assistant.of(await assistants.publish(info.context, version_id, name_of(input.state))))


@strawberry.type
class Query:
    assistants: Connection[Assistant] = batch(
        _assistants, scopes=["assistants:read"], multipliers=["first"], description="The assistants that you are given, by their slugs."
    )


@strawberry.type
class Mutation:
    assistant_upsert: AssistantUpsertPayload = mutation(
        _upsert,
        payload=AssistantUpsertPayload,
        scopes=["assistants:write"],
        emits=[AssistantCreated, AssistantUpdated, AssistantVersionCreated],
        description="Write a new version of an assistant, or make one. Nobody uses it before it is released.",
    )
    assistant_publish: AssistantPublishPayload = mutation(
        _publish,
        payload=AssistantPublishPayload,
        scopes=["assistants:write"],
        emits=[AssistantVersionReleased, AssistantVersionWithdrawn],
        description="Release a version, which chats use from their next message on, or withdraw it: "
        "then they use the newest one that is still released.",
    )
