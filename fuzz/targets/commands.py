"""Invariant tested: bytes are one command of an example and its only encoding, or a typed error.

An input is u8 whose command it is - the key-value store's, the queues' - and the command. It is
applied too: to a state that holds something, with these laws beside those of an encoding.

- A command that cannot be decoded has that error as its outcome, and changes nothing.
- A snapshot of the state, cut anywhere, restores an equal state; the input taken for a snapshot
  does so wherever it is cut, or is refused with a typed error.
"""

import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from fuzz.laws import BrokenLawError, Encoding
from fuzz.layout import Layout
from fuzz.specification import commands
from fuzz.target import Target
from raft.errors import DecodeError, TrailingBytesError, TruncatedError
from raft.examples import kv, queue

COMMAND: Final = Layout((1, 1), record=Layout((4,), size=0))


@dataclass(frozen=True)
class _Example:
    """One state machine: how to make it, the encoding of its commands, and one that fills it."""

    machine: Callable[[], kv.KeyValueStore | queue.Queues]
    encoding: Encoding[Any]
    first_command: bytes


_EXAMPLES: Final = (
    _Example(
        kv.KeyValueStore,
        Encoding(
            decode=lambda data: kv.decode_command(bytes(data)),
            encode=kv.encode_command,
            specification=commands.kv_command,
            error=DecodeError,
            truncated=TruncatedError,
            trailing=TrailingBytesError,
        ),
        kv.encode_command(kv.Write(b"key", b"value")),
    ),
    _Example(
        queue.Queues,
        Encoding(
            decode=lambda data: queue.decode_command(bytes(data)),
            encode=queue.encode_command,
            specification=commands.queue_command,
            error=DecodeError,
            truncated=TruncatedError,
            trailing=TrailingBytesError,
        ),
        queue.encode_command(queue.Publish(b"queue", b"item")),
    ),
)


def check(data: bytes) -> None:
    """Hold one command against every law of its encoding, and apply it."""
    if data:
        example, command = _take(data)
        example.encoding.check(command)
        _check_outcome(example, command)
        _check_restored(example, command)


def _probe(data: bytes) -> None:
    if data:
        example, command = _take(data)
        example.encoding.probe(command)
        _check_outcome(example, command)


def _take(data: bytes) -> tuple[_Example, bytes]:
    return _EXAMPLES[data[0] % len(_EXAMPLES)], data[1:]


def _check_outcome(example: _Example, command: bytes) -> None:
    machine = example.machine()
    machine.apply(1, example.first_command)
    before = _state(machine)
    refused = isinstance(machine.apply(2, command), DecodeError)
    try:
        example.encoding.decode(command)
    except DecodeError:
        if not refused or _state(machine) != before:
            raise BrokenLawError("a command that cannot be decoded had an effect") from None
    else:
        if refused:
            raise BrokenLawError("a command was decoded, and refused when it was applied")
    state = _state(machine)
    _check_cuts(example, state, state)


def _check_restored(example: _Example, snapshot: bytes) -> None:
    """Take the input for a snapshot: whatever the state is that it stands for, it has one form."""
    machine = example.machine()
    try:
        machine.restore(iter((snapshot,)))
    except DecodeError:
        return
    state = _state(machine)
    with suppress(DecodeError):
        machine.restore(iter((snapshot, b"\0")))
        raise BrokenLawError("a snapshot that is followed by a byte was restored")
    _check_cuts(example, snapshot, state)
    _check_cuts(example, state, state)


def _check_cuts(example: _Example, snapshot: bytes, state: bytes) -> None:
    """Restore a snapshot that comes in two chunks, and in single bytes."""
    cut = zlib.crc32(snapshot) % (len(snapshot) + 1)
    singly = [snapshot[at : at + 1] for at in range(len(snapshot))]
    for chunks in ([snapshot[:cut], snapshot[cut:]], singly):
        machine = example.machine()
        machine.restore(iter(chunks))
        if _state(machine) != state:
            raise BrokenLawError(f"restored from {len(chunks)} chunks, the state is another")


def _state(machine: kv.KeyValueStore | queue.Queues) -> bytes:
    return b"".join(machine.snapshot())


TARGET: Final = Target(check=check, probe=_probe, layout=COMMAND)
