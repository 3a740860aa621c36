"""A result as JUnit XML, as Jenkins, GitLab and others read it.

    <testsuites>
      <testsuite name="durability crash" tests= failures= errors= skipped= time=>
        <properties> verdict, seed and figures </properties>
        <testcase name="lost">      a broken guarantee: <failure>
        <testcase name="order">     one that the baseline knows: <skipped>
        <testcase name="verdict">   the run itself: passed, or <error> where it is inconclusive

An inconclusive run is an error and not skipped, because a skipped test is green. The run has no
case of its own where all that there is to say of it are violations.
"""

import json
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from durability.audit.violation import Violation
from durability.report.document import write_file
from durability.report.result import Result
from durability.report.wording import kinds, visible


def write_junit(result: Result, path: str) -> None:
    """Write the result as JUnit XML. Raises UsageError where the path cannot be written."""
    suites = Element("testsuites")
    suites.append(_suite(result))
    indent(suites)
    write_file(tostring(suites, encoding="utf-8", xml_declaration=True) + b"\n", path)


def _suite(result: Result) -> Element:
    cases = list(_cases(result))
    suite = _element(
        "testsuite",
        name=f"{result.program} {result.command}",
        tests=str(len(cases)),
        failures=str(_having("failure", cases)),
        errors=str(_having("error", cases)),
        skipped=str(_having("skipped", cases)),
        time=f"{result.elapsed_s:.3f}",
    )
    properties = SubElement(suite, "properties")
    for name, value in {"verdict": result.verdict, "seed": result.seed, **result.figures}.items():
        properties.append(_element("property", name=name, value=_value(value)))
    suite.extend(cases)
    if result.notes:
        SubElement(suite, "system-out").text = visible("\n".join(result.notes))
    return suite


def _cases(result: Result) -> Iterator[Element]:
    for kind in kinds(result.violations):
        yield _broken("failure", kind, result.command, result.violations)
    for kind in kinds(result.known):
        yield _broken("skipped", kind, result.command, result.known)
    if result.reasons or not result.violations:
        case = _case("verdict", result.command)
        if result.reasons:
            error = _element("error", type="inconclusive", message=result.reasons[0])
            error.text = visible("\n".join(result.reasons))
            case.append(error)
        yield case


def _broken(tag: str, kind: str, command: str, violations: list[Violation]) -> Element:
    """Return the case of one guarantee: its sentence, and all that was seen against it."""
    seen = [violation for violation in violations if violation.kind == kind]
    texts = [f"{violation.message}\n{violation.reproduce}".rstrip() for violation in seen]
    fault = _element(tag, type=kind, message=seen[0].invariant)
    fault.text = visible("\n\n".join(texts))
    case = _case(kind, command)
    case.append(fault)
    return case


def _case(name: str, command: str) -> Element:
    return _element("testcase", classname=f"durability.{command}", name=name)


def _element(tag: str, **attributes: str) -> Element:
    return Element(tag, {name: visible(value) for name, value in attributes.items()})


def _having(tag: str, cases: list[Element]) -> int:
    return sum(case.find(tag) is not None for case in cases)


def _value(figure: Any) -> str:
    return figure if isinstance(figure, str) else json.dumps(figure)
