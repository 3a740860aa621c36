"""The folders are the stages of one line: each may import what stands before it, never behind."""

import ast
import os
from collections.abc import Iterator

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

STAGES = (
    ("errors",),
    ("targets",),
    ("trace",),
    ("crash",),
    ("recovery",),
    ("audit",),
    ("report",),
    ("history",),
    ("invariants",),
    ("simulation",),
    ("campaign",),
    ("confirmation",),
    ("disk",),
    ("recording", "doctor", "replay"),
    ("crash_loop", "offline", "power_loss", "lint", "disk_faults", "simulation_campaign"),
    ("second_crash",),
    ("scenarios",),
    ("mutants",),
    ("checking",),
    ("pytest_plugin",),
    ("power_loss_commands", "disk_command"),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, stage in enumerate(STAGES) for name in stage}

FUZZ_MAY_IMPORT = {
    "durability.audit": "the second opinion on a recovery",
    "durability.invariants": "the oracle of node_steps",
    "durability.simulation": "the cluster that node_steps drives",
    "durability.targets": "what reads a TOML target is fuzzed",
    "durability.history": "what reads a history is fuzzed",
    "durability.trace": "what reads a trace is fuzzed",
    "durability.campaign": "its processes do the work of several targets",
    "durability.errors": "the errors of both, and what they say to the shell",
    "durability.mutants": "an edited copy of the node, for planted defects",
    "durability.report": "raft-fuzz reports as every command does",
}


def modules(package: str) -> Iterator[tuple[str, str]]:
    """Yield each module of a package: its dotted name and its path."""
    for folder, below, files in os.walk(os.path.join(ROOT, package)):
        below[:] = [name for name in below if name != "__pycache__"]
        for file in files:
            if file.endswith(".py"):
                path = os.path.join(folder, file)
                dotted = os.path.relpath(path, ROOT).removesuffix(".py").replace(os.sep, ".")
                yield dotted.removesuffix(".__init__"), path


def imports(path: str) -> Iterator[str]:
    """Yield the dotted name of everything that a module imports, wherever in it."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read(), path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide the line"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize(("module", "path"), sorted(modules("durability")))
def test_a_stage_imports_only_what_stands_before_it(module: str, path: str) -> None:
    if module == "durability":
        found = {name for name in imports(path) if own(name, "durability")}
        assert found == {"durability.checking.check"}
        return
    stage = module.split(".")[1]
    assert stage in RANK, f"{module} has no place in the line"
    for name in imports(path):
        assert not own(name, "fuzz")
        if own(name, "durability") and name.count("."):
            imported = name.split(".")[1]
            assert imported in RANK, f"{module} imports {name}"
            before = RANK[imported] < RANK[stage]
            assert before or imported == stage, f"{module} imports {name}, which stands behind it"


@pytest.mark.parametrize(("module", "path"), sorted(modules("raft")))
def test_the_node_knows_nothing_of_its_testers(module: str, path: str) -> None:
    for name in imports(path):
        assert not own(name, "durability"), module
        assert not own(name, "fuzz"), module


@pytest.mark.parametrize(("module", "path"), sorted(modules("fuzz")))
def test_the_fuzzers_use_what_they_fuzz_judge_by_and_report_with(module: str, path: str) -> None:
    for name in imports(path):
        if own(name, "durability"):
            assert any(own(name, allowed) for allowed in FUZZ_MAY_IMPORT), module


@pytest.mark.parametrize(("module", "path"), sorted(modules("durability/audit")))
def test_the_auditor_shares_no_code_with_the_node(module: str, path: str) -> None:
    assert not [name for name in imports(path) if own(name, "raft")], module


def test_the_line_names_every_stage_that_exists() -> None:
    found = {module.split(".")[1] for module, _ in modules("durability") if "." in module}
    assert found == set(RANK)
