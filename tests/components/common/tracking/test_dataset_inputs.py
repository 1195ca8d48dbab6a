from pathlib import Path

import pytest

from components.common.files import write_json
from components.common.tracking import TrackedRun, entered
from components.common.tracking.dataset_inputs import log_split
from tests.components.common.tracking.told import Told


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    shards = {"train": [{"file": "a", "sha256": "1"}], "test": [{"file": "b", "sha256": "2"}]}
    write_json(tmp_path / "examples" / "shards.json", {**shards, "validation": []})
    write_json(tmp_path / "examples" / "dataset.json", {"name": "faces", "digest": "d1"})
    return tmp_path / "examples"


def test_a_split_is_an_input_with_its_own_digest(examples: Path, told: Told) -> None:
    with entered(TrackedRun(told, "trainer", {})):
        for split in ("train", "validation", "test"):
            log_split(examples, split)
    train, test = (record for record in told.records if record["op"] == "dataset")
    assert (train["name"], train["context"], train["source"]) == ("faces", "train", "faces@d1")
    assert test["context"] == "test"
    assert len({train["digest"], test["digest"]}) == 2
