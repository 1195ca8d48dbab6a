import os
import re
from pathlib import Path

import keras
import pytest

from components.common.network import describe_network


@pytest.fixture
def network() -> keras.Model:
    part = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(name="inner")], name="a")
    return keras.Sequential([part, keras.layers.Dense(3, name="outer")])


@pytest.mark.parametrize("columns", ["40", None])
def test_the_summary_is_whole_on_any_terminal_and_names_the_layers_of_parts_too(
    network: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: str | None
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    describe_network(network, tmp_path)
    assert os.environ.get("COLUMNS") == columns
    summary = (tmp_path / "summary.txt").read_text()
    assert re.search(r"inner \(Flatten\) .*\(None, 64\) .* 0 ", summary)
    assert re.search(r"outer \(Dense\) .*\(None, 3\) .* 195 ", summary)
    assert "Total params: 195" in summary


@pytest.mark.parametrize("installed", [True, False])
def test_a_drawing_that_cannot_be_made_costs_nothing(
    network: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    pytest.importorskip("pydot")
    if installed:
        dot = tmp_path / "dot"
        dot.write_text('#!/bin/sh\n[ "$1" = -V ] || exit 1\n')
        dot.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    describe_network(network, tmp_path)
    assert (tmp_path / "summary.txt").exists()
    assert not (tmp_path / "network.png").exists()
