"""What all builders of mien share: an index of the pictures first, and their bytes when wanted.

A builder says where each picture is and what is known of it (`index`), and reads any run of them
(`read`). So TFDS can generate its records one by one, and ExampleGen in shards, in parallel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import tensorflow_datasets as tfds

from tfds_builders.catalog import DATASETS, find_raw_files


class Entry(NamedTuple):
    """A picture that still lies in its archive.

    Attributes:
        source: where it comes from, unique in its dataset.
        label: one of the dataset's.
        subject: whose face it is; "" where nobody knows.
        place: what the builder needs to read it, where `source` does not say it.
    """

    source: str
    label: str
    subject: str = ""
    place: Any = None


class Index(NamedTuple):
    """What there is to read.

    Attributes:
        splits: the pictures of each of the dataset's own splits, in the order of the records;
            `train` alone where it has no splits of its own. A split may be empty.
        labels: in the order of their numbers.
        left_out: how many pictures of the archive are not read, by reason.
        notes: what else a person should know, a sentence each: spellings that were merged.
    """

    splits: Mapping[str, Sequence[Entry]]
    labels: tuple[str, ...]
    left_out: Mapping[str, int] = {}
    notes: tuple[str, ...] = ()


class FaceBuilder(tfds.core.GeneratorBasedBuilder):
    """A builder of face pictures, each with its label, its subject and its source."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    CONFIG: ClassVar[type[tfds.core.BuilderConfig] | None] = None
    """The class of the builder's options; None where it has none."""

    def __init__(self, *, raw_dir: Path | None = None, config: Any = None, **kwargs: Any) -> None:
        """As `tfds.core.DatasetBuilder`; without `raw_dir`, TFDS's `manual_dir` is read."""
        self._raw_dir = raw_dir
        if config is None and self.CONFIG is not None:
            config = self.CONFIG()
        super().__init__(config=config, **kwargs)

    def index(self, raw_files: Sequence[Path]) -> Index:
        """Returns what there is to read, without reading the pictures.

        Raises:
            ValueError: a file is not what it should be; names it and says the cure.
        """
        raise NotImplementedError

    def read(self, raw_files: Sequence[Path], entries: Sequence[Entry]) -> Iterator[bytes]:
        """Yields the encoded picture of each entry.

        What is encoded in the archive stays as it is byte for byte, readable or not: to find and
        name a damaged picture is the ExampleValidator's work.

        Raises:
            ValueError: the archive is damaged; names the member.
        """
        raise NotImplementedError

    @classmethod
    def option_names(cls) -> list[str]:
        """Returns the names of the options that the builder's config adds to TFDS's own fields."""
        if cls.CONFIG is None:
            return []
        own = {field.name for field in dataclasses.fields(tfds.core.BuilderConfig)}
        return [field.name for field in dataclasses.fields(cls.CONFIG) if field.name not in own]

    def options(self) -> dict[str, Any]:
        """Returns the value of each option."""
        return {name: getattr(self.builder_config, name) for name in self.option_names()}

    def raw_files(self, raw_dir: Path | None = None) -> list[Path]:
        """Returns the files or folders to read, in the builder's own raw folder or else `raw_dir`.

        Raises:
            FileNotFoundError: they are not there; says which, and how to get them.
        """
        return find_raw_files(self.name, self._raw_dir or raw_dir, self.options())

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                # Labels that only the raw files tell are filled in once those are read.
                "label": tfds.features.ClassLabel(names=DATASETS[self.name].labels or None),
                "subject": tfds.features.Text(),
                "source": tfds.features.Text(),
            }
        )
        return self.dataset_info_from_configs(features=features, supervised_keys=("image", "label"))

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        own_folder = self._raw_dir or not DATASETS[self.name].raw_files
        raw_files = self.raw_files(None if own_folder else Path(dl_manager.manual_dir))
        index = self.index(raw_files)
        self.set_labels(index.labels)
        return {
            split: self._generate_examples(raw_files, entries)
            for split, entries in index.splits.items()
        }

    def _generate_examples(
        self, raw_files: Sequence[Path], entries: Sequence[Entry]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for entry, image in zip(entries, self.read(raw_files, entries), strict=True):
            example = {"label": entry.label, "subject": entry.subject, "source": entry.source}
            yield entry.source, {"image": image, **example}

    def set_labels(self, labels: Sequence[str]) -> None:
        """Fills in the labels where they were not known before the raw files were read."""
        feature = self.info.features["label"]
        # `names` cannot be asked for before they are known.
        if feature.num_classes is None:
            feature.names = list(labels)
