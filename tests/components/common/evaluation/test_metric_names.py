import subprocess
import sys

from components.common.evaluation.metric_names import LOWER_IS_BETTER, MEANINGS, TITLES
from components.common.evaluation.metrics import METRICS


def test_every_metric_has_a_title_and_a_meaning() -> None:
    assert TITLES.keys() == MEANINGS.keys() == METRICS.keys()
    assert len(set(TITLES.values())) == len(TITLES)
    assert METRICS.keys() > LOWER_IS_BETTER


def test_a_report_can_name_them_without_waiting_for_scikit_learn() -> None:
    slow = {"sklearn", "scipy", "tensorflow"}
    code = f"import sys, pipelines.report.evaluation; assert not {slow} & sys.modules.keys()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
