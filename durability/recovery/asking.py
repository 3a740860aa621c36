"""A data directory in memory that notes what it is asked about the files that were there at first.

Whoever works on it and is deterministic - a recovery, an audit before it and one behind - knows no
more of these files than the answers. Two directories with the same names that answer alike all that
is asked of the first are the same to him: he asks nothing else of the second, changes it in the
same way, and comes to the same result. What was not asked may differ.

What he changed himself is no question: it follows from the answers. But what is read of a file that
he changed depends on what it held before, so that counts as if all of it had been read.
"""

import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from durability.recovery.memory import Content, MemoryFilesystem

_DIGEST_BYTES: Final = 16
_DIGESTS_MAX: Final = 512
"""Neighbouring states share most of their files, and each is asked for more than once."""


@lru_cache(_DIGESTS_MAX)
def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST_BYTES).digest()


class Question(NamedTuple):
    """What `size` bytes at `offset` of a file were at first; None for `size`: how many it had."""

    name: str
    offset: int
    size: int | None

    def answer(self, files: Mapping[str, bytes]) -> bytes:
        """Return what no other answer is equal to: the bytes, or a digest of them if many."""
        data = files[self.name]
        if self.size is None:
            return b"%d" % len(data)
        if self.offset or self.size < len(data):
            data = data[self.offset : self.offset + self.size]
        return data if len(data) < _DIGEST_BYTES else _digest(data)


def all_of(name: str) -> Question:
    """Return the question for the whole of a file."""
    return Question(name, 0, sys.maxsize)


class AskedFilesystem(MemoryFilesystem):
    """Such a directory; `questions` has each question once, in order."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__({})
        self._asked: dict[Question, None] = {}
        self._files.update({name: _Asked(name, data, self._asked) for name, data in files.items()})

    @property
    def questions(self) -> tuple[Question, ...]:
        """What has been asked; beside that the names of all files are known."""
        return tuple(self._asked)

    def files(self) -> Mapping[str, bytes]:
        """Return what is there now, by name: a file is read, and asked for, when it is taken."""
        return _Files(dict(self._files))


class _Asked(Content):
    """What a file holds that was there at first."""

    __slots__ = ("_asked", "_name")

    def __init__(self, name: str, data: bytes, asked: dict[Question, None]) -> None:
        super().__init__(data)
        self._name = name
        self._asked = asked

    def size(self) -> int:
        """Say how many bytes there are."""
        self._ask(Question(self._name, 0, None))
        return super().size()

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes at `offset`, or as many as there are."""
        self._ask(Question(self._name, offset, size))
        return super().read(offset, size)

    def _ask(self, question: Question) -> None:
        everything = all_of(self._name)
        if everything not in self._asked:
            is_changed = not isinstance(self.data, bytes)
            self._asked[everything if is_changed else question] = None


class _Files(Mapping[str, bytes]):
    """Files by name, each read when it is taken."""

    def __init__(self, contents: Mapping[str, Content]) -> None:
        self._contents = contents

    def __getitem__(self, name: str) -> bytes:
        return self._contents[name].read(0, sys.maxsize)

    def __iter__(self) -> Iterator[str]:
        return iter(self._contents)

    def __len__(self) -> int:
        return len(self._contents)
