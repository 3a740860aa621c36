"""Commands that are sent again, and take effect once."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.effects import Applied
from raft.node import Node
from raft.sessions import Refusal, Sessions, encode_command, encode_open
from tests.raft.disks import Disk, MemoryFilesystem
from tests.raft.journal import QUIET, SELF, Journal, elect


class Answering(Journal):
    """Answers with how many commands there have been, and the command."""

    def apply(self, index: int, command: bytes) -> bytes:  # type: ignore[override]  # bytes instead of a count
        return b"%d:%s" % (super().apply(index, command), command)


def sessions(count: int = 3) -> tuple[Sessions, Answering]:
    inner = Answering()
    return Sessions(inner, max_sessions=count), inner


def test_a_command_takes_effect_once_and_is_answered_each_time() -> None:
    machine, inner = sessions()
    assert machine.apply(5, encode_open()) == 5
    for index in (6, 7, 9):
        assert machine.apply(index, encode_command(5, 1, b"a")) == b"1:a"
    assert machine.apply(10, encode_command(5, 2, b"b")) == b"2:b"
    assert (inner.commands, inner.indexes) == ([b"a", b"b"], [6, 10])


def test_sessions_are_independent() -> None:
    machine, inner = sessions()
    first, second = machine.apply(1, encode_open()), machine.apply(2, encode_open())
    assert isinstance(first, int)
    assert isinstance(second, int)
    machine.apply(3, encode_command(first, 1, b"a"))
    machine.apply(4, encode_command(second, 1, b"a"))
    assert inner.commands == [b"a", b"a"]


def test_an_earlier_command_is_not_applied_after_a_later_one() -> None:
    machine, inner = sessions()
    machine.apply(1, encode_open())
    machine.apply(2, encode_command(1, 2, b"b"))
    assert machine.apply(3, encode_command(1, 1, b"a")) is Refusal.STALE
    assert inner.commands == [b"b"]


def test_the_session_not_used_for_longest_makes_room() -> None:
    machine, inner = sessions(2)
    machine.apply(1, encode_open())
    machine.apply(2, encode_open())
    machine.apply(3, encode_command(1, 1, b"a"))
    machine.apply(4, encode_open())
    assert machine.apply(5, encode_command(2, 1, b"b")) is Refusal.NO_SESSION
    assert machine.apply(6, encode_command(1, 1, b"a")) == b"1:a"
    assert inner.commands == [b"a"]


@pytest.mark.parametrize("command", [b"", b"x", bytes(16), b"\x02" + bytes(16), b"\xff" * 20])
def test_what_is_no_command_of_a_session_is_refused(command: bytes) -> None:
    machine, inner = sessions()
    assert machine.apply(1, command) is Refusal.MALFORMED
    assert inner.commands == []


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        if data[:size]:
            yield data[:size]
        data = data[size:]
    if data:
        yield data


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.binary(max_size=9)), max_size=30),
    st.lists(st.integers(1, 30), max_size=40),
)
def test_d49_the_table_travels_in_the_snapshot_wherever_it_is_cut(
    commands: list[tuple[int, int, bytes]], sizes: list[int]
) -> None:
    machine, inner = sessions()
    log = [
        encode_command(session, sequence, data) if session else encode_open()
        for session, sequence, data in commands
    ]
    for index, command in enumerate(log, 1):
        machine.apply(index, command)
    again, inner_again = sessions()
    again.restore(cut(b"".join(machine.snapshot()), sizes))
    assert inner_again.commands == inner.commands
    assert b"".join(again.snapshot()) == b"".join(machine.snapshot())
    for index, command in enumerate(log, len(log) + 1):
        assert again.apply(index, command) == machine.apply(index, command)
    assert inner_again.commands == inner.commands


def test_d49_a_command_sent_again_after_a_snapshot_and_a_restart_is_applied_once() -> None:
    disk = Disk()
    for life in range(3):
        machine, inner = sessions()
        node = Node(QUIET, machine, MemoryFilesystem(disk))
        if life == 0:
            node.bootstrap([SELF])
        elect(node)
        if life == 0:
            node.propose(encode_open())
        node.take_effects()
        node.propose(encode_command(3, 1, b"a"))
        results = [effect.result for effect in node.take_effects() if isinstance(effect, Applied)]
        assert results == [b"1:a"]
        assert inner.commands == [b"a"]
        node.take_snapshot()
        node.close()
