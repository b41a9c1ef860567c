"""Content is readable only in its own place and only with its tenant's key, and keys are never shown."""

import hmac
import os
import random
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from auth.encryption.ciphers import ContentIsUnreadable, DataKey, KeyIsMissing, KeyIsShredded, TenantCipher, key_version_of
from auth.encryption.keyring import StoredKey
from auth.encryption.local_key import LocalKey
from errors import PennyError

ACME, OTHER = UUID(int=1), UUID(int=2)
ROW, OTHER_ROW = UUID(int=11), UUID(int=12)
SECRET = b"the merger is on Tuesday"


@pytest.fixture
def keys() -> dict[int, bytes]:
    return {1: os.urandom(32), 2: os.urandom(32)}


@pytest.fixture
def cipher(keys: dict[int, bytes]) -> TenantCipher:
    return TenantCipher(ACME, keys, active_version=2)


@pytest.mark.parametrize("plaintext", [SECRET, b"", b"\x00" * 100_000])
def test_what_was_encrypted_for_a_place_is_read_there(cipher: TenantCipher, plaintext: bytes) -> None:
    blob = cipher.encrypt("messages", "body", ROW, plaintext)
    assert cipher.decrypt("messages", "body", ROW, blob) == plaintext
    assert cipher.decrypt("messages", "body", str(ROW), blob) == plaintext
    assert (blob[0], key_version_of(blob), len(blob)) == (1, 2, 1 + 4 + 12 + len(plaintext) + 16)
    assert plaintext == b"" or plaintext not in blob


@pytest.mark.parametrize(
    ("table", "column", "row_id"),
    [("chats", "body", ROW), ("messages", "title", ROW), ("messages", "body", OTHER_ROW), ("messages", "body", "")],
)
def test_a_value_copied_to_another_place_is_unreadable(cipher: TenantCipher, table: str, column: str, row_id: UUID | str) -> None:
    blob = cipher.encrypt("messages", "body", ROW, SECRET)
    with pytest.raises(ContentIsUnreadable):
        cipher.decrypt(table, column, row_id, blob)
    assert cipher.decrypt("messages", "body", ROW, blob) == SECRET


def test_a_value_copied_to_another_tenant_is_unreadable_even_under_the_same_key(cipher: TenantCipher, keys: dict[int, bytes]) -> None:
    blob = cipher.encrypt("messages", "body", ROW, SECRET)
    with pytest.raises(ContentIsUnreadable):
        TenantCipher(OTHER, keys, active_version=2).decrypt("messages", "body", ROW, blob)
    assert TenantCipher(ACME, keys, active_version=1).decrypt("messages", "body", ROW, blob) == SECRET


def test_a_value_relabelled_with_another_version_is_unreadable_even_under_the_same_key() -> None:
    key = os.urandom(32)
    cipher = TenantCipher(ACME, {1: key, 2: key}, active_version=2)
    blob = cipher.encrypt("messages", "body", ROW, SECRET)
    relabelled = blob[:1] + (1).to_bytes(4, "big") + blob[5:]
    with pytest.raises(ContentIsUnreadable):
        cipher.decrypt("messages", "body", ROW, relabelled)
    assert cipher.decrypt("messages", "body", ROW, blob) == SECRET


def test_two_places_never_look_the_same(cipher: TenantCipher) -> None:
    blob = cipher.encrypt("a", "b", "c|d", SECRET)
    assert cipher.decrypt("a", "b", "c|d", blob) == SECRET
    with pytest.raises(ValueError, match="look the same"):
        cipher.decrypt("a", "b|c", "d", blob)


def test_each_of_a_thousand_flipped_bits_is_noticed(cipher: TenantCipher) -> None:
    blob = cipher.encrypt("messages", "body", ROW, SECRET * 10)
    chance = random.Random(20261122)
    for place in chance.sample(range(len(blob) * 8), 1000):
        flipped = bytearray(blob)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(ContentIsUnreadable):
            cipher.decrypt("messages", "body", ROW, bytes(flipped))
    assert cipher.decrypt("messages", "body", ROW, blob) == SECRET * 10


def test_a_cut_value_is_unreadable_at_every_length(cipher: TenantCipher) -> None:
    blob = cipher.encrypt("messages", "body", ROW, SECRET)
    for length in range(len(blob)):
        with pytest.raises(ContentIsUnreadable):
            cipher.decrypt("messages", "body", ROW, blob[:length])


def test_many_values_are_read_at_once_and_the_unreadable_among_them_say_why(cipher: TenantCipher, keys: dict[int, bytes]) -> None:
    rows = [UUID(int=number) for number in range(20, 26)]
    older = TenantCipher(ACME, keys, active_version=1)
    unknown = TenantCipher(ACME, {3: os.urandom(32)}, active_version=3)
    one, two, three = (each.encrypt("messages", "body", row, SECRET) for each, row in zip((cipher, older, unknown), rows, strict=False))
    moved, cut = cipher.encrypt("messages", "body", ROW, SECRET), cipher.encrypt("messages", "body", rows[4], SECRET)[:12]
    found = cipher.decrypt_many("messages", "body", zip(rows, (one, two, three, moved, cut, b""), strict=True))
    assert found[:2] == [SECRET, SECRET]
    assert [type(each) for each in found[2:]] == [KeyIsMissing, ContentIsUnreadable, ContentIsUnreadable, ContentIsUnreadable]
    assert cipher.decrypt_many("messages", "body", ()) == []
    with pytest.raises(ValueError, match="look the same"):
        cipher.decrypt_many("messages", "b|c", [(ROW, moved)])


def test_no_nonce_comes_twice(cipher: TenantCipher) -> None:
    assert len({cipher.encrypt("messages", "body", ROW, b"")[5:17] for _ in range(20_000)}) == 20_000


def test_an_unreadable_value_is_a_fault_that_users_are_not_told_about() -> None:
    assert not issubclass(ContentIsUnreadable, PennyError)


def test_a_shredded_key_is_told_from_one_that_is_not_loaded(keys: dict[int, bytes]) -> None:
    both = TenantCipher(ACME, keys, active_version=1)
    blob = both.encrypt("messages", "body", ROW, SECRET)
    newer = TenantCipher(ACME, {2: keys[2]}, 2).encrypt("messages", "body", ROW, SECRET)
    gone = TenantCipher(ACME, {}, None, shredded=[1])
    with pytest.raises(KeyIsShredded):
        gone.decrypt("messages", "body", ROW, blob)
    with pytest.raises(KeyIsMissing) as missing:
        gone.decrypt("messages", "body", ROW, newer)
    assert missing.type is KeyIsMissing
    for version in (None, 1):
        with pytest.raises(KeyIsMissing):
            gone.hmac("terms", b"x", version=version)
    with pytest.raises(KeyIsMissing):
        gone.encrypt("messages", "body", ROW, SECRET)
    assert gone.knows(1)
    assert not gone.knows(2)


def test_keys_are_never_shown(cipher: TenantCipher, keys: dict[int, bytes]) -> None:
    cipher.hmac("terms", b"x")
    held = [DataKey(key) for key in keys.values()]
    shown = " ".join(
        [
            repr(cipher),
            str(cipher),
            repr(held),
            str(held[0]),
            f"{held[0]}",
            repr(LocalKey(keys[1])),
            repr(StoredKey(1, "ACTIVE", keys[1], "k")),
        ]
    )
    shown += repr([getattr(cipher, name) for name in cipher.__slots__])
    for key in keys.values():
        assert repr(key)[2:-1] not in shown
        assert key.hex() not in shown
    assert "***" in shown


def test_a_key_of_another_length_and_an_absent_active_version_are_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        TenantCipher(ACME, {1: os.urandom(16)}, 1)
    with pytest.raises(ValueError, match="not among"):
        TenantCipher(ACME, {1: os.urandom(32)}, 2)


def test_a_keyed_hash_depends_on_tenant_key_purpose_and_data_and_on_nothing_else(cipher: TenantCipher, keys: dict[int, bytes]) -> None:
    hashed = cipher.hmac("terms", b"merger")
    info = f"penny|v1|hmac|{ACME}|2|terms".encode()
    assert hashed == hmac.digest(HKDF(SHA256(), 32, salt=None, info=info).derive(keys[2]), b"merger", "sha256")
    assert TenantCipher(ACME, keys, 2).hmac("terms", b"merger") == hashed
    assert TenantCipher(ACME, keys, 1).hmac("terms", b"merger", version=2) == hashed
    others = [
        cipher.hmac("terms", b"mergers"),
        cipher.hmac("inputs", b"merger"),
        cipher.hmac("terms", b"merger", version=1),
        TenantCipher(OTHER, keys, 2).hmac("terms", b"merger"),
    ]
    assert len({hashed, *others}) == 5
    assert cipher.versions == (2, 1)
