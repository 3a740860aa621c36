import os
import random
import resource
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from durability.errors import UnreadableError
from durability.targets.contract import Call
from durability.trace.failure import ERRNO
from durability.trace.kill_order import KillOrder
from durability.trace.records import (
    Allocate,
    AnyRecord,
    Failed,
    Kill,
    Link,
    MakeDirectory,
    Open,
    Output,
    Refused,
    RemoveDirectory,
    Rename,
    Symlink,
    Sync,
    SyncAll,
    Truncate,
    Unlink,
    Untraceable,
    Write,
)
from durability.trace.supervisor import Supervisor
from durability.trace.trace import MAGIC, Trace, load, save
from tests.durability.trace.alone import alone

NUMBER = st.integers(0, 2**63)
BYTES = st.binary(max_size=20)
FLAG = st.booleans()
RECORDS: list[st.SearchStrategy[AnyRecord]] = [
    st.builds(Open, NUMBER, NUMBER, BYTES, NUMBER, FLAG),
    st.builds(Write, NUMBER, NUMBER, BYTES, NUMBER, BYTES, NUMBER, FLAG, NUMBER),
    st.builds(Truncate, NUMBER, NUMBER, BYTES, NUMBER),
    st.builds(Allocate, NUMBER, NUMBER, BYTES, NUMBER, NUMBER, NUMBER),
    st.builds(Rename, NUMBER, BYTES, BYTES, FLAG),
    st.builds(Link, NUMBER, NUMBER, BYTES),
    st.builds(Symlink, NUMBER, BYTES, BYTES),
    st.builds(Unlink, NUMBER, BYTES),
    st.builds(MakeDirectory, NUMBER, BYTES),
    st.builds(RemoveDirectory, NUMBER, BYTES),
    st.builds(Sync, NUMBER, BYTES, FLAG),
    st.builds(SyncAll, NUMBER),
    st.builds(Output, BYTES),
    st.builds(Untraceable, NUMBER, st.text(max_size=9), BYTES),
    st.builds(Refused, NUMBER, st.text(max_size=9)),
    st.builds(Failed, NUMBER, st.text(max_size=9), BYTES, st.sampled_from(list(ERRNO)), NUMBER),
    st.builds(Kill, NUMBER, NUMBER, FLAG),
]
SOURCES = st.dictionaries(st.integers(0, 9), st.text(max_size=9), max_size=2)
TRACES = st.builds(Trace, st.lists(st.one_of(RECORDS)), st.lists(st.one_of(RECORDS)), SOURCES)
HEADER = b"\x83\xa5magic" + msgspec.msgpack.encode(MAGIC) + b"\xa7version\x01\xa5trace"


def test_each_kind_of_record_is_drawn() -> None:
    assert len(RECORDS) == len(AnyRecord.__args__)


@given(trace=TRACES)
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, trace: Trace) -> None:
    path = str(tmp_path_factory.mktemp("saved") / "trace")
    save(trace, path)
    assert load(path) == trace


def test_a_trace_without_sources_as_it_was_kept_once_is_loaded(tmp_path: Path) -> None:
    content = HEADER + b"\x82\xa7initial\x90\xa7records\x91\x92\xa6Output\xc4\x01a"
    (tmp_path / "trace").write_bytes(zstandard.compress(content))
    assert load(str(tmp_path / "trace")) == Trace([], [Output(b"a")])


def test_a_trace_is_not_written_over_another(tmp_path: Path) -> None:
    save(Trace([], []), str(tmp_path / "trace"))
    with pytest.raises(FileExistsError):
        save(Trace([], []), str(tmp_path / "trace"))


def test_what_cannot_be_written_whole_leaves_nothing(tmp_path: Path) -> None:
    trace = Trace([], [Write(1, 1, b"f", 0, random.Random(1).randbytes(5000), 5000)])

    def save_less() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        with pytest.raises(OSError, match="File too large") as raised:
            save(trace, str(tmp_path / "trace"))
        return str(raised.value)

    assert alone(save_less)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not zstandard",
        zstandard.compress(b""),
        zstandard.compress(b"not MessagePack"),
        zstandard.compress(HEADER + b"\xc0"),
        zstandard.compress(HEADER + b"\x82\xa7initial\x90\xa7records\xdd\xff\xff\xff\xff"),
        zstandard.compress(
            HEADER + b"\x82\xa7initial\x90\xa7records\x91\x92\xa6Output\xc6\xff\xff\xff\xff"
        ),
        zstandard.compress(HEADER + b"\x82\xa7initial\x90\xa7\xff\xfe\x90"),
        zstandard.compress(HEADER + b"\x82\xa7initial\x90\xa7records\x91\x92\xa7Unknown\x01"),
        zstandard.compress(HEADER + b"\x82\xa7initial\x90\xa7records\x91\x94\xa4Kill\xff\x00\xc2"),
        zstandard.compress(b"\x91" * 100_000),
    ],
)
def test_what_is_not_a_trace_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "trace").write_bytes(content)
    with pytest.raises(UnreadableError, match="not a trace"):
        load(str(tmp_path / "trace"))


@pytest.mark.parametrize(("magic", "version"), [("other", 1), (MAGIC, 2)])
def test_another_format_is_refused_by_name(tmp_path: Path, magic: str, version: int) -> None:
    document = {"magic": magic, "version": version, "trace": {}}
    (tmp_path / "trace").write_bytes(zstandard.compress(msgspec.msgpack.encode(document)))
    with pytest.raises(UnreadableError, match=f"a '{magic}' of version {version}"):
        load(str(tmp_path / "trace"))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="No such file"):
        load(str(tmp_path / "none"))


def test_a_damaged_file_is_refused_or_another_trace(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    save(Trace([Open(1, 1, b"f", 1, created=True)], [Write(1, 1, b"f", 0, b"data", 4)]), str(path))
    whole = path.read_bytes()
    chance = random.Random(1)
    damaged = [whole[:length] for length in range(len(whole))]
    for _ in range(500):
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        damaged.append(bytes(flipped))
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            load(str(path))
        except UnreadableError:
            refused += 1
    assert refused >= len(whole)


def test_a_small_file_that_claims_much_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    with open(path, "wb") as file, zstandard.ZstdCompressor().stream_writer(file) as writer:
        for _ in range(1 << 10):
            writer.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20

    def load_it() -> None:
        with open("/proc/self/statm", encoding="ascii") as memory:
            pages = int(memory.read().split()[0])
        limit = pages * resource.getpagesize() + (1 << 28)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        with pytest.raises(UnreadableError, match="longer than"):
            load(str(path), 1 << 24)

    alone(load_it)


def test_a_run_survives_the_file(root: Path, tmp_path: Path) -> None:
    def write() -> None:
        os.write(os.open(root / "file", os.O_WRONLY | os.O_CREAT), b"12345")

    run = alone(lambda: Supervisor().run(Call(write), str(root), KillOrder(3)))
    save(run.trace, str(tmp_path / "trace"))
    loaded = load(str(tmp_path / "trace"))
    assert loaded == run.trace
    assert loaded.tree().differences(os.fsencode(root)) == []


def test_lines_are_whole_even_in_pieces() -> None:
    trace = Trace([], [Output(b"a"), SyncAll(1), Output(b"b\nc\r"), Output(b"\nd")])
    assert list(trace.lines()) == ["ab", "c"]


def test_positions_count_changes_since_the_last_byte() -> None:
    opened = Open(1, 1, b"f", os.O_WRONLY, created=False)
    records: list[AnyRecord] = [
        MakeDirectory(1, b"d"),
        Open(1, 1, b"f", os.O_CREAT, created=True),
        Sync(1, b"f", data_only=True),
        Write(1, 1, b"f", 0, b"abc", 3),
        opened,
        Unlink(1, b"f"),
        Output(b"x"),
        Open(1, 2, b"g", os.O_TRUNC, created=False),
        Write(1, 1, b"f", 0, b"d", 1),
    ]
    trace = Trace([], records)
    assert trace.positions_between_writes() == [(0, 1), (0, 2), (3, 1), (3, 2)]
    assert trace.stream_bytes() == 4
    assert trace.kill() is None


def test_untraceable_calls_are_named_once() -> None:
    records: list[AnyRecord] = [Untraceable(1, "mmap", b"f\xff"), Untraceable(2, "mmap", b"f\xff")]
    assert Trace([], [*records, Untraceable(1, "chroot", b"")]).untraceable() == [
        "chroot",
        "mmap of f\\xff",
    ]
