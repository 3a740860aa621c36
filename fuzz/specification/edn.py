"""EDN once more, as much of it as docs/formats.md describes, one character after the other."""

from typing import Any, Final

_DEPTH_MAX: Final = 64
_BLANK: Final = " \t\r\n\f,"
_DELIMITERS: Final = _BLANK + ';"()[]{}\\'
_CLOSING: Final = {"[": "]", "(": ")", "{": "}"}
_ESCAPES: Final = dict(zip('\\"ntrbf', '\\"\n\t\r\b\f', strict=True))
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_OPERATION: Final = "#jepsen.history.Op"

UNUSED: Final = object()
"""A character, a fraction, a symbol, a set: what no event is made of."""


class NoEdnError(Exception):
    """The text is refused."""


class Keyword(str):
    """A keyword, without its colon."""

    __slots__ = ()


def read_forms(text: str) -> list[Any]:
    """Return all forms of a text; maps are dictionaries of their keywords, lists are lists."""
    return [form for _, form in _Scan(text).forms_until("", 0)]


def read_listed_forms(text: str) -> list[tuple[int, Any]]:
    """Return where each form begins, and the form; of lists that are one deep those in them."""
    scan = _Scan(text)
    found: list[tuple[int, Any]] = []
    while scan.peek(0):
        bracket = scan.text[scan.at]
        if bracket in "[(":
            scan.at += 1
            found += scan.forms_until(_CLOSING[bracket], 0)
            scan.at += 1
        else:
            found.append((scan.at, scan.form(0)))
    return found


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self, depth: int) -> bool:
        """Go to the next form or closing bracket; say whether there is one."""
        text = self.text
        while self.at < len(text):
            if text[self.at] in _BLANK:
                self.at += 1
            elif text[self.at] == ";":
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            elif text.startswith("#_", self.at):
                self.at += 2
                self.form_behind(depth)
            else:
                return True
        return False

    def form_behind(self, depth: int) -> Any:
        """Read the form that must follow a prefix."""
        if not self.peek(depth + 1):
            raise NoEdnError
        return self.form(depth + 1)

    def forms_until(self, closing: str, depth: int) -> list[tuple[int, Any]]:
        """Read forms up to a bracket, and stand there, or up to the end; say where each begins."""
        found: list[tuple[int, Any]] = []
        while self.peek(depth):
            if self.text[self.at] == closing:
                return found
            found.append((self.at, self.form(depth)))
        if closing:
            raise NoEdnError
        return found

    def form(self, depth: int) -> Any:
        """Read the form that begins here."""
        text, first = self.text, self.text[self.at]
        if depth > _DEPTH_MAX or first in ")]}":
            raise NoEdnError
        if first == '"':
            return self._quoted()
        if first == "\\":
            return self._character()
        is_set = text.startswith("#{", self.at)
        if is_set or first in _CLOSING:
            self.at += 2 if is_set else 1
            closing = "}" if is_set else _CLOSING[first]
            forms = [form for _, form in self.forms_until(closing, depth + 1)]
            self.at += 1
            if is_set:
                return UNUSED
            return _dictionary(forms) if first == "{" else forms
        return self._word(depth)

    def _quoted(self) -> str:
        found = ""
        self.at += 1
        while True:
            character = self._take()
            if character == '"':
                break
            found += self._escaped() if character == "\\" else character
        try:
            return found.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError as error:
            raise NoEdnError from error

    def _take(self) -> str:
        if self.at == len(self.text):
            raise NoEdnError
        self.at += 1
        return self.text[self.at - 1]

    def _escaped(self) -> str:
        name = self._take()
        if name == "u":
            digits = "".join(self._take() for _ in range(4))
            if set(digits) <= set("0123456789abcdefABCDEF"):
                return chr(int(digits, 16))
        if name not in _ESCAPES:
            raise NoEdnError
        return _ESCAPES[name]

    def _character(self) -> object:
        self.at += 1
        if self._take() in _LETTERS + _LETTERS.upper() + "0123456789":
            while self.text[self.at : self.at + 1].isascii() and (
                self.text[self.at : self.at + 1].isalnum()
            ):
                self.at += 1
        return UNUSED

    def _word(self, depth: int) -> Any:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in _DELIMITERS:
            self.at += 1
        word = self.text[start : self.at]
        if word[0] == "#" and word[:2] != "##":
            form = self.form_behind(depth)
            return form if word == _OPERATION else UNUSED
        if word in ("nil", "true", "false"):
            return {"nil": None, "true": True, "false": False}[word]
        if word[0] == ":" and word != ":":
            return Keyword(word[1:])
        return _number(word)


def _number(word: str) -> Any:
    digits = word.removesuffix("N")
    digits = digits[1:] if digits[:1] in ("+", "-") and digits else digits
    plain = digits.isascii() and digits.isdecimal() and len(digits) <= 19
    if not plain or (digits[0] == "0" and digits != "0"):
        return UNUSED
    return -int(digits) if word[0] == "-" else int(digits)


def _dictionary(forms: list[Any]) -> dict[str, Any]:
    if len(forms) % 2:
        raise NoEdnError
    named = [pair for pair in zip(forms[::2], forms[1::2], strict=True) if type(pair[0]) is Keyword]
    found = {str(name): form for name, form in named}
    if len(found) < len(named):
        raise NoEdnError
    return found
