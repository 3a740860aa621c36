"""Named first-in first-out queues: publish, consume. Names and items are bytes.

A command is u8 kind (0 Publish, 1 Consume), then its fields as in `fields`.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from raft.errors import DecodeError, InvalidFieldError, TruncatedError
from raft.examples.fields import decode_fields, encode_fields, read_fields


@dataclass(frozen=True, slots=True)
class Publish:
    """Put an item at the end of a queue. The outcome is True."""

    queue: bytes
    item: bytes


@dataclass(frozen=True, slots=True)
class Consume:
    """Take the first item off a queue. The outcome is the item, or None from an empty queue."""

    queue: bytes


Command = Publish | Consume


def encode_command(command: Command) -> bytes:
    """Encode a command.

    Raises:
        EncodeError: a field has 4 GiB or more.
    """
    match command:
        case Publish(queue, item):
            return b"\x00" + encode_fields((queue, item))
        case Consume(queue):
            return b"\x01" + encode_fields((queue,))


def decode_command(data: bytes) -> Command:
    """Decode a command, and consume all of `data`.

    Raises:
        DecodeError: it is not exactly one command.
    """
    if not data:
        raise TruncatedError("a command begins with its kind")
    match data[0]:
        case 0:
            return Publish(*decode_fields(data[1:], 2))
        case 1:
            return Consume(*decode_fields(data[1:], 1))
        case kind:
            raise InvalidFieldError(f"command kind {kind} is not known")


class Queues:
    """The state machine: the items of each queue, first in first. No queue is ever empty."""

    def __init__(self) -> None:
        self.items: dict[bytes, deque[bytes]] = {}

    def apply(self, index: int, command: bytes) -> bytes | bool | DecodeError | None:  # noqa: ARG002 the protocol's
        """Apply a command; the outcome of one that cannot be decoded is the error, unraised."""
        try:
            decoded = decode_command(command)
        except DecodeError as error:
            return error
        match decoded:
            case Publish(queue, item):
                self.items.setdefault(queue, deque()).append(item)
                return True
            case Consume(queue):
                items = self.items.get(queue)
                if items is None:
                    return None
                item = items.popleft()
                if not items:
                    del self.items[queue]
                return item

    def snapshot(self) -> Iterable[bytes]:
        """Say each item with its queue's name, queues in order: equal states are equal bytes."""
        for queue in sorted(self.items):
            for item in self.items[queue]:
                yield encode_fields((queue, item))

    def restore(self, chunks: Iterator[bytes]) -> None:
        """Replace the state.

        Raises:
            DecodeError: the chunks are not those of a snapshot.
        """
        fields = list(read_fields(chunks))
        if len(fields) % 2:
            raise TruncatedError("the last queue has no item")
        self.items = {}
        for queue, item in zip(fields[::2], fields[1::2], strict=True):
            self.items.setdefault(queue, deque()).append(item)
