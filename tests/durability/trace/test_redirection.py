"""A watched file that a shell puts where a program expects its output is traced there.

Each script runs twice, by itself and traced: what it prints and leaves must be the same, and the
trace must rebuild it.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from durability.targets.contract import Call, Command
from durability.trace import system
from durability.trace.kill_order import KillOrder
from durability.trace.records import Write
from durability.trace.supervisor import Run, Supervisor
from tests.durability.trace.alone import alone, python

ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
SHELLS = [path for name in ("dash", "bash", "busybox") if (path := shutil.which(name))]


def shell(script: str, cwd: Path, program: str = "/bin/sh") -> Command:
    arguments = ("sh",) if program.endswith("busybox") else ()
    return Command((program, *arguments, "-c", script), ENVIRONMENT, str(cwd))


def trace(script: str, root: Path, order: KillOrder | None = None) -> Run:
    return alone(lambda: Supervisor().run(shell(script, root), str(root), order))


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir()}


SCRIPTS = [
    "echo x > f",
    "echo a > f; echo b >> f; printf c >> f; : > g",
    "echo begin; { echo a; echo b > g; echo c; } > f; echo end",
    "(echo a; /bin/echo b; sh -c 'echo c; /bin/echo d') > f; /bin/echo e >> f",
    "{ (/bin/echo a; /bin/echo b) & } > f; wait; echo c >> f; echo d",
    "for n in 1 2 3; do { /bin/echo $n & wait; } > f$n; done",
    "ls /nowhere > f 2>&1; ls /nowhere 2> g; echo both > h 2>&1",
    "exec > f; echo x; exec > g; echo y; /bin/echo z",
    "exec 1> f; exec 2>&1; echo x; echo y >&2; /bin/echo z >&2",
    "cat > f <<END\nhere\nEND\ncat f",
    "echo 0123456789 > f; echo ab 1<> f; cat f",
    "seq 1 20000 > f; sort -r f > g; cat < f > h; cat f g >> h",
    "echo x > f; cat < f > g; cat f - < g > h",
    "seq 1 2000 > f; tee g < f > h; wc -l h",
    "seq 1 500 > f; dd if=f of=g bs=7 conv=fsync 2> /dev/null; dd if=f bs=11 > h 2> i; rm i",
    "seq 1 500 > f; dd if=/dev/zero of=f bs=100 seek=3 count=1 conv=notrunc 2> /dev/null",
    "seq 1 500 > f; head -c 700 f > g; sed -i s/1/one/ g; mv g h",
    "cat /bin/true > prog; chmod +x prog; ./prog && echo ran > f",
    "(flock 1; echo locked) > f; flock f echo again >> f",
    "exec 1> lock; flock 1; exec 1>&-; flock -n lock true && echo free > f",
    "{ mkdir d; mv f d; echo more; rm d/f; rmdir d; echo gone; } > f",
]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("program", SHELLS)
def test_a_script_does_what_it_does_by_itself(root: Path, script: str, program: str) -> None:
    own, traced = root / "own", root / "traced"
    own.mkdir()
    traced.mkdir()
    natively = subprocess.run(
        shell(script, own, program).argv, cwd=own, env=ENVIRONMENT, capture_output=True, check=False
    )
    result = alone(lambda: Supervisor().run(shell(script, traced, program), str(traced)))
    assert result.exit_status == natively.returncode, result.stderr
    assert list(result.trace.lines()) == natively.stdout.decode().splitlines()
    assert contents(traced) == contents(own)
    assert result.differences == []
    assert result.trace.untraceable() == []


def test_it_can_be_torn(root: Path) -> None:
    result = trace("printf abcdef > f; echo done", root, KillOrder(3))
    assert result.landed()
    assert contents(root) == {"f": b"abc"}
    assert list(result.trace.lines()) == []


def test_what_is_appended_by_two_descriptors_of_one_file_keeps_its_offsets(root: Path) -> None:
    """One is shared by the two redirections, the other has a position of its own."""
    result = trace("{ echo one; echo two >&2; } > f 2>&1; { echo a; echo b >&2; } > g 2> g", root)
    offsets = [(r.path, r.offset) for r in result.trace.records if isinstance(r, Write)]
    assert offsets == [(b"f", 0), (b"f", 4), (b"g", 0), (b"g", 0)]
    assert result.differences == []


def test_a_number_that_is_no_standard_one_is_named(root: Path) -> None:
    result = trace("exec 3> f; echo x >&3", root)
    assert result.trace.untraceable() == ["dup2 to 3 of f"]
    assert not result.landed()


DUPLICATES = """
import fcntl, os
os.dup2(os.open("f", os.O_WRONLY | os.O_CREAT), 1)
for copy in (os.dup(1), fcntl.fcntl(1, fcntl.F_DUPFD, 50)):
    os.write(copy, b"copy")
os.ftruncate(1, 6)
os.fsync(1)
fcntl.fcntl(1, fcntl.F_SETFL, os.O_APPEND)
os.write(1, b"!")
os.sendfile(1, os.open("/proc/self/cmdline", os.O_RDONLY), None, 1)
"""


def test_a_copy_of_a_standard_descriptor_is_traced(root: Path) -> None:
    result = alone(lambda: Supervisor().run(python(DUPLICATES, cwd=str(root)), str(root)))
    assert contents(root) == {"f": b"copyco!"}
    assert "Invalid argument" in result.stderr, "no copy between files goes by unseen"
    assert result.differences == []
    assert result.trace.untraceable() == []


COPIES = """
import os
reader, writer = os.pipe()
os.write(writer, b"ack 1\\n")
assert os.splice(reader, 1, 6) == 6
assert os.sendfile(1, os.open("/bin/sh", os.O_RDONLY), 0, 10) == 10
"""


def test_copies_between_pipes_are_none_of_our_business(root: Path) -> None:
    result = alone(lambda: Supervisor().run(python(COPIES, cwd=str(root)), str(root)))
    assert result.exit_status == 0, result.stderr
    assert result.trace.lines()[0] == "ack 1"


def test_a_function_of_ours_is_no_shell(root: Path) -> None:
    """It does not pay for what it prints; a redirection is named."""
    target = Call(lambda: os.dup2(os.open(root / "f", os.O_WRONLY | os.O_CREAT), 1) and None)
    result = alone(lambda: Supervisor().run(target, str(root)))
    assert result.trace.untraceable() == ["dup2 to 1 of f"]


def test_where_the_kernel_does_not_say_which_file_it_is_the_redirection_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container without the right to trace."""

    def forbidden(*_: int) -> bool:
        raise PermissionError

    monkeypatch.setattr(system, "is_same_file", forbidden)
    result = trace("echo x > f", root)
    assert result.trace.untraceable() == ["dup2 to 1 of f"]
    assert len(result.differences) == 1


def test_what_a_program_prints_reaches_its_pipe_and_no_file(root: Path) -> None:
    result = trace("echo ack 1; echo x > f; echo ack 2; echo no >&2; : >> f; echo ack 3", root)
    assert list(result.trace.lines()) == ["ack 1", "ack 2", "ack 3"]
    assert result.stderr == "no\n"
    assert contents(root) == {"f": b"x\n"}
