"""Who keeps the documents that clients send, and who may send what: pure functions over a viewer."""

from collections.abc import Collection

from auth.viewers import Viewer


def can_administer_documents(viewer: Viewer) -> bool:
    """Whoever keeps the tenant's API publishes manifests, takes them back, and sees how they are used."""
    return viewer.may("api:admin")


def sends_documents_only(viewer: Viewer) -> bool:
    """A client's key sends nothing but documents of its manifests; so do, where the tenant wants it, all but its developers."""
    return viewer.document_client is not None or (viewer.trusted_documents_only and not can_administer_documents(viewer))


def can_send_documents_of_pages(viewer: Viewer) -> bool:
    """What PENNY's own pages send is no client's: people may who come with their session, a client's key may not."""
    return viewer.document_client is None


def can_send_document(viewer: Viewer, clients: Collection[str]) -> bool:
    """A client's key sends that client's documents; others send any."""
    return viewer.document_client is None or viewer.document_client in clients


def can_register_document(viewer: Viewer) -> bool:
    """Whoever may send any document registers it where the tenant allows that."""
    return viewer.automatic_documents and not sends_documents_only(viewer)
