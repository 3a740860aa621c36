"""What a power cut does and never does, one fact at a time.

Each fact is a run, a state that would harm a program, and the models that permit it. A model that
permits more than its file system does is as wrong as one that permits less: so the kernel must
show each state that its model permits, and no other.
"""

import os
from collections.abc import Callable
from typing import Final

import msgspec

from durability.crash.content import Content
from durability.crash.validation.script import Script
from durability.trace.kill_order import PAGE_BYTES

_PAGE: Final = PAGE_BYTES


class Axiom(msgspec.Struct, frozen=True):
    """A run whose power is cut at its end, and the harm that may have come of it.

    `shown_by` are the models that permit the harm, out of all.
    """

    name: str
    shown_by: frozenset[str]
    script: Callable[[], Script]
    is_shown: Callable[[Content], bool]


def _appended_in_place() -> Script:
    script = Script()
    file = script.create(b"log", b"A" * 100)
    script.sync(file).append(file, b"B" * 100)
    return script.sync_bystander()


def _replaced(*, begun: bool = False) -> Script:
    script = Script()
    script.create(b"meta", b"A" * 100)
    file = script.sync_all().create(b"new", b"B" * 100)
    if begun:
        script.write_back(file, 0, _PAGE, waits=False)
    return script.rename(b"new", b"meta").sync_directory()


def _named_anew() -> Script:
    script = Script()
    script.create(b"new", b"B" * 100)
    return script.rename(b"new", b"meta").sync_directory()


def _appended_pages() -> Script:
    script = Script()
    file = script.create(b"log")
    script.sync(file).append(file, b"A" * _PAGE)
    # At once, since btrfs makes one extent of all that follows a page on its way to the disk.
    script.write_back(file, 0, _PAGE)
    for letter in b"BCD":
        script.append(file, bytes([letter]) * _PAGE)
    return script.write_back(file, 2 * _PAGE, 2 * _PAGE).commit()


def _cut_and_rewritten() -> Script:
    script = Script()
    file = script.create(b"log", b"A" * 3 * _PAGE)
    script.sync(file).truncate(file, 100).write(file, 0, b"B" * 50)
    return script.write_back(file, 0, _PAGE)


def _renamed_and_synced(*, data_only: bool) -> Script:
    script = Script()
    file = script.create(b"old", b"A" * 100)
    script.sync_all().rename(b"old", b"new")
    return script.sync(file, data_only=data_only)


def _new_in_new_directory() -> Script:
    script = Script().make_directory(b"d")
    return script.sync(script.create(b"d/file", b"A" * 100), data_only=True)


def _bystander_after(change: Callable[[Script], Script]) -> Script:
    script = Script()
    script.create(b"old", b"A" * 100)
    return change(script.sync_all()).sync_bystander()


def _moved_elsewhere() -> Script:
    script = Script().make_directory(b"d")
    script.create(b"old", b"A" * 100)
    return script.sync_all().rename(b"old", b"d/new").sync_directory(b"d")


def _moved_through_a_name() -> Script:
    script = Script()
    script.create(b"old", b"A" * 100)
    file = script.sync_all().unlink(b"old").create(b"new", b"B" * 100)
    return script.rename(b"new", b"old").rename(b"old", b"other").sync(file)


def _replaced_and_synced() -> Script:
    script = Script()
    replaced = script.create(b"meta", b"A" * 100)
    script.create(b"new", b"B" * 100)
    script.sync_all().rename(b"new", b"meta")
    return script.append(replaced, b"C" * 100).sync(replaced)


def _exchanged() -> Script:
    script = Script()
    script.create(b"one", b"A" * 100)
    file = script.create(b"other", b"B" * 100)
    return script.sync(file).rename(b"one", b"other", exchange=True).sync_bystander()


def _overwritten() -> Script:
    script = Script()
    file = script.create(b"data", b"A" * _PAGE)
    # Page by page, since what one call writes the kernel may keep, and write back, as one.
    script.append(file, b"A" * _PAGE).sync(file)
    script.write(file, 0, b"B" * _PAGE).write(file, _PAGE, b"B" * _PAGE)
    return script.write_back(file, _PAGE, _PAGE).commit()


def _renamed_and_overwritten() -> Script:
    script = Script()
    file = script.create(b"data", b"A" * _PAGE)
    script.create(b"old", b"x")
    script.sync_all().rename(b"old", b"new").write(file, 0, b"B" * _PAGE)
    return script.write_back(file, 0, _PAGE)


def _allocated() -> Script:
    script = Script()
    file = script.create(b"log")
    script.allocate(file, 0, 2 * _PAGE).sync(file).write(file, 0, b"A" * 100)
    return script.sync_bystander()


def _written_synchronously() -> Script:
    script = Script()
    file = script.create(b"log", b"A" * 100)
    return script.sync_all().write(file, 100, b"B" * 100, os.RWF_DSYNC)


def _shown(path: bytes, content: bytes) -> Callable[[Content], bool]:
    return lambda found: found.files.get(path) == content


_LOGGED: Final = frozenset(
    {"ext4-dioread_lock", "ext4-ordered", "ext4-noauto-da-alloc", "ext4-writeback"}
)
_DATAJOURNAL: Final = frozenset({"ext4-datajournal"})
_EXT4: Final = _LOGGED | _DATAJOURNAL
_XFS: Final = frozenset({"xfs"})
_BTRFS: Final = frozenset({"btrfs"})
_NAMES_KEPT: Final = frozenset({"lost-unsynced"})
_LOST: Final = _NAMES_KEPT | {"lost-unsynced-names"}
_POSIX: Final = frozenset({"posix-default", "posix-strict", "alice-2014"})

AXIOMS: Final = (
    Axiom(
        "appended in place, then another file synced: the size is there, the data is zeros",
        _LOGGED | _POSIX,
        _appended_in_place,
        _shown(b"log", b"A" * 100 + bytes(100)),
    ),
    Axiom(
        "replaced by an unsynced file, then the directory synced: zeros at full length",
        (_LOGGED - {"ext4-dioread_lock"}) | _POSIX,
        lambda: _replaced(begun=True),
        _shown(b"meta", bytes(100)),
    ),
    Axiom(
        "replaced by an unsynced file, then the directory synced: empty",
        frozenset({"ext4-noauto-da-alloc", "ext4-writeback"}) | _XFS | _BTRFS | _LOST | _POSIX,
        _replaced,
        _shown(b"meta", b""),
    ),
    Axiom(
        "an unsynced file under a new name, then the directory synced: empty",
        _LOGGED | _XFS | _BTRFS | _LOST | _POSIX,
        _named_anew,
        _shown(b"meta", b""),
    ),
    Axiom(
        "unsynced pages appended: an earlier one is missing, later ones are there",
        _LOGGED | _XFS | _BTRFS | _POSIX,
        _appended_pages,
        _shown(b"log", b"A" * _PAGE + bytes(_PAGE) + b"C" * _PAGE + b"D" * _PAGE),
    ),
    Axiom(
        "cut and rewritten, unsynced: new content, zeros, and old blocks behind",
        _LOGGED | _XFS | _POSIX,
        _cut_and_rewritten,
        _shown(b"log", b"B" * 50 + b"A" * 50 + bytes(_PAGE - 100) + b"A" * 2 * _PAGE),
    ),
    Axiom(
        "renamed, then the file's data synced: the renaming is lost",
        _EXT4 | _POSIX | {"lost-unsynced-names"},
        lambda: _renamed_and_synced(data_only=True),
        _shown(b"old", b"A" * 100),
    ),
    Axiom(
        "renamed, then the file synced: the renaming is lost",
        _POSIX | {"lost-unsynced-names"},
        lambda: _renamed_and_synced(data_only=False),
        _shown(b"old", b"A" * 100),
    ),
    Axiom(
        "a new file in a new directory, its data synced: its name is lost",
        _POSIX | {"lost-unsynced-names"},
        _new_in_new_directory,
        lambda found: b"d/file" not in found.files,
    ),
    Axiom(
        "renamed, then another file synced: the renaming is lost",
        _BTRFS | _POSIX | {"lost-unsynced-names"},
        lambda: _bystander_after(lambda script: script.rename(b"old", b"new")),
        _shown(b"old", b"A" * 100),
    ),
    Axiom(
        "removed, then another file synced: the removal is lost",
        _BTRFS | _POSIX | {"lost-unsynced-names"},
        lambda: _bystander_after(lambda script: script.unlink(b"old")),
        _shown(b"old", b"A" * 100),
    ),
    Axiom(
        "moved to another directory, that synced: it stands in both",
        _BTRFS | _POSIX | {"lost-unsynced-names"},
        _moved_elsewhere,
        lambda found: found.files.get(b"old") == found.files.get(b"d/new") == b"A" * 100,
    ),
    Axiom(
        "removed, another file moved through its name and synced: the removed one is back",
        _BTRFS | _POSIX,
        _moved_through_a_name,
        lambda found: b"other" in found.files and found.files.get(b"old") == b"A" * 100,
    ),
    Axiom(
        "replaced, then the replaced file synced: it is back as it was before",
        _BTRFS | _POSIX | {"lost-unsynced-names"},
        _replaced_and_synced,
        _shown(b"meta", b"A" * 100),
    ),
    Axiom(
        "two new files, one of them synced, change places, then another file synced: one is gone",
        _BTRFS | _POSIX,
        _exchanged,
        lambda found: found.files.get(b"one") == b"B" * 100 and b"other" not in found.files,
    ),
    Axiom(
        "two pages overwritten, unsynced: the second is new, the first is old",
        _LOGGED | _XFS | _BTRFS | _POSIX,
        _overwritten,
        _shown(b"data", b"A" * _PAGE + b"B" * _PAGE),
    ),
    Axiom(
        "renamed, then another file overwritten, unsynced: only the later change is there",
        _LOGGED | _XFS | _POSIX,
        _renamed_and_overwritten,
        lambda found: b"old" in found.files and found.files.get(b"data") == b"B" * _PAGE,
    ),
    Axiom(
        "allocated and synced, then written: the data is zeros",
        _LOGGED | _XFS | _BTRFS | _NAMES_KEPT | _POSIX,
        _allocated,
        _shown(b"log", bytes(2 * _PAGE)),
    ),
    Axiom(
        "written with O_DSYNC: the data is lost",
        frozenset(),
        _written_synchronously,
        lambda found: found.files.get(b"log") != b"A" * 100 + b"B" * 100,
    ),
)
