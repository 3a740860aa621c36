"""A key-value store: write, compare and swap, delete. Keys and values are bytes.

A command is u8 kind (0 Write, 1 CompareAndSwap, 2 Delete), then its fields as in `fields`. In a
CompareAndSwap `expected` is preceded by a field that is empty where the key must be absent.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from raft.errors import DecodeError, InvalidFieldError, TruncatedError
from raft.examples.fields import decode_fields, encode_fields, read_fields


@dataclass(frozen=True, slots=True)
class Write:
    """Give a key a value. The outcome is True."""

    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class CompareAndSwap:
    """Give a key a value if it has the expected one, None for none. The outcome says whether."""

    key: bytes
    expected: bytes | None
    value: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a key. The outcome says whether it was there."""

    key: bytes


Command = Write | CompareAndSwap | Delete


def encode_command(command: Command) -> bytes:
    """Encode a command.

    Raises:
        EncodeError: a field has 4 GiB or more.
    """
    match command:
        case Write(key, value):
            return b"\x00" + encode_fields((key, value))
        case CompareAndSwap(key, expected, value):
            presence = b"" if expected is None else b"\x01"
            return b"\x01" + encode_fields((key, presence, expected or b"", value))
        case Delete(key):
            return b"\x02" + encode_fields((key,))


def decode_command(data: bytes) -> Command:
    """Decode a command, and consume all of `data`.

    Raises:
        DecodeError: it is not exactly one command.
    """
    if not data:
        raise TruncatedError("a command begins with its kind")
    match data[0]:
        case 0:
            return Write(*decode_fields(data[1:], 2))
        case 1:
            key, presence, expected, value = decode_fields(data[1:], 4)
            if presence not in (b"", b"\x01") or (expected and not presence):
                raise InvalidFieldError("the expected value is neither present nor absent")
            return CompareAndSwap(key, expected if presence else None, value)
        case 2:
            return Delete(*decode_fields(data[1:], 1))
        case kind:
            raise InvalidFieldError(f"command kind {kind} is not known")


class KeyValueStore:
    """The state machine: `values` by key."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def apply(self, index: int, command: bytes) -> bool | DecodeError:  # noqa: ARG002 the protocol's
        """Apply a command; the outcome of one that cannot be decoded is the error, unraised."""
        try:
            decoded = decode_command(command)
        except DecodeError as error:
            return error
        match decoded:
            case Write(key, value):
                self.values[key] = value
                return True
            case CompareAndSwap(key, expected, value):
                if self.values.get(key) != expected:
                    return False
                self.values[key] = value
                return True
            case Delete(key):
                return self.values.pop(key, None) is not None

    def snapshot(self) -> Iterable[bytes]:
        """Say all keys and values, in the order of the keys: equal states are equal bytes."""
        for key in sorted(self.values):
            yield encode_fields((key, self.values[key]))

    def restore(self, chunks: Iterator[bytes]) -> None:
        """Replace the state.

        Raises:
            DecodeError: the chunks are not those of a snapshot.
        """
        fields = list(read_fields(chunks))
        if len(fields) % 2:
            raise TruncatedError("the last key has no value")
        self.values = dict(zip(fields[::2], fields[1::2], strict=True))
