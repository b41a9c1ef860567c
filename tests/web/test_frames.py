"""Frames made ahead are the ones that the WebSocket library would make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from web.frames import SHARED_IDS, Payload, framed


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_frame_is_what_the_library_writes(length: int) -> None:
    text = b"x" * length
    assert framed(text) == Frame(Opcode.TEXT, text).serialize(mask=False)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=10))
def test_a_payload_goes_to_each_operation_under_its_own_id(ids: list[str]) -> None:
    payload = Payload(b'{"data":null}')
    for operation_id in [*ids, *ids]:
        assert payload.frame(operation_id) == framed(payload.text(operation_id))
        assert payload.text(operation_id) == b'{"id":' + operation_id.encode() + b',"type":"next","payload":{"data":null}}'


def test_frames_are_shared_between_sockets_with_the_same_id_and_random_ids_are_not_kept() -> None:
    payload = Payload(b"{}")
    assert payload.frame('"1"') is payload.frame('"1"')
    for number in range(100):
        payload.frame(f'"{number}"')
    assert len(payload.frames) == SHARED_IDS
