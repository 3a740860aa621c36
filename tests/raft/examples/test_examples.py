"""Both examples by the same laws: codecs, snapshots, order."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.errors import DecodeError, EncodeError, InvalidFieldError, TruncatedError
from raft.examples import kv, queue
from raft.examples.fields import decode_fields, encode_fields, read_fields

SHORT = st.binary(max_size=3)
KV_COMMANDS = st.one_of(
    st.builds(kv.Write, SHORT, SHORT),
    st.builds(kv.CompareAndSwap, SHORT, st.none() | SHORT, SHORT),
    st.builds(kv.Delete, SHORT),
)
QUEUE_COMMANDS = st.one_of(st.builds(queue.Publish, SHORT, SHORT), st.builds(queue.Consume, SHORT))


def pieces(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    data = b"".join(chunks)
    for start in range(0, len(data), size):
        yield data[start : start + size]


@given(KV_COMMANDS)
def test_a_kv_command_survives_a_round_trip(command: kv.Command) -> None:
    assert kv.decode_command(kv.encode_command(command)) == command


@given(QUEUE_COMMANDS)
def test_a_queue_command_survives_a_round_trip(command: queue.Command) -> None:
    assert queue.decode_command(queue.encode_command(command)) == command


def recode_kv(data: bytes) -> bytes:
    return kv.encode_command(kv.decode_command(data))


def recode_queue(data: bytes) -> bytes:
    return queue.encode_command(queue.decode_command(data))


@pytest.mark.parametrize("recode", [recode_kv, recode_queue])
@given(data=st.binary(max_size=40))
def test_any_bytes_decode_or_raise_a_decode_error(
    recode: Callable[[bytes], bytes], data: bytes
) -> None:
    with contextlib.suppress(DecodeError):
        assert recode(data) == data


def test_every_prefix_and_extension_of_a_command_is_refused() -> None:
    data = kv.encode_command(kv.CompareAndSwap(b"k", b"old", b"new"))
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            kv.decode_command(data[:size])
    with pytest.raises(DecodeError):
        kv.decode_command(data + b"\0")


def test_an_expected_value_that_is_both_absent_and_given_is_refused() -> None:
    with pytest.raises(InvalidFieldError):
        kv.decode_command(b"\x01" + encode_fields((b"k", b"", b"old", b"new")))


def test_a_length_that_no_field_can_hold_is_an_encode_error() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 2**32

    with pytest.raises(EncodeError):
        encode_fields((Huge(),))


@given(st.lists(KV_COMMANDS, max_size=20), st.integers(1, 9))
def test_a_kv_snapshot_is_the_state_however_it_is_cut(
    commands: list[kv.Command], size: int
) -> None:
    store, other = kv.KeyValueStore(), kv.KeyValueStore()
    expected: dict[bytes, bytes] = {}
    for index, command in enumerate(commands, 1):
        outcome = store.apply(index, kv.encode_command(command))
        match command:
            case kv.Write(key, value):
                expected[key] = value
                assert outcome is True
            case kv.CompareAndSwap(key, wanted, value):
                assert outcome is (expected.get(key) == wanted)
                if outcome:
                    expected[key] = value
            case kv.Delete(key):
                assert outcome is (key in expected)
                expected.pop(key, None)
    assert store.values == expected
    other.restore(pieces(iter(store.snapshot()), size))
    assert other.values == expected


@given(st.lists(QUEUE_COMMANDS, max_size=20), st.integers(1, 9))
def test_queues_are_first_in_first_out_across_a_snapshot(
    commands: list[queue.Command], size: int
) -> None:
    queues = queue.Queues()
    expected: dict[bytes, deque[bytes]] = {}
    for index, command in enumerate(commands, 1):
        outcome = queues.apply(index, queue.encode_command(command))
        items = expected.setdefault(command.queue, deque())
        if isinstance(command, queue.Publish):
            items.append(command.item)
            assert outcome is True
        else:
            assert outcome == (items.popleft() if items else None)
        again = queue.Queues()
        again.restore(pieces(iter(queues.snapshot()), size))
        queues = again
    assert queues.items == {name: items for name, items in expected.items() if items}


def test_a_command_that_is_none_has_an_outcome_and_changes_nothing() -> None:
    store, queues = kv.KeyValueStore(), queue.Queues()
    assert isinstance(store.apply(1, b""), TruncatedError)
    assert isinstance(queues.apply(1, b"\xff"), InvalidFieldError)
    assert (store.values, queues.items) == ({}, {})


@pytest.mark.parametrize("machine", [kv.KeyValueStore(), queue.Queues()])
@pytest.mark.parametrize("data", [b"\1", encode_fields((b"alone",))])
def test_a_snapshot_that_is_cut_short_is_refused(
    machine: kv.KeyValueStore | queue.Queues, data: bytes
) -> None:
    with pytest.raises(TruncatedError):
        machine.restore(iter([data]))


def test_fields_are_counted() -> None:
    data = encode_fields((b"a", b""))
    assert decode_fields(data, 2) == list(read_fields([data])) == [b"a", b""]
    with pytest.raises(DecodeError):
        decode_fields(data, 1)
    with pytest.raises(DecodeError):
        decode_fields(data, 3)
