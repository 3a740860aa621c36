"""Under the supervisor a program sees, and leaves, what it does without; and the trace shows it.

Each program runs twice: by itself, and traced. It says what every call gave. Both must say the
same, both must leave the same tree, and the trace must rebuild it.
"""

import array
import ctypes
import errno
import fcntl
import mmap
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from durability.targets.contract import Call
from durability.trace.supervisor import Run, Supervisor
from tests.durability.trace.alone import alone

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
AT_SYMLINK_FOLLOW = 0x400
AT_EMPTY_PATH = 0x1000

Program = Callable[[], None]


def say(what: str, call: Callable[[], object]) -> None:
    """Print what a call gives; descriptors as such, since their numbers differ."""
    try:
        text = repr(call())
    except OSError as error:
        text = errno.errorcode[error.errno or 0]
    os.write(1, f"{what}: {text}\n".encode())


def opened(path: str | bytes, flags: int, mode: int = 0o666, **options: int) -> str:
    os.close(os.open(path, flags, mode, **options))
    return "descriptor"


def call(function: Callable[..., int], *arguments: object) -> int:
    result = function(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def snapshot(root: Path) -> dict[bytes, tuple[str, int, bytes]]:
    found = {}
    for parent, directories, files in os.walk(os.fsencode(root)):
        for name in directories + files:
            path = os.path.join(parent, name)
            status = os.lstat(path)
            kind = stat.filemode(status.st_mode)
            content = b""
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            found[os.path.relpath(path, os.fsencode(root))] = kind, status.st_nlink, content
    return found


def natively(program: Program, root: Path, output: Path) -> None:
    def run() -> None:
        os.setsid()
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), 1)
        os.chdir(root)
        program()

    alone(run)


def check(program: Program, root: Path) -> Run:
    own, traced = root / "own", root / "traced"
    own.mkdir()
    traced.mkdir()
    natively(program, own, root / "output")

    def in_directory() -> None:
        os.chdir(traced)
        program()

    run = alone(lambda: Supervisor().run(Call(in_directory), str(traced)))
    assert run.exit_status == 0, run.stderr
    assert list(run.trace.lines()) == (root / "output").read_text().splitlines()
    assert snapshot(traced) == snapshot(own)
    assert run.differences == []
    assert run.trace.untraceable() == []
    return run


def writes() -> None:
    file = os.open("a", os.O_RDWR | os.O_CREAT)
    say("write", lambda: os.write(file, b"hello"))
    say("nothing", lambda: os.write(file, b""))
    say("pwrite", lambda: os.pwrite(file, b"x" * 5000, 4096))
    say("pwritev", lambda: os.pwritev(file, [b"qq", b"", b"rr"], 10))
    say("writev", lambda: os.writev(file, [b"abc", b"", b"defg"]))
    say("no vector", lambda: os.writev(file, []))
    say("dsync", lambda: os.pwritev(file, [b"durable"], 100, os.RWF_DSYNC))
    say("append", lambda: os.pwritev(file, [b"end"], 3, os.RWF_APPEND))
    here = ctypes.create_string_buffer(b"here")
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(here), 4)
    pwritev2 = LIBC.pwritev2
    say("here", lambda: call(pwritev2, file, vector, 1, ctypes.c_long(-1), 0))
    say("here, dsync", lambda: call(pwritev2, file, vector, 1, ctypes.c_long(-1), os.RWF_DSYNC))
    say("append, here", lambda: call(pwritev2, file, vector, 1, ctypes.c_long(-1), os.RWF_APPEND))
    say("position", lambda: os.lseek(file, 0, os.SEEK_CUR))
    say("negative offset", lambda: call(LIBC.pwrite, file, b"x", 1, ctypes.c_long(-5)))
    say("negative length", lambda: call(LIBC.syscall, 1, file, b"x", ctypes.c_long(-5)))
    say("negative size", lambda: call(LIBC.ftruncate, file, ctypes.c_long(-5)))
    say("no memory", lambda: call(LIBC.write, file, ctypes.c_void_p(8), 5))
    say("no vectors", lambda: call(LIBC.writev, file, ctypes.c_void_p(8), 5))
    wrong = (ctypes.c_void_p * 2)(vector[0], -4)
    say("a negative vector", lambda: call(LIBC.writev, file, wrong, 1))
    say("too many vectors", lambda: call(LIBC.writev, file, vector, 1025))
    say("ftruncate", lambda: os.ftruncate(file, 6000))
    say("long vector", lambda: os.writev(file, [bytes([n % 251]) * n for n in range(1024)]))
    say("long write", lambda: os.write(file, bytes(range(256)) * (8 << 12)))
    appending = os.open("b", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    say("append", lambda: os.write(appending, b"12345"))
    say("append at an offset", lambda: os.pwrite(appending, b"67", 1))
    say("append by pwritev", lambda: os.pwritev(appending, [b"89", b"0"], 0))
    say("read only", lambda: os.write(os.open("c", os.O_RDONLY | os.O_CREAT), b"x"))
    say("nothing, read only", lambda: os.write(os.open("c", os.O_RDONLY | os.O_CREAT), b""))
    say("direct", lambda: opened("b", os.O_WRONLY | os.O_DIRECT))
    fcntl.fcntl(appending, fcntl.F_SETFL, fcntl.fcntl(appending, fcntl.F_GETFL) & ~os.O_APPEND)
    say("no longer appending", lambda: os.pwrite(appending, b"67", 1))


def a_mapping_that_ends() -> None:
    """A write goes as far as its buffer is mapped, as the kernel's does."""
    size, anonymous = 2 * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    LIBC.mmap.restype = ctypes.c_void_p
    address = LIBC.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, anonymous, -1, 0)
    ctypes.memset(address, ord("m"), size)
    call(LIBC.munmap, ctypes.c_void_p(address + mmap.PAGESIZE), mmap.PAGESIZE)
    file = os.open("a", os.O_WRONLY | os.O_CREAT)
    at = ctypes.c_void_p(address + mmap.PAGESIZE - 100)
    say("half", lambda: call(LIBC.write, file, at, 200))
    vector = (ctypes.c_void_p * 4)(at.value or 0, 200, address, 10)
    say("half a vector", lambda: call(LIBC.writev, file, vector, 2))
    vector = (ctypes.c_void_p * 4)(address, 10, 8, 10)
    say("a vector to nowhere", lambda: call(LIBC.writev, file, vector, 2))


def opens() -> None:
    create = os.O_WRONLY | os.O_CREAT
    say("create", lambda: opened("a", create, 0o666))
    say("mode", lambda: opened("b", create | os.O_EXCL, 0o640))
    os.umask(0o077)
    say("umask", lambda: opened("c", create, 0o666))
    say("exists", lambda: opened("a", create | os.O_EXCL))
    say("missing", lambda: opened("none", os.O_WRONLY))
    say("in nothing", lambda: opened("none/a", create))
    say("empty name", lambda: opened("", create))
    say("directory", lambda: opened(".", os.O_WRONLY))
    say("below a file", lambda: opened("a/b", create))
    say("slash", lambda: opened("d/", create))
    say("slash behind a file", lambda: opened("a/", os.O_WRONLY))
    say("long", lambda: opened("x" * 256, create))
    say("very long", lambda: opened("x/" * 3000, create))
    say("no memory", lambda: call(LIBC.open, ctypes.c_void_p(8), create, 0))
    say("bad directory", lambda: opened("a", create, dir_fd=555))
    os.symlink("loop", "loop")
    say("loop", lambda: opened("loop", create))
    os.symlink("target", "link")
    say("link, exclusive", lambda: opened("link", create | os.O_EXCL))
    say("link, not followed", lambda: opened("link", create | os.O_NOFOLLOW))
    say("link", lambda: opened("link", create))
    say("link and slash", lambda: opened("link/", os.O_WRONLY))
    os.symlink("/proc/self/cwd/absolute", "away")
    say("magic", lambda: opened("away", create))
    os.mkdir("d")
    os.mkdir("d/e")
    os.symlink("d/e", "de")
    say("parents", lambda: opened("de/../f", create))
    say("dots", lambda: opened("./d/./../d/e//g", create))
    directory = os.open("d", os.O_RDONLY)
    say("relative", lambda: opened("h", create, dir_fd=directory))
    say("path only", lambda: opened("a", os.O_PATH | os.O_WRONLY))
    say("creat", lambda: os.close(call(LIBC.creat, b"i", 0o600)))
    how = array.array("Q", [create | os.O_CLOEXEC, 0o600, 0])
    address = ctypes.c_void_p(how.buffer_info()[0])
    openat2 = 437
    say("openat2", lambda: call(LIBC.syscall, openat2, AT_FDCWD, b"j", address, 24) > 2)
    say("bytes", lambda: opened(b"\xff\xfe\n \\", create))
    with open("k", "w") as file:
        file.write("content")
    say("truncate", lambda: opened("k", os.O_WRONLY | os.O_TRUNC))
    with open("k", "w") as file:
        file.write("content")
    say("truncate, read only", lambda: opened("k", os.O_RDONLY | os.O_TRUNC))


def unnamed() -> None:
    first = os.open(".", os.O_TMPFILE | os.O_WRONLY, 0o600)
    os.write(first, b"first")
    link = f"/proc/self/fd/{first}".encode()
    say("by name", lambda: call(LIBC.linkat, AT_FDCWD, link, AT_FDCWD, b"a", AT_SYMLINK_FOLLOW))
    os.write(first, b" and more")
    second = os.open("./.", os.O_TMPFILE | os.O_RDWR, 0o644)
    os.write(second, b"second")
    say("by number", lambda: call(LIBC.linkat, second, b"", AT_FDCWD, b"b", AT_EMPTY_PATH))
    third = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o644)
    os.write(third, b"never named")
    say("not followed", lambda: os.link(f"/proc/self/fd/{third}", "c", follow_symlinks=False))
    with tempfile.TemporaryFile(dir=".") as file:
        file.write(b"gone")


def magic_links() -> None:
    file = os.open("a", os.O_RDWR | os.O_CREAT)
    os.write(file, b"12345")
    for link in (f"/proc/self/fd/{file}", f"/dev/fd/{file}", f"/proc/{os.getpid()}/fd/{file}"):
        again = os.open(link, os.O_WRONLY | os.O_APPEND)
        os.write(again, b"67")
        os.close(again)
    again = os.open(f"/proc/thread-self/fd/{file}", os.O_WRONLY)
    os.write(again, b"8")
    os.unlink("a")
    gone = os.open(f"/proc/self/fd/{file}", os.O_RDWR)
    os.write(gone, b"unseen")
    say("still there", lambda: os.pread(file, 100, 0))
    reading = os.open("b", os.O_RDONLY | os.O_CREAT, 0o600)
    writing = os.open(f"/proc/self/fd/{reading}", os.O_WRONLY)
    os.write(writing, b"reopened")
    with open("/proc/self/cwd/c", "w") as by_directory:
        by_directory.write("by way of the working directory")
    say("exclusive", lambda: opened(f"/proc/self/fd/{file}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    with open("/dev/null", "w") as nothing:
        nothing.write("x")


def names() -> None:
    create = os.O_WRONLY | os.O_CREAT
    os.mkdir("d1")
    os.makedirs("d2/x/y/")
    open_below = os.open("d2/x/y/open", create)
    os.write(open_below, b"before")
    os.rename("d2", "d3/")
    os.write(open_below, b", after")
    say("rename a directory into itself", lambda: os.rename("d3", "d3/z"))
    say("rename over a full directory", lambda: os.rename("d1", "d3"))
    say("rename nothing", lambda: os.rename("none", "other"))
    for name in ("a", "b", "c"):
        with open(name, "w") as file:
            file.write(name)
    say("rename over", lambda: os.rename("a", "b"))
    say("a file with a slash", lambda: os.rename("b", "e/"))
    say("rename a dot", lambda: os.rename("d1/.", "e"))
    say("exchange", lambda: call(LIBC.renameat2, AT_FDCWD, b"c", AT_FDCWD, b"d3", 2))
    say("and back", lambda: call(LIBC.renameat2, AT_FDCWD, b"d3", AT_FDCWD, b"c", 2))
    say("no replace", lambda: call(LIBC.renameat2, AT_FDCWD, b"c", AT_FDCWD, b"b", 1))
    say("no replace", lambda: call(LIBC.renameat2, AT_FDCWD, b"c", AT_FDCWD, b"f", 1))
    say("link", lambda: os.link("b", "g"))
    say("link over", lambda: os.link("b", "f"))
    say("rename to another name of the same", lambda: os.rename("b", "g"))
    say("rename to itself", lambda: os.rename("b", "b"))


def links_and_directories() -> None:
    create = os.O_WRONLY | os.O_CREAT
    os.makedirs("d1")
    os.makedirs("d3/x")
    for name in ("b", "f", "g", "node0"):
        Path(name).write_text(name)
    os.symlink("b", "s")
    say("symlink over", lambda: os.symlink("b", "s"))
    say("symlink to nothing", lambda: os.symlink("", "t"))
    say("link to a symlink", lambda: os.link("s", "s2", follow_symlinks=False))
    say("link behind a symlink", lambda: os.link("s", "s3", follow_symlinks=True))
    say("truncate", lambda: os.truncate("s", 100))
    say("truncate a directory", lambda: os.truncate("d1", 0))
    say("truncate below zero", lambda: call(LIBC.truncate, b"b", ctypes.c_long(-1)))
    say("mkdir over", lambda: os.mkdir("d1"))
    say("mkdir mode", lambda: os.mkdir("d4", 0o700))
    say("mkdir a dot", lambda: os.mkdir("d1/."))
    say("mknod", lambda: os.mknod("node", stat.S_IFREG | 0o600))
    say("mknod over", lambda: os.mknod("node", stat.S_IFREG | 0o600))
    say("fifo", lambda: os.mkfifo("fifo"))
    say("link of a fifo", lambda: os.link("fifo", "fifo2"))
    say("unlink a directory", lambda: os.unlink("d1"))
    say("unlink with a slash", lambda: os.unlink("g/"))
    say("unlink", lambda: os.unlink("g"))
    say("unlink a symlink", lambda: os.unlink("s2"))
    say("rmdir a file", lambda: os.rmdir("f"))
    say("rmdir a dot", lambda: os.rmdir("d1/."))
    say("rmdir its parent", lambda: os.rmdir("d3/x/.."))
    say("rmdir", lambda: os.rmdir("d1"))
    directory = os.open("d3", os.O_RDONLY)
    os.close(os.open("in", create, dir_fd=directory))
    os.rename("in", "out", src_dir_fd=directory, dst_dir_fd=directory)
    os.mkdir("made", dir_fd=directory)
    os.symlink("out", "sym", dir_fd=directory)
    os.link("out", "hard", src_dir_fd=directory, dst_dir_fd=directory)
    os.unlink("out", dir_fd=directory)
    os.rmdir("made", dir_fd=directory)
    os.replace("f", b"\xff\x00"[:1])
    os.chdir("d3")
    os.rename("../node", "node")


def a_directory_becomes_a_link() -> None:
    """What was known of a path no longer holds."""
    os.mkdir("a")
    os.mkdir("b")
    Path("a/one").write_text("1")
    os.unlink("a/one")
    os.rmdir("a")
    os.symlink("b", "a")
    Path("a/two").write_text("2")
    os.unlink("a")
    os.rename("b", "a")
    os.symlink("a", "b")
    Path("b/three").write_text("3")


def blocks() -> None:
    file = os.open("a", os.O_RDWR | os.O_CREAT)
    os.write(file, bytes(range(256)) * 64)

    def allocate(mode: int, offset: int, length: int) -> int:
        off, size = ctypes.c_longlong(offset), ctypes.c_longlong(length)
        return call(LIBC.fallocate, file, mode, off, size)

    say("allocate", lambda: allocate(0, 0, 20000))
    say("keep size", lambda: allocate(1, 30000, 1000))
    say("punch", lambda: allocate(3, 4000, 3000))
    say("punch beyond", lambda: allocate(3, 19000, 9000))
    say("negative", lambda: allocate(0, -1, 10))
    say("zero", lambda: allocate(0x10, 100, 50))
    say("collapse", lambda: allocate(8, 4096, 4096))
    say("insert", lambda: allocate(0x20, 8192, 4096))
    say("unknown", lambda: allocate(0x8000, 0, 10))


def copies() -> None:
    Path("a").write_bytes(os.urandom(1) * 100_000)
    Path("a").write_bytes(bytes(range(250)) * 400)
    shutil.copyfile("a", "b")
    shutil.copy2("a", "c")
    shutil.move("c", "d")
    source, target = os.open("a", os.O_RDONLY), os.open("e", os.O_WRONLY | os.O_CREAT)
    while data := os.read(source, 1 << 16):
        os.write(target, data)
    commands = (
        "cp a f; cp -r . /dev/null 2>/dev/null; mv f g; cp --reflink=auto a h; truncate -s 7 i"
    )
    subprocess.run(["/bin/sh", "-c", commands], check=True)
    subprocess.run(["sed", "-i", "s/a/b/", "g"], check=True)
    subprocess.run(["tar", "cf", "j.tar", "--mtime=@0", "--sort=name", "a", "b"], check=True)
    subprocess.run(["tar", "xf", "j.tar"], check=True)


def children() -> None:
    file = os.open("a", os.O_WRONLY | os.O_CREAT)
    for n in range(5):
        child = os.fork()
        if not child:
            os.write(file, b"child %d\n" % n)
            os.close(file)
            Path(f"b{n}").write_text("own")
            os._exit(0)
        os.waitpid(child, 0)
        os.write(file, b"parent %d\n" % n)
    os.set_inheritable(file, True)
    source = f"import os; os.write({file}, b'inherited')"
    subprocess.run(["/usr/bin/python3", "-I", "-S", "-c", source], check=True, close_fds=False)
    subprocess.run(["/bin/true"], check=True)  # vfork, exec, close_range
    os.write(file, b"after")

    def write_all(n: int) -> None:
        with open(f"t{n}", "wb", buffering=0) as out:
            out.writelines(b"%d" % n * 7 for _ in range(50))

    threads = [threading.Thread(target=write_all, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def a_program_just_written() -> None:
    """It cannot be executed while anybody, we too, has it open for writing."""
    subprocess.run(["/bin/true"], check=True)  # from here on a close is not final
    for n in range(3):
        Path(f"program{n}").write_text("#!/bin/sh\necho it runs\n")
        os.chmod(f"program{n}", 0o700)
        say("run", partial(subprocess.check_output, [f"./program{n}"]))


def duplicates() -> None:
    file = os.open("a", os.O_RDWR | os.O_CREAT)
    again = os.dup(file)
    os.write(again, b"dup ")
    os.close(file)
    os.write(again, b"still ")
    number = fcntl.fcntl(again, fcntl.F_DUPFD_CLOEXEC, 3)
    os.write(number, b"there ")
    other = os.open("b", os.O_WRONLY | os.O_CREAT)
    os.dup2(number, other)
    os.write(other, b"over")
    say("onto itself", lambda: os.dup2(other, other) == other)
    nothing = os.open("/dev/null", os.O_WRONLY)
    os.dup2(nothing, other)
    say("into nothing", lambda: os.write(other, b"nowhere"))
    os.closerange(900, 2000)
    say("closed", lambda: os.write(again, b"x"))


def many_files() -> None:
    for n in range(3000):
        os.close(os.open(f"f{n % 100}", os.O_WRONLY | os.O_CREAT))
    kept = [os.open(f"g{n}", os.O_WRONLY | os.O_CREAT) for n in range(300)]
    for n, file in enumerate(kept):
        os.write(file, b"%d" % n)
    for n in range(200):
        child = os.fork()
        if not child:  # it opens many, and closes none
            for m in range(10):
                os.write(os.open(f"h{m}", os.O_WRONLY | os.O_CREAT), b"%d" % n)
            os._exit(0)
        os.waitpid(child, 0)


def others() -> None:
    """What has no content that survives is left to the kernel, and does not keep us waiting."""
    os.mkfifo("fifo")
    reader = os.open("fifo", os.O_RDONLY | os.O_NONBLOCK)
    say("sync of a fifo", lambda: os.fsync(reader))
    writer = os.open("fifo", os.O_WRONLY)
    os.write(writer, b"through")
    say("fifo", lambda: os.read(reader, 100))
    say("nobody reads", lambda: opened("fifo2", os.O_WRONLY | os.O_NONBLOCK))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        say("socket", lambda: opened("socket", os.O_WRONLY))
    with open("/dev/null", "wb") as nothing:
        nothing.write(b"x")
    say("sync of a directory", lambda: os.fsync(os.open(".", os.O_RDONLY)))
    say("sync of what is not open", lambda: os.fsync(700))
    say("sync of a pipe", lambda: os.fsync(os.pipe()[0]))


def databases() -> None:
    for journal in ("delete", "truncate", "persist"):
        database = sqlite3.connect(f"{journal}.sqlite", isolation_level=None)
        database.execute(f"pragma journal_mode={journal}")
        database.execute("create table t(a)")
        for n in range(20):
            database.execute("insert into t values (?)", (n,))
        database.execute("begin")
        database.execute("delete from t")
        database.execute("rollback")
        say(journal, database.execute("select sum(a) from t").fetchone)
        database.close()
    os.unlink("persist.sqlite-journal")  # it holds a random number


PROGRAMS = [
    *(writes, a_mapping_that_ends, opens, unnamed, magic_links, names, links_and_directories),
    *(a_directory_becomes_a_link, blocks, copies, children, a_program_just_written),
    *(duplicates, many_files, others, databases),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_program_does_what_it_does_untraced(program: Program, root: Path) -> None:
    check(program, root)
