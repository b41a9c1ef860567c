"""The viewer of an operation: the person, not an API key, where only a person may act."""

from auth.sessions import Transport
from auth.viewers import Viewer
from errors import PermissionDenied
from resolvers.operations import Operation


def person(operation: Operation) -> Viewer:
    """Return the viewer, who must have signed in: a key that leaks must not be able to take the account over."""
    if operation.viewer.session_id is None:
        raise PermissionDenied("Only the person may do this: sign in instead of using an API key.")
    return operation.viewer


async def transport_of(operation: Operation) -> Transport:
    """Return how the session that speaks is carried."""
    row = await operation.questions.session_by_id.load(person(operation).credential_id)
    transport: Transport = "COOKIE" if row is None else row["transport"]
    return transport
