"""What the page says in words of its own: the verdict, a day, a time."""

from datetime import UTC, datetime

from pipelines.local_runner import Run


def verdict(run: Run) -> tuple[str, str]:
    """The word for the badge, and its kind: good, bad or none."""
    if any(step.state == "failed" for step in run.steps):
        return "FAILED", "bad"
    if run.blessing:
        return run.blessing.replace("_", " "), "good" if run.blessing == "BLESSED" else "bad"
    return "CROSS-VALIDATED" if run.folds else "NOT JUDGED", "none"


def when(run_id: str) -> datetime:
    """When a run began, which its id tells."""
    return datetime.strptime(run_id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)


def duration(seconds: float) -> str:
    """A time as a person says it: `0.8 s`, `47 s`, `6 min 38 s`, `2 h 5 min`."""
    if seconds < 0.05:
        return "0 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
