"""The whole schema, put together from the nouns, and its text."""

from typing import Final

import strawberry
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig

from schema import (
    accounts,
    api,
    api_keys,
    assistants,
    branches,
    chats,
    contexts,
    credentials,
    custom_models,
    documents,
    edits,
    estimates,
    events,
    feedback,
    invitations,
    jobs,
    members,
    messages,
    models,
    node,
    participants,
    policies,
    redactions,
    roles,
    routes,
    run_events,
    runs,
    search,
    sessions,
    shares,
    tenants,
    viewers,
)
from schema.caching import cached
from schema.errors import ALL_ERRORS
from schema.nodes import kinds
from schema.scalars import SCALARS
from settings import Settings

QUERIES: Final = (
    node.Query,
    api.Query,
    viewers.Query,
    tenants.Query,
    chats.Query,
    shares.Query,
    runs.Query,
    jobs.Query,
    models.Query,
    estimates.Query,
    search.Query,
    assistants.Query,
    policies.Query,
    events.Query,
    routes.Query,
    documents.Query,
)
MUTATIONS: Final = (
    accounts.Mutation,
    sessions.Mutation,
    members.Mutation,
    invitations.Mutation,
    roles.Mutation,
    tenants.Mutation,
    api_keys.Mutation,
    documents.Mutation,
    assistants.Mutation,
    chats.Mutation,
    contexts.Mutation,
    branches.Mutation,
    participants.Mutation,
    shares.Mutation,
    feedback.Mutation,
    redactions.Mutation,
    messages.Mutation,
    edits.Mutation,
    runs.Mutation,
    jobs.Mutation,
    custom_models.Mutation,
    credentials.Mutation,
    policies.Mutation,
)
SUBSCRIPTIONS: Final = (run_events.Subscription, events.Subscription, jobs.Subscription)


def build_schema(settings: Settings | None = None) -> strawberry.Schema:
    """Build the schema; without introspection its errors suggest no names either. No settings mean the defaults."""
    return strawberry.Schema(
        query=merged("Query", QUERIES, "Everything that can be read."),
        mutation=merged(
            "Mutation", MUTATIONS, "Everything that can be changed. What a user can act on comes back in the payload's `errors`."
        ),
        subscription=merged("Subscription", SUBSCRIPTIONS, "Everything that can be listened to."),
        directives=[cached],
        types=[*kinds().values(), *ALL_ERRORS, *run_events.EVENTS.values()],
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=settings is not None and not settings.introspection),
    )


def sdl(settings: Settings | None = None) -> str:
    """Print the schema."""
    return print_schema(build_schema(settings)) + "\n"


def merged(name: str, parts: tuple[type, ...], description: str) -> type:
    """Make one root type of the nouns' own; raises `TypeError` when two of them have a field of the same name."""
    fields = [field for part in parts for field in vars(part)["__annotations__"]]
    if twice := {field for field in fields if fields.count(field) > 1}:
        raise TypeError(f"{name} has two fields of the name {', '.join(sorted(twice))}.")
    return strawberry.type(type(name, parts, {}), description=description)
