"""TCP ports: one that is free and stays ours until a server takes it, and who listens on one."""

import os
import secrets
import socket
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

_LOWEST: Final = 10_000
_HIGHEST: Final = 32_767  # above, Linux draws the ports of outgoing connections
_KEPT: Final = 8

_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_LISTEN: Final = 10
_REQUEST: Final = struct.Struct("=IHHII BBxxI48x")  # nlmsghdr, inet_diag_req_v2
_DUMP: Final = (_REQUEST.size, _SOCK_DIAG_BY_FAMILY, 0x301)
_HEADER: Final = struct.Struct("=IH")
_PORT: Final = struct.Struct("!H")
_INODE: Final = struct.Struct("=I")
_PORT_AT: Final = 20  # behind nlmsghdr, in inet_diag_msg
_INODE_AT: Final = 84
_ANSWER_BYTES: Final = 1 << 16

_kept: deque[int] = deque()


def free_port() -> int:
    """Return a TCP port on loopback that nobody uses now, and that no other caller is given.

    Until the server that it is meant for has bound it, another run could be told that it is free,
    and the two would talk to each other's servers. So each port is claimed, machine-wide, by a
    socket of that name, and the last few claims of a process are kept.
    """
    while True:
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST + 1)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0raft-durability port {port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _kept.append(claim.detach())
        if len(_kept) > _KEPT:
            os.close(_kept.popleft())
        return port


def is_served_by(processes: Iterable[int], port: int) -> bool:
    """Tell whether some of these processes listen on a port, and nobody else does.

    A server that an earlier run left behind may answer on it too (SO_REUSEPORT): then nobody could
    say who was asked.
    """
    listening = set(_listening(port))
    if not listening:
        return False
    held: set[str] = set()
    for process in processes:
        with suppress(OSError):
            for descriptor in os.listdir(f"/proc/{process}/fd"):
                with suppress(OSError):
                    held.add(os.readlink(f"/proc/{process}/fd/{descriptor}"))
    return listening <= held


def _listening(port: int) -> Iterator[str]:
    """Yield the sockets that listen on a port, named as the links in /proc/PID/fd name them.

    Asked of sock_diag(7), which looks at listening sockets alone: /proc/net/tcp walks the table of
    all connections, which takes 10 ms on a large machine, and this is asked every few ms.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        for family in (socket.AF_INET, socket.AF_INET6):
            kernel.send(_REQUEST.pack(*_DUMP, 0, 0, family, socket.IPPROTO_TCP, 1 << _LISTEN))
            yield from _found(kernel, port)


def _found(kernel: socket.socket, port: int) -> Iterator[str]:
    """Read the answer to one request: messages, one a socket, up to one of another type."""
    while True:
        answer = kernel.recv(_ANSWER_BYTES)
        while answer:
            length, kind = _HEADER.unpack_from(answer)
            if kind != _SOCK_DIAG_BY_FAMILY:
                return
            if _PORT.unpack_from(answer, _PORT_AT) == (port,):
                (inode,) = _INODE.unpack_from(answer, _INODE_AT)
                yield f"socket:[{inode}]"
            answer = answer[length + -length % 4 :]
