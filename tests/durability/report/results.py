"""Results of every verdict, with figures as the commands give them."""

from collections.abc import Callable
from typing import Any

from durability.audit.guarantees import breach
from durability.audit.violation import Violation
from durability.report.result import Result

HOSTILE = "\x1b[2J\x1b[31m[bold red]HELD[/] :bomb: <script>alert(1)</script> &amp; {{ 7 * 7 }}"
"""Terminal commands, console markup, HTML and a template expression."""

UNPRINTABLE = "\x00\x07\x0b\x1b\x7f\x85\u202e\u2028\ufffe\ud800"
"""Control characters, reversed reading order, and what neither XML nor UTF-8 can hold."""

REPRODUCE = "durability replay durability-findings/" + "my-store-lost-" * 8 + "4711"


def figures(**changed: Any) -> dict[str, Any]:
    return {
        "target": "my-store",
        "mechanism": "seccomp",
        "tear": "page",
        "kills": 200,
        "landed": 200,
        "redrawn": 3,
        "torn": 41,
        "distinct_offsets": 157,
        "acked": 31204,
        "lost": 0,
        "violating_kills": {},
        "cycles_per_second": 61.3,
        "stream_bytes": 24576,
        **changed,
    }


def lost(message: str = "items 18 to 23 of 23 are missing") -> Violation:
    violation = breach("lost", f"{message} (in 12 kills; shown by a kill between two calls)")
    return Violation(
        kind=violation.kind,
        invariant=violation.invariant,
        message=violation.message,
        reproduce=REPRODUCE,
    )


def recovery_failed() -> Violation:
    return breach("recovery-failed", "status 1:\nTraceback (most recent call last):\nValueError")


def held() -> Result:
    return Result("crash", seed=7, elapsed_s=3.42, figures=figures())


def violated() -> Result:
    return Result(
        "crash",
        seed=7,
        elapsed_s=3.42,
        figures=figures(landed=198, lost=72, violating_kills={"lost": 12}),
        violations=[lost()],
        known=[recovery_failed()],
        reasons=["2 kills did not land: the target ended with status 0, signal 0"],
        notes=["items that were never announced were not looked for"],
    )


def inconclusive() -> Result:
    return Result("crash", seed=7, figures=figures(kills=0, landed=0), reasons=["no time"])


def known() -> Result:
    return Result("crash", seed=7, figures=figures(), known=[recovery_failed()])


def untested() -> Result:
    return Result("crash", seed=7, reasons=["the kernel refuses seccomp notification"])


def hostile(text: str = HOSTILE) -> Result:
    violation = Violation(kind=text, invariant=text, message=text, reproduce=text)
    return Result(
        "crash",
        seed=7,
        figures=figures(target=text, differences=[text], checks=[{"name": text, "ok": False}]),
        violations=[violation],
        known=[violation],
        reasons=[text],
        notes=[text],
    )


EVERY: list[Callable[[], Result]] = [held, violated, inconclusive, known, untested, hostile]
