import os
import socket
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from durability.targets.port import free_port, is_served_by
from tests.durability.trace.alone import alone


def listener(port: int, *, shared: bool = False) -> socket.socket:
    server = socket.socket()
    if shared:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind(("127.0.0.1", port))
    server.listen()
    return server


def ports(count: int) -> list[int]:
    return [free_port() for _ in range(count)]


def test_a_free_port_is_free_and_no_port_of_outgoing_connections() -> None:
    port = free_port()
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        assert port < max(32_768, int(file.read().split()[0]))
    listener(port).close()


def test_no_two_processes_are_given_the_same_port() -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as others:
        found = [*ports(8), *(port for part in others.map(ports, [8, 8]) for port in part)]
    assert len(set(found)) == len(found)


def test_a_port_is_claimed_until_some_more_are_drawn() -> None:
    port = free_port()
    claim = f"\0raft-durability port {port}"
    with socket.socket(socket.AF_UNIX) as other:
        try:
            other.bind(claim)
        except OSError:
            ports(8)
            other.bind(claim)
        else:
            raise AssertionError("a claimed port can be claimed")


def test_only_who_listens_serves_a_port() -> None:
    port = free_port()
    assert not is_served_by([os.getpid()], port)
    bound = socket.socket()
    with bound:
        bound.bind(("127.0.0.1", port))
        assert not is_served_by([os.getpid()], port)
        bound.listen()
        assert is_served_by([os.getpid()], port)
        assert is_served_by([1, os.getpid()], port)
        assert not is_served_by([os.getppid()], port)
        assert not is_served_by([os.getpid()], port + 1)
    assert not is_served_by([os.getpid()], port)


def test_version_six_counts_too() -> None:
    port = free_port()
    with socket.create_server(("::1", port), family=socket.AF_INET6):
        assert is_served_by([os.getpid()], port)


def test_a_server_left_behind_by_another_run_is_found_out() -> None:
    """With SO_REUSEPORT both listen, and either may be the one that answers."""
    port = free_port()
    with listener(port, shared=True):
        shared_by_a_child = alone(lambda: _listen_and_ask(port))
    assert shared_by_a_child == (False, True)


def _listen_and_ask(port: int) -> tuple[bool, bool]:
    """In a child that has inherited the first listener: it holds both, its parent only one."""
    with listener(port, shared=True):
        return is_served_by([os.getppid()], port), is_served_by([os.getpid()], port)


def test_a_process_that_is_gone_serves_nothing() -> None:
    port = free_port()
    with listener(port):
        assert not is_served_by([2**22 + 1], port)
