"""Opaque tokens: sessions, links in mails and API keys, made, read and hashed. Only `secrets` is impure.

Sessions are `pns_` and 256 random bits; whatever has to be found inside one tenant carries that tenant's id, so that no look-up
crosses tenants. API keys end in a checksum as GitHub's tokens do: a typing mistake is refused before any look-up, and scanners report
no false alarm. Their pattern for scanners:

    pny_live_[0-9A-Za-z]{44}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}
"""

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_UUID_LETTERS: Final = 22  # 62 ** 22 > 2 ** 128
_SECRET_LETTERS: Final = 43  # 62 ** 43 > 2 ** 256
_CHECKSUM_LETTERS: Final = 6  # 62 ** 6 > 2 ** 32

SESSION: Final = "pns_"
LINK: Final = "pni_"
SHARE: Final = "psh_"
API_KEY: Final = "pny_live_"

_SESSION_FORM: Final = re.compile(r"pns_[0-9A-Za-z_-]{43}")
_LINK_FORM: Final = re.compile(r"pni_(?:([0-9A-Za-z]{22})_)?[0-9A-Za-z]{43}")
_SHARE_FORM: Final = re.compile(r"psh_([0-9A-Za-z]{22})_[0-9A-Za-z]{43}")
_API_KEY_FORM: Final = re.compile(r"(pny_live_([0-9A-Za-z]{22})([0-9A-Za-z]{22})_([0-9A-Za-z]{43}))_([0-9A-Za-z]{6})")


@dataclass(frozen=True)
class LinkToken:
    """What a link's token says of itself; `tenant_id` is None for links that belong to a user, not to a tenant."""

    tenant_id: UUID | None


@dataclass(frozen=True)
class ApiKeyToken:
    """Where an API key's row is, and the secret that proves it; believe it only after the hashes match."""

    tenant_id: UUID
    key_id: UUID
    secret: str = field(repr=False)


def new_session_token() -> str:
    return SESSION + secrets.token_urlsafe(32)


def is_session_token(text: str) -> bool:
    """Whether the text has the form of a session token."""
    return _SESSION_FORM.fullmatch(text) is not None


def new_link_token(tenant_id: UUID | None = None) -> str:
    """A token for a link in a mail: an invitation names its tenant, a password reset or a verification none."""
    tenant = "" if tenant_id is None else _written(tenant_id.int, _UUID_LETTERS) + "_"
    return LINK + tenant + _new_secret()


def parse_link_token(text: str) -> LinkToken | None:
    """What the token says of itself, or None for a text that is no link token."""
    if (match := _LINK_FORM.fullmatch(text)) is None:
        return None
    if match[1] is None:
        return LinkToken(None)
    tenant_id = _uuid(match[1])
    return None if tenant_id is None else LinkToken(tenant_id)


def share_token(tenant_id: UUID, secret: bytes) -> str:
    """The token of a link that shows a chat, from 32 bytes that nobody else can make."""
    return f"{SHARE}{_written(tenant_id.int, _UUID_LETTERS)}_{_written(int.from_bytes(secret), _SECRET_LETTERS)}"


def parse_share_token(text: str) -> UUID | None:
    """The tenant that the token names, or None for a text that is no such token."""
    match = _SHARE_FORM.fullmatch(text)
    return None if match is None else _uuid(match[1])


def new_api_key(tenant_id: UUID, key_id: UUID) -> str:
    """A new API key for this row; it is shown once, and only `hash_token` of it is kept."""
    owner = _written(key_id.int, _UUID_LETTERS) + _written(tenant_id.int, _UUID_LETTERS)
    body = f"{API_KEY}{owner}_{_new_secret()}"
    return f"{body}_{_checksum(body)}"


def parse_api_key(text: str) -> ApiKeyToken | None:
    """Where the key's row is, or None for a text that no API key can be: another form, a wrong checksum."""
    match = _API_KEY_FORM.fullmatch(text)
    if match is None or _checksum(match[1]) != match[5]:
        return None
    key_id, tenant_id = _uuid(match[2]), _uuid(match[3])
    return None if key_id is None or tenant_id is None else ApiKeyToken(tenant_id, key_id, match[4])


def api_key_prefix(key_id: UUID) -> str:
    """What is shown of a key after its creation: how its text begins, which names the row and proves nothing."""
    return API_KEY + _written(key_id.int, _UUID_LETTERS)[:8]


def hash_token(text: str) -> bytes:
    """SHA-256 of the whole token, to store and to look up: 256 random bits need no slow hash."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def hashes_match(one: bytes, other: bytes) -> bool:
    """Compare in a time that tells nothing about where the hashes differ."""
    return hmac.compare_digest(one, other)


def _new_secret() -> str:
    return _written(secrets.randbits(256), _SECRET_LETTERS)


def _checksum(body: str) -> str:
    return _written(zlib.crc32(body.encode()), _CHECKSUM_LETTERS)


def _written(number: int, letters: int) -> str:
    """The number in base 62, padded to so many letters."""
    text = ""
    for _ in range(letters):
        number, digit = divmod(number, 62)
        text = _ALPHABET[digit] + text
    return text


def _uuid(text: str) -> UUID | None:
    """The id that 22 letters spell; None beyond 128 bits, which 22 letters have room for."""
    number = 0
    for letter in text:
        number = number * 62 + _DIGITS[letter]
    return UUID(int=number) if number < 1 << 128 else None
