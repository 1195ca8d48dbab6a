import subprocess
import sys

from pipelines.code import code_digests


def test_code_is_what_a_step_imports_and_nothing_else() -> None:
    trainer = code_digests("trainer")
    assert {"components.trainer", "tuning.training.fitting", "tuning.hypermodels.emoji_cnn"} <= set(
        trainer
    )
    assert "components.transform" not in trainer
    assert "components.common.records.load_split" not in trainer
    assert "tfds_builders.drawn_faces.drawing" in code_digests("example_gen")


def test_a_run_that_reuses_all_imports_no_tensorflow() -> None:
    program = (
        "import sys, pipelines.run, pipelines.pipeline, pipelines.code as c;"
        "c.code_digests('trainer');"
        "sys.exit(bool({'tensorflow', 'keras', 'apache_beam'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
