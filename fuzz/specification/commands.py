"""The commands of the example state machines, as the docstrings of `raft.examples` say."""

from construct import Const, GreedyBytes, Int32ul, Prefixed, StreamError, Terminated
from construct import Struct as Layout

from fuzz.laws import Faults
from raft.errors import InvalidFieldError, TrailingBytesError, TruncatedError
from raft.examples import kv, queue

_FIELD = Prefixed(Int32ul, GreedyBytes)


def kv_command(data: bytes) -> kv.Command | Faults:
    """Decode a command of the key-value store."""
    fields = _fields(data, {0: 2, 1: 4, 2: 1})
    if isinstance(fields, frozenset):
        return fields
    match data[0], fields:
        case 0, [key, value]:
            return kv.Write(key, value)
        case 1, [key, b"", b"", value]:
            return kv.CompareAndSwap(key, None, value)
        case 1, [key, b"\1", expected, value]:
            return kv.CompareAndSwap(key, expected, value)
        case 2, [key]:
            return kv.Delete(key)
    return frozenset({InvalidFieldError})


def queue_command(data: bytes) -> queue.Command | Faults:
    """Decode a command of the queues."""
    fields = _fields(data, {0: 2, 1: 1})
    if isinstance(fields, frozenset):
        return fields
    return queue.Publish(*fields) if data[0] == 0 else queue.Consume(*fields)


def _fields(data: bytes, counts: dict[int, int]) -> list[bytes] | Faults:
    """Parse as many fields as the kind has, the first byte, and nothing more."""
    if not data:
        return frozenset({TruncatedError})
    if data[0] not in counts:
        return frozenset({InvalidFieldError})
    layout = Layout(
        Const(data[:1]),
        "fields" / _FIELD[counts[data[0]]],
        "rest" / GreedyBytes,
        Terminated,
    )
    try:
        parsed = layout.parse(data)
    except StreamError:
        return frozenset({TruncatedError})
    return frozenset({TrailingBytesError}) if parsed.rest else list(parsed.fields)
