"""What is said of faults that did not land, and of runs that were not seen to their end."""

from pathlib import Path
from typing import Any

import pytest

from tests.durability.commands import durability

HELD, INCONCLUSIVE = 0, 3

_DESCRIPTION = """
name = "store"

[run]
command = ["python3", "-S", "store.py", "run", "{data}"]
ack = '^ack (?P<id>.+)$'

[recover]
command = ["python3", "-S", "store.py", "recover", "{data}"]
item = '^item (?P<id>.+)$'
"""

_STORE = """
import mmap, os, sys, threading

log = os.open(os.path.join(sys.argv[2], "log"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
if sys.argv[1] == "recover":
    for text in os.read(log, 9999).split():
        print(f"item {text.decode()}")
    sys.exit()
"""

_RUNS = f"""{_STORE}
runs = os.open("runs", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
os.write(runs, b"x")
is_early = os.fstat(runs).st_size < 3  # the run that is traced, and that which counts the calls
"""

_SHORTER_LATER = f"""{_RUNS}
for number in range(20 if is_early else 2):
    os.write(log, b"%d\\n" % number)
    os.fsync(log)
    print(f"ack {{number}}", flush=True)
"""

_CHANGES_UNSEEN_LATER = f"""{_RUNS}
os.ftruncate(log, 4096)
if not is_early:
    mmap.mmap(log, 4096)[100] = 65
for number in range(20):
    os.write(log, b"%d\\n" % number)
    os.fsync(log)
    print(f"ack {{number}}", flush=True)
"""

_WAITS_FOR_A_THREAD = f"""{_STORE}
for number in range(2):
    os.write(log, b"%d\\n" % number)
    syncing = threading.Thread(target=os.fsync, args=[log])
    syncing.start()
    syncing.join()
    print(f"ack {{number}}", flush=True)
"""


def met(directory: Path, store: str, fault: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Let the disk of a store fail; return the exit status and the JSON."""
    (directory / "store.py").write_text(store, encoding="utf-8")
    (directory / "store.toml").write_text(_DESCRIPTION, encoding="utf-8")
    arguments = ("./store.toml", "--fault", fault, "--jobs", "1", *options)
    done = durability("disk", *arguments, cwd=str(directory))
    return done.status, done.document


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [((), HELD, "notes"), (("--faults", "20"), INCONCLUSIVE, "reasons")],
)
def test_calls_that_later_runs_have_not(
    tmp_path: Path, options: tuple[str, ...], status: int, told: str
) -> None:
    found, document = met(tmp_path, _SHORTER_LATER, "write-eio", *options)
    assert found == status
    figures = document["faults"]["write-eio"]
    assert figures["fired"] < 20 <= figures["possible"]
    wanted = 20 if options else figures["possible"]
    missed = wanted - figures["fired"]
    assert document[told] == [f"write-eio: {missed} of {wanted} were not met: runs differ"]


def test_a_run_whose_trace_is_not_all_that_it_changed_does_not_count(tmp_path: Path) -> None:
    status, document = met(tmp_path, _CHANGES_UNSEEN_LATER, "write-eio", "--at", "9")
    assert status == INCONCLUSIVE
    assert document["faults"]["write-eio"]["fired"] == 0
    assert any("not traced" in reason for reason in document["reasons"])


def test_a_sync_is_held_until_the_deadline_while_a_thread_may_still_give_up(tmp_path: Path) -> None:
    options = ("--at", "2", "--measure", "0.7")
    status, document = met(tmp_path, _WAITS_FOR_A_THREAD, "sync-stalled", *options)
    assert status == HELD
    (note,) = document["notes"]
    assert note.startswith("sync-stalled: 1 of 1 runs were followed for 0.7 s")
