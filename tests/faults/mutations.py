"""Damage as it happens to files, and as somebody would make it; all of it by one generator."""

import random
import re
import struct
import zlib
from collections.abc import Callable

NUMBERS = (
    *(b"0", b"-1", b"-0.0", b"1e999", b"1e-320", b"NaN", b"Infinity", b"-Infinity", b"null", b""),
    *(
        b"true",
        b'""',
        b"[]",
        b"{}",
        b"[1]",
        b"0x10",
        b"1_0",
        b"2147483648",
        b"18446744073709551616",
    ),
    *(b"9" * 400, b"9" * 5000, "\u0663".encode(), "\u00b2".encode(), b"1,5", b"+7", b" 7 "),
)
"""What stands where a number should."""
WORDS = (
    *(b"", b" ", b".", b"..", b"../../x.png", b"/etc/hostname", b"C:\\x.png", b"~/x.png", b"a|b"),
    *(b"<script>", b"=cmd()", b"{0.x}", b"%s%n", b"\\u0000", b"\\ud800", b"\0", b"a" * 300),
    *(b"a" * 70_000, "\u2024\u2024/x.png".encode(), "e\u0301".encode(), "\u202egnp.x".encode()),
    *(b"&x;", b"<!DOCTYPE x>", b"*a", b"!!python/name:os.system ", b"test", b"val", b"0.png"),
)
"""What stands where a name should."""
CHARACTERS = (
    *(b"\0", b"\r", b"\n", b"\n\n", b"\t", b'"', b"'", b"\\", b",", b";", b"|", b":", b"- ", b"# "),
    *(b"<", b">", b"&", b"{", b"}", b"[", b"]", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3"),
    *("\u2028".encode(), "\x85".encode(), b"\x1c", b"[" * 5000, b'{"a":' * 5000),
    *(b"<a>" * 5000, b"- " * 2000, b"&a [*a,*a]"),
)
"""What is put between two others."""
EDGES = (0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)


def damaged_bytes(data: bytes, draw: random.Random, other: bytes = b"") -> bytes:
    """The data with one to six changes; parts of ``other`` may come in."""
    found = bytearray(data)
    for _ in range(draw.randint(1, 6)):
        draw.choice(_BYTES)(found, draw, other)
    changed = bytes(found)
    return with_right_checksums(changed) if draw.random() < 0.5 else changed


def damaged_text(data: bytes, draw: random.Random, other: bytes = b"") -> bytes:
    """The text with one to four changes to its numbers, words, lines and signs."""
    for _ in range(draw.randint(1, 4)):
        data = draw.choice(_TEXTS)(data, draw)
    return damaged_bytes(data, draw, other) if draw.random() < 0.15 else data


def with_right_checksums(data: bytes) -> bytes:
    """A mutated PNG whose checksums are right again, so that the mutation comes further in."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    out, place = data[:8], 8
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        crc = struct.pack(">I", zlib.crc32(kind + body))
        out += struct.pack(">I", len(body)) + kind + body + crc
        place += 12 + length
    return out


# --- bytes ---------------------------------------------------------------------------------------


def _place(data: bytearray, draw: random.Random) -> int:
    """More often near the start, where headers are."""
    return int(draw.random() ** draw.choice((1, 3)) * len(data))


def _span(data: bytearray, draw: random.Random) -> slice:
    start = _place(data, draw)
    return slice(start, start + draw.choice((1, 2, 4, 16, 64, 1024)))


def _set(data: bytearray, draw: random.Random, other: bytes) -> None:
    if data:
        data[_place(data, draw)] = draw.randrange(256)


def _flip(data: bytearray, draw: random.Random, other: bytes) -> None:
    if data:
        data[_place(data, draw)] ^= 1 << draw.randrange(8)


def _write_number(data: bytearray, draw: random.Random, other: bytes) -> None:
    size, order = draw.choice((1, 2, 4)), draw.choice(("big", "little"))
    number = draw.choice(EDGES) % 256**size
    start = _place(data, draw)
    data[start : start + size] = number.to_bytes(size, order)


def _delete(data: bytearray, draw: random.Random, other: bytes) -> None:
    del data[_span(data, draw)]


def _repeat(data: bytearray, draw: random.Random, other: bytes) -> None:
    span = _span(data, draw)
    data[span.start : span.start] = bytes(data[span]) * draw.choice((1, 2, 50))


def _insert(data: bytearray, draw: random.Random, other: bytes) -> None:
    start = _place(data, draw)
    data[start:start] = draw.randbytes(draw.choice((1, 4, 64)))


def _cut(data: bytearray, draw: random.Random, other: bytes) -> None:
    del data[_place(data, draw) :]


def _splice(data: bytearray, draw: random.Random, other: bytes) -> None:
    data[_span(data, draw)] = bytearray(other)[_span(bytearray(other), draw)]


_BYTES: tuple[Callable[[bytearray, random.Random, bytes], None], ...] = (
    *(_set, _set, _flip, _write_number, _write_number, _delete, _repeat, _insert, _cut, _splice),
)


# --- text ----------------------------------------------------------------------------------------


def _one_of(pattern: bytes, choices: tuple[bytes, ...]) -> Callable[[bytes, random.Random], bytes]:
    """Puts one of the choices, or another match, in place of a match of the pattern."""

    def change(data: bytes, draw: random.Random) -> bytes:
        matches = list(re.finditer(pattern, data))
        if not matches:
            return data
        match = draw.choice(matches)
        new = draw.choice(matches)[0] if draw.random() < 0.3 else draw.choice(choices)
        return data[: match.start()] + new + data[match.end() :]

    return change


def _insert_sign(data: bytes, draw: random.Random) -> bytes:
    place = draw.randint(0, len(data))
    return data[:place] + draw.choice(CHARACTERS) + data[place:]


def _change_lines(data: bytes, draw: random.Random) -> bytes:
    """Drop, repeat or exchange what lies between two breaks."""
    joint = draw.choice(
        [sign for sign in (b"\n", b",", b">", b"}", b" ") if sign in data] or [b"\n"]
    )
    parts = data.split(joint)
    one, two = draw.randrange(len(parts)), draw.randrange(len(parts))
    way = draw.randrange(4)
    if way == 0:
        del parts[one]
    elif way == 1:
        parts.insert(two, parts[one])
    elif way == 2:
        parts[one], parts[two] = parts[two], parts[one]
    else:
        parts[one] = b""
    return joint.join(parts)


_NUMBER = rb"-?\d+(?:\.\d+)?"
_WORD = rb"[A-Za-z_][\w./-]*"
_TEXTS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_one_of(_NUMBER, NUMBERS), _one_of(_NUMBER, NUMBERS), _one_of(_NUMBER, WORDS)),
    *(_one_of(_WORD, WORDS), _one_of(_WORD, WORDS), _one_of(_WORD, NUMBERS)),
    *(_insert_sign, _change_lines, _change_lines),
)
