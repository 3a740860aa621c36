"""A control server: `server.py serve|serve-early DIRECTORY PORT`, `server.py drive|dump PORT`.

`serve` appends the items that it is sent to the log of `good_append`, and replies once each is
durable; `serve-early` replies before it writes. The client says what it sent and what was replied.
"""

import socket
import sys

from control import ITEMS, item, say
from good_append import append, open_log, recover


def serve(directory: str, port: int, *, early: bool) -> None:
    items = recover(directory)
    log = open_log(directory)
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb", buffering=0) as stream:
                while line := stream.readline():
                    text = line.decode().rstrip("\n")
                    if text == "all?":
                        stream.write("".join(f"{known}\n" for known in [*items, "."]).encode())
                        continue
                    if early:
                        stream.write(b"done\n")
                    append(log, text)
                    items.append(text)
                    if not early:
                        stream.write(b"done\n")


def drive(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as server, server.makefile("rwb") as stream:
        for text in map(item, range(ITEMS)):
            say(f"item {text}")
            stream.write(f"{text}\n".encode())
            stream.flush()
            if not stream.readline():
                return
            say(f"ack {text}")


def dump(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as server, server.makefile("rwb") as stream:
        stream.write(b"all?\n")
        stream.flush()
        while (text := stream.readline().decode().rstrip("\n")) != ".":
            say(f"item {text}")


verb, *arguments = sys.argv[1:]
if verb == "drive":
    drive(int(arguments[0]))
elif verb == "dump":
    dump(int(arguments[0]))
else:
    serve(arguments[0], int(arguments[1]), early=verb == "serve-early")
