import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.common import progress


def test_the_listener_hears_what_is_said_in_the_block_from_any_thread() -> None:
    heard: list[str] = []
    with progress.listening(heard.append):
        progress.say("20 images")
        speaker = threading.Thread(target=progress.say, args=("40 images",))
        speaker.start()
        speaker.join()
    progress.say("nobody hears this")
    assert heard == ["20 images", "40 images"]


def test_the_listener_before_hears_again_after_a_failure() -> None:
    outer: list[str] = []
    with progress.listening(outer.append):
        with pytest.raises(OSError, match="disk"), progress.listening(lambda text: None):
            raise OSError("disk")
        progress.say("still here")
    assert outer == ["still here"]


def test_figures_shows_what_a_person_follows() -> None:
    logs = {"learning_rate": 1e-3, "val_loss": 0.5, "accuracy": 0.87654, "loss": 0.41}
    assert progress.figures(logs) == "loss 0.410, accuracy 0.877, val_loss 0.500"


def test_what_threads_advance_adds_up() -> None:
    heard: list[str] = []
    with progress.listening(heard.append):
        progress.start(8000, "images")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(progress.advance, [10] * 800))
    assert len(heard) == len(set(heard)) == 800
    assert "8,000/8,000 images (100%)" in heard


def test_a_new_count_begins_at_nothing() -> None:
    heard: list[str] = []
    with progress.listening(heard.append):
        for total in (40, 0):
            progress.start(total, "images")
            progress.advance(30 if total else 0)
    assert heard == ["30/40 images (75%)", "0/0 images (0%)"]
