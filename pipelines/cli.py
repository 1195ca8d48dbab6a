"""The command line. Nothing heavy is imported before a command needs it."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from deploy.serve import Server

app = typer.Typer(
    name="mien",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
datasets_app = typer.Typer(help="What data there is, and preparing it.")
app.add_typer(datasets_app, name="datasets")
models_app = typer.Typer(help="The models that were pushed, and which version of each is served.")
app.add_typer(models_app, name="models")

ROOT = Path("mien_root")
_INTERRUPTED = 130  # the exit status that Typer makes of KeyboardInterrupt
RootOption = Annotated[
    Path, typer.Option("--root", help="Holds everything that runs make.", envvar="MIEN_ROOT")
]
RawDirOption = Annotated[
    Path | None, typer.Option("--raw-dir", help="Where the dataset's raw files lie.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Overrides a value: trainer.epochs=5."),
]
ConfigArgument = Annotated[str, typer.Argument(help="A config's name, or a YAML file.")]
ModelName = Annotated[str, typer.Argument(help="A pushed model's name.")]
ModelArgument = Annotated[str | None, typer.Argument(help="A pushed model's name.")]
Oracle = Literal["random", "bayesian", "hyperband", "grid"]
HostOption = Annotated[str, typer.Option(help="The address to listen on.")]


def _port(help_: str) -> Any:
    return typer.Option(help=help_, min=1, max=65535)


@app.callback()
def options(
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", help="Shows tracebacks and what libraries say; anywhere on the line."
        ),
    ] = False,
) -> None:
    """A machine-learning workflow for facial expressions: from raw archives to TF Serving."""


@app.command()
def run(
    config: ConfigArgument,
    raw_dir: RawDirOption = None,
    root: RootOption = ROOT,
    override: SetOption = None,
    until: Annotated[str | None, typer.Option(help="The last step to run.")] = None,
    force: Annotated[list[str] | None, typer.Option(help="A step to execute again.")] = None,
    require_blessing: Annotated[
        bool, typer.Option("--require-blessing", help="Exits with 3 where it is not blessed.")
    ] = False,
) -> None:
    """Runs the pipeline here; a step is reused where nothing that it reads has changed."""
    from pipelines.config import load_config
    from pipelines.display import print_result
    from pipelines.errors import UsageError
    from pipelines.run import Request, run_folds, run_pipeline

    name, loaded = load_config(config, override or ())
    console = _console()
    request = Request(name, loaded, root, raw_dir, until, force or (), quiet=not _verbose())
    folds = loaded.split.kfold and loaded.split.fold is None
    if folds and require_blessing:
        raise UsageError("--require-blessing: folds are no model that could be blessed")
    finished = (run_folds if folds else run_pipeline)(request, console)
    print_result(console, finished, root)
    if require_blessing and finished.blessing != "BLESSED":
        raise typer.Exit(3)


@app.command()
def sweep(
    config: ConfigArgument,
    raw_dir: RawDirOption = None,
    root: RootOption = ROOT,
    override: SetOption = None,
    trials: Annotated[int | None, typer.Option(help="How many at most.", min=0)] = None,
    minutes: Annotated[float | None, typer.Option(help="How long trials are started.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that search; one a GPU, if any.", min=1)
    ] = None,
    oracle: Annotated[
        Oracle | None, typer.Option(help="What proposes the hyperparameters.")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE.zip", help="Writes the search for a machine with a GPU."),
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option("--import", metavar="results.zip", help="Takes over what it found."),
    ] = None,
) -> None:
    """Searches hyperparameters, or goes on with it: a leaderboard, pictures, runs in MLflow."""
    from dataclasses import replace

    from pipelines.config import load_config
    from pipelines.errors import UsageError
    from pipelines.run import Request
    from pipelines.sweep import export_sweep, import_sweep, print_sweep, run_sweep, with_trials

    options = {"max_trials": trials, "minutes": minutes, "workers": workers, "oracle": oracle}
    said = [f"tuner.{name}={value}" for name, value in options.items() if value is not None]
    # Else a config's own number would be the bound; one that is said comes after it, and is.
    unbounded = ["tuner.max_trials=null"] if minutes else []
    settings = [*unbounded, *(override or ()), *said]
    name, loaded = load_config(config, settings)
    console = _console()
    request = Request(name, loaded, root, raw_dir, quiet=not _verbose())
    if import_:
        print_sweep(console, import_sweep(request, import_, console), root)
        settings.append(f"tuner.results={import_}")
        places = [f"--root={root}", *([f"--raw-dir={raw_dir}"] if raw_dir else [])]
        again = ["mien", "run", config, *places, *(f"--set={setting}" for setting in settings)]
        _print(f"to judge, export and publish the winner: {shlex.join(again)}")
        return
    if trials == 0 and not export:
        raise UsageError("--trials 0 is no sweep: mien run, with --set tuner.max_trials=0")
    if trials != 0:
        request = replace(request, config=with_trials(loaded, console))
    if export:
        images = export_sweep(request, export, console)
        counts = ", ".join(f"{count:,} of {split}" for split, count in images.items())
        _print(f"wrote {export}: {export.stat().st_size / 1e6:.1f} MB, images: {counts}")
        _print(f"there: KERAS_BACKEND=jax python -m tuning {export.name}")
    else:
        print_sweep(console, run_sweep(request, console), root)


@datasets_app.callback(invoke_without_command=True)
def datasets(context: typer.Context, raw_dir: RawDirOption = None) -> None:
    """Lists the datasets where no command is given."""
    if context.invoked_subcommand is None:
        list_datasets(raw_dir)
    elif raw_dir:
        context.default_map = {context.invoked_subcommand: {"raw_dir": raw_dir}}


@datasets_app.command("list")
def list_datasets(raw_dir: RawDirOption = None) -> None:
    """Lists the datasets and the raw files that each needs."""
    from pipelines.datasets import wanted_files, where_raw_files_are
    from tfds_builders.catalog import DATASETS

    table = _table("dataset", "task", "raw files", "there")
    for name, dataset in DATASETS.items():
        there, _ = where_raw_files_are(name, raw_dir)
        table.add_row(name, dataset.task, wanted_files(name), "yes" if there else "no")
    _print(table)


@datasets_app.command("show")
def show_dataset(
    name: str,
    raw_dir: RawDirOption = None,
    root: RootOption = ROOT,
    override: SetOption = None,
) -> None:
    """Shows a dataset: where its files are, and of what was prepared the splits and a sheet."""
    from pipelines.datasets import describe, last_prepared, where_raw_files_are
    from tfds_builders.catalog import get_dataset

    dataset = get_dataset(name)
    _, where = where_raw_files_are(name, raw_dir, override or ())
    _print(f"{name}: {dataset.task}\nraw files: {where}")
    prepared = last_prepared(root, name)
    if prepared is None:
        labels = ", ".join(dataset.labels) or "those in the raw files"
        hint = f"mien datasets prepare {name}" + (" --raw-dir DIR" if dataset.raw_files else "")
        _print(f"labels: {labels}\nnot prepared yet: {hint}")
        return
    labels = prepared.dataset["labels"]
    table = _table("split", "images", "subjects", *labels)
    for split, of_split in prepared.statistics.items():
        counts = (of_split["classes"].get(label, 0) for label in labels)
        cells = (of_split["images"], of_split["subjects"] or "-", *counts)
        table.add_row(split, *(f"{cell:,}" if isinstance(cell, int) else cell for cell in cells))
    _print(table)
    for line in describe(prepared):
        _print(line)


@datasets_app.command("prepare")
def prepare_dataset(
    name: str,
    raw_dir: RawDirOption = None,
    root: RootOption = ROOT,
    override: SetOption = None,
) -> None:
    """Makes the records and measures them, by the config of the dataset's name; a run reuses it."""
    from tfds_builders.catalog import get_dataset

    get_dataset(name)
    run(name, raw_dir, root, override, until="statistics_gen")
    show_dataset(name, raw_dir, root, override)


@app.command("compile")
def compile_(
    config: ConfigArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")],
    image: Annotated[str, typer.Option(help="The container image of the steps.")] = "mien:latest",
    raw_dir: Annotated[str, typer.Option(help="The raw files, in the container.")] = "",
    serving_dir: Annotated[str, typer.Option(help="Pushed models, in it.")] = "/mnt/mien/serving",
    override: SetOption = None,
) -> None:
    """Writes the pipeline as YAML for Kubeflow Pipelines."""
    from pipelines.config import load_config
    from pipelines.kubeflow_runner import compile_pipeline

    _, loaded = load_config(config, override or ())
    compile_pipeline(loaded, output, image=image, raw_dir=raw_dir, serving_dir=serving_dir)
    _print(f"wrote {output}")


@app.command()
def serve(
    model: ModelArgument = None,
    server: Annotated[Server, typer.Option(help="Which server is started.")] = "auto",
    host: HostOption = "127.0.0.1",
    grpc_port: Annotated[int, _port("The port of gRPC.")] = 8500,
    rest_port: Annotated[int, _port("The port of REST.")] = 8501,
    root: RootOption = ROOT,
) -> None:
    """Serves a pushed model with TF Serving's REST and gRPC interfaces."""
    from deploy.serve import server_command
    from pipelines.models import choose_model
    from pipelines.ports import PortError, require_free

    name = choose_model(root, model)
    if grpc_port == rest_port:
        raise PortError("--grpc-port and --rest-port are the same")
    require_free(host, grpc_port, "--grpc-port")
    require_free(host, rest_port, "--rest-port")
    command = server_command(
        name,
        (root / "serving" / name).resolve(),
        server=server,
        host=host,
        grpc_port=grpc_port,
        rest_port=rest_port,
    )
    os.execvp(command[0], command)


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Pictures: JPEG, PNG or BMP.")],
    url: Annotated[str, typer.Option(help="The server's REST address.")] = "http://127.0.0.1:8501",
    model: Annotated[
        str | None,
        typer.Option(help="A pushed model's name; with --no-crop any that the server has."),
    ] = None,
    crop: Annotated[bool, typer.Option(help="Cuts the face out, as in training.")] = True,
    json_: Annotated[bool, typer.Option("--json", help="Prints JSON.")] = False,
    root: RootOption = ROOT,
) -> None:
    """Asks a server what the faces on pictures express."""
    from pipelines.models import choose_model, newest_manifest, pushed_models
    from pipelines.predict import predict_files

    if model and not crop and model not in pushed_models(root):
        manifest: dict[str, Any] = {"model": model, "labels": []}  # It was pushed elsewhere.
    else:
        manifest = newest_manifest(root, choose_model(root, model))
    answers, refused = predict_files(images, manifest, url=url, crop=crop)
    if json_:
        typer.echo(_json(answers))
    else:
        table = _table("image", "face", "label", "score", *manifest["labels"])
        for answer in answers:
            shares = (answer["probabilities"][label] for label in manifest["labels"])
            numbers = (f"{number:.3f}" for number in (answer["score"], *shares))
            table.add_row(answer["image"], _place(answer["face"]), answer["label"], *numbers)
        _print(table)
    for reason in refused:
        typer.echo(f"mien: {reason}", err=True)
    if refused:
        raise typer.Exit(1)


@app.command()
def demo(
    model: ModelArgument = None,
    url: Annotated[
        str | None, typer.Option(help="A model server's REST address; without it one is started.")
    ] = None,
    host: HostOption = "127.0.0.1",
    port: Annotated[int, _port("The port of the page.")] = 8600,
    root: RootOption = ROOT,
) -> None:
    """Opens a page to try a served model with a picture or the camera."""
    from contextlib import ExitStack

    from components.common.model_server import model_server
    from pipelines.demo import show_page
    from pipelines.models import choose_model, newest_manifest
    from pipelines.ports import require_free

    name = choose_model(root, model)
    require_free(host, port, "--port")
    with ExitStack() as stack:
        address = url or stack.enter_context(model_server(name, root / "serving" / name)).rest
        show_page(newest_manifest(root, name), address, host=host, port=port, tell=_print)


def _place(face: list[int] | None) -> str:
    if face is None:
        return "whole picture"
    left, top, width, height = face
    return f"{width}x{height} at {left},{top}"


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, root: RootOption = ROOT) -> None:
    """Lists the models where no command is given."""
    if context.invoked_subcommand is None:
        list_models(root)
    else:  # It holds for the command too, unless that says another.
        context.default_map = {context.invoked_subcommand: {"root": root}}


@models_app.command("list")
def list_models(
    root: RootOption = ROOT,
    json_: Annotated[bool, typer.Option("--json", help="Prints JSON.")] = False,
) -> None:
    """Lists every version: what is served, what is held back, and how good each is."""
    from pipelines.models import list_versions, model_folders
    from pipelines.models_display import HEADER, as_json, as_row
    from pipelines.registry import put_in_step

    folders = model_folders(root)
    _say_settled(put_in_step(root, folders))
    versions = [version for folder in folders for version in list_versions(folder)]
    if json_:
        typer.echo(_json([as_json(version) for version in versions]))
        return
    table = _table(*HEADER)
    for version in versions:
        table.add_row(*as_row(version))
    _print(table if versions else f"no model was pushed under {root}: run `mien run drawn_faces`")


@models_app.command("show")
def show_model(
    name: ModelName,
    version: Annotated[int | None, typer.Argument(help="The champion, unless said.")] = None,
    root: RootOption = ROOT,
) -> None:
    """Shows a version: where it lies, how it is served, its tags and its model card."""
    from rich.markdown import Markdown

    from pipelines.models import find_version, model_folder
    from pipelines.models_display import card_of, describe_version
    from pipelines.registry import put_in_step, tags_of

    base = model_folder(root, name)
    shown = find_version(base, version)
    _say_settled(put_in_step(root, [base]))
    for line in describe_version(shown, tags_of(root, base, shown.version), root):
        _print(line)
    _console().print(Markdown(card_of(shown)))


@models_app.command("promote")
def promote_model(
    name: ModelName,
    version: Annotated[int, typer.Argument(help="The version to serve.")],
    root: RootOption = ROOT,
) -> None:
    """Has a version served: those above it are held back, itself is brought back if it was."""
    from pipelines.models import model_folder
    from pipelines.registry import move_aliases, promote

    base = model_folder(root, name)
    for line in promote(base, version):
        _print(line)
    _say_settled(move_aliases(root, [base]))


@models_app.command("rollback")
def roll_back_model(name: ModelName, root: RootOption = ROOT) -> None:
    """Holds the version back that is served, so that the one before is served again."""
    from pipelines.models import model_folder
    from pipelines.registry import move_aliases, roll_back

    base = model_folder(root, name)
    for line in roll_back(base):
        _print(line)
    _say_settled(move_aliases(root, [base]))


@models_app.command("sync")
def sync_models(root: RootOption = ROOT) -> None:
    """Registers in MLflow what it does not know yet, and moves the aliases to what is served."""
    from contextlib import nullcontext

    from components.common.quiet import output_to
    from pipelines.models import model_folders
    from pipelines.registry import register

    with nullcontext() if _verbose() else output_to(Path(os.devnull)):
        settled = register(root, model_folders(root))
    _say_settled(settled)
    if settled.warning:
        raise typer.Exit(1)
    if not settled.done:
        _print("the registry is in step")


def _say_settled(settled: Any) -> None:
    for line in settled.done:
        typer.echo(line, err=True)
    if settled.warning:
        typer.echo(f"mien: warning: {settled.warning}", err=True)


@app.command()
def ui(
    host: HostOption = "127.0.0.1",
    port: Annotated[int, _port("The port.")] = 5000,
    root: RootOption = ROOT,
) -> None:
    """Opens the MLflow UI on the runs under the root."""
    from pipelines.mlflow_runs import ui_command

    command = ui_command(root, host, port)
    # Without the type of work it opens as a page of language models.
    page = "experiments/1/runs?workflowType=machine_learning"
    _print(f"MLflow UI: http://{host}:{port}/#/{page} (Ctrl-C ends it)")
    # In a session of its own Ctrl-C does not reach it, which it would answer with tracebacks.
    with subprocess.Popen(command, start_new_session=True) as server:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            server.wait()
        except KeyboardInterrupt:
            server.terminate()


@app.command()
def report(
    run_id: Annotated[str, typer.Argument(metavar="[RUN]", help="A run's id.")] = "latest",
    root: RootOption = ROOT,
) -> None:
    """Writes the report of a run anew, from what lies in the store, and says where it is."""
    from pipelines.report.page import read_run, write_report

    _print(str(write_report(root, read_run(root, run_id))))


@app.command()
def doctor() -> None:
    """Says which parts are there, which are missing, and how to get them."""
    from rich.text import Text

    from pipelines.doctor import examine

    findings = list(examine())
    table = _table("", "part", "found")
    for finding in findings:
        mark = {True: "✓", False: "✗", None: "·"}[finding.ok]
        table.add_row(mark, finding.name, Text(finding.text))
    _print(table)
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(1)


def _table(*columns: str) -> Any:
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False)


def _print(content: Any) -> None:
    _console().print(content, highlight=False, markup=False, soft_wrap=isinstance(content, str))


def _console() -> Any:
    from rich.console import Console

    # A pipe has no width: 80 columns would cut the tables. The file is named, for a run turns
    # `sys.stdout` away from the screen.
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160)


def _json(content: Any) -> str:
    import json

    return json.dumps(content, indent=2)


def _verbose() -> bool:
    return "--verbose" in sys.argv


def main() -> None:
    """Runs a command; what goes wrong is a line or two on stderr, its exit status as in DESIGN."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Else this process takes all memory of a GPU, which the workers of a search would have.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    try:
        # The app's own option, wherever it stands: Typer wants it in front of the command.
        app(sorted(sys.argv[1:], key=lambda argument: argument != "--verbose"))
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            typer.echo("mien: interrupted; run it again to go on", err=True)
            sys.stdout.flush()
            os._exit(_INTERRUPTED)  # Not to wait for what Beam's threads are at.
        raise
    except Exception as error:
        from pipelines.errors import exit_status, explain

        if _verbose():
            import traceback

            traceback.print_exc()
        for note in getattr(error, "__notes__", []):  # Where the report lies.
            typer.echo(note)
        typer.echo(f"mien: {explain(error)}", err=True)
        sys.exit(exit_status(error))
