"""Looking for a planted defect as a user would: by a command, with the edited node.

Each model is explored up to the first states in which something is broken; a disk fails at every
operation. A defect counts as found if all that it is expected under show it, as it is expected to
show, and nothing beside.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec

from durability.errors import DurabilityError, InconclusiveError
from durability.mutants.edited import edit, edited_package, environment
from durability.mutants.planted import FAULTS_LOOKED_AT, LOOKED_UNDER, PlantedDefect
from durability.report.result import Result

_STATES: Final = 1000
_TIMEOUT_S: Final = 300.0
_WORDS: Final = 500


class Hunt(msgspec.Struct, frozen=True):
    """What became of one defect.

    `shown` are the models, or the faults of a disk, that showed it; `events` counts the states that
    were looked at, or the faults; `seconds` is the time that it took, the recording of a run
    included. `message` says what was seen.
    """

    id: str
    technique: str
    found: bool
    seconds: float
    events: int
    shown: list[str]
    message: str


def hunt(defect: PlantedDefect, seed: int) -> Hunt:
    """Plant a defect in a copy of the node and look for it.

    Raises:
        UsageError: the source is not what the defect was written for.
        InconclusiveError: the edited node could not be explored.
    """
    began = time.monotonic()
    with edited_package(defect.path, edit(defect.path, defect.old, defect.new)) as root:
        document = _explore(defect, root, seed)
    seconds = time.monotonic() - began
    outcomes: dict[str, Any] = document["models" if defect.technique == "powerloss" else "faults"]
    shown = [name for name, outcome in outcomes.items() if outcome["violations"]]
    messages = [f"{found['kind']}: {found['message']}" for found in document["violations"]]
    as_expected = defect.kind in {found["kind"] for found in document["violations"]}
    expected = as_expected and set(shown) == defect.shows
    if not expected:
        under = ", ".join(sorted(defect.shows))
        messages.insert(0, f"expected was {defect.kind} under {under}")
    return Hunt(
        id=defect.id,
        technique=defect.technique,
        found=expected,
        seconds=round(seconds, 2),
        events=sum(of.get("explored", of.get("fired", 0)) for of in outcomes.values()),
        shown=shown,
        message="; ".join(messages)[:_WORDS],
    )


def hunt_all(
    defects: Sequence[PlantedDefect],
    seed: int,
    jobs: int = 1,
    budget_s: float = math.inf,
    *,
    explicit: bool = False,
) -> Result:
    """Look for each of the defects, `jobs` at a time; one not found as expected is a reason.

    After `budget_s` none is begun any more, which is a reason where the defects were named by
    whoever asks (`explicit`), and a note else.
    """
    began = time.monotonic()
    result = Result("mutants", seed=seed)

    def look(defect: PlantedDefect) -> Hunt | DurabilityError | None:
        if time.monotonic() - began >= budget_s:
            return None
        try:
            return hunt(defect, seed)
        except DurabilityError as error:
            return error

    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(look, defects))
    hunts = [outcome for outcome in outcomes if isinstance(outcome, Hunt)]
    result.reasons += [str(error) for error in outcomes if isinstance(error, DurabilityError)]
    result.reasons += [f"{one.id}: {one.message}" for one in hunts if not one.found]
    if missed := outcomes.count(None):
        text = f"time was up before {missed} of {len(defects)} defects were looked for"
        (result.reasons if explicit or not hunts else result.notes).append(text)
    result.figures = {
        "mutants": msgspec.to_builtins(hunts),
        "found": sum(one.found for one in hunts),
        "total": len(defects),
    }
    result.elapsed_s = time.monotonic() - began
    return result


def _explore(defect: PlantedDefect, root: Path, seed: int) -> dict[str, Any]:
    result = root / "result.json"
    arguments = [defect.technique, defect.target, *defect.options, "--json", str(result)]
    if defect.technique == "disk":
        arguments += ["--fault", ",".join(FAULTS_LOOKED_AT), "--seed", str(seed)]
    else:
        arguments += [
            "--model", ",".join(LOOKED_UNDER), "--first", "--jobs", "1", "--states", str(_STATES),
            "--seed", str(seed), "--findings", str(root / "findings"),
        ]  # fmt: skip
    try:
        done = subprocess.run(
            [sys.executable, "-m", "durability", *arguments],
            cwd=root,
            env=environment(root),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InconclusiveError(f"{defect.id}: not explored in {_TIMEOUT_S:g} s") from None
    document: dict[str, Any] = json.loads(result.read_bytes()) if result.exists() else {}
    if not {"models", "faults"} & document.keys():
        words = "; ".join(document.get("reasons", [])) or done.stderr.strip()
        raise InconclusiveError(f"{defect.id}: the edited node cannot be explored: {words}")
    return document
