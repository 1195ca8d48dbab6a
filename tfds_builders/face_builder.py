"""What all builders of mien share: the features, and where the raw files come from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from tfds_builders.catalog import DATASETS, find_raw_files


class FaceBuilder(tfds.core.GeneratorBasedBuilder):
    """A builder of face pictures, each with its label, its subject and its source.

    `source` tells where a picture comes from and is unique in its dataset; `subject` is "" where
    nobody knows whose face it is.
    """

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

    @classmethod
    def option_names(cls) -> list[str]:
        """Returns the names of the options that the builder's config adds to TFDS's own fields."""
        if cls.CONFIG is None:
            return []
        own = {field.name for field in dataclasses.fields(tfds.core.BuilderConfig)}
        return [field.name for field in dataclasses.fields(cls.CONFIG) if field.name not in own]

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                "label": tfds.features.ClassLabel(names=DATASETS[self.name].labels),
                "subject": tfds.features.Text(),
                "source": tfds.features.Text(),
            }
        )
        return self.dataset_info_from_configs(features=features, supervised_keys=("image", "label"))

    def _raw_files(self, dl_manager: tfds.download.DownloadManager) -> list[Path]:
        return find_raw_files(self.name, self._raw_dir or Path(dl_manager.manual_dir))


def face_example(
    source: str, image: bytes, label: str, subject: str = ""
) -> tuple[str, dict[str, Any]]:
    """Returns TFDS's key and example.

    The encoded image is kept byte for byte, readable or not: to find and name a damaged one is the
    ExampleValidator's work.
    """
    return source, {"image": image, "label": label, "subject": subject, "source": source}
