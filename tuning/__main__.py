"""`python -m tuning`: a search, or the rest of one, on a machine that need not have TensorFlow.

With KerasTuner's variables of a distributed search in the environment (KERASTUNER_TUNER_ID,
KERASTUNER_ORACLE_IP, KERASTUNER_ORACLE_PORT) it is the search's chief, or one of its workers.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keras_tuner.errors import FatalError

from tuning.sweep.archive import ArchiveError, unpack_job
from tuning.sweep.board import in_lines, make_board
from tuning.sweep.job import Job, load_job
from tuning.sweep.results import HISTORY, MODEL, WINNER, pack_results
from tuning.sweep.search import describe_defaults, describe_winner, search
from tuning.sweep.trials import Trial
from tuning.sweep.workers import WorkerError, is_watched, is_worker, search_with_workers
from tuning.training.batches import Arrays
from tuning.training.rules import StoppingRule, best_epoch
from tuning.training.winner import train_winner


def main() -> str | None:
    """Searches, prints the leaderboard, perhaps trains the winner; returns what went wrong."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.seed is not None and not arguments.train_best:
        parser.error("--seed is that of --train-best")
    try:
        folder = unpack_job(arguments.job) if arguments.job.is_file() else arguments.job
        job, train, validation = load_job(folder)
        _say(f"{folder}: {len(train.labels):,} images, {job.oracle} search of {job.hypermodel}")
        told = _teller(job.objective)
        if arguments.workers > 1:
            trials = search_with_workers(folder, arguments.workers, told)
        else:
            trials = search(job, train, validation, folder, told)
    except (ArchiveError, WorkerError, FatalError, FileNotFoundError) as error:
        return str(error)
    if is_worker() or is_watched():
        return None
    if job.max_trials == 0:
        winner = describe_defaults(job, len(train.labels), folder)
    else:
        for line in in_lines(make_board(trials, job.objective)):
            _say(line)
        if not trials or trials[0].score is None:
            return "no trial completed"
        winner = describe_winner(job, trials)
        for warning in winner["warnings"]:
            _say(f"warning: {warning}")
    training = folder
    if arguments.seed is not None:
        training = folder / f"seed-{arguments.seed}"  # Beside those of other seeds.
        training.mkdir(exist_ok=True)
        job = job._replace(seed=arguments.seed)
        winner["trained"] = {"monitor": job.objective, "seed": job.seed}
    text = json.dumps(winner, indent=1)
    if not (training / WINNER).exists() or (training / WINNER).read_text() != text:
        (training / HISTORY).unlink(missing_ok=True)  # It was of another winner.
    (training / WINNER).write_text(text)
    if arguments.train_best:
        _train_in_full(job, winner, train, validation, arguments.train_best, training)
    _say(f"wrote {pack_results(folder, training)}: `mien sweep CONFIG --import` takes it")
    return None


def _train_in_full(
    job: Job,
    winner: Mapping[str, Any],
    train: Arrays,
    validation: Arrays,
    epochs: int,
    folder: Path,
) -> None:
    """Leaves the trained winner and its history in the folder."""
    (folder / HISTORY).unlink(missing_ok=True)
    name = f"trial {winner['trial']}" if "trial" in winner else "the defaults"
    started = f"{name.replace(' ', '-')}-{epochs}"  # Another training does not go on from it.
    rule = StoppingRule(monitor=job.objective)
    model, history = train_winner(
        winner,
        train,
        validation,
        classes=job.classes,
        epochs=epochs,
        seed=job.seed,
        rule=rule,
        checkpoints=folder / "best_checkpoints" / started,
        on_epoch=lambda row: _say(f"{name} in full, {_epoch(row, epochs)}"),
    )
    model.save(folder / MODEL)
    (folder / HISTORY).write_text(json.dumps(history, indent=1))
    best = history[best_epoch(history, rule)]
    _say(f"in full, seed {job.seed}: {job.objective} {best[job.objective]:.4f}")


def _teller(objective: str) -> Callable[[Trial], None]:
    def tell(trial: Trial) -> None:
        if trial.status == "FAILED":
            _say(f"trial {trial.id} failed: {trial.reason}")
        elif trial.status == "COMPLETED":
            _say(f"trial {trial.id}: {objective} {trial.score:.4f}")
        elif trial.epochs:
            _say(f"trial {trial.id}, {_epoch(trial.epochs[-1])}")

    return tell


def _epoch(row: Mapping[str, float], epochs: int | None = None) -> str:
    metrics = [f"{name} {value:.4g}" for name, value in row.items() if name != "epoch"]
    of = f"/{epochs}" if epochs else ""
    return ", ".join([f"epoch {row['epoch']:.0f}{of}", *metrics])


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tuning", description=__doc__)
    parser.add_argument("job", type=Path, help="what `mien sweep --export` wrote, or its folder")
    parser.add_argument("--workers", type=int, default=1, help="processes; one a GPU, if any")
    parser.add_argument(
        "--train-best", type=int, default=0, metavar="EPOCHS", help="trains the winner in full"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of that training, kept apart")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # No kill of the trial that runs.
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
