"""Which code a configuration or a checkpoint may name: classes of a few packages, and functions that make such.

What else there is, only the command line allows: ``--allow-code=PACKAGE[,PACKAGE]``, or ``--allow-code`` for all that
can be imported but for what the parser of configurations itself refuses. No file does. In Python, `allow` does.
"""

import functools
import inspect
import pkgutil
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from metarec.errors import InputError

PACKAGES = ("metarec", "torch", "lightning", "torchmetrics")
"""Packages whose classes a configuration may name."""

REFUSED = (
    *(
        "metarec.__main__",
        "metarec.benchmark",
        "metarec.cli",
        "metarec.commands",
        "metarec.entry",
        "metarec.experiment",
    ),
    *("metarec.training", "metarec.tuning", "torch._C", "torch._dynamo", "torch._inductor", "torch._strobelight"),
    *("torch.backends", "torch.distributed.checkpoint", "torch.distributed.elastic", "torch.distributed.launcher"),
    *("torch.distributed.rpc", "torch.distributed.run", "torch.export", "torch.fx", "torch.hub", "torch.jit"),
    *("torch.load", "torch.multiprocessing", "torch.package", "torch.serialization", "torch.testing"),
    *("torch.utils.benchmark", "torch.utils.cpp_extension", "lightning.fabric.cli", "lightning.fabric.utilities"),
    *("lightning.pytorch.cli", "lightning.pytorch.serve", "lightning.pytorch.utilities"),
)
"""Parts of them that run code, read what can hold code, or reach the system."""

NEEDED = ("lightning.pytorch.cli.ReduceLROnPlateau",)
"""What configurations may name of these parts all the same."""

OPTION = "--allow-code"
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_also: set[str] = set()


def allow(*packages: str) -> None:
    """Allow the code of further packages, or modules, in this process, instead of those allowed before.

    Raises:
        InputError: a name is none.
    """
    from jsonargparse import set_parsing_settings

    for name in packages:
        if not all(part.isidentifier() for part in name.split(".")) or name.split(".")[0] == "jsonargparse":
            raise InputError(f"{OPTION}={name}: no package that can be allowed; give names such as mypackage")
    gone = _also - set(packages)
    _also.clear()
    _also.update(packages)
    set_parsing_settings(
        import_path_denylist=["*", *REFUSED, *gone],
        import_path_allowlist=[*PACKAGES, *NEEDED, *_also],
        instantiate_subclass_spec_in_any=False,
    )


def enforce() -> None:
    """Hold whatever is parsed from now on against what is allowed."""
    allow(*_also)


def taken_from(arguments: Sequence[str]) -> list[str]:
    """The arguments without ``--allow-code``, after what it allows has been allowed, and nothing else.

    Args:
        arguments: those of a command line.

    Raises:
        InputError: it names no package.
    """
    given, rest, packages = iter(arguments), [], []
    for word in given:
        if word == OPTION:
            found = {module.name for module in pkgutil.iter_modules()} - {"jsonargparse"}
            packages += sorted(name for name in found if name.isidentifier())
        elif word.startswith(f"{OPTION}="):
            packages += word.partition("=")[2].split(",")
        else:
            rest += [word, *([next(given, "")] if word in ("-c", "--config") else [])]
    allow(*packages)
    return rest


def outside(content: Any) -> str | None:
    """The first class path in nested plain values that is not allowed, by its name alone; null: there is none."""
    return next((path for path in _class_paths(content) if not may_import(path)), None)


def may_import(path: str) -> bool:
    """Whether code of this name may be imported."""
    parts = path.split(".")
    names = [".".join(parts[:number]) for number in range(len(parts), 0, -1)]
    known = {**dict.fromkeys(REFUSED, False), **dict.fromkeys((*PACKAGES, *NEEDED, *_also), True)}
    return next((known[name] for name in names if name in known), False)


def require_components(content: Any) -> None:
    """Refuse code among nested values that is no class, nor a function of metarec that says which class it makes.

    Functions of packages that were allowed on top may be whatever they are.

    Args:
        content: a parsed configuration, or plain values; class paths, other texts that name code of the packages, and
            functions themselves are looked at.

    Raises:
        InputError: names the first.
    """
    for path in _named(content):
        if not may_import(path):
            raise InputError(refusal(path))
        if (found := _resolved(path)) is not None and not _is_component(found):
            raise InputError(refusal(path))
    for function in _callables(content):
        if not _is_component(function):
            raise InputError(refusal(f"{function.__module__}.{getattr(function, '__qualname__', function)}"))


def refusal(path: str) -> str:
    """Why code is refused, and what to do."""
    top = path.partition(".")[0]
    cure = f"if you trust it, add {OPTION}={path if top in PACKAGES else top} to the command line"
    return f"{path} is no component of the packages that a configuration may name ({', '.join(PACKAGES)}); {cure}"


def _class_paths(content: Any) -> Iterator[str]:
    """Every class path in nested values, as text, whatever it is."""
    for key, value in _pairs(content):
        if key == "class_path":
            yield str(value)
        else:
            yield from _class_paths(value)


def _named(content: Any) -> Iterator[str]:
    """Every class path with a dot, and every other text that names code of the packages."""
    for key, value in _pairs(content):
        if not isinstance(value, str):
            yield from _named(value)
        elif _PATH.fullmatch(value) and (key == "class_path" or value.partition(".")[0] in PACKAGES):
            yield value


def _callables(content: Any) -> Iterator[Any]:
    """Every function in nested values."""
    for _, value in _pairs(content):
        if inspect.isroutine(value) or isinstance(value, functools.partial):
            yield getattr(value, "func", value)
        else:
            yield from _callables(value)


def _pairs(content: Any) -> Iterable[tuple[Any, Any]]:
    """Keys and values of one level."""
    if isinstance(content, Mapping):
        return content.items()
    return ((None, value) for value in content) if isinstance(content, list | tuple) else ()


def _resolved(path: str) -> Any:
    """What an allowed path names; null: nothing, which is the parser's to say."""
    try:
        return pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError):
        return None


def _is_component(found: Any) -> bool:
    """Whether it is a class, or a function of metarec that says which class it makes, from where it may be."""
    module = str(getattr(found, "__module__", ""))
    if not may_import(f"{module}.{getattr(found, '__qualname__', '')}"):
        return False
    if inspect.isclass(found) or module.partition(".")[0] not in PACKAGES:
        return True
    if not inspect.isfunction(found) or module.partition(".")[0] != "metarec":
        return False
    made = typing.get_type_hints(found).get("return")
    return inspect.isclass(made) and may_import(f"{made.__module__}.{made.__qualname__}")
