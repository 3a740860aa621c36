"""A state machine in a state machine's clothes: it also keeps a digest of all that happened in it.

The digest covers every command and its result, in order, so it tells two histories apart that left
the same values; and it costs O(1) a command, where a digest of the state would cost the state.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from raft.examples.kv import KeyValueStore

_INDEX_BYTES = 8
_DIGEST_BYTES = 16


class Witness:
    """A key-value store whose snapshots carry the digest along.

    `steps` are the (index, digest) after each command, and `restored` that after the last snapshot,
    for whoever watches to take away.
    """

    def __init__(self) -> None:
        self.store = KeyValueStore()
        self.last_index = 0
        self.digest = bytes(_DIGEST_BYTES)
        self.steps: deque[tuple[int, bytes]] = deque()
        self.restored: tuple[int, bytes] | None = None

    def apply(self, index: int, command: bytes) -> object:
        """Apply a command to the store."""
        result = self.store.apply(index, command)
        told = index.to_bytes(_INDEX_BYTES, "little") + command + repr(result).encode()
        self.digest = blake2b(self.digest + told, digest_size=_DIGEST_BYTES).digest()
        self.last_index = index
        self.steps.append((index, self.digest))
        return result

    def snapshot(self) -> Iterable[bytes]:
        """Say the index and the digest, then the store's snapshot."""
        yield self.last_index.to_bytes(_INDEX_BYTES, "little") + self.digest
        yield from self.store.snapshot()

    def restore(self, chunks: Iterator[bytes]) -> None:
        """Replace index, digest and store."""
        data = b"".join(chunks)
        body = _INDEX_BYTES + _DIGEST_BYTES
        self.last_index = int.from_bytes(data[:_INDEX_BYTES], "little")
        self.digest = data[_INDEX_BYTES:body]
        self.store.restore(iter((data[body:],)))
        self.restored = (self.last_index, self.digest)
