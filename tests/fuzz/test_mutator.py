from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.layout import take_apart
from fuzz.mutator import StructureMutator
from fuzz.strategies import inputs
from fuzz.targets import TARGETS, load
from fuzz.targets.message import MESSAGE
from raft.errors import DecodeError
from raft.message import Message, MessageType

every_target = pytest.mark.parametrize("name", TARGETS)


def unchanged(data: bytes, max_bytes: int) -> bytes:
    return data[:max_bytes]


@every_target
@given(data=st.data())
def test_what_is_taken_apart_is_put_together_again(name: str, data: Any) -> None:
    layout = load(name).layout
    whole = data.draw(st.binary(max_size=300) | inputs(layout))
    assert bytes(take_apart(whole, layout)) == whole


def test_repair_puts_size_and_count_right() -> None:
    part = take_apart(Message(1, MessageType.APPEND_ENTRIES, 2, 3).encode(), MESSAGE)
    entry = take_apart(bytes(17) + b"\2\0\0\0ab", load("log_entry").layout)
    part.body_parts = [entry, entry]
    part.repair()
    message = Message.decode(bytes(part))
    assert message.entries_count == 2
    assert [item.data for item in message.entries()] == [b"ab", b"ab"]


@every_target
def test_mutations_depend_on_the_seed_alone_and_keep_within_the_limit(name: str) -> None:
    layout = load(name).layout
    mutator = StructureMutator(layout, unchanged)
    data = bytes(range(100))
    mutations = [mutator(data, 120, seed) for seed in range(200)]
    assert mutations == [StructureMutator(layout, unchanged)(data, 120, n) for n in range(200)]
    assert len(set(mutations)) > 50
    assert max(map(len, mutations)) <= 120


def test_many_mutations_of_a_message_are_messages_still() -> None:
    mutator = StructureMutator(MESSAGE, unchanged)
    data = Message(1, MessageType.APPEND_ENTRIES, 2, 3, entries_count=1, data=bytes(21)).encode()
    whole = 0
    for seed in range(500):
        mutation = mutator(data, 1000, seed)
        with suppress(DecodeError):
            whole += bool(Message.decode(mutation).entries())
    assert 50 < whole < 450
