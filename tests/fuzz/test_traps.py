"""The eleven traps in which a fuzzing run looks like a success and is none: each is an error here.

1.  A merge starts the script again through a shell, and leaves nothing where that fails: here.
2.  A merge keeps more than is needed, or less: test_campaign, "reaches as much".
3.  libFuzzer's minimising starts itself again likewise, so findings are shrunk here: test_finding.
4.  Every error is the same exit status, so each is known by its place: test_finding; what ends the
    process is a finding all the same: here.
5.  A hang in C holds up Python's signals, and another handler turns libFuzzer's off: here; time is
    counted by the CPU: test_finding.
6.  Memory is looked at once a second: test_campaign, "memory is bounded".
7.  libFuzzer's own coverage data is lost or wrong, so replays are measured: test_cli, "branches".
8.  Numbers above 2**63, and what C compares, guide nothing: the mutator and dictionaries have them.
9.  A mutation that is too long throws through libFuzzer: test_mutator, "within the limit".
10. What was imported too early is not instrumented, and nothing says so: here.
11. The first input is empty: test_targets, "any bytes", and here.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from durability.errors import InconclusiveError
from durability.mutants.edited import edit, edited_package
from fuzz import campaign
from fuzz.campaign import PROJECT, Limits, Run, environment, fuzz
from fuzz.corpus import Corpus
from fuzz.errors import EmptyRunError
from fuzz.minimise import minimise
from fuzz.mutator import EDGES
from fuzz.targets import TARGETS

PEERS = Corpus.find().directories("peer")
ROLE = "        if role >= len(_ROLES):\n"

EditEngine = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def _atheris() -> None:
    pytest.importorskip("atheris")


@pytest.fixture
def edit_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[EditEngine]:
    """Have the processes of this test run an engine that is wrong in one place."""
    with ExitStack() as stack:

        def edited(old: str, new: str) -> None:
            content = edit("fuzz/engine.py", old, new)
            root = stack.enter_context(edited_package("fuzz/engine.py", content))

            def environment_with_it(
                package_root: Path | None = None, temporary: str | None = None
            ) -> dict[str, str]:
                assert package_root is None
                return environment(root, temporary)

            monkeypatch.setattr(campaign, "environment", environment_with_it)

        yield edited


def fuzz_peers_with(line: str) -> Run:
    """Fuzz a decoder that does this where a role is looked at."""
    with edited_package("raft/peer.py", edit("raft/peer.py", ROLE, line + ROLE)) as root:
        limits = Limits(executions=5000)
        return fuzz("peer", "default", limits, 7, PEERS, package_root=root, findings_max=1)


def test_a_merge_that_cannot_start_itself_again_is_an_error(
    tmp_path: Path, edit_engine: EditEngine
) -> None:
    # As a script is named when it is run: the shell takes that for a command, and it is none.
    edit_engine("atheris.Setup([itself,", "atheris.Setup([sys.argv[0],")
    for number in range(20):
        (tmp_path / str(number)).write_bytes(bytes([number]) + bytes(10))
    result = tmp_path / "merged"
    campaign.merge("peer", result, tmp_path)
    assert list(result.iterdir()) == [], "libFuzzer fails without a word"
    result.rmdir()
    with pytest.raises(EmptyRunError, match=r"the 0 that the merge has left.*nothing was changed"):
        minimise("peer", tmp_path, [])
    assert len(list(tmp_path.iterdir())) == 20


def test_what_is_imported_too_early_is_an_error(edit_engine: EditEngine) -> None:
    edit_engine("    forget()\n", "")
    with pytest.raises(EmptyRunError, match=r"raft\.peer was not instrumented"):
        fuzz("peer", "default", Limits(executions=10), 7, PEERS)


def test_what_ends_the_process_is_a_finding() -> None:
    run = fuzz_peers_with("        if role == 77:\n            __import__('os').abort()\n")
    (found,) = run.findings
    assert found.kind in ("Crash", "Signal")
    assert b"\x4d" in found.data


def test_a_hang_inside_of_c_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "_TIMEOUT_S", 1)
    run = fuzz_peers_with("        if role == 77:\n            sum(range(10**12))\n")
    (found,) = run.findings
    assert found.kind == "Timeout"
    assert b"\x4d" in found.data


def test_an_empty_input_is_a_finding_where_it_is_one(edit_engine: EditEngine) -> None:
    edit_engine("        if error is not None and", "        error = error or (\n"
                "            None if data else ValueError('empty')\n        )\n"
                "        if error is not None and")  # fmt: skip
    run = fuzz("peer", "default", Limits(executions=10), 7, [], findings_max=1)
    assert [found.data for found in run.findings] == [b""]


def test_a_process_that_does_not_end_is_ended_by_its_cpu_time(edit_engine: EditEngine) -> None:
    edit_engine("            atheris.Fuzz()\n", "            while True:\n                pass\n")
    with pytest.raises(InconclusiveError, match="killed, as it is after 3 s of CPU time"):
        campaign._execute(
            campaign.Task(target="peer", mutator="default", report="/dev/null", cpu_s_max=3),
            [],
            campaign.environment(),
        )


def test_a_run_ends_at_its_cpu_time() -> None:
    run = fuzz("peer", "default", Limits(cpu_s=0.5), 7, PEERS)
    assert run.executions > 0
    assert run.findings == []


def test_the_mutator_has_the_numbers_that_guide_nothing() -> None:
    assert {0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1} <= set(EDGES)


@pytest.mark.parametrize(
    "path", sorted((PROJECT / "fuzz" / "dictionaries").iterdir()), ids=lambda path: path.stem
)
def test_a_dictionary_belongs_to_a_target_and_is_read(path: Path) -> None:
    assert path.suffix == ".dict"
    assert path.stem in TARGETS
    assert fuzz(path.stem, "default", Limits(executions=1), 7, []).executions >= 1
