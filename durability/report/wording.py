"""What every form of a report says alike: the verdict in a sentence, foreign text made harmless."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from durability.audit.violation import Violation
from durability.report.result import Result


def visible(text: str) -> str:
    r"""Return the text with every character that has no picture as its escape (`\x1b`, `\u202e`).

    What a program under test printed must not move the cursor, colour the verdict, reverse the
    reading order or make an XML file invalid. A line break stays: a form sets the lines itself.
    """
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


def counted(count: int, noun: str) -> str:
    """Return the number with its noun, which forms its plural with an s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def kinds(violations: list[Violation]) -> list[str]:
    """Return the kinds of the violations, each once, in their order."""
    return list(dict.fromkeys(violation.kind for violation in violations))


def conclusion(result: Result) -> str:
    """Return the verdict and what it rests on, in one sentence."""
    return f"{result.verdict.upper()}: {_ground(result)}."


def _ground(result: Result) -> str:
    match result.verdict:
        case "violation":
            broken = kinds(result.violations)
            verb = "was" if len(broken) == 1 else "were"
            return f"{counted(len(broken), 'guarantee')} {verb} broken ({', '.join(broken)})"
        case "inconclusive" if not result.figures:
            return "nothing could be tested"
        case "inconclusive" if result.command == "doctor":
            return "this machine cannot do all that the commands need"
        case "inconclusive":
            return "no violation was found, but the run shows too little to say that there is none"
        case "held" if result.known:
            return f"nothing was found but what is known ({', '.join(kinds(result.known))})"
        case "held":
            held = _HELD.get(result.command)
            return held(result.figures) if held else "no violation was found"


def _every_kill_held(figures: Mapping[str, Any]) -> str:
    if "states" in figures:
        states = counted(figures["states"], "state")
        return (
            f"{figures['coverage']:.1%} of the {states} that a kill may leave of one run were"
            " recovered, every acknowledged item was there in each"
        )
    after = "it" if figures["landed"] == 1 else "each"
    landed = counted(figures["landed"], "kill")
    return f"{landed} landed, every acknowledged item was there after {after}"


def _every_cut_held(figures: Mapping[str, Any]) -> str:
    explored = counted(figures["explored"], "state")
    names = ", ".join(figures["models"])
    first = figures.get("first_crash")
    of = "one run" if first is None else f"recoveries of what a {first} had left"
    return (
        f"{explored} that a power cut may leave of {of} ({names}) were recovered, every"
        " acknowledged item was there in each"
    )


def _every_fault_held(figures: Mapping[str, Any]) -> str:
    faults = figures["faults"].values()
    fired = counted(sum(of["fired"] for of in faults), "fault")
    if lost := sum(of.get("lost", 0) for of in faults):
        return (
            f"{fired} of the disk met; by {lost:,} that no program could tell acknowledged items"
            " were lost, by none of the others"
        )
    return f"{fired} of the disk met, nothing that was acknowledged was lost by any"


def _mutants_noticed(figures: Mapping[str, Any]) -> str:
    noticed: list[str] = []
    if figures.get("total"):
        noticed.append(f"{figures['found']} of {figures['total']} planted defects found")
    if mechanical := figures.get("mechanical"):
        share = f"{mechanical['killed']} of {mechanical['total']}"
        noticed.append(f"{share} mechanical mutants noticed")
    return ", ".join(noticed)


_HELD: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "crash": _every_kill_held,
    "powerloss": _every_cut_held,
    "lint": lambda figures: f"{counted(figures['acks'], 'acknowledgement')}, all of them waited",
    "disk": _every_fault_held,
    "mutants": _mutants_noticed,
    "simulate": lambda figures: f"{counted(figures['seeds'], 'run')}, every property kept in each",
    "audit": lambda _: "what each of the directories holds is whole and agrees",
    "replay": lambda figures: f"{counted(figures['cases'], 'case')} replayed, without a violation",
    "run": lambda figures: f"{counted(figures['executions'], 'input')} tested, none breaks a law",
    "trace": lambda figures: f"{counted(figures['operations'], 'operation')} recorded",
    "scenario": lambda figures: f"{counted(len(figures['scenarios']), 'scenario')} held",
    "targets": lambda _: "the targets known by name are listed",
    "doctor": lambda _: "this machine can do all that the commands need",
}
"""What a command has shown that found no violation, from its figures."""
