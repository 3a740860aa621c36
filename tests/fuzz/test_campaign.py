"""Fuzzing runs in earnest, and the runs that only look like one."""

from pathlib import Path

import pytest

from durability.errors import InconclusiveError, MechanismError
from durability.mutants.edited import edit, edited_package
from fuzz import campaign
from fuzz.campaign import Limits, Run, fuzz, refuse_empty
from fuzz.corpus import Corpus
from fuzz.errors import EmptyRunError
from fuzz.minimise import minimise
from fuzz.report import Found, Started, decode_lines, encode_line
from fuzz.targets import TARGETS, load

CORPUS = Corpus.find()


@pytest.fixture(scope="module", autouse=True)
def _atheris() -> None:
    pytest.importorskip("atheris")


@pytest.mark.parametrize("mutator", campaign.MUTATORS)
def test_a_run_tests_what_it_was_asked_to(mutator: campaign.Mutator, tmp_path: Path) -> None:
    grow = tmp_path / "grown"
    run = fuzz("peer", mutator, Limits(executions=3000), 7, CORPUS.directories("peer"), grow=grow)
    refuse_empty(run)
    assert run.executions == 3000
    assert run.findings == []
    assert 0 < run.cpu_s < 60
    assert all(len(path.name) == 40 for path in grow.iterdir())


def test_coverage_grows_from_nothing() -> None:
    one = fuzz("peer", "default", Limits(executions=1), 7, [])
    many = fuzz("peer", "default", Limits(executions=20_000), 7, [])
    assert one.coverage < TARGETS["peer"].coverage_floor
    assert many.coverage > one.coverage
    with pytest.raises(EmptyRunError, match="is the least"):
        refuse_empty(one)


def test_a_finding_is_minimised_and_reported_once() -> None:
    old = "        except UnicodeDecodeError as error:\n"
    content = edit("raft/peer.py", old, old.replace("UnicodeDecodeError", "LookupError"))
    with edited_package("raft/peer.py", content) as root:
        run = fuzz(
            "peer",
            "default",
            Limits(executions=5000),
            7,
            CORPUS.directories("peer"),
            package_root=root,
        )
    assert run.executions == 5000
    assert [(found.kind, found.place.split(":")[0]) for found in run.findings] == [
        ("UnicodeDecodeError", "raft/peer.py")
    ]
    (found,) = run.findings
    assert 0 < found.executions <= 5000
    assert len(found.data) == 12
    load("peer").check(found.data)


def test_memory_is_bounded() -> None:
    old = "        if size > max_payload_bytes:\n"
    content = edit("raft/log_entry.py", old, f"        bytearray(size)\n{old}")
    with edited_package("raft/log_entry.py", content) as root:
        run = fuzz(
            "log_entry",
            "struct",
            Limits(executions=5000),
            7,
            CORPUS.directories("log_entry"),
            package_root=root,
            findings_max=1,
        )
    assert [found.kind for found in run.findings] == ["MemoryError"]


def test_a_module_that_was_not_instrumented_is_an_error() -> None:
    report = encode_line(Started(0.1, "/somewhere/raft/__init__.py"))
    root = Path("/somewhere")
    with pytest.raises(EmptyRunError, match=r"raft\.peer was not instrumented"):
        campaign._read_run("peer", "INFO: Instrumenting raft.message\n", report, 1.0, root)


def test_another_package_than_the_one_meant_is_no_run() -> None:
    report = encode_line(Started(0.1, "/somewhere/raft/__init__.py"))
    with pytest.raises(InconclusiveError, match="was tested, not what is in /elsewhere"):
        campaign._read_run("peer", "", report, 1.0, Path("/elsewhere"))


def test_no_input_at_all_is_an_error() -> None:
    with pytest.raises(EmptyRunError, match="not one input"):
        campaign._read_run("peer", "INFO: Instrumenting raft.peer\n", b"", 1.0, Path("/somewhere"))
    with pytest.raises(EmptyRunError):
        refuse_empty(Run("peer"))


def test_a_process_that_fails_is_no_run() -> None:
    with pytest.raises(InconclusiveError, match="No such file or directory"):
        fuzz("peer", "default", Limits(executions=10), 7, [Path("/nonexistent/corpus")])


def test_without_atheris_the_way_to_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "find_spec", lambda _: None)
    with pytest.raises(MechanismError, match="pip install"):
        fuzz("peer", "default", Limits(executions=10), 7, [])


def test_a_report_is_read_up_to_its_last_whole_line() -> None:
    lines: list[Started | Found] = [
        Started(0.5, "x"),
        Found(3, "Error", "place", "text", b"\0\xff"),
    ]
    data = b"".join(encode_line(line) for line in lines)
    assert list(decode_lines(data)) == lines
    assert list(decode_lines(data[:-1])) == lines[:1]


def corpus_of_peers(root: Path) -> Path:
    directory = root / "peer"
    (directory / "regressions").mkdir(parents=True)
    (directory / "regressions" / "kept").write_bytes(b"kept")
    for number in range(60):
        (directory / f"{number}").write_bytes(bytes([number]) + bytes(10))
    return directory


def test_a_corpus_is_minimised_and_reaches_as_much(tmp_path: Path) -> None:
    directory = corpus_of_peers(tmp_path)
    done = minimise("peer", directory, [])
    assert done.files_before == 60
    assert done.files_after == len([path for path in directory.iterdir() if path.is_file()]) < 30
    assert done.coverage_after >= done.coverage_before > 0
    assert (directory / "regressions" / "kept").exists()


def test_a_merge_that_leaves_nothing_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = corpus_of_peers(tmp_path)
    monkeypatch.setattr("fuzz.minimise.merge", lambda _, result, __: result.mkdir())
    with pytest.raises(EmptyRunError, match="nothing was changed"):
        minimise("peer", directory, [])
    assert len(list(directory.iterdir())) == 61
