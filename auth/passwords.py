"""Passwords: hashed with argon2id in a few threads, checked without telling whether the account exists, refused when weak."""

import asyncio
import os
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any, Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from argon2.low_level import ARGON2_VERSION

from errors import Invalid, RateLimited
from settings import Settings

T = TypeVar("T")

LONGEST: Final = 256
_PARALLELISM: Final = 1
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32

# Of the passwords with ten characters and more, those that every guessing list begins with, and those that this product's name
# suggests. One repeated character is refused by rule.
_COMMONEST: Final = frozenset(
    """
    0123456789 0987654321 01234567890 1234567890 12345678900 12345678901 12345678910 123456789a 123456789q 1234567891
    1231231231 123123123123 1122334455 1212121212 1234512345 123454321a 1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx3edc 1qazxsw23edc
    987654321a 9876543210 a123456789 aa12345678 aa123456789 abc1234567 abcd123456 abcd1234567 abcdefg123 abcdefghij
    administrator adminadmin admin12345 admin123456 alexander1 asdfghjkl1 asdfghjkl; asdfasdfasdf baseball12 basketball
    billybob12 butterfly1 changeme12 changeme123 charlie123 chocolate1 computer12 christopher dragon1234 elizabeth1
    football12 football123 hello12345 helloworld iloveyou12 iloveyou123 iloveyou1234 iloveyouso
    jennifer12 jordan2323 letmein123 letmein1234 liverpool1 manchester manutd1234 michael123 michelle12 mynoob1234
    p@ssw0rd123 p@ssword123 pa55word12 pass123456 pass1234567 passw0rd123 password00 password01 password10 password11
    password12 password123 password1234 password12345 password123456 password1! password123! passwordpassword
    penny12345 penny123456 pennypenny princess12 princess123 q1w2e3r4t5 q1w2e3r4t5y6 qazwsxedc1 qazwsxedcrfv qqww1122ee
    qwer123456 qwerasdfzxcv qwerty1234 qwerty12345 qwerty123456 qwertyqwerty qwertyuiop qwertyuiop1 qwertyuiop123
    qwertyuiop[] skateboard spiderman1 starwars12 sunshine12 sunshine123 superman12 superman123 test123456 testtest12
    unknown123 welcome123 welcome1234 whatever12 william123 xbox360360 zaq12wsxcde zxcvbnm123 zxcvbnm1234 zxcvbnm,./
    """.split()  # noqa: SIM905 - a hundred words are read more easily without their quotes
)


class Passwords:
    """Hashes and checks passwords off the event loop, a bounded number at once; `close` ends its threads."""

    def __init__(self, settings: Settings, *, longest_queue: int = 64) -> None:
        self._shortest = settings.password_min_length
        self._hasher = PasswordHasher(
            time_cost=settings.password_time_cost,
            memory_cost=settings.password_memory_kib,
            parallelism=_PARALLELISM,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
        )
        self._hash_of_nobody = _hash_of_nobody(settings)
        self._pool = ThreadPoolExecutor(settings.password_workers, thread_name_prefix="passwords")
        self._room = BoundedSemaphore(settings.password_workers + longest_queue)

    async def hash(self, password: str) -> str:
        """The encoded hash to store; raises `Invalid` beyond 256 characters, `RateLimited` when too many wait."""
        _refuse_longer(password, path=())
        return await self._in_thread(lambda: self._hasher.hash(_normalised(password)))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether the password is the account's; for `None`, an unknown account, False after the same work.

        Raises `RateLimited` when too many wait, and argon2's `InvalidHashError` for a stored hash that is none.
        """
        if len(password) > LONGEST:
            hashed, password = None, password[:LONGEST]
        secret = _normalised(password)
        return await self._in_thread(lambda: self._matches(hashed or self._hash_of_nobody, secret))

    def needs_rehash(self, hashed: str) -> bool:
        """Whether the hash was made with other parameters than today's: hash anew after the next right password."""
        return self._hasher.check_needs_rehash(hashed)

    def check_strength(self, password: str, *, email: str, path: Sequence[str] = ()) -> None:
        """Raises `Invalid` for a password that is short, long, common or the e-mail address (NIST SP 800-63B, 3.1.1.2)."""
        _refuse_longer(password, path=path)
        normal = unicodedata.normalize("NFKC", password)
        if len(normal) < self._shortest:
            sentence = f"Choose a password of at least {self._shortest} characters."
            raise Invalid(sentence, path=path, constraint=f"min_length={self._shortest}")
        plain = normal.casefold()
        if plain in (email.casefold(), email.casefold().partition("@")[0]):
            raise Invalid("The password must not be the e-mail address.", path=path, constraint="not_email")
        if plain in _COMMONEST or len(set(plain)) == 1:
            raise Invalid("This password is among the first that are guessed; choose another.", path=path, constraint="not_common")

    def close(self) -> None:
        """End the threads without waiting for them; whoever still waits for a password is cancelled."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _matches(self, hashed: str, secret: bytes) -> bool:
        try:
            return self._hasher.verify(hashed, secret)
        except VerifyMismatchError:
            return False

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if not self._room.acquire(blocking=False):
            raise RateLimited("Too many people are signing in at this moment; try again.", bucket="passwords", retry_after_ms=1000)
        job = self._pool.submit(work)
        job.add_done_callback(self._leave)  # when the work ends, not when the caller leaves: its thread is busy until then
        return await asyncio.wrap_future(job)

    def _leave(self, _: Future[Any]) -> None:
        self._room.release()


def _refuse_longer(password: str, *, path: Sequence[str]) -> None:
    if len(password) > LONGEST:
        raise Invalid(f"Choose a password of at most {LONGEST} characters.", path=path, constraint=f"max_length={LONGEST}")


def _normalised(password: str) -> bytes:
    """The same bytes for the same password typed on another keyboard (NIST SP 800-63B: NFKC)."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _hash_of_nobody(settings: Settings) -> str:
    """A hash that takes as long to check as any other and matches nothing: random bytes in argon2's encoding."""
    salt, digest = (b64encode(os.urandom(length)).decode().rstrip("=") for length in (_SALT_BYTES, _HASH_BYTES))
    cost = f"m={settings.password_memory_kib},t={settings.password_time_cost},p={_PARALLELISM}"
    return f"$argon2id$v={ARGON2_VERSION}${cost}${salt}${digest}"
