"""A target that is two Python functions: one works and acknowledges, one recovers and judges.

    def workload(directory, ack): ...   # from `ack(value)` on, the value must survive
    def recover(directory, acked): ...  # raises to report a violation

Both are called in forked children. What the workload prints itself goes to standard error: on its
standard output each acknowledgement is a line, a pickled value in base64. A function of a module
can be named, as `PATH.py:WORKLOAD:RECOVER`, so that its findings can be replayed anywhere.
"""

import base64
import importlib.util
import inspect
import os
import pickle
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any, Final

from durability.errors import TargetError
from durability.targets.contract import Call, Speech, Target

Acknowledge = Callable[[Any], None]
Workload = Callable[[str, Acknowledge], object]
Recover = Callable[[str, list[Any]], object]

_SPEECH: Final = Speech(
    acknowledged=re.compile(r"^ack (?P<id>\S+)$"), announced=None, recovered=None
)
_NAMED: Final = re.compile(r"(?P<path>.+\.py):(?P<workload>\w+):(?P<recover>\w+)")


def target(
    workload: Workload, recover: Recover, *, name: str = "", timeout_s: float = 10.0
) -> Target:
    """Return two functions as a target; `recover` has `timeout_s` on each crash state."""
    return Target(
        name=name or getattr(workload, "__name__", "").strip("<>") or "workload",
        workload=lambda directory: Call(partial(_work, workload, directory)),
        recovery=lambda _: Call(_recover_later),
        recovers_by_call=True,
        speech=_SPEECH,
        recovery_timeout_s=timeout_s,
        audit=partial(_recover, recover),
    )


def name_of(workload: Workload, recover: Recover) -> str:
    """Return the name by which `load` finds two functions; none where it cannot."""
    homes = {_home(workload), _home(recover)}
    if len(homes) > 1 or None in homes:
        return ""
    (home,) = homes
    return f"{home}:{workload.__name__}:{recover.__name__}"


def is_name(text: str) -> bool:
    """Tell whether this names two functions."""
    return _NAMED.fullmatch(text) is not None


def load(name: str) -> Target:
    """Return the two functions that are so named as a target. Raises TargetError."""
    found = _NAMED.fullmatch(name)
    assert found is not None
    module = _imported(found["path"])
    workload, recover = (
        _function(module, found["path"], found[part]) for part in ("workload", "recover")
    )
    return target(workload, recover, name=found["workload"])


def acknowledged_values(items: Sequence[str]) -> list[Any]:
    """Return the values of acknowledgements, in their order."""
    # Our own forked child wrote them, or a finding did that its user replays.
    return [pickle.loads(base64.b64decode(item)) for item in items]  # noqa: S301


def _work(workload: Workload, directory: str) -> None:
    promises = os.dup(1)
    os.dup2(2, 1)

    def acknowledge(value: Any) -> None:
        os.write(promises, b"ack %b\n" % base64.b64encode(pickle.dumps(value)))

    workload(directory, acknowledge)


def _recover_later() -> None:
    """Leave it to the audit, which knows what was acknowledged."""


def _recover(recover: Recover, directory: str, acknowledged: list[str]) -> None:
    values = acknowledged_values(acknowledged)
    try:
        recover(directory, values)
    except BaseException as error:
        last = f", the last of them {values[-1]!r:.80}" if values else ""
        error.add_note(f"acknowledged were {len(values)}{last}")
        raise


def _home(function: Callable[..., object]) -> str | None:
    """Return the file of the module that has the function by its name."""
    module = inspect.getmodule(function)
    name = getattr(function, "__name__", "")
    if module is None or getattr(module, name, None) is not function:
        return None
    file = getattr(module, "__file__", None)
    return os.path.abspath(file) if file else None


def _imported(path: str) -> ModuleType:
    file = os.path.abspath(path)
    known = sys.modules.get(file)
    if known is not None:
        return known
    specification = importlib.util.spec_from_file_location(file, file)
    if specification is None or specification.loader is None or not os.path.isfile(file):
        raise TargetError(f"{path}: no such file of Python code")
    module = importlib.util.module_from_spec(specification)
    sys.modules[file] = module
    home = os.path.dirname(file)
    if home not in sys.path:
        sys.path.append(home)  # last, so that it hides nothing from this process
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        del sys.modules[file]
        raise TargetError(f"{path}: it cannot be imported: {error!r}") from error
    return module


def _function(module: ModuleType, path: str, name: str) -> Callable[..., object]:
    found = getattr(module, name, None)
    if not callable(found):
        raise TargetError(f"{path}: there is no function {name!r} in it")
    function: Callable[..., object] = found
    return function
