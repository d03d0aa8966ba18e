"""The cache of what has been read: one file for each content and set of options, checked by its sums as it is read."""

import dataclasses
import hashlib
import json
import logging
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metarec.data.fetch import cache_folder
from metarec.data.numeric import Numeric
from metarec.data.ratings import FeatureTable, FoundScale, Ratings
from metarec.errors import InputError
from metarec.files import replacing, require_file

logger = logging.getLogger(__name__)

VERSION = 2
"""Of the reader; a new one reads everything anew."""

_DAMAGED = (OSError, EOFError, LookupError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)
_SMALL = {"user": np.int32, "item": np.int32}


@dataclasses.dataclass(frozen=True)
class Content:
    """What was read.

    Attributes:
        ratings: the ratings.
        notes: what to say of them wherever they are named.
        warnings: what is odd about them.
    """

    ratings: Ratings
    notes: list[str]
    warnings: list[str]


def digest_of(files: Mapping[str, Path | None], options: Mapping[str, Any]) -> str:
    """SHA-256 over the bytes of files and the options that they are read with.

    Args:
        files: by role, the file; null: there is none.
        options: plain values, by name.

    Raises:
        InputError: a file cannot be read.
    """
    sums = {}
    for role, path in files.items():
        try:
            if path is not None:
                require_file(path)
                with path.open("rb") as file:
                    sums[role] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"cannot read {path} ({error.strerror or error}); check the path") from error
    return hashlib.sha256(json.dumps([sums, options], sort_keys=True).encode()).hexdigest()


def place(digest: str, cache: str | None) -> Path:
    """The cache file of a digest; it may not be there."""
    key = hashlib.sha256(f"{VERSION} {digest}".encode()).hexdigest()
    return cache_folder(cache) / "csv" / f"{key[:32]}.npz"


def load(path: Path, digest: str) -> Content | None:
    """What the cache holds; null: nothing, or it is damaged, which is told."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _unpacked(arrays, digest)
    except _DAMAGED:
        logger.warning("%s is damaged; reading the files anew", path)
        return None


def save(path: Path, content: Content) -> None:
    """Write the cache, whole or not at all; where it cannot be written, say so and go on."""
    arrays, texts = _packed(content.ratings)
    texts |= {"notes": content.notes, "warnings": content.warnings}
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, texts=np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8), **arrays)
    except OSError as error:
        reason = error.strerror or error
        logger.warning("cannot write the cache %s (%s); set METAREC_CACHE to keep what was read", path, reason)


def _packed(ratings: Ratings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays by name, and everything else as JSON can hold it."""
    arrays = {name: getattr(ratings, name) for name in ("user", "item", "rating", "time")}
    arrays = {name: array.astype(_SMALL.get(name, array.dtype)) for name, array in arrays.items()}
    texts: dict[str, Any] = {name: getattr(ratings, name) for name in ("scale", "user_ids", "item_ids", "digest")}
    texts["found"] = isinstance(ratings.scale, FoundScale)
    texts["item_titles"] = [] if ratings.item_titles == ratings.item_ids else ratings.item_titles
    texts["user_titles"] = ratings.user_titles
    for side in ("user_features", "item_features"):
        table: FeatureTable = getattr(ratings, side)
        texts[side] = table.values
        texts[f"{side} numeric"] = {name: (each.ranges, each.apart) for name, each in table.numeric.items()}
        columns = {kind: getattr(table, kind) for kind in ("categorical", "multi_hot", "lists")}
        columns["numeric"] = {name: each.number for name, each in table.numeric.items()}
        names = [*table.values, *table.numeric]
        for kind, of_kind in columns.items():
            arrays |= {f"{side}-{kind}-{names.index(name)}": array for name, array in of_kind.items()}
    return arrays, texts


def _unpacked(arrays: Mapping[str, Any], digest: str) -> Content:
    texts = json.loads(arrays["texts"].tobytes())
    if texts["digest"] != digest:
        raise ValueError("of another file")
    columns = {name: arrays[name] for name in ("user", "item", "rating", "time")}
    columns |= {name: columns[name].astype(np.int64) for name in _SMALL}
    ratings = Ratings(
        name="",
        source="",
        **columns,
        scale=FoundScale(*texts["scale"]) if texts["found"] else tuple(texts["scale"]),
        user_ids=tuple(texts["user_ids"]),
        item_ids=tuple(texts["item_ids"]),
        item_titles=tuple(texts["item_titles"] or texts["item_ids"]),
        user_features=_table(arrays, texts, "user_features"),
        item_features=_table(arrays, texts, "item_features"),
        digest=digest,
        user_titles=tuple(texts["user_titles"]),
    )
    return Content(ratings, texts["notes"], texts["warnings"])


def _table(arrays: Mapping[str, Any], texts: Mapping[str, Any], side: str) -> FeatureTable:
    values, sizes = texts[side], texts[f"{side} numeric"]
    names = [*values, *sizes]
    kinds: dict[str, dict[str, Any]] = {"categorical": {}, "multi_hot": {}, "lists": {}, "numeric": {}}
    for key in arrays:
        owner, _, rest = key.partition("-")
        if owner == side:
            kind, _, number = rest.partition("-")
            kinds[kind][names[int(number)]] = arrays[key]
    if sum(map(len, kinds.values())) != len(names):
        raise ValueError("an attribute is missing")
    kinds["numeric"] = {name: Numeric(number, *sizes[name]) for name, number in kinds["numeric"].items()}
    return FeatureTable(values={name: tuple(words) for name, words in values.items()}, **kinds)
