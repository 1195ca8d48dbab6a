from tuning.sweep.board import in_lines, make_board
from tuning.sweep.trials import Trial


def epoch(seconds: float, images_per_second: float) -> dict[str, float]:
    return {"epoch": 1, "seconds": seconds, "images_per_second": images_per_second}


TRIALS = [
    Trial("1", "COMPLETED", 0.5, {"width": 8, "rate": 0.00123456, "head": "dense"}, [], 1234),
    Trial("2", "FAILED", None, {"width": 16, "rate": 0.1, "head": "dense"}, [], reason="no memory"),
    Trial(
        "3",
        "COMPLETED",
        0.75,
        {"width": 8, "rate": 0.1, "head": "dense", "tuner/epochs": 3},
        [epoch(9.0, 1.0), epoch(1.0, 1000.0), epoch(2.0, 3000.0)],
        5678,
    ),
]


def test_the_best_comes_first_and_the_failed_last_with_its_reason() -> None:
    board = make_board(TRIALS, "val_accuracy")
    assert [row[:3] for row in board.rows] == [
        ["1", "3", "0.7500"],
        ["2", "1", "0.5000"],
        ["3", "2", "-"],
    ]
    assert board.rows[2][6] == "failed: no memory"
    assert [row[1] for row in make_board(TRIALS, "val_loss").rows] == ["1", "3", "2"]


def test_only_hyperparameters_that_differ_have_a_column() -> None:
    board = make_board(TRIALS, "val_accuracy")
    assert board.columns[7:] == ["width", "rate"]
    assert [row[7:] for row in board.rows] == [["8", "0.1"], ["8", "0.001235"], ["16", "0.1"]]
    assert board.same == {"head": "dense"}


def test_speed_is_of_the_epochs_after_the_first_which_compiles() -> None:
    best, other, _ = make_board(TRIALS, "val_accuracy").rows
    assert best[3:6] == ["5,678", "1.5", "2,000"]
    assert other[3:6] == ["1,234", "-", "-"]


def test_a_hyperparameter_that_a_trial_has_not_is_a_dash() -> None:
    trials = [TRIALS[0], TRIALS[2]._replace(values={"width": 8, "head": "dense"})]
    board = make_board(trials, "val_accuracy")
    assert [row[7:] for row in board.rows] == [["-"], ["0.001235"]]


def test_lines_have_aligned_columns() -> None:
    head, *rows = in_lines(make_board(TRIALS, "val_accuracy"))
    assert head.startswith("rank  trial  val_accuracy  parameters")
    assert [line.index("0.") for line in rows[:2]] == [head.index("val_accuracy")] * 2


def test_no_trials_are_no_rows() -> None:
    assert make_board([], "val_accuracy").rows == []
