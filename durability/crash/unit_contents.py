"""What a set of operations leaves of one unit of a file, without a look at the others.

A unit is a page; or a sector, where pages are torn and no write to several sectors is one.
"""

from collections import defaultdict
from hashlib import blake2b

from durability.crash.content import DIGEST_BYTES
from durability.crash.moment import Moment, bits
from durability.crash.operations import Data, Grow, Shift, Shrink
from durability.crash.storage import Image


class UnitContents:
    """The units of the files at one moment."""

    def __init__(self, moment: Moment, unit_bytes: int) -> None:
        self.moment = moment
        self.unit_bytes = unit_bytes
        self._files: dict[int, _Reach] = {}
        self._sizes: dict[tuple[int, int], int] = {}
        self._digests: dict[tuple[int, int, int, int], bytes] = {}

    def size(self, file: int, kept: int) -> int:
        """Return how long a set leaves a file, in bytes."""
        operations = kept & self._reach(file).sizes
        known = self._sizes.get((file, operations))
        if known is None:
            image = Image(size=self.moment.image(file).size)
            for operation in self.moment.chosen(operations):
                image.apply(operation)
            known = self._sizes[file, operations] = image.size
        return known

    def digest(self, file: int, kept: int, number: int) -> bytes:
        """Return what no other content of a unit has than what a set leaves there."""
        start = number * self.unit_bytes
        seen_bytes = min(self.size(file, kept) - start, self.unit_bytes)
        operations = kept & self._reach(file).unit(number)
        key = file, number, operations, seen_bytes
        known = self._digests.get(key)
        if known is None:
            seen = self._block(file, operations, start)[:seen_bytes].ljust(seen_bytes, b"\0")
            known = self._digests[key] = blake2b(seen, digest_size=DIGEST_BYTES).digest()
        return known

    def _block(self, file: int, operations: int, start: int) -> bytearray:
        """Return what stands on disk from the start of a unit on, as far as anything does."""
        end = start + self.unit_bytes
        durable = self.moment.image(file).blocks
        if self._reach(file).shifts:
            whole = Image(durable)
            for operation in self.moment.chosen(operations):
                whole.apply(operation)
            return whole.blocks[start:end]
        block = Image(durable[start:end])
        for operation in self.moment.chosen(operations):
            block.apply_behind(start, operation)
        return block.blocks

    def _reach(self, file: int) -> "_Reach":
        if file not in self._files:
            self._files[file] = _Reach(self.moment, file, self.unit_bytes)
        return self._files[file]


class _Reach:
    """Which operations on a file matter to its size, and which to what stands in a unit."""

    def __init__(self, moment: Moment, file: int, unit_bytes: int) -> None:
        self.sizes = 0
        self.shifts = 0
        self._everywhere = 0
        self._units: defaultdict[int, int] = defaultdict(int)
        self._data = 0
        for at in bits(moment.of_file(file)):
            operation, bit = moment.pending[at], 1 << at
            match operation:
                case Data():
                    self._units[operation.offset // unit_bytes] |= bit
                    self._data |= bit
                    self.sizes |= bit if operation.grows_to else 0
                case Grow():
                    self.sizes |= bit
                case Shrink() | Shift():
                    self.sizes |= bit
                    self._everywhere |= bit
                    self.shifts |= bit if isinstance(operation, Shift) else 0

    def unit(self, number: int) -> int:
        """Return the operations that matter to a unit: all, where blocks were moved."""
        return self._everywhere | (self._data if self.shifts else self._units.get(number, 0))
