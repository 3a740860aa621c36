"""The named persistence models: what a power cut may keep of changes that were never synced.

A model is a choice in each of a few matters. From them follows which micro-operations depend on
which (`file_changes.py`, `name_changes.py`) and what a sync makes durable (`syncing.py`). **A crash
state is any set of operations that is closed under these dependencies and contains what was
synced.** Fewer dependencies make a weaker model: it permits every state of a stronger one.

    prefix < ext4-datajournal < ext4-dioread_lock < ext4-ordered < ext4-noauto-da-alloc
           < ext4-writeback < posix-default < posix-strict < alice-2014
    prefix < xfs, btrfs < posix-default
    lost-unsynced, lost-unsynced-names < posix-default

Each model's source stands in `docs/persistence-models.md` with the facts that test it.
"""

from enum import Enum, auto
from typing import Final

import msgspec

from durability.errors import UsageError
from durability.trace.kill_order import PAGE_BYTES

SECTOR_BYTES: Final = 512
"""The smallest sector that disks have."""

_TORN: Final = "-torn-"


class NameOrder(Enum):
    """In what order changes of names reach the disk."""

    AT_ONCE = auto()
    """Each is durable when the call returns."""

    LOG = auto()
    """One log: a change is there only with all that were made before it."""

    LOG_TREE = auto()
    """As `LOG`, but a sync takes names as they are now, without what was made before."""

    FREE = auto()
    """In any order, in each directory by itself."""


class Growth(Enum):
    """When a file's new size can be on disk."""

    WITH_DATA = auto()
    """In one step with the data of each page."""

    AFTER_DATA = auto()
    """Once the page's data is there."""

    AFTER_BLOCK = auto()
    """Once the page's block is there: appended to a block that exists, before the data."""

    AFTER_ALLOCATION = auto()
    """Once the page's block is allocated, which nobody can see: at any time."""

    FREE = auto()
    """At any time, in any order with changes of names."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A named model.

    `data_in_log`: data is ordered like names, with them.
    `copy_on_write`: overwriting is like appending: it takes a place in the log.
    `fdatasync_names`: fdatasync of a file commits changes of its names, as fsync does.
    `exchange_is_change`: a file that has exchanged names with another counts as changed by it.
    `rename_allocates`: a file renamed over another has its blocks allocated first.
    `zeroes_cut_block`: the rest of a block that a truncation cuts is zeroed before it commits.
    `stale_blocks`: blocks that were never written may show old content.
    `keeps_unsynced`: what was not synced may be there.
    `unit_bytes`: what is written as one in existing blocks: a page, or a sector of a torn page.
    `units_in_order`: writes to the same unit reach the disk in their order.
    `rename_in_steps`: a rename may be done in part.
    """

    name: str
    summary: str
    names: NameOrder
    growth: Growth
    everything_at_once: bool = False
    data_in_log: bool = False
    copy_on_write: bool = False
    fdatasync_names: bool = True
    exchange_is_change: bool = True
    rename_allocates: bool = False
    zeroes_cut_block: bool = False
    stale_blocks: bool = False
    keeps_unsynced: bool = True
    unit_bytes: int = PAGE_BYTES
    units_in_order: bool = True
    rename_in_steps: bool = False

    @property
    def logged(self) -> bool:
        """Whether there is a log that orders changes of names."""
        return self.names in (NameOrder.LOG, NameOrder.LOG_TREE)

    @staticmethod
    def named(name: str) -> "Model":
        """Return the model of that name, which may be torn. Raises UsageError."""
        base, torn, sector_bytes = name.partition(_TORN)
        if base not in MODELS or (torn and not sector_bytes.isdecimal()):
            raise UsageError(f"no model {name!r}; there are {', '.join(MODELS)}")
        return MODELS[base].torn(int(sector_bytes)) if torn else MODELS[base]

    def torn(self, sector_bytes: int = SECTOR_BYTES) -> "Model":
        """Return this model on a disk that may write a part of the sectors of a page.

        It has a name of its own, as `ext4-ordered-torn-512`. It is the same model where a page is
        never overwritten in place, or never without a sync. Raises UsageError for what is no size
        of a sector.
        """
        if sector_bytes < SECTOR_BYTES or PAGE_BYTES % sector_bytes:
            raise UsageError(
                f"no sector has {sector_bytes} bytes: it has {SECTOR_BYTES} or more, and sectors"
                f" fill a page of {PAGE_BYTES}"
            )
        in_place = not (self.data_in_log or self.copy_on_write or self.everything_at_once)
        if not in_place or not self.keeps_unsynced or sector_bytes >= self.unit_bytes:
            return self
        base, _, _ = self.name.partition(_TORN)
        name = f"{base}{_TORN}{sector_bytes}"
        return msgspec.structs.replace(self, name=name, unit_bytes=sector_bytes)

    @property
    def rarity(self) -> int:
        """Its place among the models, the most realistic first: a torn one behind what it tears."""
        base, torn, _ = self.name.partition(_TORN)
        return 2 * REALISTIC_FIRST.index(base) + bool(torn)

    def more_realistic(self) -> list["Model"]:
        """Return the models of less rarity, in order; of a torn one, others torn like it too."""
        models = [MODELS[name] for name in REALISTIC_FIRST]
        if _TORN in self.name:
            models += [model.torn(self.unit_bytes) for model in models]
        before = {model.rarity: model for model in models if model.rarity < self.rarity}
        return [model for _, model in sorted(before.items())]


_EXT4: Final = Model(
    name="ext4-ordered",
    summary="ext4 as it is mounted by default (data=ordered, dioread_nolock)",
    names=NameOrder.LOG,
    growth=Growth.AFTER_ALLOCATION,
    fdatasync_names=False,
    rename_allocates=True,
    zeroes_cut_block=True,
)

_POSIX: Final = Model(
    name="posix-default",
    summary="no more than fsync of a file and of its directory promise",
    names=NameOrder.FREE,
    growth=Growth.FREE,
    stale_blocks=True,
)

_ALL: Final = (
    Model(
        name="prefix",
        summary="a kill: everything issued so far, a write cut at a page",
        names=NameOrder.AT_ONCE,
        growth=Growth.WITH_DATA,
        everything_at_once=True,
        data_in_log=True,
    ),
    Model(
        name="lost-unsynced",
        summary="every byte not synced is lost, no name is (LazyFS)",
        names=NameOrder.AT_ONCE,
        growth=Growth.FREE,
        keeps_unsynced=False,
    ),
    Model(
        name="lost-unsynced-names",
        summary="every byte and every name not synced is lost",
        names=NameOrder.FREE,
        growth=Growth.FREE,
        keeps_unsynced=False,
    ),
    msgspec.structs.replace(
        _EXT4,
        name="ext4-datajournal",
        summary="ext4 with data=journal: everything in order",
        growth=Growth.WITH_DATA,
        data_in_log=True,
    ),
    msgspec.structs.replace(
        _EXT4,
        name="ext4-dioread_lock",
        summary="ext4 with dioread_lock: blocks are written before they are committed",
        growth=Growth.AFTER_BLOCK,
    ),
    _EXT4,
    msgspec.structs.replace(
        _EXT4,
        name="ext4-noauto-da-alloc",
        summary="ext4 with noauto_da_alloc: a rename does not allocate blocks",
        rename_allocates=False,
    ),
    msgspec.structs.replace(
        _EXT4,
        name="ext4-writeback",
        summary="ext4 with data=writeback,noauto_da_alloc: new blocks may show old content",
        rename_allocates=False,
        zeroes_cut_block=False,
        stale_blocks=True,
    ),
    Model(
        name="xfs",
        summary="XFS: one log, sizes after their data",
        names=NameOrder.LOG,
        growth=Growth.AFTER_DATA,
        exchange_is_change=False,
    ),
    Model(
        name="btrfs",
        summary="btrfs: transactions, and a log of what was synced since",
        names=NameOrder.LOG_TREE,
        growth=Growth.AFTER_DATA,
        copy_on_write=True,
    ),
    _POSIX,
    msgspec.structs.replace(
        _POSIX,
        name="posix-strict",
        summary="POSIX by the letter, on a disk that tears pages; renames are atomic",
        unit_bytes=SECTOR_BYTES,
    ),
    msgspec.structs.replace(
        _POSIX,
        name="alice-2014",
        summary="ALICE's default of 2014: renames in three steps; not for verdicts",
        unit_bytes=SECTOR_BYTES,
        units_in_order=False,
        rename_in_steps=True,
    ),
)

MODELS: Final = {model.name: model for model in _ALL}
DEFAULT_MODELS: Final = ("ext4-ordered", "xfs", "btrfs")
"""The file systems that people use, as they mount them."""

REALISTIC_FIRST: Final = (
    "prefix", "ext4-datajournal", "ext4-dioread_lock", "ext4-ordered", "xfs", "btrfs",
    "ext4-noauto-da-alloc", "ext4-writeback", "lost-unsynced", "lost-unsynced-names",
    "posix-default", "posix-strict", "alice-2014",
)  # fmt: skip
"""The models, from what every crash does to what no file system of today does."""
