import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.errors import UsageError
from pipelines.local_runner import Run, Step, write_run
from pipelines.report.page import read_run, write_report
from tests.pipelines.report.conftest import BASELINE, HOSTILE, RUN_ID, TRAINING, MakeRun


def page(root: Path, run: Run) -> str:
    return write_report(root, run).read_text()


def sections(html: str) -> list[str]:
    return re.findall(r'<section id="(\w+)"', html)


def text(html: str) -> str:
    """What a person reads, on one line, with plain hyphens."""
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    told = " ".join(re.sub(r"<[^>]*>", " ", body).split())
    return told.replace("\N{EN DASH}", "-").replace("\N{MINUS SIGN}", "-")


def test_it_needs_no_other_file_no_network_and_no_script(make_run: MakeRun) -> None:
    html = page(*make_run())
    assert html.count("<img ") == 6
    assert set(re.findall(r'src="(\w+:)', html)) == {"data:"}
    without_pictures = re.sub('"data:[^"]*"', "", html)
    assert not re.search(r"<link|<script|<iframe|@import|url\((?!#)|https?:", without_pictures)


def test_names_labels_and_reasons_are_text_and_no_markup(make_run: MakeRun) -> None:
    told = {"reasons": [HOSTILE], "warnings": [HOSTILE], "pushed_model": f"/{HOSTILE}/1"}
    html = page(*make_run(config=HOSTILE, **told))
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(") > 10
    assert "conv2d &lt;none&gt;" in html


def test_a_finished_run_shows_all_of_its_parts(make_run: MakeRun) -> None:
    metrics = {"test/accuracy": 0.75, "test/accuracy_low": 0.7, "test/accuracy_high": 0.8}
    told = {"metrics": metrics | {"test/majority_accuracy": 0.4}, "reasons": ["so it holds"]}
    pushed = "/anywhere/serving/drawn_faces/4"
    html = page(*make_run(blessing="BLESSED", pushed_model=pushed, **told))
    parts = ["verdict", "steps", "data", "search", "training", "evaluation", "model"]
    assert sections(html) == [*parts, "next", "reproduce"]
    assert "/anywhere" not in html
    shown = text(html)
    for expected in (
        "BLESSED Run",
        "Accuracy on test 0.750 95 % interval 0.700 - 0.800 always the most common class: 0.400",
        "Pushed to serving/drawn_faces/4 under",
        "the largest difference of a probability was 2e-08, allowed is 1e-05",
        "3 pictures are blank or nearly so drop",
        "train 9 8 5 1 no face",
        "The hyperparameters are the best val_loss of 2 trials.",
        "2 best, kept 1.5 0.25 0.001",
        "1 (damaged).",
        "Accuracy 0.7500 0.7000 - 0.8000",
        "Macro F1 1.0000 Log loss",
        "Version 3 and this model on the same 280 pictures",
        "+0.0200 -0.0100 to +0.0500",
        "sad 6 0.800 0.750 - 0.850",
        "brightness dark 7 0.625 0.575 - 0.675",
        "was read once",
        "expression_net with 12,345 parameters",
        "Dataset digest d1g35t",
    ):
        assert expected in shown, expected


def test_what_was_not_reached_is_left_out(make_run: MakeRun) -> None:
    html = page(*make_run(done=TRAINING[:4]))
    assert sections(html) == ["steps", "data", "next", "reproduce"]
    assert "NOT JUDGED" in html


def test_a_run_that_did_nothing_has_a_page(make_run: MakeRun) -> None:
    assert sections(page(*make_run(done=[]))) == ["steps", "next", "reproduce"]


def test_the_baseline_has_a_model_and_no_learning_curves(make_run: MakeRun) -> None:
    html = page(*make_run(BASELINE))
    assert sections(html)[:5] == ["steps", "data", "search", "evaluation", "model"]
    assert "landmark_svm with 700 parameters, on the landmarks of pictures" in text(html)


def test_a_failed_run_says_first_what_failed_and_why(make_run: MakeRun) -> None:
    root, run = make_run(done=TRAINING[:3])
    run.steps[3] = Step("transform", "failed", 1.0, "no train image is left")
    html = page(root, run)
    assert 'class="badge bad">FAILED' in html
    assert html.index("transform failed.") < html.index("no train image is left")
    assert html.index("no train image is left") < html.index("<nav")


def test_what_another_run_made_is_shown_where_it_was_reused(make_run: MakeRun) -> None:
    root, run = make_run()
    for step in run.steps:
        step.state, step.reason = "reused", f"made by run {RUN_ID}"
    run.run_id = "20261123-000000-ffff"
    write_run(root, run)
    assert "expression_net with 12,345 parameters" in page(root, read_run(root, "latest"))


def test_what_is_gone_from_the_store_is_left_out(make_run: MakeRun) -> None:
    root, run = make_run()
    shutil.rmtree(root / "store" / "trainer")
    html = page(root, run)
    assert "training" not in sections(html)
    assert "evaluation" in sections(html)


@pytest.mark.parametrize("step", TRAINING)
def test_a_page_is_written_whichever_step_is_gone_from_the_store(
    make_run: MakeRun, step: str
) -> None:
    root, run = make_run()
    shutil.rmtree(root / "store" / step)
    lost = {"tuner": "search", "trainer": "training", "evaluator": "evaluation"}.get(step)
    assert {"steps", "data", "search", "evaluation"} - {lost} <= {*sections(page(root, run))}


def test_without_the_examples_the_classes_are_those_of_the_statistics(make_run: MakeRun) -> None:
    root, run = make_run()
    shutil.rmtree(root / "store" / "example_gen")
    told = text(page(root, run))
    assert "sad 6 6" in told
    assert "Dataset digest" not in told


@pytest.mark.parametrize("name", ["a", "z"])
def test_another_execution_that_is_damaged_costs_no_page(make_run: MakeRun, name: str) -> None:
    root, run = make_run()
    damaged = root / "store" / "trainer" / name / "manifest.json"
    damaged.parent.mkdir()
    damaged.write_text('{"cause": ')
    assert "expression_net with 12,345 parameters" in page(root, run)


def test_the_config_the_seeds_and_the_versions_are_there(make_run: MakeRun) -> None:
    root, run = make_run()
    folder = root / "runs" / RUN_ID
    (folder / "config.yaml").write_text("trainer:\n  epochs: 3\n  seed: 17\n")
    environment = '{"git_commit": "c0ffee", "python": "3.11", "platform": "Linux", "packages": {}}'
    (folder / "environment.json").write_text(environment)
    told = text(page(root, run))
    assert "Git commit c0ffee" in told
    assert "Seeds trainer 17" in told
    assert "trainer: epochs: 3 seed: 17" in told


def test_every_link_of_the_contents_leads_to_a_section(make_run: MakeRun) -> None:
    html = page(*make_run(warnings=["one"]))
    assert re.findall(r'href="#(\w+)"', html) == sections(html)


def test_pictures_are_described_and_heads_of_tables_have_a_scope(make_run: MakeRun) -> None:
    html = page(*make_run())
    images = re.findall(r"<img [^>]*>", html)
    assert all(re.search(r'alt="[^"]{10,}"', image) for image in images)
    heads = re.findall(r"<th[ >][^>]*", html)
    assert len(heads) > 50
    assert all('scope="' in head for head in heads)


def test_folds_are_a_table_a_dot_each_and_links(make_run: MakeRun) -> None:
    root, run = make_run(["fold_0", "fold_1", "fold_2"], done=[])
    for fold, accuracy in enumerate([0.5, 0.5, 0.9]):
        metrics = {"test/accuracy": accuracy, "test/accuracy_low": 0.1, "test/accuracy_high": 1.0}
        of_fold = Run(f"c fold_{fold}", f"20261122-10111{fold}-abcd", "", [], metrics)
        write_run(root, of_fold)
        run.folds.append(of_fold.run_id)
    run.metrics = {"test/accuracy": 0.63, "test/accuracy_low": 0.4, "test/accuracy_high": 0.8}
    html = page(root, run)
    assert "CROSS-VALIDATED" in html
    assert sections(html)[0] == "folds"
    assert "Accuracy 0.630 0.400 - 0.800" in text(html)
    dots = re.findall(r'class="dot" style="left:([\d.]+)%;bottom:([\d.]+)rem', html)
    assert [float(left) for left, _ in dots] == [50.0, 50.0, 90.0]
    assert dots[0][1] == dots[2][1] != dots[1][1]
    assert '<a href="../20261122-101112-abcd/report.html">fold_2</a>' in html


def test_a_run_that_is_not_there_names_those_that_are(make_run: MakeRun) -> None:
    root, _ = make_run()
    with pytest.raises(UsageError, match=f"run nothing: .* the last ones are {RUN_ID}"):
        read_run(root, "nothing")


def test_it_is_no_wider_than_a_phone(make_run: MakeRun, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no Chromium here")
    root, run = make_run(reasons=["a/very/long/path" * 20], warnings=["x" * 300])
    frame = tmp_path / "frame.html"
    too_wide_by = "(e => e.scrollWidth - e.clientWidth)(this.contentDocument.documentElement)"
    frame.write_text(
        f'<iframe src="{write_report(root, run)}" width="390" height="800"'
        f' onload="document.title = {too_wide_by}"></iframe>'
    )
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    options += ["--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}"]
    shown = subprocess.run(
        [chromium, *options, "--dump-dom", frame.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "<title>0</title>" in shown.stdout
