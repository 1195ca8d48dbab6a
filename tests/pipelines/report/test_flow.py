import re

from pipelines.local_runner import Step
from pipelines.report.flow import ROW, draw_flow
from tests.pipelines.report.conftest import BASELINE, TRAINING


def test_an_arc_leads_to_every_step_that_reads_from_another() -> None:
    flow = draw_flow([Step(name, "executed", 1.0) for name in TRAINING])
    assert {"example_gen to transform", "trainer to pusher"} <= set(flow.edges)
    assert "pusher to trainer" not in flow.edges
    assert len(flow.arcs) == len(flow.edges)


def test_the_baseline_has_arcs_of_its_own() -> None:
    flow = draw_flow([Step(name, "executed", 1.0) for name in BASELINE])
    assert "baseline to evaluator" in flow.edges


def test_arcs_stay_inside_of_the_drawing_and_point_down() -> None:
    flow = draw_flow([Step(name) for name in TRAINING])
    for arc in flow.arcs:
        right, top, left, _, _, _, tip, bottom = map(int, re.findall(r"-?\d+", arc))
        assert 0 <= left < tip < right <= flow.width
        assert 0 < top < bottom < flow.height == ROW * len(TRAINING)


def test_the_longest_step_fills_its_row() -> None:
    flow = draw_flow([Step("fold_0", "executed", 5.0), Step("fold_1", "executed", 20.0)])
    assert [row["share"] for row in flow.rows] == [25.0, 100.0]
    assert flow.seconds == 25.0
    assert flow.arcs == []
