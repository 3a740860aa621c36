import os
import resource
import signal
import stat
import tempfile
from pathlib import Path

import pytest

from durability.errors import MechanismError
from durability.targets.contract import Call, Command
from durability.trace.kill_order import KillOrder
from durability.trace.supervisor import Supervisor
from tests.durability.trace.alone import alone, python


def test_one_supervisor_cannot_run_under_another(root: Path) -> None:
    def nest() -> None:
        try:
            Supervisor().run(Call(lambda: None), str(root))
        except MechanismError as error:
            os.write(1, f"{error}\n".encode())

    run = alone(lambda: Supervisor().run(Call(nest), str(root)))
    (text,) = run.trace.lines()
    assert "traced already: the kernel allows one listener to a tree" in text


def no_such_file(directory: Path) -> str:
    return str(directory / "none")


def not_executable(directory: Path) -> str:
    path = directory / "script"
    path.write_text("#!/bin/sh\n")
    return str(path)


def not_a_program(directory: Path) -> str:
    path = directory / "program"
    path.write_bytes(b"\x7fELF" + bytes(100))
    path.chmod(0o700)
    return str(path)


def test_a_program_that_cannot_be_executed(root: Path) -> None:
    watched = root / "watched"
    watched.mkdir()

    def try_each() -> None:
        supervisor = Supervisor()
        before = os.listdir("/proc/self/fd")
        for path, cwd, reason in (
            (no_such_file(root), "/", "No such file"),
            (not_executable(root), "/", "Permission denied"),
            (not_a_program(root), "/", "Exec format error"),
            ("/bin/true", str(root / "none"), "No such file"),
        ):
            with pytest.raises(MechanismError, match=reason):
                supervisor.run(Command((path,), {}, cwd), str(watched))
        assert os.listdir("/proc/self/fd") == before
        assert supervisor.run(Command(("/bin/true",), {}, "/"), str(watched)).exit_status == 0

    alone(try_each)


def test_a_program_gets_a_clean_start(root: Path) -> None:
    source = """
import os, signal, sys
names = sorted(os.environ.items())
ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
blocked = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
low = sorted(map(int, os.listdir("/proc/self/fd")))
print(os.getcwd(), names, ignored, blocked, low, os.umask(0), sys.stdin.read(), flush=True)
"""

    def run_untidily() -> list[str]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.umask(0o037)
        os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
        launch = python(source, cwd=str(root), env={"ONLY": "this"})
        return list(Supervisor().run(launch, str(root)).trace.lines())

    (line,) = alone(run_untidily)
    assert line == f"{root} [('LC_CTYPE', 'C.UTF-8'), ('ONLY', 'this')] False [] [0, 1, 2, 3] 31 "


def test_modes_are_masked_by_the_targets_umask(root: Path) -> None:
    def create() -> None:
        os.close(os.open(root / "a", os.O_WRONLY | os.O_CREAT, 0o666))
        os.umask(0o077)
        os.mkdir(root / "b", 0o777)

    def run() -> None:
        os.umask(0o026)
        assert Supervisor().run(Call(create), str(root)).exit_status == 0

    alone(run)
    assert stat.filemode((root / "a").stat().st_mode) == "-rw-r-----"
    assert stat.filemode((root / "b").stat().st_mode) == "drwx------"


def test_a_low_descriptor_limit_is_raised_as_far_as_allowed(root: Path) -> None:
    def run() -> list[str]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1500))
        launch = python("import resource; print(resource.getrlimit(7))", cwd="/")
        return list(Supervisor().run(launch, str(root)).trace.lines())

    assert alone(run) == ["(1500, 1500)"]


def test_no_privilege_is_needed() -> None:
    if os.geteuid():
        pytest.skip("all other tests show it already: this is not root")

    def run_unprivileged(root: str) -> None:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        os.umask(0o022)
        # Not the interpreter that runs the tests: it may lie where only root may look.
        copy = Command(("/bin/cp", "/etc/passwd", "file"), {}, root)
        by_command = Supervisor().run(copy, root, KillOrder(3))
        assert by_command.landed(), (by_command.stderr, by_command.differences)
        by_call = Supervisor().run(Call(lambda: os.mkdir(f"{root}/d")), root)
        assert (by_call.exit_status, by_call.differences) == (0, []), by_call.stderr

    with tempfile.TemporaryDirectory() as root:
        os.chown(root, 65534, 65534)
        alone(lambda: run_unprivileged(root))
        status = os.stat(f"{root}/file")
        assert (status.st_uid, status.st_size) == (65534, 3)


def test_what_was_there_before_is_part_of_the_tree(root: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / "a").write_bytes(b"before")
    os.link(root / "d" / "a", root / "b")
    os.symlink("d/a", root / "s")
    os.mkfifo(root / "fifo")

    def change() -> None:
        os.write(os.open(root / "s", os.O_WRONLY | os.O_APPEND), b", after")

    run = alone(lambda: Supervisor().run(Call(change), str(root), KillOrder(3)))
    assert run.landed(), run.differences
    assert (root / "b").read_bytes() == b"before, a"


def test_a_root_behind_a_symbolic_link(root: Path) -> None:
    (root / "real" / "below").mkdir(parents=True)
    os.symlink("real", root / "link")

    def write() -> None:
        os.chdir(root / "link")
        for path in ("a", root / "link" / "b", root / "real" / "c", "below/../d", "../link/e"):
            os.write(os.open(path, os.O_WRONLY | os.O_CREAT), b"x")

    run = alone(lambda: Supervisor().run(Call(write), str(root / "link"), KillOrder(5)))
    assert run.landed(), run.differences
    assert sorted(run.trace.tree().files) == [b"a", b"b", b"c", b"d", b"e"]


def test_what_is_outside_of_the_root_is_left_alone(root: Path) -> None:
    (root / "in").mkdir()
    (root / "inside-by-name-only").mkdir()

    def write() -> None:
        os.write(os.open(root / "inside-by-name-only" / "a", os.O_WRONLY | os.O_CREAT), b"x")
        os.mkdir(root / "out")

    run = alone(lambda: Supervisor().run(Call(write), str(root / "in")))
    assert run.trace.records == []
    assert (root / "inside-by-name-only" / "a").read_bytes() == b"x"
