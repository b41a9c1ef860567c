"""Keys at model providers: one's own, and the tenant's for those who administer its models."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from auth.policies.models import can_administer_models, can_see_credential
from db.scopes import Row
from db.statements.projections import Columns
from inference.credentials import CredentialDraft, Status, status_of
from inference.standings import Standing
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers import tenant_keys
from resolvers.batches import each
from resolvers.models import offering
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID) -> Row | None:
    """Find a key's row."""
    row = await operation.questions.credential_by_id.load(id)
    return row if row is not None and can_see_credential(operation.viewer, row) else None


async def pages_of_providers(operation: Operation, providers: Sequence[Row], arguments: PageArguments) -> list[Page | Exception]:
    """Page through the keys for each provider that the viewer may see, the oldest first."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)
    found = await operation.questions.credentials_by_user.load(operation.viewer.user_id) or []
    seen = [row for row in found if row["user_id"] is not None or can_administer_models(operation.viewer)]

    def page(provider: Row) -> Page:
        cursors = Cursors(cipher, "credentials", provider["id"])
        start, rows = arguments.start(cursors), [row for row in seen if row["provider_id"] == provider["id"]]
        beyond = [row for row in rows if start is None or row["id"] > start[0]]
        return page_of(beyond[: arguments.limit], arguments, lambda row: cursors.write([row["id"]]), total=len(rows))

    return each(page, providers)


async def statuses(operation: Operation, rows: Sequence[Row], needed: object) -> list[Status]:  # noqa: ARG001 - a batch's arguments
    """Say of each key how its provider takes it, by what all processes have seen where it is used."""
    offers = await offering(operation)
    places = [place for place in offers.places.values() if place.credential_id in {row["id"] for row in rows}]
    standings = await operation.works.router.standings.look([place.standing_id for place in places])
    found: defaultdict[UUID | None, list[Standing]] = defaultdict(list)
    for place, standing in zip(places, standings, strict=True):
        found[place.credential_id].append(standing)
    return [status_of(row, offers.providers.get(row["provider_id"]), found[row["id"]]) for row in rows]


async def key_versions(operation: Operation, rows: Sequence[Row], needed: Columns | None) -> list[Row | None]:
    """Find the version of the tenant's key that each key is encrypted under."""
    return await tenant_keys.by_versions(operation, [row["key_version"] for row in rows], needed)


async def keep(operation: Operation, draft: CredentialDraft) -> Row:
    """Keep a key that its provider takes."""
    return await operation.works.credentials.set(operation.viewer, draft)


async def delete(operation: Operation, id: UUID) -> None:
    """Forget a key for good."""
    await operation.works.credentials.delete(operation.viewer, id)
