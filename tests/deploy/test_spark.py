from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.flink.compare import ARTIFACTS
from deploy.spark.compare import POM, compare_on_spark


@pytest.mark.xdist_group("flink")
@pytest.mark.timeout(1500)
def test_spark_writes_the_bytes_that_the_direct_runner_writes(
    jar_or_skip: Callable[[Path], Path], tmp_path: Path
) -> None:
    jar_or_skip(POM)
    comparison = compare_on_spark(tmp_path, images=700)
    assert [file for file in comparison.files if not file.same] == []
    assert {file.artifact for file in comparison.files} == set(ARTIFACTS.values())
