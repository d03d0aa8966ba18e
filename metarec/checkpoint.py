"""Reading checkpoints: weights and plain values only, of regular files, checked before anything uses them.

Nothing in a checkpoint is run or imported. What is refused is refused in one line that begins with the path.
"""

import re
import stat
import warnings
import zipfile
from argparse import ArgumentError
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metarec.allowed import enforce, outside, refusal, require_components
from metarec.errors import InputError
from metarec.files import require_regular

FORMAT = 1
"""Version of what a checkpoint holds beside what Lightning writes; it goes up when older code could misread it."""

KINDS = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
)
"""Types of numbers that weights may have."""

INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"
"""What Lightning's command line notes to make the module with; nothing else may be named."""

HOOKS = ("hparams_type", "hparams", "module_arguments", "datamodule_hparams_type", "datamodule_hyper_parameters")
"""Entries by which a checkpoint could say how something is made."""

DIGESTS = ("data", "split", "learned")

UNNAMED = "the checkpoint"
"""What one is called where its path is not known."""

Content = dict[str, Any]
Weights = Mapping[str, Tensor]


def read(path: str | Path) -> Content:
    """The content of a checkpoint of metarec, on the CPU.

    Args:
        path: a file of this computer.

    Returns:
        Plain values and dense finite tensors: ``metarec``, ``state_dict`` and what else there is.

    Raises:
        InputError: it is no regular file, cannot be loaded safely, or is no whole checkpoint of this `FORMAT`.
    """
    require_regular(path, "a .ckpt file of metarec")
    try:
        _require_sound(Path(path))
        with warnings.catch_warnings(action="ignore"):  # torch on kinds of tensors, which are refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); give a .ckpt file") from error
    except Exception as error:  # whatever bytes that somebody made may lead torch into
        raise InputError(f"{path}: no checkpoint that can be loaded safely; give a .ckpt file of metarec") from error
    return checked(content, path)


def checked(content: Any, path: str | Path) -> Content:
    """A loaded checkpoint, if all that metarec and Lightning take from it is what it should be.

    Raises:
        InputError: it is not; names the path and the entry.
    """
    if not isinstance(content, dict) or not isinstance(content.get("metarec"), dict):
        raise InputError(f"{path}: no checkpoint of metarec; give checkpoints/best.ckpt of a run folder")
    if (found := content["metarec"].get("format")) != FORMAT or isinstance(found, bool):
        raise InputError(
            f"{path}: a checkpoint of format {found!r}, and this metarec reads {FORMAT}; train again, or use the "
            "metarec that wrote it"
        )
    fault = next((fault for fault in _faults(content) if fault), None)
    if fault:
        raise InputError(f"{path}: {fault}; give a checkpoint as metarec left it, or train again")
    return content


def require_weights(saved: Weights, own: Iterable[tuple[str, Tensor]], path: str | Path, cure: str) -> None:
    """Refuse weights that lack a tensor of the model, or have one of another shape.

    Args:
        saved: the ``state_dict`` of a checkpoint.
        own: names and tensors of the module that is to take them.
        path: the checkpoint.
        cure: what to do where they do not fit.

    Raises:
        InputError: names the path and the first tensor.
    """
    for name, value in own:
        if (held := saved.get(name)) is None:
            raise InputError(f"{path}: does not fit the model ({name} is missing); {cure}")
        if held.shape != value.shape:
            shapes = f"{tuple(held.shape)}, in the model {tuple(value.shape)}"
            raise InputError(f"{path}: does not fit the model ({name} is {shapes}); {cure}")


def require_same(saved: Weights, own: Weights, path: str | Path, cure: str) -> None:
    """As `require_weights`; refuse tensors that the model does not have, too."""
    require_weights(saved, own.items(), path, cure)
    if more := saved.keys() - own.keys():
        raise InputError(f"{path}: does not fit the model (it has no {min(more)}, {len(more)} in all); {cure}")


@contextmanager
def loading(path: str | Path) -> Iterator[None]:
    """Read a checkpoint before Lightning makes a module of it, and say in one line where that fails.

    Raises:
        InputError: names the path.
    """
    made = read(path).get("hyper_parameters", {})
    enforce()
    try:
        require_components({name: value for name, value in made.items() if name != "_instantiator"})
        yield
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix(f'{UNNAMED}: ')}") from error
    except (ArgumentError, ImportError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: its hyper_parameters make no module ({reason}); give another checkpoint") from error


def weight_faults(weights: Any) -> Iterator[str]:
    """What is wrong with named weights: other things than tensors, strange ones, numbers that are not finite."""
    if not isinstance(weights, dict):
        yield f"its weights are of kind {type(weights).__name__}"
        return
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            yield f"its weights {name!r} are no tensor"
        elif value.layout != torch.strided or value.device.type != "cpu" or value.dtype not in KINDS:
            yield f"its weights {name} are of a strange kind ({value.layout}, {value.device}, {value.dtype})"
        elif value.untyped_storage().nbytes() < value.numel() * value.element_size():
            yield f"its weights {name} are larger than what is stored of them"
        elif not bool(value.isfinite().all()):
            yield f"its weights {name} are not finite"


def note_faults(noted: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the note of what the weights have seen; see `metarec.provenance.seen`."""
    for name in DIGESTS:
        if not re.fullmatch(r"[0-9a-f]{64}", str(noted.get(name))):
            yield f"its digest of the {name} is none"
    if not isinstance(noted.get("until"), int | None):
        yield "its last time is no number"


def _faults(content: Content) -> Iterator[str]:
    """What is wrong with the content of a checkpoint, in words; as much as is asked for."""
    yield from note_faults(content["metarec"])
    yield from weight_faults(content.get("state_dict"))
    for name in ("epoch", "global_step"):
        if not is_count(content.get(name)):
            yield f"its {name} is no whole number >= 0"
    if not re.fullmatch(r"2\.\d+\.\d+\S*", str(content.get("pytorch-lightning_version"))):
        yield "its version of Lightning is none"
    for name in HOOKS:
        if name in content:
            yield f"it holds {name}, by which it could have code run"
    made = content.get("hyper_parameters", {})
    if content.get("hparams_name", "kwargs") != "kwargs" or not isinstance(made, dict) or "_class_path" in made:
        yield "its hyper_parameters name what is to be made of them"
    elif made.get("_instantiator", INSTANTIATOR) != INSTANTIATOR:
        yield "its _instantiator is none of Lightning's"
    elif path := outside(made):
        yield f"its hyper_parameters name code: {refusal(path)}"


def epochs_begun(content: Content) -> int:
    """How many epochs had begun when a checkpoint was saved; Lightning's own `epoch` depends on the moment."""
    progress = content.get("loops", {}).get("fit_loop", {}).get("epoch_progress", {}).get("total", {})
    return int(progress.get("ready", content["epoch"] + 1))


def is_count(value: Any) -> bool:
    """Whether a value is a whole number >= 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _require_sound(path: Path) -> None:
    """Refuse an archive with more in it than the file has bytes, or with bytes that are not what was written.

    torch packs nothing, and a bomb does; what is damaged, torch would take as it is.

    Raises:
        ValueError, zipfile.BadZipFile: it is no archive, or one of these.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise ValueError("packed")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("declares more than there is")
        if len({entry.filename for entry in entries}) < len(entries):
            raise ValueError("holds a name twice")
        if any(stat.S_ISLNK(entry.external_attr >> 16) for entry in entries):
            raise ValueError("holds a link")
        if (odd := archive.testzip()) is not None:
            raise ValueError(f"{odd} is damaged")
