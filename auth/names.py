"""What people may call themselves, their tenants and what they allow: e-mail addresses, names, locales, pictures, slugs, scopes."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from auth.roles import SCOPES
from errors import Invalid

# RFC 5321 section 4.5.3.1: a path has 256 octets with its angle brackets, a local part 64.
_LONGEST_EMAIL: Final = 254
_LONGEST_NAME: Final = 100
_LONGEST_URL: Final = 2048
_LONGEST_SLUG: Final = 40

# The addresses that mail servers without SMTPUTF8 take: a dot-atom at a host name of two labels and more.
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL: Final = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}")
# The subtags of RFC 5646 by form, not by registry: `de`, `de-CH`, `zh-Hant-TW`.
_LOCALE: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}")
# They belong to the spelling of Persian, Indic scripts and emoji.
_JOINERS: Final = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"


def normalised_email(text: str) -> str:
    """The address as it is stored and mailed to; its case is kept, and never tells two accounts apart."""
    return unicodedata.normalize("NFC", text.strip())


def checked_email(text: str, *, path: Sequence[str] = ("email",)) -> str:
    """The normalised address; raises `Invalid` for what no mail would reach."""
    email = normalised_email(text)
    if not is_email(email):
        raise Invalid("This is not an e-mail address.", path=path, constraint="email")
    return email


def is_email(text: str) -> bool:
    """Whether the text, normalised, is an address that mail can reach."""
    email = normalised_email(text)
    return len(email) <= _LONGEST_EMAIL and _EMAIL.fullmatch(email) is not None


def same_email(one: str, other: str) -> bool:
    return normalised_email(one).lower() == normalised_email(other).lower()


def checked_name(text: str, *, path: Sequence[str] = ("name",), longest: int = _LONGEST_NAME) -> str:
    """The name without space around it; raises `Invalid` for none, a long one, or one with characters that nobody sees."""
    name = unicodedata.normalize("NFC", text.strip())
    if not name:
        raise Invalid("A name is needed.", path=path, constraint="min_length=1")
    if len(name) > longest:
        raise Invalid(f"The name has more than {longest} characters.", path=path, constraint=f"max_length={longest}")
    if not all(letter.isprintable() or letter in _JOINERS for letter in name):
        raise Invalid("The name has characters that cannot be seen.", path=path, constraint="printable")
    return name


def checked_locale(text: str, *, path: Sequence[str] = ("locale",)) -> str | None:
    """The language tag, or None for an empty text; raises `Invalid`."""
    if not text:
        return None
    if _LOCALE.fullmatch(text) is None:
        raise Invalid("A locale is written like `de` or `de-CH`.", path=path, constraint="bcp47")
    return text


def checked_url(text: str, *, path: Sequence[str] = ("avatarUrl",)) -> str | None:
    """The address of a picture on the web, or None for an empty text; raises `Invalid`."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
        good = parts.scheme == "https" and bool(parts.hostname) and parts.username is None and text.isprintable() and " " not in text
    except ValueError:
        good = False
    if not good or len(text) > _LONGEST_URL:
        raise Invalid(f"An address begins with https:// and has at most {_LONGEST_URL} characters.", path=path, constraint="https_url")
    return text


def slug_of(name: str) -> str:
    """A short name for addresses, made of letters a to z, digits and dashes."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_SLUG].strip("-") or "tenant"


def checked_scopes(scopes: Sequence[str], *, path: Sequence[str] = ("scopes",)) -> list[str]:
    """The scopes, each once; raises `Invalid` for one that does not exist."""
    for scope in scopes:
        if scope not in SCOPES:
            raise Invalid(f"There is no scope {scope!r}.", path=path, constraint="known_scope")
    return list(dict.fromkeys(scopes))
