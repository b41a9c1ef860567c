"""What is said of keeping an answer: that of a GET by a document's id, by whoever asked, until it is asked for again (RFC 9111)."""

import hashlib
from typing import Final

from web.requests import Headers

# What an answer depends on: the form, who asks, and the page that does.
VARY: Final = b"Accept, Accept-Encoding, Authorization, Cookie, Origin"


def tag_of(data: bytes) -> str:
    """Make the entity tag of an answer from its data; weak, for it may go out packed, and says beside its data what it cost this time."""
    return f'W/"{hashlib.sha256(data).hexdigest()[:32]}"'


def is_asked_anew(cache_control: str | None) -> bool:
    """Whether the client wants no answer that anybody kept (RFC 9111, section 5.2.1.4)."""
    return cache_control is not None and "no-cache" in {one.strip().lower() for one in cache_control.split(",")}


def kept(status: str, age: int | None) -> Headers:
    """Say what became of an answer that PENNY itself may keep (RFC 9211), and how old it is where it was kept."""
    headers = [(b"cache-status", f"penny; {status}".encode())]
    return headers if age is None else [*headers, (b"age", b"%d" % age)]


def is_held(if_none_match: str | None, tag: str) -> bool:
    """Whether the client says that it has this answer (RFC 9110, section 13.1.2: compared weakly)."""
    if if_none_match is None:
        return False
    held = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return "*" in held or tag.removeprefix("W/") in held


def lasting(tag: str, *, is_public: bool) -> Headers:
    """Say that the answer may be kept and must be asked after; one that was made for nobody in particular, by anybody on the way."""
    return [
        (b"etag", tag.encode()),
        (b"cache-control", b"public, no-cache" if is_public else b"private, no-cache"),
        (b"vary", VARY),
    ]
