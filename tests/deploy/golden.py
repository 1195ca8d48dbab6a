"""Golden pictures: a drawn face in every kind of JPEG, PNG and BMP that programs write."""

import io
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from tfds_builders.drawn_faces.pictures import Picture, draw_png

SIZES = {(1, 1), (1, 500), (500, 1), (47, 49), (3000, 2000)}
"""Width and height."""


@cache
def face() -> Image.Image:
    """RGB, 97 x 97."""
    return Image.open(io.BytesIO(draw_png(Picture(1, "happy", 0, 0, 1.0), 97, (0.9, 1.0), seed=3)))


@cache
def golden() -> dict[str, bytes]:
    """The pictures that every path must read, by their kind."""
    return dict([*_jpegs(), *_pngs(), *_bmps(), *_sizes()])


@cache
def refused() -> dict[str, bytes]:
    """What no path may read, by what is wrong with it."""
    jpeg, png, bmp = (golden()[kind] for kind in ("JPEG q95 4:2:0", "PNG RGB", "BMP 24 bit"))
    return {
        "empty": b"",
        "text": b"no picture",
        "TIFF": _saved(face(), "TIFF"),
        "JPEG cut in half": jpeg[: len(jpeg) // 2],
        "JPEG without its end": jpeg[:-2],
        "JPEG that says 65,000 x 65,000": _jpeg_of_size(golden()["JPEG 1x1"], 65_000),
        "CMYK JPEG cut in half": golden()["JPEG CMYK"][:4000],
        "progressive JPEG cut": golden()["JPEG progressive"][:-200],
        "PNG cut in half": png[: len(png) // 2],
        "PNG whose header is too short": png[:11] + b"\x0c" + png[12:],
        "PNG with a changed byte": png[:5000] + bytes([png[5000] ^ 255]) + png[5001:],
        "BMP cut in half": bmp[: len(bmp) // 2],
        "BMP with more than its pixels": bmp + b"more",
        "BMP 1 bit": _saved(face().convert("1"), "BMP"),
        "BMP 4 bit": _bmp(4, 0, 16, bytes(16)),
        "BMP run-length": _bmp(8, 1, 256, b"\4\7\0\0" * 4 + b"\0\1"),
        "more pixels than are decoded": cv2.imencode(".png", np.zeros((9000, 9000), np.uint8))[
            1
        ].tobytes(),
    }


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _jpeg_of_size(encoded: bytes, side: int) -> bytes:
    """Whose header says another size than it has."""
    at = encoded.index(b"\xff\xc0") + 5
    return encoded[:at] + struct.pack(">HH", side, side) + encoded[at + 4 :]


def _jpegs() -> Iterator[tuple[str, bytes]]:
    for quality in (60, 95):
        for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
            name = f"JPEG q{quality} {subsampling}"
            yield name, _saved(face(), "JPEG", quality=quality, subsampling=subsampling)
    yield "JPEG progressive", _saved(face(), "JPEG", progressive=True)
    yield "JPEG gray", _saved(face().convert("L"), "JPEG")
    yield "JPEG gray progressive", _saved(face().convert("L"), "JPEG", progressive=True)
    yield "JPEG stored as RGB", _saved(face(), "JPEG", keep_rgb=True)
    cmyk = _saved(_cmyk(), "JPEG", quality=95)
    adobe = cmyk.index(b"\xff\xee")
    yield "JPEG CMYK", cmyk
    yield "JPEG CMYK, not of Adobe", cmyk[:adobe] + cmyk[adobe + 16 :]
    for orientation in range(1, 9):
        yield f"JPEG turned by EXIF {orientation}", turned(face(), orientation)
    for orientation in range(2, 9):
        yield f"JPEG upright by EXIF {orientation}", photograph(face(), orientation)


def turned(image: Image.Image, orientation: int, kind: str = "JPEG") -> bytes:
    """The pixels as they are, and an EXIF orientation, 1 to 8."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return _saved(image, kind, exif=exif)


def photograph(upright: Image.Image, orientation: int, kind: str = "JPEG") -> bytes:
    """As a phone stores what it sees upright: as the sensor was held, and how to turn it back."""
    back = {6: 8, 8: 6}.get(orientation, orientation)  # The others undo themselves.
    stored = upright.copy()
    stored.getexif()[ExifTags.Base.Orientation] = back
    return turned(ImageOps.exif_transpose(stored), orientation, kind)


def _cmyk() -> Image.Image:
    """With black of its own, which Pillow's conversion leaves at none."""
    c, m, y, k = face().convert("CMYK").split()
    return Image.merge("CMYK", (c, m, y, k.point(lambda _: 40)))


def _pngs() -> Iterator[tuple[str, bytes]]:
    opaque = Image.fromarray((np.indices((97, 97)).sum(axis=0) % 256).astype(np.uint8))
    gray, palette = face().convert("L"), face().quantize(64)
    rgba, gray_alpha = face().copy(), gray.copy()
    rgba.putalpha(opaque)
    gray_alpha.putalpha(opaque)
    yield "PNG gray", _saved(gray, "PNG")
    yield "PNG gray and alpha", _saved(gray_alpha, "PNG")
    yield "PNG RGB", _saved(face(), "PNG")
    yield "PNG RGBA", _saved(rgba, "PNG")
    yield "PNG palette", _saved(palette, "PNG")
    yield "PNG palette, one transparent", _saved(palette, "PNG", transparency=3)
    yield "PNG palette with alpha", _saved(palette, "PNG", transparency=bytes(range(64)))
    yield "PNG gray, one transparent", _saved(gray, "PNG", transparency=100)
    for bits in (1, 2, 4):
        yield f"PNG palette of {bits} bit", _saved(face().quantize(2**bits), "PNG", bits=bits)
    yield "PNG 1 bit", _saved(face().convert("1"), "PNG")
    gamma = PngImagePlugin.PngInfo()
    gamma.add(b"gAMA", struct.pack(">I", 100_000))
    yield "PNG with gamma", _saved(face(), "PNG", pnginfo=gamma)
    for name, channels in (("gray", 1), ("RGB", 3), ("RGBA", 4)):
        deep = np.random.default_rng(0).integers(0, 2**16, (97, 97, channels), np.uint16)
        yield f"PNG 16 bit {name}", cv2.imencode(".png", deep)[1].tobytes()
    yield "PNG upright by EXIF 6", photograph(face(), 6, "PNG")
    yield "PNG interlaced", _interlaced(np.asarray(face()))


def _interlaced(pixels: NDArray[np.uint8]) -> bytes:
    """RGB pixels by Adam7: https://www.w3.org/TR/png-3/#8InterlaceMethods"""
    starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    rows = [
        b"\0" + row.tobytes()
        for top, left, down, right in (*starts, (1, 0, 2, 1))
        for row in pixels[top::down, left::right]
    ]
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _bmps() -> Iterator[tuple[str, bytes]]:
    rgba = face().copy()
    rgba.putalpha(face().convert("L"))
    bgra = cv2.cvtColor(np.asarray(rgba), cv2.COLOR_RGBA2BGRA)
    bmps = {
        "BMP 24 bit": _saved(face(), "BMP"),
        "BMP 8 bit gray": _saved(face().convert("L"), "BMP"),
        "BMP 8 bit palette": _saved(face().quantize(200), "BMP"),
        "BMP 32 bit": _saved(rgba, "BMP"),
    }
    yield from bmps.items()
    yield "BMP 32 bit with masks", cv2.imencode(".bmp", bgra)[1].tobytes()
    for name, encoded in bmps.items():
        yield f"{name}, top-down", _top_down(encoded)


def _top_down(encoded: bytes) -> bytes:
    start, width, height, bits = (*struct.unpack_from("<I4xii2xH", encoded, 10),)
    row = (width * bits // 8 + 3) // 4 * 4
    rows = [encoded[at : at + row] for at in range(start, len(encoded), row)]
    return encoded[:22] + struct.pack("<i", -height) + encoded[26:start] + b"".join(rows[::-1])


def _bmp(bits: int, compression: int, colors: int, pixels: bytes) -> bytes:
    """4 x 4 pixels."""
    start = 54 + 4 * colors
    header = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    header += struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, bits, compression, 0, 0, 0, colors, 0)
    return header + bytes(4 * colors) + pixels


def _sizes() -> Iterator[tuple[str, bytes]]:
    for width, height in sorted(SIZES):
        for kind in ("JPEG", "PNG", "BMP"):
            yield (
                f"{kind} {width}x{height}",
                _saved(face().resize((width, height)), kind, compress_level=1),
            )
