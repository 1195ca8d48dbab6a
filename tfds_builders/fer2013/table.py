"""fer2013.csv and icml_face_data.csv: a picture a line, as numbers, read as a stream."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from tfds_builders.archive import Archive
from tfds_builders.face_builder import Entry

TABLES = ("fer2013.csv", "icml_face_data.csv")
_COLUMNS = {"emotion", "pixels", "Usage"}
_SIDE = 48
_GRAYS = {str(gray): gray for gray in range(256)}


class Place(NamedTuple):
    """Where a picture's line is: by number, header = 1, and in bytes, a byte order mark aside."""

    table: str
    row: int
    start: int
    size: int


def index_table(
    archive: Archive, table: str, labels: Sequence[str], usages: Sequence[str]
) -> Iterator[tuple[str, Entry]]:
    """Yields the usage and the entry of each row; the pixels are passed over.

    Raises:
        ValueError: a row has not a label, pixels and a usage; names it. Or there is no row.
    """
    row, start, columns = 0, 0, []
    for row, line in enumerate(archive.lines(table), start=1):
        size = len(line.encode())
        if row == 1:
            columns = _columns(line, table)
        else:
            source = f"{table}:row {row}"
            fields = _row(line, columns, source)
            label = _label(fields["emotion"], labels, source)
            usage = _usage(fields["Usage"], usages, source)
            yield usage, Entry(source, label, place=Place(table, row, start, size))
        start += size
    if row < 2:
        raise ValueError(f"{table}: no rows below a header; get the file again")


def read_rows(
    archive: Archive, raw_file: Path, entries: Sequence[Entry], labels: Sequence[str]
) -> Iterator[bytes]:
    """Yields the picture of each row as a PNG; fastest where the rows ascend.

    Raises:
        ValueError: the pixels are no picture, or the row is not that of the entry; names it.
    """
    table = entries[0].place.table
    columns = _columns(next(archive.lines(table), ""), table)
    # Only a plain file is named as its table is; what is in a zip is reached from its start alone.
    seek = raw_file.name == table
    lines = _seek(raw_file, entries) if seek else _pass_over(archive, entries)
    for entry, line in zip(entries, lines, strict=True):
        fields = _row(line, columns, entry.source)
        if _label(fields["emotion"], labels, entry.source) != entry.label:
            raise ValueError(f"{entry.source}: has changed while it was read; start again")
        yield _png(fields["pixels"], entry.source)


def _seek(file: Path, entries: Sequence[Entry]) -> Iterator[str]:
    with file.open("rb") as stream:
        mark = len(codecs.BOM_UTF8) if stream.read(3) == codecs.BOM_UTF8 else 0
        for entry in entries:
            stream.seek(mark + entry.place.start)
            yield stream.read(entry.place.size).decode(errors="replace")


def _pass_over(archive: Archive, entries: Sequence[Entry]) -> Iterator[str]:
    lines, passed = archive.lines(entries[0].place.table), 0
    for entry in entries:
        table, row = entry.place[:2]
        if row <= passed:
            lines, passed = archive.lines(table), 0
        yield next(islice(lines, row - passed - 1, None), "")
        passed = row


def _columns(line: str, table: str) -> list[str]:
    columns = _fields(line, f"{table}:row 1")
    if len(columns) != len(_COLUMNS) or set(columns) != _COLUMNS:
        raise ValueError(
            f"{table}: its columns are {_short(', '.join(columns))}; "
            "must be emotion, pixels, Usage; get the file again"
        )
    return columns


def _row(line: str, columns: Sequence[str], source: str) -> dict[str, str]:
    fields = _fields(line, source)
    if not any(fields):
        raise ValueError(f"{source}: blank; remove the line")
    if len(fields) != len(columns):
        raise ValueError(
            f"{source}: has {len(fields)} of the fields {', '.join(columns)}; "
            "mend or remove the row, or get the file again"
        )
    return dict(zip(columns, fields, strict=True))


def _fields(line: str, source: str) -> list[str]:
    # A line at a time: else an open quote takes in all rows to the next one.
    try:
        (fields,) = csv.reader([line], strict=True, skipinitialspace=True)
    except csv.Error as error:
        raise ValueError(f"{source}: cannot be read ({error}); get the file again") from error
    return [field.strip() for field in fields]


def _label(emotion: str, labels: Sequence[str], source: str) -> str:
    numbers = [str(number) for number in range(len(labels))]
    if emotion not in numbers:
        meanings = ", ".join(f"{n} {label}" for n, label in enumerate(labels))
        raise ValueError(
            f"{source}: emotion is {_short(emotion)!r}; must be one of {meanings}; "
            "mend or remove the row"
        )
    return labels[int(emotion)]


def _usage(usage: str, usages: Sequence[str], source: str) -> str:
    if usage not in usages:
        raise ValueError(
            f"{source}: Usage is {_short(usage)!r}; must be one of {', '.join(usages)}; "
            "mend or remove the row"
        )
    return usage


def _png(pixels: str, source: str) -> bytes:
    values = pixels.split()
    if len(values) != _SIDE**2:
        raise _damaged(source, f"has {len(values):,} pixels")
    try:
        grays = bytes(_GRAYS[value] for value in values)
    except KeyError as error:
        raise _damaged(source, f"has a pixel {_short(error.args[0])!r}") from None
    picture = np.frombuffer(grays, np.uint8).reshape(_SIDE, _SIDE)
    return cv2.imencode(".png", picture)[1].tobytes()


def _damaged(source: str, damage: str) -> ValueError:
    return ValueError(
        f"{source}: {damage}; a picture has {_SIDE**2:,}, whole numbers from 0 to 255; "
        "mend or remove the row, or get the file again"
    )


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}..."
