"""The pipeline as a column of steps with arcs beside it: who reads what another one wrote."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipelines.graph import Task, read_graph
from pipelines.local_runner import Step

ROW = 68
"""Height of a step; the arcs are drawn in the same units."""
_FIRST_BEND, _BEND = 12, 15
_APART = 9
"""How far above the middle of its box an arc arrives, and below it one leaves."""


class Flow(NamedTuple):
    """The drawing.

    Attributes:
        rows: `step` and `share`, its part of the longest step's time in percent.
        arcs: SVG paths, each from a step to one that reads from it.
        width: of the arcs.
        height: of all rows.
        edges: the same as the arcs, in words.
        seconds: all steps together.
    """

    rows: list[dict[str, Any]]
    arcs: list[str]
    width: int
    height: int
    edges: list[str]
    seconds: float


def draw_flow(steps: Sequence[Step]) -> Flow:
    """Draws the steps in their order; those of a pipeline that is not known have no arcs."""
    upstream = _upstream([step.name for step in steps])
    rows = {step.name: row for row, step in enumerate(steps)}
    edges = [(rows[a], row) for name, row in rows.items() for a in sorted(upstream.get(name, ()))]
    longest = max((step.seconds for step in steps), default=0.0) or 1.0
    bend = _bend(max((end - start for start, end in edges), default=0))
    return Flow(
        rows=[{"step": s, "share": round(100 * s.seconds / longest, 1)} for s in steps],
        arcs=[_arc(start, end, bend) for start, end in edges],
        width=bend if edges else 0,
        height=ROW * len(steps),
        edges=[f"{steps[start].name} to {steps[end].name}" for start, end in edges],
        seconds=sum(step.seconds for step in steps),
    )


def _upstream(names: Sequence[str]) -> Mapping[str, set[str]]:
    from pipelines.pipeline import PIPELINES

    graphs: list[list[Task]] = [read_graph(pipeline) for pipeline in PIPELINES.values()]
    graph = next((g for g in graphs if {task.name for task in g} == set(names)), [])
    return {task.name: task.upstream for task in graph}


def _bend(rows: int) -> int:
    return _FIRST_BEND + _BEND * rows


def _arc(start: int, end: int, right: int) -> str:
    """From the left side of one row to that of another; the farther, the wider it swings."""
    top = start * ROW + ROW // 2 + _APART
    bottom = end * ROW + ROW // 2 - _APART
    left = right - _bend(end - start) + 4
    tip = right - 7  # The arrow's head comes behind it.
    return f"M{right} {top}C{left} {top} {left} {bottom} {tip} {bottom}"
