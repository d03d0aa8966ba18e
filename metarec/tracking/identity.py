"""Which W&B run a run folder is: the same one each time the same model is trained or judged there."""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any, Literal

from metarec.files import write_json

FILE = "tracking.json"
"""In a run folder: ids of its W&B runs by what they are runs of, and those that trained and tested last."""

What = Literal["trained", "tested"]


def run_id(folder: Path, of: Any) -> str:
    """The W&B id of the runs in a folder that are of one thing: drawn once, and kept in ``tracking.json``.

    A fit that is started again has the id of the one that was killed, and so have later tests of its weights. Another
    model or data set in the same folder is another run, and so is the same one in another folder.

    Args:
        folder: the run folder.
        of: what decides, as JSON holds it: seed, model and data.
    """
    content = _content(folder)
    key = hashlib.sha256(json.dumps(of, sort_keys=True, default=str).encode()).hexdigest()[:16]
    ids: dict[str, str] = content.setdefault("runs", {})
    if key not in ids:
        ids[key] = secrets.token_hex(4)
        write_json(folder / FILE, content)
    return ids[key]


def who(folder: Path, did: What) -> str | None:
    """The id of the run that did something last in a folder; null: it is not known.

    Args:
        folder: the run folder.
        did: `trained` its checkpoint, or `tested`.
    """
    found: str | None = _content(folder).get(did)
    return found


def note(folder: Path, did: What, run: str) -> None:
    """Note which run did something in a folder, for `who`."""
    write_json(folder / FILE, _content(folder) | {did: run})


def _content(folder: Path) -> dict[str, Any]:
    """What is noted; nothing, where the file is missing or was spoilt."""
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
