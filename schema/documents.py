"""What clients send: what documents cost, manifests of trusted documents, and the documents that they name."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from db.scopes import Row
from errors import Invalid
from events.facts import DocumentManifestDeleted, DocumentManifestPublished
from gateway.judging import Appraised
from gateway.manifests import ManifestDraft
from loaders.pages import Page
from resolvers import documents
from resolvers.operations import Operation
from schema.caching import KeptFor
from schema.connections import After, Connection, First, asked
from schema.errors import Payload, user_error
from schema.fields import Columns, Info, attribute, batch, column, mutation, query
from schema.ids import local_id
from schema.nodes import Node


@strawberry.type(description="What a document would cost, without running it.")
class DocumentCost:
    __source__: ClassVar[str] = "appraised"

    appraised: strawberry.Private[Appraised]

    refusal: str | None = attribute("refusal", description="Why it would not run, in a sentence; null where it would.")
    operation_name: str | None = attribute("operation_name", description="What the operation is called; null for one without a name.")
    cost: int | None = attribute(
        "cost",
        description="Points that it would be charged before it runs: the most that it can cost with these variables. `ApiLimits.maxCost` "
        "says how many are allowed; 2,147,483,647 stands for more as well. Null where it cannot be read.",
    )
    depth: int | None = attribute("depth", description="How deeply it is nested; null where it cannot be read.")
    aliases: int | None = attribute(
        "aliases", description="Its aliases, fragments counted where they are used; null where it cannot be read."
    )


@strawberry.type(description="A document that a client may send by its id alone.")
class TrustedDocument(Node):
    sha256: str = column("sha256", convert=bytes.hex, description="The SHA-256 of its text, in hexadecimal digits.")
    operation_name: str = column("operation_name", description="What its operation is called; empty for one without a name.")
    body: str = column("body", description="Its text, byte for byte as it was published.")
    cost: int = column("cost", description="Points that it costs where its variables ask for lists of a usual size.")
    last_used_at: datetime | None = column(
        "last_used_at",
        description="When it was last used, to a few seconds; null before that. Uses by "
        "those who have not signed in count for the tenant that published the document first, as `callsLast30d` counts them too.",
    )
    calls_last30d: int = batch(documents.calls, needs=["id"], description="How often it was used in the last 30 days, today among them.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await documents.document_by_id(operation, id, columns))


async def _documents(
    operation: Operation, rows: Sequence[Row], needed: Columns | None, first: First = None, after: After = None
) -> list[Page | Exception]:
    return await documents.pages_of_documents(operation, rows, asked(operation, first=first, after=after), columns=needed)


@strawberry.type(description="What a version of a client sends.")
class DocumentManifest(Node):
    client: str = column("client", description="The client.")
    version: str = column("version", description="Its version.")
    document_count: int = column("document_count", description="How many documents it has.")
    created_at: datetime = column("created_at", description="When it was published.")
    last_used_at: datetime | None = batch(
        documents.last_uses,
        needs=["id"],
        description="When one of its documents was last used, by whatever client has it; null before that.",
    )
    breaking_changes: list[str] = batch(
        documents.faults,
        needs=["id"],
        cost=100,
        kept_for=KeptFor.NOBODY,
        description="What of it the API does not answer any more, and why: a sentence for each document; empty as it should be. Each "
        "document that the process has not judged before is paid for as an unknown one, by default with 10 points, beside the operation.",
    )
    documents: Connection[TrustedDocument] = batch(
        _documents, needs=["id"], multipliers=["first"], description="Its documents, in the order in which they were first published."
    )

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await documents.manifest_by_id(operation, id, columns))


@strawberry.input(description="A manifest to publish: what a version of a client sends.")
class DocumentManifestPublishInput:
    client: str = strawberry.field(description="The client, such as `mobile`: 1 to 100 characters.")
    version: str = strawberry.field(description="Its version, such as `1.4.0`: 1 to 100 characters.")
    manifest: JSON = strawberry.field(
        description="The manifest as the client's tool wrote it: Apollo's (`generate-persisted-query-manifest`, Kotlin, iOS), Relay's or "
        "GraphQL Code Generator's. What looks like a hash among its ids must be its document's."
    )
    part: int = strawberry.field(description="Which part of the manifest this is; part 1 begins anew.", default=1)
    parts: int = strawberry.field(
        description="How many parts it comes in, one after the other, where it is larger than a request: at most 1,000.", default=1
    )


@strawberry.type(description="The manifest that was published.")
class DocumentManifestPublishPayload(Payload):
    manifest: DocumentManifest | None = strawberry.field(
        description="The manifest once all parts have come; null before that, and where documents were rejected.", default=None
    )
    rejected: list[str] | None = strawberry.field(
        description="The documents that cannot run, each by its id with the reason. With one of them nothing is published.", default=None
    )


@strawberry.input(description="A manifest to take back.")
class DocumentManifestDeleteInput:
    manifest_id: strawberry.ID = strawberry.field(description="The manifest.")


@strawberry.type(description="The manifest that was taken back.")
class DocumentManifestDeletePayload(Payload):
    deleted_id: strawberry.ID | None = strawberry.field(description="Id of the manifest, which is gone.", default=None)


async def _publish(
    info: Info, input: Annotated[DocumentManifestPublishInput, strawberry.argument(description="The manifest.")]
) -> DocumentManifestPublishPayload:
    draft = ManifestDraft(client=input.client, version=input.version, manifest=input.manifest, part=input.part, parts=input.parts)
    published = await documents.publish(info.context, draft)
    if published.rejected:
        count = len(published.rejected)
        error = user_error(Invalid(f"Nothing was published: {count:,} of the documents cannot run.", path=("manifest",)))
        return DocumentManifestPublishPayload(rejected=list(published.rejected), errors=[error] if error else [])
    return DocumentManifestPublishPayload(manifest=DocumentManifest.of(published.manifest), rejected=[])


async def _delete(
    info: Info, input: Annotated[DocumentManifestDeleteInput, strawberry.argument(description="The manifest.")]
) -> DocumentManifestDeletePayload:
    await documents.delete(info.context, local_id(input.manifest_id, "DocumentManifest", path=["manifestId"]))
    return DocumentManifestDeletePayload(deleted_id=input.manifest_id)


async def _cost(
    operation: Operation,
    _: object,
    document: Annotated[str, strawberry.argument(description="The document's text.")],
    operation_name: Annotated[str | None, strawberry.argument(description="Which of its operations; null where it has one.")] = None,
    variables: Annotated[
        JSON | None,
        strawberry.argument(description="Its variables, an object. Those that say how many rows there are count; none is checked."),
    ] = None,
) -> DocumentCost:
    given: Any = {} if variables is None else variables
    if not isinstance(given, dict):
        raise Invalid("`variables` must be an object.", path=("variables",))
    return DocumentCost(appraised=await documents.cost(operation, document, operation_name, given))


async def _manifests(
    operation: Operation,
    roots: Sequence[Any],  # noqa: ARG001 - a batch's: the query's one root
    needed: Columns | None,  # noqa: ARG001 - a row has all columns
    first: Annotated[int, strawberry.argument(description="How many manifests to return, from 1 to 100.")],
    after: After = None,
) -> list[Page]:
    return [await documents.page(operation, asked(operation, first=first, after=after))]


@strawberry.type
class Query:
    document_cost: DocumentCost = query(
        _cost,
        public=True,
        kept_for=KeptFor.NOBODY,
        description="What a document would cost, before it is sent. What the process does not know it must "
        "read, and that is paid for: by default with 10 points for each thousand characters, beside those of the operation that asks.",
    )
    document_manifests: Connection[DocumentManifest] = batch(
        _manifests, scopes=["api:admin"], multipliers=["first"], description="What the tenant's clients send, the newest manifest first."
    )


@strawberry.type
class Mutation:
    document_manifest_publish: DocumentManifestPublishPayload = mutation(
        _publish,
        payload=DocumentManifestPublishPayload,
        scopes=["api:admin"],
        cost=50,
        emits=[DocumentManifestPublished],
        description="Publish what a version of a client sends, whole or not at all. The same again changes nothing; a version that is "
        "published keeps its documents. Each document that the process has not judged before is paid for as an unknown one, by default "
        "with 10 points, beside the operation; where the points do not last nothing is published, and the same again goes on from there.",
    )
    document_manifest_delete: DocumentManifestDeletePayload = mutation(
        _delete,
        payload=DocumentManifestDeletePayload,
        scopes=["api:admin"],
        emits=[DocumentManifestDeleted],
        description="Take a manifest back: within a second documents that no other one has can be sent by their ids no more.",
    )
