"""The directory in memory against the real one: the same calls must do the same, or fail alike."""

import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from durability.recovery.memory import MemoryFilesystem
from raft.errors import DirectoryLockedError, DiskError
from raft.filesystem import Filesystem, LocalFilesystem

NAMES = st.sampled_from(["a", "b", "c"])
CALLS = st.one_of(
    st.tuples(st.just("create"), NAMES),
    st.tuples(st.just("open"), NAMES),
    st.tuples(st.just("unlink"), NAMES),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("append"), st.binary(max_size=8)),
    st.tuples(st.just("truncate"), st.integers(0, 8)),
    st.tuples(st.just("overwrite"), st.integers(0, 4), st.binary(max_size=4)),
    st.tuples(st.just("read"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("size")),
)


def outcomes(filesystem: Filesystem, calls: list[tuple[object, ...]]) -> list[object]:
    """Make the calls, those on a file on the last one that was opened; return what each gave."""
    found: list[object] = []
    file = None
    for verb, *arguments in calls:
        try:
            if verb in {"create", "open"}:
                file = getattr(filesystem, str(verb))(*arguments)
                given_back = None
            elif verb in {"unlink", "rename"}:
                given_back = getattr(filesystem, str(verb))(*arguments)
            elif file is None or not _is_permitted(file.size(), str(verb), arguments):
                continue
            else:
                given_back = getattr(file, str(verb))(*arguments)
        except DiskError as error:
            given_back = str(error).replace(filesystem.path(), "")
        found.append((verb, given_back, sorted(filesystem.names())))
    return found


def _is_permitted(size: int, verb: str, arguments: list[object]) -> bool:
    """Tell whether a node may do that: it never makes holes."""
    match verb, arguments:
        case "truncate", [int(to)]:
            return to <= size
        case "overwrite", [int(offset), bytes(data)]:
            return offset + len(data) <= size
    return True


@settings(deadline=None)
@given(files=st.dictionaries(NAMES, st.binary(max_size=12)), calls=st.lists(CALLS, max_size=12))
def test_it_behaves_as_the_real_one(
    files: dict[str, bytes], calls: list[tuple[object, ...]]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        for name, data in files.items():
            with open(f"{directory}/{name}", "wb") as file:
                file.write(data)
        memory, local = MemoryFilesystem(files), LocalFilesystem(directory)
        assert outcomes(memory, calls) == outcomes(local, calls)
        left = {}
        for name in local.names():
            with open(f"{directory}/{name}", "rb") as file:
                left[name] = file.read()
        assert memory.files() == left
        local.close()


def test_what_was_handed_in_is_not_changed() -> None:
    files = {"a": b"123"}
    filesystem = MemoryFilesystem(files)
    filesystem.open("a").append(b"4")
    filesystem.create("b").append(b"5")
    assert files == {"a": b"123"}
    assert filesystem.files() == {"a": b"1234", "b": b"5"}


def test_it_is_locked_once() -> None:
    filesystem = MemoryFilesystem({})
    filesystem.lock()
    try:
        filesystem.lock()
    except DirectoryLockedError:
        filesystem.close()
        filesystem.lock()
    else:
        raise AssertionError("a second lock was given")
