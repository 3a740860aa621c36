"""Reading EDN, the notation of Clojure's data, as far as a history needs it.

    nil true false 17 "text" :keyword       what a value is made of
    [a b] (a b)                             lists; one is as good as the other
    {:key a, :other b}                      maps, of which an event is one
    #tag a                                  something else that is written as `a` is
    0.5 symbol #{a b}                        read, and good for nothing in a history
    #_ a    ; to the end of the line        nothing at all

Sources: github.com/edn-format/edn, and what Jepsen's and porcupine's files have.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

DEPTH_MAX: Final = 64
"""How deep forms may be in one another: an error that a client has met is about ten deep."""

_GAP: Final = re.compile(r"(?:[ \t\r\n\f,]++|;[^\n]*+)*+")
_TOKEN: Final = re.compile(
    r"""
      (?P<text> " (?: [^"\\]++ | \\. )*+ ")
    | (?P<open> \#? \{ | [\[(] )
    | (?P<close> [\])}] )
    | (?P<discard> \#_ )
    | (?P<character> \\ (?: [A-Za-z0-9]+ | . ) )
    | (?P<tag> \# (?! \#) [^ \t\r\n\f,;"()\[\]{}\\]* )
    | (?P<word> [^ \t\r\n\f,;"()\[\]{}\\]+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSING: Final = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_INTEGER: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,18})N?")
_NAMED: Final = {"nil": None, "true": True, "false": False}
_OPERATION_TAG: Final = "#jepsen.history.Op"
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPED: Final = {
    "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\\": "\\", '"': '"',
}  # fmt: skip


class Keyword(str):
    """A keyword, without its colon."""

    __slots__ = ()


@dataclass(frozen=True)
class Other:
    """What no value of a history is made of: a fraction, a symbol, a set."""

    name: str

    def __str__(self) -> str:
        return self.name


Form: TypeAlias = "bool | int | str | Keyword | tuple[Form, ...] | dict[str, Form] | Other | None"
"""What one form stands for."""


class MalformedError(ValueError):
    """The text is not EDN, from the character at `position` on."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position


class Reader:
    """Takes one form after the other off a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def forms(self, *, of_lists: bool = False) -> Iterator[tuple[int, Form]]:
        """Yield each form of the text, and where it begins; or those of the lists that it has.

        Raises:
            MalformedError: it is not EDN.
        """
        around = None
        while (token := self._next(0)) is not None:
            if of_lists and around is None and token[0] in ("[", "("):
                around = token
            elif around is not None and token[0] == _CLOSING[around[0]]:
                around = None
            else:
                yield token.start(), self._form(token, 0)
        if around is not None:
            raise MalformedError(around.start(), f"{around[0]} is not closed")

    def _next(self, depth: int) -> re.Match[str] | None:
        """Take the next token; None at the end of the text."""
        while True:
            gap = _GAP.match(self._text, self._position)
            assert gap is not None, "a gap may be empty"
            if gap.end() == len(self._text):
                return None
            token = _TOKEN.match(self._text, gap.end())
            if token is None:
                raise MalformedError(gap.end(), "a text, or a character, is not closed")
            self._position = token.end()
            if token.lastgroup != "discard":
                return token
            self._form_after(token, depth)

    def _form_after(self, token: re.Match[str], depth: int) -> Form:
        """Take the form that a token says something of."""
        following = self._next(depth + 1)
        if following is None:
            raise MalformedError(token.start(), f"nothing follows {token[0]}")
        return self._form(following, depth + 1)

    def _form(self, token: re.Match[str], depth: int) -> Form:
        """Take what is left of a form that begins with this token."""
        if depth > DEPTH_MAX:
            raise MalformedError(token.start(), f"forms are more than {DEPTH_MAX} deep")
        word = token[0]
        match token.lastgroup:
            case "text":
                return _unescaped(token.start(), word[1:-1])
            case "open":
                return _collection(token.start(), word, self._items(token, depth))
            case "close":
                raise MalformedError(token.start(), f"{word} closes nothing")
            case "tag":
                form = self._form_after(token, depth)
                return form if word == _OPERATION_TAG else Other(word)
            case "word":
                return _word(word)
            case _:
                return Other(word)

    def _items(self, opening: re.Match[str], depth: int) -> tuple[Form, ...]:
        """Take forms up to the bracket that closes them."""
        items: list[Form] = []
        while (token := self._next(depth + 1)) is not None:
            if token[0] == _CLOSING[opening[0]]:
                return tuple(items)
            items.append(self._form(token, depth + 1))
        raise MalformedError(opening.start(), f"{opening[0]} is not closed")


def _collection(position: int, bracket: str, items: tuple[Form, ...]) -> Form:
    match bracket:
        case "{":
            return _map(position, items)
        case "#{":
            return Other("a set")
        case _:
            return items


def _map(position: int, items: tuple[Form, ...]) -> dict[str, Form]:
    """Make a map of keys and what they stand for, in turn; what no keyword names is left out."""
    if len(items) % 2:
        raise MalformedError(position, "a map has a key without a value")
    found: dict[str, Form] = {}
    for key, form in zip(items[::2], items[1::2], strict=False):
        if isinstance(key, Keyword):
            if key in found:
                raise MalformedError(position, f"a map has :{key} twice")
            found[str(key)] = form
    return found


def _word(word: str) -> Form:
    if word in _NAMED:
        return _NAMED[word]
    if _INTEGER.fullmatch(word):
        return int(word.removesuffix("N"))
    if word[0] == ":" and len(word) > 1:
        return Keyword(word[1:])
    return Other(word)


def _unescaped(position: int, text: str) -> str:
    if "\\" not in text:
        return text

    def character(escape: re.Match[str]) -> str:
        code, name = escape.groups()
        if code:
            return chr(int(code, 16))
        if name not in _ESCAPED:
            raise MalformedError(position, f"\\{name} is not known in a text")
        return _ESCAPED[name]

    try:
        # What is beyond 16 bits is written as two halves.
        halves = _ESCAPE.sub(character, text).encode("utf-16", "surrogatepass")
        return halves.decode("utf-16")
    except UnicodeDecodeError as error:
        raise MalformedError(position, "a text has half a character") from error
