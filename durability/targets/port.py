"""TCP ports: one that is free and stays ours until a server takes it, and who listens on one."""

import os
import secrets
import socket
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

_LOWEST: Final = 10_000
_HIGHEST: Final = 32_767  # above, Linux draws the ports of outgoing connections
_KEPT: Final = 8
_LISTEN: Final = "0A"

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
    """Yield the sockets that listen on a port, named as the links in /proc/PID/fd name them."""
    suffix = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(FileNotFoundError), open(table, encoding="ascii") as lines:
            for line in lines:
                _, address, _, state, *_, inode = line.split()[:10]
                if state == _LISTEN and address.endswith(suffix):
                    yield f"socket:[{inode}]"
