"""Which line of a program made a call: for programs that are functions of ours.

The child notes where it is, whenever that changes, in memory that it shares with the supervisor.
A thread that waits in a call cannot go on, so what the supervisor reads then is where the call
comes from. What is written by a close, or because a file is forgotten, is made where that happens.

Noted are the innermost frames outside the standard library and this package: `store.py:41 < 27 <
test_store.py:8` is line 41 of `store.py`, called in its line 27, called in line 8 of another file.
Paths are relative to the working directory, else to where Python looks for modules. Following each
line slows a program down, so it is for one run of it, not for the many. Processes that the program
forks are not followed.
"""

import mmap
import os
import struct
import sys
import sysconfig
import threading
from collections.abc import Callable
from itertools import count
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

_FRAMES_MAX: Final = 4
_THREADS_MAX: Final = 256
_TEXTS_BYTES: Final = 1 << 20
_HEADER_WORDS: Final = 1
_WORD_BYTES: Final = 4
_LENGTH: Final = struct.Struct("=H")
_NOWHERE: Final = 0
_OURS: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

Tracer = Callable[[FrameType, str, Any], Any]
"""What `sys.settrace` takes."""


class SourceLines:
    """Memory in which a child notes where it is; made before the child is forked.

    It holds a number of threads, then for each its id and a place in the texts, then the texts. A
    text is written before its place is, and stays: so the reader needs no lock.
    """

    def __init__(self) -> None:
        first_text = (_HEADER_WORDS + 2 * _THREADS_MAX) * _WORD_BYTES
        self.memory = mmap.mmap(-1, first_text + _TEXTS_BYTES)
        self.words = memoryview(self.memory)[:first_text].cast("I")
        self._slots: dict[int, int] = {}
        self._known: dict[int, str] = {_NOWHERE: ""}
        self._next_text = first_text

    # In the supervisor

    def of(self, thread: int) -> str:
        """Return where a thread is that waits in a call; nothing where that is not known."""
        threads = self.words[0]
        if threads != len(self._slots) or thread not in self._slots:
            # A number that comes again is that of the later thread.
            for number in range(threads):
                slot = _HEADER_WORDS + 2 * number
                self._slots[self.words[slot]] = slot + 1
        slot_of = self._slots.get(thread)
        if slot_of is None:
            return ""
        place = self.words[slot_of]
        text = self._known.get(place)
        if text is None:
            (length,) = _LENGTH.unpack_from(self.memory, place)
            begin = place + _LENGTH.size
            text = self._known[place] = self.memory[begin : begin + length].decode()
        return text

    def close(self) -> None:
        """Let go of the memory."""
        self.words.release()
        self.memory.close()

    # In the child

    def follow(self) -> None:
        """Note from here on where this thread is, and each that it starts, in new frames."""
        places = _Places(self)
        os.register_at_fork(after_in_child=lambda: sys.settrace(None))
        threading.settrace(places.begin)
        sys.settrace(places.begin)

    def claim(self, number: int, thread: int) -> int | None:
        """Return the index of the word in which the `number`-th thread notes its place."""
        if number >= _THREADS_MAX:
            return None
        slot = _HEADER_WORDS + 2 * number
        self.words[slot] = thread
        self.words[0] = number + 1
        return slot + 1

    def add(self, text: str) -> int:
        """Write a text; return its place, which is nowhere when there is no room."""
        data = text.encode("utf-8", "backslashreplace")
        place = self._next_text
        end = place + _LENGTH.size + len(data)
        if end > len(self.memory):
            return _NOWHERE
        _LENGTH.pack_into(self.memory, place, len(data))
        self.memory[place + _LENGTH.size : end] = data
        self._next_text = end
        return place


class _Frame(NamedTuple):
    """A line of a file, as the file is called."""

    file: str
    line: int


def _told(chain: tuple[_Frame, ...]) -> str:
    """Return a chain of callers as text, in which a file is named when it changes."""
    above = ("", *(frame.file for frame in chain))
    return " < ".join(
        f"{frame.line}" if frame.file == before else f"{frame.file}:{frame.line}"
        for before, frame in zip(above, chain, strict=False)
    )


class _Places:
    """The places of a program that its threads have been at."""

    def __init__(self, lines: SourceLines) -> None:
        self.lines = lines
        self._numbers = count()
        self._lock = threading.Lock()
        self._program = _ProgramFiles()
        self._chains: dict[int, tuple[_Frame, ...]] = {_NOWHERE: ()}
        self._found: dict[tuple[_Frame, ...], int] = {}
        self._of_code: dict[tuple[CodeType, int], dict[int, int] | None] = {}

    def begin(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Follow the present thread from here on, of which this is the first call."""
        with self._lock:
            slot = self.lines.claim(next(self._numbers), threading.get_native_id())
        if slot is None:
            sys.settrace(None)
            return None
        thread = _Thread(self, slot)
        sys.settrace(thread.call)
        return thread.call(frame, event, argument)

    def below(self, code: CodeType, caller: int) -> dict[int, int] | None:
        """Return the places of a function's lines, called at a place; None if it is not noted."""
        key = code, caller
        try:
            return self._of_code[key]
        except KeyError:
            noted = self._program.label(code.co_filename) is not None
            known = self._of_code[key] = {} if noted else None
            return known

    def place(self, code: CodeType, line: int, caller: int) -> int:
        """Return the place of a line in a function that was called at a place."""
        frame = _Frame(self._program.label(code.co_filename) or "", line)
        with self._lock:
            chain = (frame, *self._chains[caller])[:_FRAMES_MAX]
            if chain not in self._found:
                place = self._found[chain] = self.lines.add(_told(chain))
                self._chains.setdefault(place, chain)
            return self._found[chain]


class _Thread:
    """One thread, which notes its place in a word of the shared memory."""

    def __init__(self, places: _Places, slot: int) -> None:
        self._places = places
        self._words = places.lines.words
        self._slot = slot

    def call(self, frame: FrameType, _event: str, _argument: Any) -> Tracer | None:
        """Follow a function that is called, or goes on after a yield."""
        words, slot, places, code = self._words, self._slot, self._places, frame.f_code
        caller = words[slot]
        known = places.below(code, caller)
        if known is None:
            return None

        def trace(frame: FrameType, event: str, _argument: Any) -> Tracer:
            if event == "return":
                words[slot] = caller
            else:
                line = frame.f_lineno
                place = known.get(line)
                if place is None:
                    place = known[line] = places.place(code, line, caller)
                words[slot] = place
            return trace

        return trace(frame, "line", None)


class _ProgramFiles:
    """Tells files of the program from those of Python and of this package."""

    def __init__(self) -> None:
        paths = sysconfig.get_paths()
        self._libraries = tuple(paths[name] + os.sep for name in ("stdlib", "platstdlib"))
        self._packages = tuple(paths[name] + os.sep for name in ("purelib", "platlib"))
        roots = {os.path.abspath(entry) + os.sep for entry in sys.path}
        self._roots = sorted(roots, key=len, reverse=True)
        self._here = os.getcwd() + os.sep
        self._labels: dict[str, str | None] = {}

    def label(self, file: str) -> str | None:
        """Return how a file of the program is called; None for any other."""
        if file not in self._labels:
            self._labels[file] = self._label(file)
        return self._labels[file]

    def _label(self, file: str) -> str | None:
        path = os.path.abspath(file)
        library = path.startswith(self._libraries) and not path.startswith(self._packages)
        if file.startswith("<") or library or path.startswith(_OURS):
            return None
        return next(
            (path[len(root) :] for root in (self._here, *self._roots) if path.startswith(root)),
            path,
        )
