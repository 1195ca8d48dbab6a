"""Pictures and labels in an HDF5 file, which is not trusted: what it holds, it holds itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

PICTURE_SHAPE = (64, 64, 3)
MAX_PICTURES = 1_000_000
MAX_CHUNK_BYTES = 64 * 2**20
"""Of what HDF5 unpacks at once, were it for a single picture."""
_H5_ERRORS = (OSError, RuntimeError, KeyError, TypeError)
"""That h5py raises for a damaged file, by where the damage is; TypeError for a type that numpy
does not have."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Opens the file; what HDF5 finds wrong with it, now or later, names the file.

    Raises:
        ValueError: it is no HDF5 file, or damaged.
    """
    try:
        # Locks: a disk that is read-only or on the network may know none. Cache: it holds a chunk,
        # so that none is unpacked anew for every picture in it.
        with h5py.File(path, "r", locking=False, rdcc_nbytes=MAX_CHUNK_BYTES) as file:
            yield file
    except _H5_ERRORS as error:
        raise wrong(path.name, f"no readable HDF5 file ({_reason(error)})") from error


def pictures(file: h5py.File, key: str, name: str) -> h5py.Dataset:
    """Returns the dataset of pictures, to be read one by one.

    Args:
        file: where it is.
        key: of the dataset.
        name: of the file, for messages.

    Raises:
        ValueError: it is not there, is of another type or shape, or lacks data.
    """
    dataset = _dataset(file, key, name)
    if dataset.dtype != np.uint8 or (dataset.shape or ())[1:] != PICTURE_SHAPE:
        raise wrong(name, f"{key} is {_kind(dataset)}, not uint8 (n, 64, 64, 3)")
    if not 1 <= len(dataset) <= MAX_PICTURES:
        raise wrong(name, f"{key} has {len(dataset):,} pictures, not 1 to {MAX_PICTURES:,}")
    _check_stored(dataset, key, name)
    return dataset


def read_labels(file: h5py.File, key: str, name: str) -> list[int]:
    """Returns the labels, whether they are a vector or, as in some copies, a row of a matrix.

    Args and Raises as `pictures`.
    """
    dataset = _dataset(file, key, name)
    one_row = dataset.ndim == 1 or (dataset.ndim == 2 and dataset.shape[0] == 1)
    if dataset.dtype.kind not in "iu" or not one_row:
        raise wrong(name, f"{key} is {_kind(dataset)}, not int64 (n,) or (1, n)")
    if not 1 <= dataset.size <= MAX_PICTURES:
        raise wrong(name, f"{key} has {dataset.size:,} labels, not 1 to {MAX_PICTURES:,}")
    _check_stored(dataset, key, name)
    return read(dataset, (), f"{name}: {key}").ravel().tolist()


def read(dataset: h5py.Dataset, where: int | tuple[()], source: str) -> np.ndarray:
    """Returns a row of the dataset, or all of it for ().

    Raises:
        ValueError: it is damaged; the message begins with `source`.
    """
    try:
        return dataset[where]
    except _H5_ERRORS as error:
        raise wrong(source, f"cannot be read ({_reason(error)})") from error


def wrong(where: str, what: str) -> ValueError:
    """Returns the error that says what is wrong with a file."""
    return ValueError(f"{where}: {what}; get the file again")


def _dataset(file: h5py.File, key: str, name: str) -> h5py.Dataset:
    links = file.id.links
    if not links.exists(key.encode()):
        raise wrong(name, f"there is no {key}")
    # Asked of the link, not of what it leads to: to follow it may open another file.
    if links.get_info(key.encode()).type != h5py.h5l.TYPE_HARD:
        raise wrong(name, f"{key} is a link")
    dataset = file[key]
    if not isinstance(dataset, h5py.Dataset):
        raise wrong(name, f"{key} is no dataset")
    if dataset.is_virtual or dataset.external:
        raise wrong(name, f"{key} has its data in other files")
    return dataset


def _check_stored(dataset: h5py.Dataset, key: str, name: str) -> None:
    """Refuses what HDF5 would make up: zeros for all that was never written."""
    if dataset.chunks is None:
        complete = dataset.id.get_storage_size() >= dataset.nbytes
    else:
        if math.prod(dataset.chunks) * dataset.dtype.itemsize > MAX_CHUNK_BYTES:
            raise wrong(name, f"{key} has chunks of more than {MAX_CHUNK_BYTES:,} bytes")
        grid = zip(dataset.shape, dataset.chunks, strict=True)
        chunks = math.prod(math.ceil(size / chunk) for size, chunk in grid)
        complete = dataset.id.get_num_chunks() == chunks
    if not complete:
        raise wrong(name, f"{key} was not written to the end")


def _reason(error: Exception) -> str:
    return str(error.args[-1]) if error.args else type(error).__name__


def _kind(dataset: h5py.Dataset) -> str:
    return f"{dataset.dtype} {dataset.shape}"
