from pathlib import Path

import pytest

from tests.components.common.tracking.told import Told


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path / "told")
