"""What a power cut may leave of a simulated disk, under a persistence model.

It is the model's own code that decides, as for a real program's trace: each change of the disk
becomes the record that a tracer makes of such a call.
"""

import os
import random
from collections.abc import Iterable, Iterator, Mapping
from itertools import count

from durability.crash.models import Model
from durability.crash.moment import Moment
from durability.crash.persistence import Persistence
from durability.trace.records import AnyRecord, Open, Rename, Sync, Truncate, Unlink, Write

_FORGOTTEN_SHARE = 0.4
_SINGLE_SHARE = 0.2
"""How often a cut leaves what programs mostly forget, and how often all but one, or one."""


class Unsynced:
    """The changes of one disk that a cut may keep or lose."""

    def __init__(self, model: Model, files: Mapping[str, bytes]) -> None:
        """Begin with files that are durable, numbered from 1 in their order."""
        self._persistence = Persistence(model)
        self._persistence.begin(_made(enumerate(files.items(), start=1)))
        self._files = count(len(files) + 1)
        self._records = count()

    def create(self, name: str) -> int:
        """Take note of a new file; return its number."""
        file = next(self._files)
        self._take(_created(file, name))
        return file

    def write(self, file: int, name: str, offset: int, data: bytes) -> None:
        """Take note of bytes written."""
        self._take(_written(file, name, offset, data))

    def truncate(self, file: int, name: str, size: int) -> None:
        """Take note of a file cut to a size in bytes."""
        self._take(Truncate(0, file, name.encode(), size))

    def sync(self, file: int, name: str, *, data_only: bool) -> None:
        """Take note of a file's sync."""
        self._take(Sync(0, name.encode(), data_only, file))

    def rename(self, old: str, new: str) -> None:
        """Take note of a name that moved."""
        self._take(Rename(0, old.encode(), new.encode()))

    def unlink(self, name: str) -> None:
        """Take note of a name removed."""
        self._take(Unlink(0, name.encode()))

    def sync_names(self) -> None:
        """Take note of the directory's sync."""
        self._take(Sync(0, b"", data_only=False))

    def flip(self, file: int, bit: int) -> None:
        """Flip a durable bit of a file."""
        self._persistence.images[file].blocks[bit // 8] ^= 1 << bit % 8

    def survivors(self, seed: int) -> dict[str, bytes]:
        """Draw what a power cut leaves now, by name."""
        moment = Moment(self._persistence, 0, 0)
        files = moment.state(_drawn(moment, random.Random(seed))).content.files
        return {name.decode(): data for name, data in files.items()}

    def _take(self, record: AnyRecord) -> None:
        for _ in self._persistence.feed(record, next(self._records)):
            pass  # what could be lost before is lost no more


def _drawn(moment: Moment, chance: random.Random) -> int:
    """Draw a legal set of what is pending."""
    share = chance.random()
    if share < _FORGOTTEN_SHARE or not moment.pending:
        return chance.choice([*moment.forgotten()])
    if share < _FORGOTTEN_SHARE + _SINGLE_SHARE:
        return chance.choice([*moment.single()])
    return chance.choice([*moment.drawn(chance)])


def _made(files: Iterable[tuple[int, tuple[str, bytes]]]) -> Iterator[AnyRecord]:
    """Yield the records by which files come to be what they are."""
    for number, (name, data) in files:
        yield _created(number, name)
        yield _written(number, name, 0, data)


def _created(file: int, name: str) -> AnyRecord:
    return Open(0, file, name.encode(), os.O_WRONLY | os.O_CREAT, created=True)


def _written(file: int, name: str, offset: int, data: bytes) -> AnyRecord:
    return Write(0, file, name.encode(), offset, data, len(data))
