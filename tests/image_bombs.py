"""Small files that state, hold or unpack to very much; made here, byte by byte."""

import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image


def picture(height: int = 24, width: int = 40) -> np.ndarray:
    """Smooth, and alike under no turn."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 6, y * 10, (x + y) * 3], axis=2).astype(np.uint8)


def file_of(image: Image.Image | np.ndarray, form: str = "PNG", **more: Any) -> bytes:
    """An image in a file's bytes."""
    out = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(out, form, **more)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG, with its right checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(
    width: int, height: int, bits: int, colour: int, rows: bytes, more: bytes = b""
) -> bytes:
    """A PNG as its header states it, whatever the rows hold; ``more`` chunks stand before them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + more + body


def tiff_of(tags: Mapping[int, int], body: bytes) -> bytes:
    """A little-endian TIFF of one directory, with its strip or tile at byte 8."""
    data = b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", len(tags))
    entries = (struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return data + b"".join(entries) + bytes(4)


def tiled_tiff(side: int, tile: int) -> bytes:
    """A square image in one deflated tile."""
    body = zlib.compress(bytes(tile * tile), 9)
    tags = {256: side, 257: side, 258: 8, 259: 8, 262: 1, 277: 1}
    return tiff_of(tags | {322: tile, 323: tile, 324: 8, 325: len(body)}, body)


def paged_tiff(pages: int, first_side: int = 2, side: int = 2) -> bytes:
    """Grey pages of nothing, the first of its own size; their pixels are all the same bytes."""
    size = 2 + 12 * 9 + 4
    pixels = 8 + pages * size
    out = [b"II*\0", struct.pack("<I", 8)]
    for page in range(pages):
        now = side if page else first_side
        tags = {256: now, 257: now, 258: 8, 259: 1, 262: 1, 273: pixels, 277: 1, 278: now}
        tags[279] = now * now
        entries = (struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
        after = 8 + (page + 1) * size if page + 1 < pages else 0
        out += [struct.pack("<H", 9), *entries, struct.pack("<I", after)]
    return b"".join(out) + bytes(min(first_side, 64) ** 2)


def bombs() -> dict[str, bytes]:
    """Files that state or hold very many pixels or frames, or unpack to very many bytes."""
    jpeg = bytearray(file_of(picture(), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65000, 65000)
    gif, bmp = file_of(Image.new("1", (2, 2)), "GIF"), file_of(picture(), "BMP")
    start = gif.rindex(b",")  # where its only frame begins
    strip = {258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 279: 64}
    zeros = b"a\0\0" + zlib.compress(bytes(100_000_000), 1)
    return {
        "forged.png": png_of(100_000, 100_000, 8, 2, b"\0" * 64),
        "forged_wide.png": png_of(7_000, 7_200, 16, 6, b"\0" * 64),
        "forged.jpg": bytes(jpeg),
        "forged.gif": b"GIF89a" + struct.pack("<HH", 65535, 65535) + gif[10:],
        "forged.bmp": bmp[:18] + struct.pack("<ii", 90_000, 90_000) + bmp[26:],
        "forged.ppm": b"P6 90000 90000 255\n" + b"\0" * 64,
        "forged.tif": tiff_of(strip | {256: 90_000, 257: 90_000, 278: 90_000}, bytes(64)),
        "12000x12000.png": png_of(12_000, 12_000, 1, 0, bytes(1501 * 12_000)),
        "20000x20000.png": png_of(20_000, 20_000, 1, 0, bytes(2501 * 20_000)),
        "frames.gif": gif[:start] + gif[start:-1] * 100_000 + b";",
        "pages.tif": paged_tiff(100_000),
        "pages_that_grow.tif": paged_tiff(2, 2, 13_000),
        "tile.tif": tiled_tiff(10, 16_000),
        "text.png": png_of(2, 2, 8, 0, b"\0\0\0" * 2, chunk(b"zTXt", zeros)),
        "profile.png": png_of(2, 2, 8, 0, b"\0\0\0" * 2, chunk(b"iCCP", zeros)),
    }
