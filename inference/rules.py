"""What a tenant may say of its models: the rules that names, addresses, keys and amounts keep."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NoReturn

from yarl import URL

from egress import check_public_url
from errors import Conflict, Invalid
from inference.providers import origin_of
from settings import Secret, Settings

_KEY: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
_MODEL_KEY: Final = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,99}", re.ASCII)
_REGION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
# A key goes into a header: visible ASCII (RFC 9110, 5.5) without spaces.
_SECRET: Final = re.compile(r"[\x21-\x7e]{8,4096}", re.ASCII)
_REMOTE_NAME: Final = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)
_LONGEST_URL: Final = 2048
# Far beyond any price, and far below what a sum of costs could not hold.
_HIGHEST_RATE: Final = Decimal(10) ** 9


def refuse(message: str, path: Sequence[str], constraint: str) -> NoReturn:
    raise Invalid(message, path=path, constraint=constraint)


def checked_provider_key(text: str, *, path: Sequence[str] = ("key",)) -> str:
    """A provider's short name; raises `Invalid`."""
    if not _KEY.fullmatch(text):
        refuse("A provider's key has 1 to 40 lower-case letters, digits and dashes.", path, "provider_key")
    return text


def checked_model_key(text: str, *, path: Sequence[str] = ("key",)) -> str:
    """A model's short name behind its provider's; raises `Invalid`."""
    if not _MODEL_KEY.fullmatch(text):
        refuse("A model's key has 1 to 100 lower-case letters, digits and `.`, `_`, `:`, `/`, `-`.", path, "model_key")
    return text


def checked_remote_name(text: str, *, path: Sequence[str]) -> str:
    """What a model is called at its endpoint; raises `Invalid`."""
    if not _REMOTE_NAME.fullmatch(text):
        refuse("A model's name at its endpoint has 1 to 200 visible ASCII characters.", path, "length=1..200")
    return text


def checked_region(text: str | None, *, path: Sequence[str]) -> str | None:
    """A region's name; raises `Invalid`."""
    if text is not None and not _REGION.fullmatch(text):
        refuse("A region has 1 to 40 letters, digits and `.`, `_`, `-`.", path, "region")
    return text


def checked_secret(text: str, *, path: Sequence[str] = ("secret",)) -> Secret:
    """A key at a provider; raises `Invalid` without repeating it."""
    if not _SECRET.fullmatch(text.strip()):
        refuse("A key has 8 to 4096 visible ASCII characters without spaces.", path, "length=8..4096")
    return Secret(text.strip())


def checked_endpoint(text: str, settings: Settings, *, path: Sequence[str] = ("endpoint",)) -> str:
    """An endpoint's address without a slash at its end: public, or one of those inside that the operator named. Raises `Invalid`."""
    if len(text) > _LONGEST_URL:
        refuse(f"An address has at most {_LONGEST_URL} characters.", path, f"max_length={_LONGEST_URL}")
    try:
        url = URL(text)
        is_private = origin_of(text) in map(origin_of, settings.model_private_endpoints)
    except ValueError:
        refuse("This is not a URL.", path, "url")
    if url.query_string or url.fragment or url.user or url.password:
        refuse("An endpoint has no query, fragment, user or password.", path, "plain_url")
    if not is_private:
        try:
            check_public_url(text)
        except Invalid as refusal:
            raise type(refusal)(refusal.message, path=path, constraint=refusal.constraint) from None
    return text.rstrip("/")


def checked_currency(text: str, *, path: Sequence[str] = ("currency",)) -> str:
    """A currency's code; raises `Invalid`."""
    if not _CURRENCY.fullmatch(text):
        refuse("A currency is written as three capital letters (ISO 4217).", path, "iso4217")
    return text


def checked_rate(rate: Decimal | None, *, path: Sequence[str]) -> Decimal | None:
    """An amount of money for a million tokens; raises `Invalid`."""
    if rate is not None and not (rate.is_finite() and 0 <= rate <= _HIGHEST_RATE):
        refuse("A price is not negative, and at most a billion.", path, "range=0..1000000000")
    return rate


def checked_number(number: int | None, low: int, high: int, *, path: Sequence[str]) -> int | None:
    """A number within limits; raises `Invalid`."""
    if number is not None and not low <= number <= high:
        refuse(f"`{path[-1]}` is from {low:,} to {high:,}.", path, f"range={low}..{high}")
    return number


def check_room(there: int, most: int, what: str) -> None:
    """Raise `Conflict` where one more would be too many."""
    if there >= most:
        raise Conflict(f"There are {there} {what} already, and no more than {most} are kept.")


def check_revision(expected: int | None, current: int) -> None:
    """Raise `Conflict` when somebody else was faster."""
    if expected not in (None, current):
        raise Conflict("It was changed meanwhile.", path=("expectedRevision",), current_revision=current)
