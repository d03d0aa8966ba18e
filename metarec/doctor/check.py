"""What the doctor finds: one line a check, with the cure where there is something to cure."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

State = Literal["ok", "warning", "problem"]

SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
"""Names of variables whose values are shown to nobody."""

ADDRESS = re.compile(r"(\w+://)[^/\s@]+@")
"""What stands before the host in an address: a name and a password."""


class Check(NamedTuple):
    """One thing that was looked at.

    Attributes:
        section: the part that it belongs to, such as ``packages``.
        name: what was looked at.
        state: `ok`, `warning` (something is less than it could be) or `problem` (something does not work).
        found: what was found, in one line.
        cure: what to do about it, in one line; empty where nothing is to be done.
    """

    section: str
    name: str
    state: State
    found: str
    cure: str = ""


def without_secrets(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """A text without passwords in addresses, and without the values of variables that are called as secrets are.

    Args:
        text: what is to be shown.
        environment: the variables.
    """
    hidden = {value for name, value in environment.items() if SECRET.search(name) and len(value) > 5}
    for value in sorted(hidden, key=len, reverse=True):
        text = text.replace(value, "***")
    return ADDRESS.sub(r"\1***@", text)


def one_line(text: str, longest: int = 200) -> str:
    """A text in one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def problems(checks: Sequence[Check]) -> int:
    """How many checks found a problem."""
    return sum(check.state == "problem" for check in checks)


def as_text(checks: Sequence[Check]) -> str:
    """The checks by section, and at the end how many problems and warnings there are."""
    width = max(len(check.name) for check in checks)
    lines: list[str] = []
    section = ""
    for check in checks:
        if check.section != section:
            lines += ["", check.section]
        section = check.section
        lines.append(f"  {check.state:<7}  {check.name:<{width}}  {check.found}")
        if check.cure:
            lines.append(f"  {'':<7}  {'':<{width}}  cure: {check.cure}")
    warnings = sum(check.state == "warning" for check in checks)
    return "\n".join([*lines[1:], "", f"{_count(problems(checks), 'problem')}, {_count(warnings, 'warning')}"])


def as_json(checks: Sequence[Check]) -> str:
    """The checks as JSON: ``ok``, ``problems``, ``warnings`` and ``checks``, a list of records."""
    content = {
        "ok": not problems(checks),
        "problems": problems(checks),
        "warnings": sum(check.state == "warning" for check in checks),
        "checks": [check._asdict() for check in checks],
    }
    return json.dumps(content, indent=2)


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
