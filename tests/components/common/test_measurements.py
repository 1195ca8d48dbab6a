from pathlib import Path

from components.common.measurements import Measurement, read_measurements, write_measurements


def test_measurements_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = [
        Measurement("a", 48, 32, 0.1 + 0.2, 1 / 3, "ff00", "00f0e1d2c3b4a596", 1, ""),
        Measurement("b", 0, 0, 0.0, 0.0, "", "", 0, 'bad, "quoted"\nreason'),
    ]
    write_measurements(tmp_path / "m.csv", written)
    assert read_measurements(tmp_path / "m.csv") == written
