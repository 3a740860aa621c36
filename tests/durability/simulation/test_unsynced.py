"""What a simulated disk keeps of what was not synced is what its persistence model permits."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durability.crash.models import Model
from durability.simulation.disk import Disk, Interrupted, SimulatedFile, SimulatedFilesystem

NAMES = ("a", "b", "c")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "create",
                "append",
                "overwrite",
                "truncate",
                "sync",
                "sync data",
                "rename",
                "unlink",
                "sync names",
                "interrupted append",
                "power cut",
            )
        ),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.binary(min_size=1, max_size=3).map(lambda data: data * 1500),
    ),
    max_size=20,
)


def perform(disk: Disk, steps: list[tuple[str, str, str, bytes]]) -> None:
    """Do steps to a disk, but for those that make no sense."""
    filesystem = SimulatedFilesystem(disk)
    for step, name, other, data in steps:
        if step == "create" and name not in filesystem.names():
            filesystem.create(name)
        elif step == "sync names":
            filesystem.sync()
        elif step == "power cut":
            disk.cut_power(1)
        elif name in filesystem.names():
            change(disk, filesystem, step, name, other, data)


def change(
    disk: Disk, filesystem: SimulatedFilesystem, step: str, name: str, other: str, data: bytes
) -> None:
    file = filesystem.open(name)
    half = file.size() // 2
    steps: dict[str, Callable[[], object]] = {
        "append": lambda: file.append(data),
        "interrupted append": lambda: interrupted(disk, file, data),
        "overwrite": lambda: file.overwrite(half, data[: file.size() - half]),
        "truncate": lambda: file.truncate(half),
        "sync": file.sync,
        "sync data": file.sync_data,
        "rename": lambda: filesystem.rename(name, other),
        "unlink": lambda: filesystem.unlink(name),
    }
    if step in steps and not (step == "rename" and name == other):
        steps[step]()


def interrupted(disk: Disk, file: SimulatedFile, data: bytes) -> None:
    disk.interrupt_after(0)
    with pytest.raises(Interrupted):
        file.append(data)
    disk.kill()


def synced(disk: Disk) -> dict[str, bytes]:
    return {name: content.synced for name, content in disk.synced.items()}


@settings(deadline=None)
@given(STEPS, st.integers(0, 2**32))
def test_where_all_is_lost_that_was_not_synced_the_model_and_the_disk_agree(
    steps: list[tuple[str, str, str, bytes]], seed: int
) -> None:
    plain, modelled = Disk(), Disk(Model.named("lost-unsynced-names"))
    for disk in (plain, modelled):
        perform(disk, steps)
        disk.cut_power(seed)
    assert synced(plain) == synced(modelled)


@settings(deadline=None)
@given(STEPS, st.integers(0, 2**32))
def test_where_nothing_is_lost_the_model_and_the_processes_agree(
    steps: list[tuple[str, str, str, bytes]], seed: int
) -> None:
    disk = Disk(Model.named("prefix"))
    perform(disk, steps)
    written = {name: bytes(content.written) for name, content in disk.written.items()}
    disk.cut_power(seed)
    assert synced(disk) == written


def outcomes(model: str, prepare: Callable[[SimulatedFilesystem], None]) -> set[str]:
    """Return what power cuts leave: names, and of each content the first byte of each page."""
    found = set()
    for seed in range(200):
        disk = Disk(Model.named(model))
        prepare(SimulatedFilesystem(disk))
        disk.cut_power(seed)
        left = synced(disk)
        found.add(" ".join(f"{name}={pages(left[name])}" for name in sorted(left)))
    return found


def pages(data: bytes) -> str:
    return "".join(chr(data[offset] or ord("0")) for offset in range(0, len(data), 4096))


def append_two_pages(filesystem: SimulatedFilesystem) -> None:
    file = filesystem.create("a")
    file.sync()
    filesystem.sync()
    file.append(b"x" * 4096 + b"y" * 4096)


def replace_unsynced(filesystem: SimulatedFilesystem) -> None:
    append_two_pages(filesystem)
    filesystem.open("a").sync()
    filesystem.create("b").append(b"z" * 4096)
    filesystem.rename("b", "a")


@pytest.mark.parametrize(
    ("model", "left"),
    [
        ("ext4-ordered", {"a=", "a=x", "a=0", "a=xy", "a=0y", "a=x0", "a=00"}),
        ("xfs", {"a=", "a=x", "a=xy", "a=0y"}),
        ("lost-unsynced-names", {"a="}),
    ],
)
def test_any_page_of_an_append_may_survive(model: str, left: set[str]) -> None:
    assert outcomes(model, append_two_pages) == left


@pytest.mark.parametrize(
    ("model", "left"),
    [
        ("ext4-ordered", {"a=xy", "a=xy b=", "a=xy b=0", "a=xy b=z", "a=0", "a=z"}),
        ("xfs", {"a=xy", "a=xy b=", "a=xy b=z", "a=", "a=z"}),
    ],
)
def test_a_name_may_survive_without_the_content(model: str, left: set[str]) -> None:
    assert outcomes(model, replace_unsynced) == left


def test_equal_seeds_leave_the_same() -> None:
    disks = [Disk(Model.named("ext4-ordered")) for _ in range(2)]
    for disk in disks:
        append_two_pages(SimulatedFilesystem(disk))
        disk.cut_power(7)
    assert synced(disks[0]) == synced(disks[1])


def test_what_a_cut_left_is_durable() -> None:
    disk = Disk(Model.named("ext4-ordered"))
    replace_unsynced(SimulatedFilesystem(disk))
    disk.cut_power(3)
    left = synced(disk)
    for seed in range(20):
        disk.cut_power(seed)
        assert synced(disk) == left


def test_a_bit_that_has_rotted_stays_so() -> None:
    disk = Disk(Model.named("ext4-ordered"))
    append_two_pages(SimulatedFilesystem(disk))
    SimulatedFilesystem(disk).open("a").sync()
    disk.flip("a", 8)
    disk.cut_power(1)
    assert synced(disk)["a"][:3] == b"xyx"
