"""The compiled pipeline under KFP's own local runner: a process a step, no cluster."""

from pathlib import Path

import pytest

from components.common.files import read_json
from pipelines.config import load_config


def test_the_compiled_pipeline_runs_under_kfp_local(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kfp import local

    from pipelines.pipeline import training_pipeline

    monkeypatch.chdir(tmp_path)
    local.init(
        runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "outputs")
    )
    _, config = load_config(str(tiny_config), ["tuner.max_trials=0", "trainer.epochs=1"])
    training_pipeline(**config.parameters(), serving_dir=str(tmp_path / "serving"))

    version = tmp_path / "serving" / "tiny" / "1"
    assert (version / "saved_model.pb").exists()
    assert read_json(version / "mien_manifest.json")["trained"]["epochs"] == 1
