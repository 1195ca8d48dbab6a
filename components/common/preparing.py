"""Preparing a dataset: its builder's records, written on Beam and kept for every run on them.

    datasets/<name>/<key>/
      records/         TFRecord shards, dataset_info.json, features.json: what TFDS reads
      prepared.json    size and digest of each file
      contents.json    the SHA-256 of each encoded picture, in the order of the records

The key is the digest of the name, the options, the raw files and the builders' code, so that
another split, or the folds of a cross-validation, prepare nothing again.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from components.common import progress
from components.common.beam import ONE_THREAD, map_shards
from components.common.files import file_digests, read_json, sha256_file, write_json
from tfds_builders import catalog
from tfds_builders.face_builder import FaceBuilder, Index
from tfds_builders.files import remove_parts
from tfds_builders.records import (
    Shard,
    Written,
    plan_shards,
    write_metadata,
    write_shard,
)


class Raw(NamedTuple):
    """What is prepared: a dataset, its options as JSON, its raw files' folder and digest."""

    name: str
    options: str
    raw_dir: Path | None
    digest: str


@dataclass(frozen=True)
class Prepared:
    """A prepared dataset.

    Attributes:
        folder: holds `records`.
        index: what was read, and what was not.
        contents: digest of each encoded picture, as `entries_in_order(index)` lists them.
        raw_digest: of the raw files, "" where there are none.
        files: size and digest of each file in the folder.
    """

    folder: Path
    index: Index
    contents: list[str]
    raw_digest: str
    files: dict[str, dict[str, Any]]


def prepare(
    name: str,
    options: Mapping[str, Any],
    raw_dir: Path | None,
    *,
    datasets: Path,
    beam: Mapping[str, Any],
) -> Prepared:
    """Returns the prepared dataset, preparing it where `datasets` does not have it whole.

    Raises:
        FileNotFoundError: a raw file is missing; says which, where and how to get it.
        ValueError: the archive or an option is not usable; says why.
    """
    digest = catalog.raw_digest(name, raw_dir, options)
    raw = Raw(name, json.dumps(dict(options), sort_keys=True), raw_dir, digest)
    _, _, index = _opened(raw)
    folder = datasets / name / _key(raw)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not _is_whole(folder):
            _prepare(raw, folder, beam)
    contents, files = read_json(folder / "contents.json"), read_json(folder / "prepared.json")
    return Prepared(folder, index, contents, digest, files)


def _prepare(raw: Raw, folder: Path, beam: Mapping[str, Any]) -> None:
    builder, _, index = _opened(raw)
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "records").mkdir(parents=True)
    shards = plan_shards(index)
    progress.start(sum(map(len, index.splits.values())), "images")
    results = map_shards(
        partial(_write_shard, raw, shards, part / "records"),
        range(len(shards)),
        # Half as long again by two threads: benchmarks/prepare_fer2013.py.
        {**ONE_THREAD, **beam},
        part,
    )
    remove_parts(part / "records")
    written = {shard: Written(**result) for shard, result in zip(shards, results, strict=True)}
    write_metadata(builder, index, written, part / "records")
    contents = [digest for shard in sorted(shards) for digest in written[shard].contents]
    write_json(part / "contents.json", contents)
    write_json(part / "prepared.json", file_digests(part))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def _write_shard(raw: Raw, shards: list[Shard], folder: Path, number: int) -> dict[str, Any]:
    builder, raw_files, index = _opened(raw)
    written = write_shard(builder, raw_files, index, shards[number], folder, progress.advance)
    return written._asdict()


@lru_cache(maxsize=2)
def _opened(raw: Raw) -> tuple[FaceBuilder, list[Path], Index]:
    """Once a process: to index a large archive takes longer than to write a shard of it."""
    builder = catalog.make_builder(raw.name, Path("/unused"), raw.raw_dir, json.loads(raw.options))
    raw_files = builder.raw_files()
    return builder, raw_files, builder.index(raw_files)


def _key(raw: Raw) -> str:
    code = Path(catalog.__file__).parent
    sources = {str(path.relative_to(code)): sha256_file(path) for path in code.rglob("*.py")}
    content = json.dumps([raw.name, raw.options, raw.digest, sources], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _is_whole(folder: Path) -> bool:
    """Whether it is there and as it was written."""
    try:
        written = read_json(folder / "prepared.json")
    except (FileNotFoundError, ValueError):
        return False
    return written == {
        name: file for name, file in file_digests(folder).items() if name != "prepared.json"
    }
