"""What may have happened to a data directory, as a program of small damages.

An input is u8 which directory, u8 how many operations of the recovery are survived (255: all), and
steps of nine bytes: u8 what, u8 which file, u32 where, u16 how much, u8 reserved for a value. Any
bytes are a program.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from fuzz.directories import NAMES, DataDirectory, other_name
from fuzz.layout import Layout
from fuzz.seal import seal_metadata, seal_segment, seal_snapshot

PROGRAM: Final = Layout((1, 1), record=Layout((1, 1, 4, 2, 1)))

_HEAD: Final = struct.Struct("<BB")
_STEP: Final = struct.Struct("<BBIHB")
_STEPS_MAX: Final = 16
_SURVIVES: Final = 255


class Damage(IntEnum):
    """The kinds of a step. Offsets and sizes are taken modulo what there is."""

    FLIP_BIT = 0
    SET_BYTE = 1
    TRUNCATE = 2
    ZERO = 3
    APPEND = 4
    DELETE = 5
    SWAP = 6
    DUPLICATE = 7
    RENAME = 8
    REPEAT_RANGE = 9
    FROM_ANOTHER = 10
    SEAL = 11


@dataclass(frozen=True)
class DamagedDirectory:
    """A directory and what became of its files; `sealed` says that checksums were forged.

    `operations_left` is after how many operations the first recovery is killed, None if it is not.
    """

    origin: DataDirectory
    files: dict[str, bytes]
    operations_left: int | None
    sealed: bool

    @property
    def only_tail_is_damaged(self) -> bool:
        """Whether all that was acknowledged is as it was, and the rest is what a kill may leave.

        Where a snapshot takes the place of a log, no write to that is under way.
        """
        origin = self.origin
        kept = origin.files[origin.tail_name][: origin.tail_offset]
        is_same = origin.is_settled and self.files.keys() == origin.files.keys()
        return is_same and all(
            content.startswith(kept) if name == origin.tail_name else content == origin.files[name]
            for name, content in self.files.items()
        )


def damage(program: bytes, directories: Sequence[DataDirectory]) -> DamagedDirectory | None:
    """Run a program on one of the directories; None where it is too short to name one."""
    if len(program) < _HEAD.size:
        return None
    number, operations_left = _HEAD.unpack_from(program)
    origin = directories[number % len(directories)]
    files = dict(origin.files)
    sealed = False
    steps = program[_HEAD.size : _HEAD.size + _STEPS_MAX * _STEP.size]
    for kind, file, offset, size, value in _STEP.iter_unpack(
        steps[: len(steps) - len(steps) % _STEP.size]
    ):
        names = sorted(files)
        if not names:
            break
        name = names[file % len(names)]
        step = Damage(kind % len(Damage))
        sealed |= step is Damage.SEAL
        match step:
            case Damage.SWAP:
                other = names[value % len(names)]
                files[name], files[other] = files[other], files[name]
            case Damage.DELETE:
                del files[name]
            case Damage.DUPLICATE:
                files[other_name(value % NAMES)] = files[name]
            case Damage.RENAME:
                files[other_name(value % NAMES)] = files.pop(name)
            case Damage.FROM_ANOTHER:
                another = directories[value % len(directories)].files
                files[name] = another.get(name, files[name])
            case Damage.SEAL:
                files[name] = _seal(files[name])
            case _:
                files[name] = _damage_bytes(files[name], step, offset, size, value)
    survives = operations_left == _SURVIVES
    return DamagedDirectory(origin, files, None if survives else operations_left, sealed)


def _damage_bytes(content: bytes, step: Damage, offset: int, size: int, value: int) -> bytes:
    start = offset % (len(content) + 1)
    before, after = content[:start], content[start:]
    match step:
        case Damage.FLIP_BIT:
            return before + bytes([byte ^ 1 << value % 8 for byte in after[:1]]) + after[1:]
        case Damage.SET_BYTE:
            return before + bytes([value])[: len(after)] + after[1:]
        case Damage.TRUNCATE:
            return before
        case Damage.ZERO:
            zeros = bytes(min(size, len(after)))
            return before + zeros + after[len(zeros) :]
        case Damage.APPEND:
            return content + bytes([value]) * (size % 4200)
        case _:
            return content + after[:size]


def _seal(content: bytes) -> bytes:
    match content[:8]:
        case b"RAFTMETA":
            return seal_metadata(content)
        case b"RAFTSNAP":
            return seal_snapshot(content)
        case _:
            return seal_segment(content)
