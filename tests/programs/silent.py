"""Shows nothing: it writes well, but neither announces nor acknowledges, so it promises nothing."""

from collections.abc import Iterator

from control import main
from good_append import append, open_log, recover


def write(directory: str, items: Iterator[str]) -> None:
    log = open_log(directory)
    for text in items:
        append(log, text)


main(write, recover)
