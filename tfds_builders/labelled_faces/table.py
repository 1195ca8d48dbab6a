"""The table beside the pictures: one row says a picture's label and maybe whose face it is."""

from __future__ import annotations

import csv
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import PurePosixPath, PureWindowsPath
from typing import NamedTuple

from tfds_builders.archive import Archive
from tfds_builders.labelled_faces.classes import label_key, tidy
from tfds_builders.labelled_faces.layouts import Row, with_slashes

# `user` is not here: where people label pictures it is who labelled, not whose face it is.
_KNOWN_COLUMNS = {
    "image": "image images img imagename imagefile imagepath file filename filepath path pic "
    "picture photo",
    "label": "label labels emotion expression facialexpression class classname",
    "subject": "subject subjectid person personid identity identityid participant participantid",
}


class Columns(NamedTuple):
    """Names of columns; "" to be recognised, None to be ignored."""

    image: str = ""
    label: str = ""
    subject: str | None = ""


class Table(NamedTuple):
    """What a table says.

    Attributes:
        rows: one for each picture that it names, in its own order.
        repeated: rows that only say again what an earlier one says.
    """

    rows: list[Row]
    repeated: int


def find_table(names: Iterable[str], asked: str) -> str:
    """Returns the name of the table among the files; "" where there is none.

    Raises:
        ValueError: the one asked for is not there, or none is and there are several.
    """
    names = set(names)
    tables = sorted(
        name
        for name in names
        if name.lower().endswith(".csv") and not PurePosixPath(name).name.startswith(".")
    )
    if asked:
        if asked not in names:
            raise ValueError(f"table: there is no {asked}; there are: {_listed(tables)}")
        return asked
    if len(tables) > 1:
        raise ValueError(f"table: say which, there are {len(tables)}: {_listed(tables)}")
    return "".join(tables)


def read_table(archive: Archive, name: str, pictures: Sequence[str], columns: Columns) -> Table:
    """Reads the rows of a table, separated by commas, semicolons or tabs.

    Raises:
        ValueError: the table is not what it should be, or names a picture that is not there; says
            the line and the cure.
    """
    records = _records(archive, name)
    _, header = next(records, (0, []))
    if not header:
        raise ValueError(f"{name}: is empty; its first line names the columns")
    positions = [_column(name, header, *column) for column in columns._asdict().items()]
    finder = _Finder(pictures, folder=posixpath.dirname(with_slashes(name)))
    rows: dict[str, tuple[str, Row]] = {}
    missing: list[str] = []
    repeated = 0
    for line, cells in records:
        where = f"{name}, line {line}"
        image, label, subject = _cells(cells, len(header), positions, where)
        source = finder.find(image, where)
        if not source:
            missing.append(f"{where}: {image!r}")
            continue
        row = Row(source, label, tidy(subject))
        earlier_where, earlier = rows.setdefault(source, (where, row))
        if earlier is not row:
            _check_same(earlier, earlier_where, row, where)
            repeated += 1
    _check_missing(missing, len(pictures))
    if not rows:
        raise ValueError(f"{name}: no rows below the header; write one for each picture")
    return Table([row for _, row in rows.values()], repeated)


class _Finder:
    """Finds the picture that a cell means."""

    def __init__(self, pictures: Sequence[str], folder: str) -> None:
        self._folder = folder
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        self._by_file: defaultdict[str, list[str]] = defaultdict(list)
        for picture in pictures:
            name = _comparable(picture)
            self._by_name[name].append(picture)
            self._by_file[posixpath.basename(name)].append(picture)

    def find(self, cell: str, where: str) -> str:
        """Returns the picture, "" where there is none.

        It goes by its whole name, else by its name from the table's folder, else, for a bare file
        name, by that.

        Raises:
            ValueError: the cell is empty, leads outside, or may mean several pictures.
        """
        name = _comparable(cell.strip())
        if not name:
            raise ValueError(f"{where}: names no picture; fill it in, or take the row out")
        whole = posixpath.normpath(name)
        beside = posixpath.normpath(posixpath.join(self._folder, name))
        if PureWindowsPath(name).anchor or beside.split("/")[0] == "..":
            raise ValueError(
                f"{where}: {cell!r} leads outside; write names from the table's folder"
            )
        found = self._by_name.get(whole) or self._by_name.get(beside)
        if not found and "/" not in whole:
            found = self._by_file.get(whole)
        if found and len(found) > 1:
            raise ValueError(
                f"{where}: {cell!r} may mean {_listed(found)}; write the folder's name too"
            )
        return found[0] if found else ""


def _records(archive: Archive, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows that are not blank, each with the number of its (last) line."""
    lines = _without_nul(archive.lines(name), name)
    first = next(lines, "")
    # csv.Sniffer wants more than a line, and takes a letter of a lone column for the separator.
    separator = max(",;\t", key=first.count)
    reader = csv.reader(chain([first], lines), delimiter=separator, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(
            f"{name}, line {reader.line_num}: {error}; look for a quote that is not closed"
        ) from error


def _without_nul(lines: Iterator[str], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise ValueError(f"{name}, line {number}: a NUL byte; save the table as UTF-8 text")
        yield line


def _cells(
    cells: Sequence[str], expected: int, positions: Sequence[int | None], where: str
) -> list[str]:
    """Returns the cells at these positions, "" at none."""
    if len(cells) != expected:
        raise ValueError(
            f"{where}: fields: {len(cells)}, in the header: {expected}; put a field that has the "
            "separator in it in quotes"
        )
    return ["" if position is None else cells[position] for position in positions]


def _column(table: str, header: Sequence[str], kind: str, asked: str | None) -> int | None:
    """Returns the position of a column; None of a subject that is ignored or not there."""
    if asked is None:
        return None
    found = _matching(header, kind, asked)
    if len(found) == 1:
        return found[0]
    columns = _listed([header[n] for n in found] or header)
    if found:
        raise ValueError(f"{table}: {columns} may each tell the {kind}; say {kind}_column")
    if asked:
        raise ValueError(f"{kind}_column: {table} has no {asked}; its header has: {columns}")
    if kind == "subject":
        return None
    raise ValueError(
        f"{table}: no column is known to tell the {kind}; say {kind}_column; its header has: "
        f"{columns}"
    )


def _matching(header: Sequence[str], kind: str, asked: str) -> list[int]:
    if not asked:
        known = _KNOWN_COLUMNS[kind].split()
        plain = [re.sub(r"[\W_]+", "", cell.lower()) for cell in header]
        return [n for n, cell in enumerate(plain) if cell in known]
    exact = [n for n, cell in enumerate(header) if tidy(cell) == tidy(asked)]
    return exact or [n for n, cell in enumerate(header) if label_key(cell) == label_key(asked)]


def _check_same(earlier: Row, earlier_where: str, row: Row, where: str) -> None:
    for kind, one, other in (
        ("label", label_key(earlier.label), label_key(row.label)),
        ("subject", earlier.subject, row.subject),
    ):
        if one != other:
            raise ValueError(
                f"{where}: {row.source} has the {kind} {other!r}, but {one!r} in {earlier_where}; "
                "keep the right row"
            )


def _check_missing(missing: Sequence[str], pictures: int) -> None:
    if missing:
        raise ValueError(
            f"{missing[0]} is none of the {pictures:,} pictures (rows like it: {len(missing):,}); "
            "add the pictures, or say which column names them (image_column)"
        )


def _comparable(name: str) -> str:
    # A Mac writes file names decomposed, a spreadsheet writes them composed.
    return unicodedata.normalize("NFC", with_slashes(name))


def _listed(names: Sequence[str], most: int = 20) -> str:
    more = [f"{len(names) - most:,} more"] if len(names) > most else []
    return ", ".join([*(tidy(name)[:80] for name in names[:most]), *more]) or "none"
