"""`penny errors`: every code that an error of the API may have."""

import rich_click as click
from graphql import GraphQLEnumType, GraphQLEnumValue, build_schema

from errors import Code
from schema.schema import sdl
from web.closings import MEANINGS


@click.command("errors")
def command() -> None:
    """List all codes of errors.

    It is the Markdown that `docs/errors.md` holds.
    """
    click.echo(text(), nl=False)


def text() -> str:
    """Return the page."""
    return f"""# Errors

Made by `penny errors`; a test keeps it true. No error holds a stack, a statement or the name of a host.

## Errors of a request

In `errors[]`, with `extensions.code`. Over HTTP in the media type `application/graphql-response+json` an answer in which nothing ran has
the status below, data with errors has 294 (or 200: `PENNY_GRAPHQL_PARTIAL_STATUS`); in `application/json` what is wrong with a document
is 200. Every answer's `X-Request-Id` is the `requestId` of what is masked.

{_table(("Code", "Status", "Meaning"), [(f"`{code}`", code.status, code.meaning) for code in Code])}

## Errors of a mutation, a run or a job

What a user can act on is a typed error in the payload's `errors`: select `... on UserError {{ code message path }}`.

Runs and jobs that failed say why in their `error`: which kind of failure it was and, where that is known, when to ask again; what a model's
provider wrote is never shown.

{_table(("Code", "Meaning"), [(f"`{name}`", kind.description or "") for name, kind in sorted(_kinds().items())])}

## Codes with which a WebSocket is closed

They follow what npm's graphql-ws does: it comes again after 1001, 1012, 1013 and 4403, and never after the others.

{_table(("Code", "Meaning"), [(str(code), meaning) for code, meaning in MEANINGS.items()])}
"""


def _kinds() -> dict[str, GraphQLEnumValue]:
    kinds = build_schema(sdl()).type_map["ErrorCode"]
    assert isinstance(kinds, GraphQLEnumType)
    return dict(kinds.values)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
