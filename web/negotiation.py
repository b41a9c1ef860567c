"""Which media type an answer has: what the client's `Accept` prefers among those that PENNY speaks."""

from enum import Enum
from functools import lru_cache
from typing import Final


class Media(Enum):
    """The media types of answers; a name's value is what `Content-Type` says."""

    GRAPHQL = "application/graphql-response+json"
    JSON = "application/json"
    EVENTS = "text/event-stream"


# Who accepts anything is a client of the old days, or none of GraphQL's: plain JSON.
_ANYTHING: Final = {"*/*": Media.JSON, "application/*": Media.JSON, "text/*": Media.EVENTS}
_KNOWN: Final = {media.value: media for media in Media} | _ANYTHING
LONGEST_ACCEPT: Final = 1024


@lru_cache(maxsize=256)
def accepted(accept: str) -> Media | None:
    """Return the media type that a client likes best; None is a 406.

    `accept` is the header (RFC 9110, section 12.5.1); of equals the first wins, as urql lists events last and wants them least.
    """
    if not accept.strip():
        return Media.JSON
    best, most = None, 0.0
    for given in accept[:LONGEST_ACCEPT].lower().split(","):
        name, *parameters = (part.strip() for part in given.split(";"))
        quality = _quality(parameters)
        media = _KNOWN.get(name)
        if media is None or quality <= 0 or _has_other_charset(parameters):
            continue
        if quality > most:
            best, most = media, quality
    return best


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _has_other_charset(parameters: list[str]) -> bool:
    return any(one.startswith("charset=") and one[8:].strip('"') not in ("utf-8", "utf8") for one in parameters)
