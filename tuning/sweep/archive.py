"""A job as one small file to carry to another machine; NumPy and the standard library read it.

Pictures of faces hardly compress. A pixel is stored as its difference to what its neighbours above
and to the left predict (the median edge detector of JPEG-LS, ISO/IEC 14495-1), Huffman-coded by
zlib: FER2013 takes 58 MB of 74, a little less than as WebP.
"""

import contextlib
import hashlib
import io
import os
import shutil
import socket
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuning.sweep.job import Job, job_from_json, job_to_json, save_job
from tuning.training.batches import Arrays

DIGEST = "archive.sha256"
"""Says of a folder which file it was unpacked from."""


class ArchiveError(ValueError):
    """The file is no archive of a job, or its folder is taken."""


def pack_job(path: Path, job: Job, train: Arrays, validation: Arrays) -> None:
    """Writes a job and its arrays into a zip file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("job.json", job_to_json(job))
        for name, (images, labels) in (("train", train), ("validation", validation)):
            archive.writestr(f"{name}_images.residuals", compress_images(images))
            archive.writestr(f"{name}_labels.npy", _npy(labels))


def unpack_job(path: Path) -> Path:
    """Unpacks an archive into the folder of its name, beside it; one that is unpacked stands.

    Returns:
        The folder: what `tuning.sweep.job.load_job` reads.

    Raises:
        ArchiveError: the file is no archive of a job, or the folder holds another one.
    """
    folder, digest = path.with_suffix(""), _sha256(path)
    if not folder.exists():
        part = folder.with_name(f".{folder.name}.{socket.gethostname()}-{os.getpid()}")
        save_job(part, *_read_archive(path))
        (part / DIGEST).write_text(digest)
        with contextlib.suppress(OSError):  # The chief and its workers may all unpack it at once.
            part.rename(folder)
        shutil.rmtree(part, ignore_errors=True)
    if not (folder / DIGEST).exists() or (folder / DIGEST).read_text() != digest:
        raise ArchiveError(f"{folder} holds something else: rename one of them")
    return folder


def _read_archive(path: Path) -> tuple[Job, Arrays, Arrays]:
    try:
        with zipfile.ZipFile(path) as archive:
            job = job_from_json(archive.read("job.json"))
            return job, _arrays(archive, "train", job), _arrays(archive, "validation", job)
    except (zipfile.BadZipFile, zlib.error, KeyError, TypeError, ValueError) as error:
        raise ArchiveError(f"{path}: not what `mien sweep --export` writes: {error}") from None


def compress_images(images: NDArray[np.uint8]) -> bytes:
    """Codes images uint8 [n, height, width, channels] without loss."""
    coder = zlib.compressobj(strategy=zlib.Z_HUFFMAN_ONLY)
    planes = np.ascontiguousarray(np.moveaxis(images, 0, -1)).astype(np.int16)
    rows = (
        coder.compress(np.stack(list(_residuals(planes, row))).astype(np.uint8).tobytes())
        for row in range(len(planes))
    )
    return b"".join([*rows, coder.flush()])


def decompress_images(coded: bytes, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """The images of `compress_images`, of which the shape must be known.

    Raises:
        ValueError: they are of another shape.
    """
    count, height, width, channels = shape
    residuals = np.frombuffer(zlib.decompress(coded), np.uint8)
    planes = np.zeros((height, width, channels, count), np.int16)
    for (row, column), residual in zip(
        np.ndindex(height, width), residuals.reshape(height * width, channels, count), strict=True
    ):
        planes[row, column] = (_predict(planes, row, column) + residual) & 255
    return np.ascontiguousarray(np.moveaxis(planes.astype(np.uint8), -1, 0))


def _residuals(planes: NDArray[np.int16], row: int) -> Iterator[NDArray[np.int16]]:
    for column in range(planes.shape[1]):
        yield planes[row, column] - _predict(planes, row, column)


def _predict(planes: NDArray[np.int16], row: int, column: int) -> Any:
    """Of all images at once, from int16 [height, width, channels, n]: [channels, n]."""
    if row == 0:
        return planes[0, column - 1] if column else np.int16(0)
    if column == 0:
        return planes[row - 1, 0]
    left, above = planes[row, column - 1], planes[row - 1, column]
    corner = planes[row - 1, column - 1]
    return np.clip(left + above - corner, np.minimum(left, above), np.maximum(left, above))


def _arrays(archive: zipfile.ZipFile, name: str, job: Job) -> Arrays:
    labels = np.load(io.BytesIO(archive.read(f"{name}_labels.npy")), allow_pickle=False)
    height, width, channels = job.image_shape
    shape = (len(labels), height, width, channels)
    return Arrays(decompress_images(archive.read(f"{name}_images.residuals"), shape), labels)


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
