"""One moment of a run: every state that a power cut may leave then.

A state is a set of pending operations, as a mask: bit `i` stands for the `i`-th of them. A set is
legal if it contains what its members depend on.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from durability.crash.content import DIGEST_BYTES, Content
from durability.crash.operations import Data, FileOperation, Names, Operation
from durability.crash.persistence import Persistence
from durability.crash.storage import Image

_SHARES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
"""How likely an operation is to be kept, in each of the sets drawn at a time."""


@dataclass(frozen=True, slots=True)
class CrashState:
    """What a power cut left.

    `cut` records of the trace had been issued, the last of which may not have returned, and
    `acknowledged_bytes` of its output had been printed. Of what was not durable by then,
    `persisted` is there and `lost` is not. States of equal content have equal digests.
    """

    cut: int
    acknowledged_bytes: int
    persisted: tuple[Operation, ...]
    lost: tuple[Operation, ...]
    content: Content
    digest: bytes


class Moment:
    """The states of a disk as it is now; it must not be fed while one of these is in use.

    `pending` are the operations that sets are made of. Something has become durable between two
    moments if and only if they differ in `version`.
    """

    def __init__(self, disk: Persistence, cut: int, acknowledged_bytes: int) -> None:
        self.cut = cut
        self.acknowledged_bytes = acknowledged_bytes
        self.version = disk.version
        self._disk = disk
        keeps = disk.model.keeps_unsynced
        self.pending = disk.pending if keeps else []
        self._lost_anyway = () if keeps else tuple(disk.pending)
        index = {id(operation): at for at, operation in enumerate(self.pending)}
        self._needs: list[int] = []
        for operation in self.pending:
            needs = 0
            for needed in operation.missing():
                at = index[id(needed)]
                needs |= self._needs[at] | 1 << at
            self._needs.append(needs)
        self._of_file: defaultdict[int, int] = defaultdict(int)
        self._names = 0
        for at, operation in enumerate(self.pending):
            if isinstance(operation, FileOperation):
                self._of_file[operation.file] |= 1 << at
            else:
                self._names |= 1 << at
        self._walks: dict[int, list[tuple[bytes, int]]] = {}
        self._files: dict[tuple[int, int], tuple[bytes, bytes]] = {}

    # Sets

    def everything(self) -> int:
        """Return the set of all pending operations."""
        return (1 << len(self.pending)) - 1

    def chosen(self, kept: int) -> Iterator[Operation]:
        """Yield the operations of a set, in order."""
        return (self.pending[at] for at in bits(kept))

    def of_file(self, file: int) -> int:
        """Return the set of a file's operations."""
        return self._of_file.get(file, 0)

    def with_needed(self, wanted: int) -> int:
        """Return the smallest legal set that contains these operations."""
        kept = wanted
        for at in bits(wanted):
            kept |= self._needs[at]
        return kept

    def without(self, lost: int) -> int:
        """Return the largest legal set that contains none of these operations."""
        kept = 0
        for at, needs in enumerate(self._needs):
            if not lost >> at & 1 and needs & ~kept == 0:
                kept |= 1 << at
        return kept

    def legal(self, among: int | None = None) -> Iterator[int]:
        """Yield every legal set, each once; of those that agree on `among`, their part in that."""
        if among is None:
            among = self.everything()
        places = list(bits(among))
        needs = [self._needs[at] & among for at in places]
        waiting = [(0, 0)]
        while waiting:
            number, kept = waiting.pop()
            if number == len(places):
                yield kept
                continue
            waiting.append((number + 1, kept))
            if needs[number] & ~kept == 0:
                waiting.append((number + 1, kept | 1 << places[number]))

    def forgotten(self) -> Iterator[int]:
        """Yield the sets that programs mostly forget.

        All is lost, or nothing; names without content, content without names; sizes without data.
        """
        yield 0
        yield self.everything()
        yield self.with_needed(self._names)
        yield self.without(self._names)
        data = sum(1 << at for at, one in enumerate(self.pending) if isinstance(one, Data))
        yield self.with_needed(self.everything() & ~data)
        yield self.without(data)

    def single(self) -> Iterator[int]:
        """Yield the sets in which one operation is lost, and those in which one is kept."""
        for at in range(len(self.pending) - 1, -1, -1):
            yield self.without(1 << at)
            yield self.with_needed(1 << at)

    def drawn(self, chance: random.Random) -> Iterator[int]:
        """Draw legal sets: in some most is kept, in others little."""
        for share in _SHARES:
            kept = 0
            for at, needs in enumerate(self._needs):
                if needs & ~kept == 0 and chance.random() < share:
                    kept |= 1 << at
            yield kept

    # States

    def digest(self, kept: int) -> bytes:
        """Return what no other content than that of this set has."""
        digest = blake2b(digest_size=DIGEST_BYTES)
        for path, node in self.paths(kept):
            digest.update(b"%d " % len(path))
            digest.update(path)
            digest.update(self._node(node, kept)[1])
        return digest.digest()

    def state(self, kept: int) -> CrashState:
        """Return the state that a set leaves."""
        walk = self.paths(kept)
        symlinks = self._disk.symlinks
        content = Content(
            {path: self._node(node, kept)[0] for path, node in walk if node > 0},
            {path: symlinks[node] for path, node in walk if node in symlinks},
            frozenset(path for path, node in walk if node < 0 and node not in symlinks),
        )
        split: tuple[list[Operation], list[Operation]] = ([], [])
        for at, operation in enumerate(self.pending):
            split[kept >> at & 1].append(operation)
        return CrashState(
            self.cut,
            self.acknowledged_bytes,
            tuple(split[1]),
            (*split[0], *self._lost_anyway),
            content,
            self.digest(kept),
        )

    def paths(self, kept: int) -> list[tuple[bytes, int]]:
        """Return the paths that a set leaves, in order, and the node that each leads to."""
        names = kept & self._names
        known = self._walks.get(names)
        if known is None:
            directories = self._disk.directories
            if names:
                directories = directories.copy()
                for operation in self.chosen(names):
                    assert isinstance(operation, Names)
                    directories.apply(operation)
            known = self._walks[names] = sorted(directories.walk())
        return known

    def image(self, file: int) -> Image:
        """Return what is durable of a file; not to be changed."""
        return self._disk.images.get(file) or Image()

    def file(self, file: int, kept: int) -> bytes:
        """Return what a reader sees of a file."""
        return self._node(file, kept)[0]

    def described(self, node: int) -> bytes:
        """Return what tells a directory or a symbolic link from others."""
        return self._node(node, 0)[1]

    def _node(self, node: int, kept: int) -> tuple[bytes, bytes]:
        """Return what a reader sees of a node, and a digest of it."""
        if node < 0:
            target = self._disk.symlinks.get(node)
            return b"", b"directory" if target is None else b"link %d %b" % (len(target), target)
        operations = kept & self.of_file(node)
        known = self._files.get((node, operations))
        if known is None:
            image = self.image(node)
            if operations:
                image = image.copy()
                for operation in self.chosen(operations):
                    image.apply(operation)
            seen = image.visible()
            digest = blake2b(seen, digest_size=DIGEST_BYTES).digest()
            known = self._files[node, operations] = seen, digest
        return known


def bits(mask: int) -> Iterator[int]:
    """Yield the places of the bits that are set."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
