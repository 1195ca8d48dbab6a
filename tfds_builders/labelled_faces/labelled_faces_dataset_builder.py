"""labelled_faces: pictures of the user's own, with a table or a folder for each class."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from tfds_builders.archive import Archive
from tfds_builders.catalog import DATASETS
from tfds_builders.face_builder import Entry, FaceBuilder, Index
from tfds_builders.labelled_faces.classes import sort_into_classes, tidy
from tfds_builders.labelled_faces.config import LabelledFacesConfig
from tfds_builders.labelled_faces.layouts import (
    PICTURE_SUFFIXES,
    Row,
    folder_rows,
    open_source,
    sort_out,
    with_slashes,
)
from tfds_builders.labelled_faces.table import Columns, find_table, read_table


class Builder(FaceBuilder):
    """The builder; its options are the fields of LabelledFacesConfig."""

    CONFIG = LabelledFacesConfig
    MANUAL_DOWNLOAD_INSTRUCTIONS = DATASETS["labelled_faces"].how_to_get

    def index(self, raw_files: Sequence[Path]) -> Index:
        """As the base class says.

        `left_out` also counts the files that are no pictures, and the table's repeated rows.
        """
        config = self.builder_config
        archive = open_source(raw_files[0], config.source)
        table = find_table(archive.names, config.table)
        pictures, left_out = sort_out(name for name in archive.names if name != table)
        if not pictures:
            kinds = ", ".join(suffix.lstrip(".") for suffix in PICTURE_SUFFIXES)
            raise ValueError(f"{raw_files[0]}: no picture ({kinds}) inside; put them there")
        rows, without_row = _labelled(archive, table, pictures, config)
        classes = sort_into_classes(rows, config.labels, config.min_count)
        entries = [Entry(*row) for row in sorted(_with_subjects(classes.rows, config))]
        left_out.update(without_row)
        left_out.update(classes.left_out)
        return Index({"train": entries}, classes.labels, dict(+left_out), classes.notes)

    def read(self, raw_files: Sequence[Path], entries: Sequence[Entry]) -> Iterator[bytes]:
        """As the base class says."""
        archive = open_source(raw_files[0], self.builder_config.source)
        return (archive.read(entry.source) for entry in entries)


def _labelled(
    archive: Archive, table: str, pictures: Sequence[str], config: LabelledFacesConfig
) -> tuple[list[Row], dict[str, int]]:
    """Returns a row for each labelled picture, and what is left out by the table."""
    if not table:
        for option in ("image_column", "label_column", "subject_column"):
            if getattr(config, option):
                raise ValueError(f"{option}: there is no table (.csv) that could have it; add one")
        return folder_rows(pictures), {}
    subject_column = None if config.subject_pattern else config.subject_column
    columns = Columns(config.image_column, config.label_column, subject_column)
    rows, repeated = read_table(archive, table, pictures, columns)
    return rows, {
        "pictures that the table does not name": len(pictures) - len(rows),
        "rows that repeat an earlier row": repeated,
    }


def _with_subjects(rows: Sequence[Row], config: LabelledFacesConfig) -> list[Row]:
    """Either every picture has a subject or none has: else a split by subject would leak."""
    if config.subject_pattern:
        pattern = re.compile(config.subject_pattern)
        rows = [row._replace(subject=_subject(pattern, row.source)) for row in rows]
    lacking = [row.source for row in rows if not row.subject]
    asked = config.subject_pattern or config.subject_column
    if lacking and (asked or len(lacking) < len(rows)):
        cure = "let subject_pattern match it" if config.subject_pattern else "fill it in"
        raise ValueError(
            f"{min(lacking)}: no subject, as for {len(lacking):,} of {len(rows):,} pictures; "
            f"{cure}, or take these out"
        )
    return list(rows)


def _subject(pattern: re.Pattern[str], source: str) -> str:
    file_name = PurePosixPath(with_slashes(source)).name
    match = pattern.search(unicodedata.normalize("NFC", file_name))
    group = "subject" if "subject" in pattern.groupindex else 1
    return tidy(match[group] or "") if match else ""
