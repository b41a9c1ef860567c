"""Why a socket is closed, and with which code.

The codes follow what npm's graphql-ws does with them: it never retries 4400, 4401, 4409 and 4429, and it does retry 4403
(so an expired token closes 4403, a revoked one 4401) and 1012, which uvicorn sends when the process stops.
"""

import asyncio
from typing import Final

import structlog

from errors import Code, Unauthenticated

log = structlog.get_logger()

SILENT_PINGS: Final = 3
"""For so many pings a client may be silent or read nothing."""
MALFORMED, UNAUTHORIZED, FORBIDDEN, WRONG_PROTOCOL, INIT_TIMEOUT, ID_TAKEN, INIT_TWICE, GONE, RESTART, TRY_LATER = (
    4400, 4401, 4403, 4406, 4408, 4409, 4429, 1001, 1012, 1013,
)  # fmt: skip


MEANINGS: Final = {
    GONE: "The client answers no pings, nobody is signed in and asks anything, or something failed on our side. Come again.",
    1009: "A message is longer than `PENNY_SOCKET_MAX_MESSAGE_BYTES`.",
    RESTART: "The process stops. Come again: another one answers.",
    TRY_LATER: "The credential cannot be checked now, the client reads too slowly or sends too many frames, or its address has too many "
    "connections. Come again in a moment.",
    MALFORMED: "What was sent is no message of graphql-transport-ws.",
    UNAUTHORIZED: "Nobody is signed in, or the credential was ended; the reason is its code. Sign in again.",
    FORBIDDEN: "The token has run out, or its permissions have changed. Come again with a new one.",
    WRONG_PROTOCOL: "The subprotocol is not graphql-transport-ws.",
    INIT_TIMEOUT: "`connection_init` did not come in time.",
    ID_TAKEN: "An operation of this id is under way.",
    INIT_TWICE: "`connection_init` came twice.",
}


class Closing(Exception):
    """The socket must be closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def refused(error: Unauthenticated) -> Closing:
    """An expired token may be renewed and tried again; any other refusal is final."""
    if error.reason == Code.TOKEN_EXPIRED:
        return Closing(FORBIDDEN, "Token expired")
    return Closing(UNAUTHORIZED, error.reason)


def reason_of(*tasks: "asyncio.Task[None]") -> Closing | None:
    """Say why a task of the socket ended; None when the client closed it."""
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, Closing):
                return error
            if not isinstance(error, OSError):
                log.error("socket_broke", exc_info=error)
            return Closing(GONE, "Something failed on our side")
    return None
