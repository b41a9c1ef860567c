"""Documents that come by their ids: what a caller may send, and what is said of an id that nobody knows."""

import json
from pathlib import Path
from typing import Final

from graphql import GraphQLError

from auth.policies.documents import can_send_documents_of_pages, sends_documents_only
from errors import Code
from gateway.formats import hash_of, texts_by_name
from resolvers.operations import Operation
from web.documents import DocumentIsBad
from web.metrics import DOCUMENTS
from web.requests import Asked, Named

# Apollo's clients and urql's compare this text, and then send the hash once more with the document.
APOLLO_MESSAGE: Final = "PersistedQueryNotFound"
MANIFESTS: Final = Path(__file__).parent.parent / "schema" / "manifests"
# What the pages behind links send, of this version and of those before it: nobody publishes that, and everybody is sent there by PENNY.
OF_PAGES: Final = frozenset(
    text for path in MANIFESTS.glob("pages@*.json") for text in texts_by_name(json.loads(path.read_text("utf-8"))).values()
)


def known(asked: Asked, operation: Operation) -> str | None:
    """Return the text that was sent, or that its id is known to stand for; None says nothing yet.

    Raises `DocumentIsBad` where the caller must send an id.
    """
    if asked.named is not None:
        return operation.works.documents.known(operation.credential, asked.named.name)
    if _sends_documents_only(operation) and not _is_of_pages(asked.query, operation):
        raise _refused(Code.PERSISTED_DOCUMENT_REQUIRED, "Send the id of a published document: this credential may send nothing else.", 403)
    return asked.query


async def found(asked: Asked, operation: Operation) -> str:
    """Look for the document of an id; raises `DocumentIsBad`.

    A text that comes along counts where its hash is the id, and is registered where that is allowed.
    """
    assert asked.named is not None, "what comes without an id is known"
    registry, name = operation.works.documents, asked.named.name
    text = await registry.find(operation.credential, name)
    DOCUMENTS.add(1, "unknown" if text is None else "found")
    if text is not None:
        return text
    if not asked.query or _sends_documents_only(operation):
        raise _unknown(asked.named)
    if hash_of(asked.query) != name.lower():
        raise _refused(Code.BAD_USER_INPUT, "The hash is not the document's.", 422)
    if operation.credential is not None:
        await registry.register(operation.credential, name.lower(), asked.query)
    return asked.query


def _sends_documents_only(operation: Operation) -> bool:
    return operation.credential is not None and sends_documents_only(operation.credential)


def _is_of_pages(text: str | None, operation: Operation) -> bool:
    return text in OF_PAGES and operation.credential is not None and can_send_documents_of_pages(operation.credential)


def _unknown(named: Named) -> DocumentIsBad:
    if named.is_apollo:
        return _refused(Code.PERSISTED_QUERY_NOT_FOUND, APOLLO_MESSAGE, 404)
    return _refused(Code.PERSISTED_DOCUMENT_NOT_FOUND, "There is no published document of this id.", 404)


def _refused(code: Code, message: str, status: int) -> DocumentIsBad:
    return DocumentIsBad([GraphQLError(message, extensions={"code": code})], status=status)
