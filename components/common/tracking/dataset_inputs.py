"""A split of the transformed examples as a dataset that an MLflow run reads."""

import hashlib
import json
from pathlib import Path

from components.common import tracking
from components.common.files import read_json
from components.common.records import read_shards


def log_split(transformed_examples: Path, split: str) -> None:
    """Logs a split as an input of the active run; a split without records is none.

    Its name is the dataset's, its digest that of the split's pixels: so runs that saw the same
    pictures are found by it. Its source names the raw data, by their digest.
    """
    shards = read_shards(transformed_examples).get(split)
    if not shards:
        return
    dataset = read_json(transformed_examples / "dataset.json")
    digest = hashlib.sha256(json.dumps([shard["sha256"] for shard in shards]).encode()).hexdigest()
    tracking.log_dataset(
        dataset["name"], digest, context=split, source=f"{dataset['name']}@{dataset['digest']}"
    )
