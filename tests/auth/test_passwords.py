"""Passwords are hashed slowly off the event loop, and nobody learns from them whether an account exists."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from argon2.exceptions import InvalidHashError

from auth.passwords import Passwords
from errors import Invalid, RateLimited
from settings import Settings

RIGHT = "correct horse battery"
EMAIL = "ada.lovelace@example.org"


def settings(**given: str) -> Settings:
    servers = {"PENNY_DATABASE_URL": "-", "PENNY_DATABASE_SYSTEM_URL": "-", "PENNY_VALKEY_URL": "-"}
    return Settings.from_environment(servers | {f"PENNY_PASSWORD_{name.upper()}": value for name, value in given.items()})


@pytest.fixture(scope="module")
def passwords() -> Iterator[Passwords]:
    made = Passwords(settings(memory_kib="64", time_cost="1"))
    yield made
    made.close()


async def test_only_the_right_password_is_right(passwords: Passwords) -> None:
    hashed = await passwords.hash(RIGHT)
    assert hashed.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert RIGHT not in hashed
    assert await passwords.verify(hashed, RIGHT)
    assert not await passwords.verify(hashed, RIGHT + "!")
    assert not await passwords.verify(hashed, "")
    assert await passwords.hash(RIGHT) != hashed


async def test_an_unknown_account_has_no_right_password_and_takes_the_same_work() -> None:
    slow = Passwords(settings(memory_kib="19456", time_cost="2"))
    hashed = await slow.hash(RIGHT)

    async def fastest(of: str | None) -> float:
        times = []
        for _ in range(3):
            start = time.process_time()
            assert not await slow.verify(of, "wrong")
            times.append(time.process_time() - start)
        return min(times)

    known, unknown = await fastest(hashed), await fastest(None)
    slow.close()
    assert unknown > 0.01
    assert 0.4 < unknown / known < 2.5


async def test_a_password_typed_on_another_keyboard_is_the_same(passwords: Passwords) -> None:
    hashed = await passwords.hash("Zo\N{LATIN SMALL LETTER E WITH DIAERESIS} likes \N{LATIN SMALL LIGATURE FI}gs")
    assert await passwords.verify(hashed, "Zoe\N{COMBINING DIAERESIS} likes figs")
    assert not await passwords.verify(hashed, "Zoe likes figs")


async def test_half_a_character_is_a_wrong_password_and_no_fault(passwords: Passwords) -> None:
    assert not await passwords.verify(await passwords.hash(RIGHT), RIGHT + "\ud800")


async def test_a_hash_of_lesser_parameters_is_made_anew(passwords: Passwords) -> None:
    hashed = await passwords.hash(RIGHT)
    stronger = Passwords(settings(memory_kib="128", time_cost="1"))
    assert stronger.needs_rehash(hashed)
    assert not passwords.needs_rehash(hashed)
    assert await stronger.verify(hashed, RIGHT)
    stronger.close()


async def test_a_stored_hash_that_is_none_is_a_fault_not_a_wrong_password(passwords: Passwords) -> None:
    with pytest.raises(InvalidHashError):
        await passwords.verify("plain text", "plain text")


async def test_an_overlong_password_is_refused_and_never_right(passwords: Passwords) -> None:
    longest = "x1" * 128
    hashed = await passwords.hash(longest)
    assert await passwords.verify(hashed, longest)
    assert not await passwords.verify(hashed, longest + "x")
    with pytest.raises(Invalid):
        await passwords.hash(longest + "x")


@pytest.mark.parametrize(
    ("password", "constraint"),
    [
        ("nine char", "min_length=10"),
        ("x1" * 128 + "x", "max_length=256"),
        (EMAIL.upper(), "not_email"),
        ("ada.Lovelace", "not_email"),
        ("Password123", "not_common"),
        ("1234567890", "not_common"),
        ("\N{FULLWIDTH DIGIT ONE}234567890", "not_common"),
        ("aaaaaaaaaaaaaaa", "not_common"),
    ],
)
def test_a_weak_password_is_refused_by_the_rule_it_breaks(passwords: Passwords, password: str, constraint: str) -> None:
    with pytest.raises(Invalid) as refused:
        passwords.check_strength(password, email=EMAIL, path=("input", "password"))
    assert refused.value.constraint == constraint
    assert refused.value.path == ("input", "password")
    assert password not in refused.value.message


@pytest.mark.parametrize("password", [RIGHT, "ten chars!", "only small letters", "пароль из слов", "x1" * 128])
def test_a_password_needs_no_digits_and_no_capitals(passwords: Passwords, password: str) -> None:
    passwords.check_strength(password, email=EMAIL)


async def test_the_event_loop_goes_on_while_a_password_is_hashed(passwords: Passwords) -> None:
    thread = await passwords._in_thread(threading.get_ident)
    assert thread != threading.get_ident()


async def test_beyond_the_queue_the_next_is_refused_until_one_is_done() -> None:
    passwords = Passwords(settings(memory_kib="64", time_cost="1", workers="1"), longest_queue=2)
    gate = threading.Event()
    waiting = [asyncio.create_task(passwords._in_thread(gate.wait)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as refused:
        await passwords.hash(RIGHT)
    assert (refused.value.bucket, refused.value.retry_after_ms) == ("passwords", 1000)

    waiting[2].cancel()
    await asyncio.wait([waiting[2]])
    gate.set()
    assert await asyncio.gather(*waiting[:2]) == [True, True]
    hashes = await asyncio.gather(*(passwords.hash(RIGHT) for _ in range(2)))
    assert all([await passwords.verify(one, RIGHT) for one in hashes])
    passwords.close()
