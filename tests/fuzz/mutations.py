"""Ways to spoil a file, each a function of the bytes and of whole numbers, so that any source of numbers drives it."""

import re
from collections.abc import Callable, Sequence

SCRAPS = [
    *(b"", b"\n", b"\r", b"\r\n", b"\0", b"\t", b",", b"::", b"|", b" ", b'"', b'""', b"'", b"\x1f", b"\x1a", b"\xff"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\xc3", b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b", b"\x0c"),
    *(b"nan", b"NaN", b"NA", b"None", b"null", b"inf", b"-inf", b"1e999", b"-0", b"0x10", b"1_000", b"+1", b"1.5"),
    *(b" 1", b"1e3", b"9" * 18, b"9" * 19, b"9" * 400, b"-" + b"9" * 18, b"18446744073709551616", b"2147483648"),
    *(b"9007199254740993", b"0.1e-400", b"true", b"../../x", b"%s%n", b"!!python/object:os.system", b"&a [*a]"),
    *(b"A" * 5000, b"\n" * 50, b"," * 50, b"[" * 2000, b"{" * 200),
    *(text.encode() for text in ("\u00e9\U0001f600\u202e\0", "\u0661\u0662", "\uff11", "\u00b2")),
]
"""What goes in."""

_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")


def cut(content: bytes, place: int, size: int) -> bytes:
    """Without some bytes; a size of 0: without all that follow."""
    start = place % (len(content) + 1)
    return content[:start] + (content[start + size % 64 :] if size else b"")


def flip(content: bytes, place: int, bit: int) -> bytes:
    """With some bits of a byte turned round."""
    start = place % max(1, len(content))
    return content[:start] + bytes(byte ^ (bit % 255 + 1) for byte in content[start : start + 1]) + content[start + 1 :]


def insert(content: bytes, place: int, scrap: int) -> bytes:
    """With a scrap more."""
    start = place % (len(content) + 1)
    return content[:start] + SCRAPS[scrap % len(SCRAPS)] + content[start:]


def replace_number(content: bytes, place: int, scrap: int) -> bytes:
    """With a scrap in the place of a number."""
    numbers = list(_NUMBER.finditer(content))
    if not numbers:
        return content
    found = numbers[place % len(numbers)]
    return content[: found.start()] + SCRAPS[scrap % len(SCRAPS)] + content[found.end() :]


def repeat_line(content: bytes, place: int, times: int) -> bytes:
    """With a line several times."""
    lines = content.split(b"\n")
    row = place % len(lines)
    return b"\n".join([*lines[:row], *[lines[row]] * (1 + times % 4), *lines[row + 1 :]])


def drop_line(content: bytes, place: int, _: int) -> bytes:
    """Without a line."""
    lines = content.split(b"\n")
    del lines[place % len(lines)]
    return b"\n".join(lines)


def swap_columns(content: bytes, one: int, other: int) -> bytes:
    """With two values of all lines in each other's place."""
    mark = next((mark for mark in (b"::", b"\t", b"|", b",", b" ") if mark in content), b",")
    lines = []
    for line in content.split(b"\n"):
        values = line.split(mark)
        first, second = one % len(values), other % len(values)
        values[first], values[second] = values[second], values[first]
        lines.append(mark.join(values))
    return b"\n".join(lines)


def end_lines(content: bytes, _: int, kind: int) -> bytes:
    """With other ends of lines."""
    return content.replace(b"\n", (b"\r\n", b"\r", b"\n\n", b"\r\r\n", b"")[kind % 5])


def encode(content: bytes, _: int, kind: int) -> bytes:
    """In another encoding."""
    name = ("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "cp500")[kind % 5]
    return content.decode("latin-1").encode(name)


WAYS: list[Callable[[bytes, int, int], bytes]] = [
    insert, replace_number, flip, cut, swap_columns, repeat_line, drop_line, end_lines, encode
]  # fmt: skip
"""All of them."""

Step = tuple[int, int, int]


def spoiled(content: bytes, steps: Sequence[Step]) -> bytes:
    """The bytes after some of the ways, one after the other: which way, and its two numbers, each >= 0."""
    for way, first, second in steps:
        content = WAYS[way % len(WAYS)](content, first, second)
    return content
