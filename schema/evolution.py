"""How the API may change: nothing that a client uses goes away before the date that its deprecation named.

A deprecation's reason reads `Since 2026-12-01, until 2027-04-01: use x.`; from that day on the field, argument or enum value may be
removed. Whatever else breaks clients of the last release is refused, unless `schema/breaking.txt` names it with a reason.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    find_breaking_changes,
)

LEAST_NOTICE: Final = timedelta(days=90)
_NOTICE: Final = re.compile(r"Since (\d{4}-\d{2}-\d{2}), until (\d{4}-\d{2}-\d{2}): \S")


class Deprecated(NamedTuple):
    """Something that is advised against; `removal` is how graphql-core would say that it is gone."""

    name: str
    reason: str
    removal: str


def breaking(released: GraphQLSchema, built: GraphQLSchema, *, today: date, known: Iterable[str] = ()) -> list[str]:
    """Return what breaks clients of the released schema, but for what had its notice and what is known (`description — reason`)."""
    allowed = {one.removal for one in deprecated(released) if (until := _until(one.reason)) is not None and until <= today}
    allowed |= {line.partition(" — ")[0].strip() for line in known if " — " in line}
    return sorted({change.description for change in find_breaking_changes(released, built)} - allowed)


def undated(schema: GraphQLSchema) -> list[str]:
    """Return the deprecations that do not say since when and until when, or give less than 90 days' notice."""
    return [f"{one.name}: {one.reason}" for one in deprecated(schema) if _until(one.reason) is None]


def deprecated(schema: GraphQLSchema) -> Iterator[Deprecated]:
    """Find every deprecated field, argument, input field and enum value."""
    for kind in schema.type_map.values():
        if kind.name.startswith("__"):
            continue
        if isinstance(kind, GraphQLEnumType):
            yield from _those(kind.values, "Enum value", f"{kind.name}.{{}}")
        elif isinstance(kind, GraphQLInputObjectType):
            yield from _those(kind.fields, "Field", f"{kind.name}.{{}}")
        elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            yield from _those(kind.fields, "Field", f"{kind.name}.{{}}")
            for name, field in kind.fields.items():
                yield from _those(field.args, "Argument", f"{kind.name}.{name}({{}}:)")


def _those(members: dict[str, Any], what: str, name: str) -> Iterator[Deprecated]:
    for key, member in members.items():
        if member.deprecation_reason is not None:
            full = name.format(key)
            yield Deprecated(full, member.deprecation_reason, f"{what} {full} was removed.")


def _until(reason: str) -> date | None:
    """Read from when on something may be gone; None where the reason does not say, or not early enough."""
    if (found := _NOTICE.match(reason)) is None:
        return None
    try:
        since, until = map(date.fromisoformat, found.groups())
    except ValueError:
        return None
    return until if until - since >= LEAST_NOTICE else None
