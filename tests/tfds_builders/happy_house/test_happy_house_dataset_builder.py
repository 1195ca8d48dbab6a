import re
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfds_builders.face_builder import Index
from tfds_builders.happy_house import h5
from tfds_builders.happy_house.happy_house_dataset_builder import Builder

Edit = Callable[[h5py.File], object]

REAL = Path(__file__).parents[4] / "shared" / "data" / "happy_house"
LABELS = {"train": [0, 1, 1, 0, 1], "test": [1, 0]}


@pytest.fixture(scope="session")
def faces(face_png: Callable[[str, int], bytes]) -> dict[str, np.ndarray]:
    """RGB pictures of 64 x 64 by split: happy ones, and sad ones as not happy."""
    return {
        split: np.stack([_rgb(face_png("happy" if y else "sad", n)) for n, y in enumerate(labels)])
        for split, labels in LABELS.items()
    }


def _rgb(png: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(cv2.resize(picture, (64, 64)), cv2.COLOR_BGR2RGB)


def write_h5(folder: Path, faces: dict[str, np.ndarray]) -> Path:
    for split, pictures in faces.items():
        with h5py.File(folder / f"{split}_happy.h5", "w") as file:
            file["list_classes"] = [0, 1]
            file[f"{split}_set_x"] = pictures
            file[f"{split}_set_y"] = LABELS[split]
    return folder


@pytest.fixture
def raw_dir(tmp_path: Path, faces: dict[str, np.ndarray]) -> Path:
    return write_h5(tmp_path, faces)


@pytest.fixture(scope="class")
def dummy_data(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    faces: dict[str, np.ndarray],
) -> None:
    request.cls.EXAMPLE_DIR = write_h5(tmp_path_factory.mktemp("happy_house"), faces)


@pytest.mark.usefixtures("dummy_data")
class HappyHouseTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS = {"train": 5, "test": 2}  # noqa: RUF012 as TFDS declares it


def indexed(raw_dir: Path) -> Index:
    builder = Builder(data_dir=raw_dir / "data", raw_dir=raw_dir)
    return builder.index(builder.raw_files())


def records(raw_dir: Path) -> dict[str, list[tuple[str, str, bytes]]]:
    """Source, label and picture of each entry, by split."""
    builder = Builder(data_dir=raw_dir / "data", raw_dir=raw_dir)
    raw_files = builder.raw_files()
    return {
        split: [
            (entry.source, entry.label, image)
            for entry, image in zip(entries, builder.read(raw_files, entries), strict=True)
        ]
        for split, entries in builder.index(raw_files).splits.items()
    }


def edit(raw_dir: Path, change: Edit) -> None:
    with h5py.File(raw_dir / "train_happy.h5", "a") as file:
        change(file)


def replaced(letter: str, **dataset: object) -> Edit:
    def change(file: h5py.File) -> None:
        del file[f"train_set_{letter}"]
        file.create_dataset(f"train_set_{letter}", **dataset)

    return change


def linked(link: object) -> Edit:
    def change(file: h5py.File) -> None:
        file.move("train_set_x", "elsewhere")
        file["train_set_x"] = link

    return change


def test_pictures_and_labels_come_back(raw_dir: Path, faces: dict[str, np.ndarray]) -> None:
    for split, rows in records(raw_dir).items():
        names = [("not_happy", "happy")[label] for label in LABELS[split]]
        assert [label for _, label, _ in rows] == names
        assert [source for source, _, _ in rows] == [
            f"{split}_happy.h5:{n}" for n in range(len(names))
        ]
        for (_, _, image), expected in zip(rows, faces[split], strict=True):
            decoded = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
            np.testing.assert_array_equal(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), expected)


@pytest.mark.parametrize(
    "change",
    [
        replaced("y", data=[LABELS["train"]]),
        replaced("y", data=np.array(LABELS["train"], np.uint8), chunks=(2,), compression="gzip"),
        lambda file: file.__delitem__("list_classes"),
    ],
    ids=["a row of a matrix", "packed bytes", "no list_classes"],
)
def test_other_copies_read_alike(raw_dir: Path, change: Edit) -> None:
    expected = records(raw_dir)
    edit(raw_dir, change)

    assert records(raw_dir) == expected


def test_packed_pictures_read_alike(raw_dir: Path, faces: dict[str, np.ndarray]) -> None:
    expected = records(raw_dir)
    packed = {"chunks": (2, 64, 64, 3), "compression": "gzip"}
    edit(raw_dir, replaced("x", data=faces["train"], **packed))

    assert records(raw_dir) == expected


def test_any_run_can_be_read(raw_dir: Path) -> None:
    expected = records(raw_dir)
    builder = Builder(data_dir=raw_dir / "data", raw_dir=raw_dir)
    raw_files = builder.raw_files()
    splits = builder.index(raw_files).splits
    run = [splits["train"][3], splits["train"][1], splits["test"][1]]

    images = list(builder.read(raw_files, run))

    assert images == [expected["train"][3][2], expected["train"][1][2], expected["test"][1][2]]
    assert list(builder.read(raw_files, [])) == []


def test_what_else_is_in_the_file_is_noted(raw_dir: Path) -> None:
    edit(raw_dir, lambda file: [file.create_group(name) for name in "fedcba"])

    assert indexed(raw_dir).notes == ("Not read in train_happy.h5: a, b, c, d, e, ....",)


AGAIN = "get the file again"
X, Y = (5, 64, 64, 3), (5,)
BAD_DATASETS: dict[str, tuple[Edit, str]] = {
    "no pictures": (lambda file: file.__delitem__("train_set_x"), "there is no train_set_x"),
    "no labels": (lambda file: file.__delitem__("train_set_y"), "there is no train_set_y"),
    "soft link": (linked(h5py.SoftLink("/elsewhere")), "train_set_x is a link"),
    "dangling link": (linked(h5py.SoftLink("/nowhere")), "train_set_x is a link"),
    "external link": (
        linked(h5py.ExternalLink("test_happy.h5", "test_set_x")),
        "train_set_x is a link",
    ),
    "group": (
        lambda file: (file.__delitem__("train_set_x"), file.create_group("train_set_x")),
        "train_set_x is no dataset",
    ),
    "external data": (
        replaced("x", shape=X, dtype="u1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]),
        "train_set_x has its data in other files",
    ),
    "external labels": (
        replaced("y", shape=Y, dtype="i8", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]),
        "train_set_y has its data in other files",
    ),
    "float pictures": (
        replaced("x", data=np.zeros(X, np.float32)),
        "train_set_x is float32 (5, 64, 64, 3), not uint8 (n, 64, 64, 3)",
    ),
    "larger pictures": (
        replaced("x", data=np.zeros((5, 65, 64, 3), np.uint8)),
        "train_set_x is uint8 (5, 65, 64, 3), not uint8 (n, 64, 64, 3)",
    ),
    "one picture": (
        replaced("x", data=np.zeros((64, 64, 3), np.uint8)),
        "train_set_x is uint8 (64, 64, 3), not uint8 (n, 64, 64, 3)",
    ),
    "a number": (
        replaced("x", data=np.uint8(7)),
        "train_set_x is uint8 (), not uint8 (n, 64, 64, 3)",
    ),
    "nothing": (
        replaced("x", data=h5py.Empty("u1")),
        "train_set_x is uint8 None, not uint8 (n, 64, 64, 3)",
    ),
    "zero pictures": (
        replaced("x", shape=(0, 64, 64, 3), dtype="u1"),
        "train_set_x has 0 pictures, not 1 to 1,000,000",
    ),
    "endless pictures": (
        replaced("x", shape=(10**12, 64, 64, 3), dtype="u1", chunks=(1, 64, 64, 3)),
        "train_set_x has 1,000,000,000,000 pictures, not 1 to 1,000,000",
    ),
    "endless labels": (
        replaced("y", shape=(10**12,), dtype="i8", chunks=(1,)),
        "train_set_y has 1,000,000,000,000 labels, not 1 to 1,000,000",
    ),
    "endless chunk": (
        replaced("x", shape=(10**5, 64, 64, 3), dtype="u1", chunks=(10**5, 64, 64, 3)),
        "train_set_x has chunks of more than 67,108,864 bytes",
    ),
    "pictures never written": (
        replaced("x", shape=X, dtype="u1"),
        "train_set_x was not written to the end",
    ),
    "chunks never written": (
        replaced("x", shape=X, dtype="u1", chunks=(2, 64, 64, 3)),
        "train_set_x was not written to the end",
    ),
    "float labels": (
        replaced("y", data=[0.0, 1.0, 1.0, 0.0, 1.0]),
        "train_set_y is float64 (5,), not int64 (n,) or (1, n)",
    ),
    "label column": (
        replaced("y", data=np.zeros((5, 1), np.int64)),
        "train_set_y is int64 (5, 1), not int64 (n,) or (1, n)",
    ),
    "fewer labels": (replaced("y", data=[0, 1, 1, 0]), "5 pictures and 4 labels"),
    "more labels": (replaced("y", data=[[0, 1, 1, 0, 1, 1]]), "5 pictures and 6 labels"),
}


@pytest.mark.parametrize("kind", BAD_DATASETS)
def test_what_is_wrong_in_a_file_is_named(raw_dir: Path, kind: str) -> None:
    change, message = BAD_DATASETS[kind]
    edit(raw_dir, change)

    with pytest.raises(ValueError) as error:  # noqa: PT011 the whole message is compared
        records(raw_dir)
    assert str(error.value) == f"train_happy.h5: {message}; {AGAIN}"


def test_a_virtual_dataset_is_refused(raw_dir: Path) -> None:
    layout = h5py.VirtualLayout((2, 64, 64, 3), "u1")
    layout[:] = h5py.VirtualSource(raw_dir / "test_happy.h5", "test_set_x", (2, 64, 64, 3))

    def change(file: h5py.File) -> None:
        del file["train_set_x"]
        file.create_virtual_dataset("train_set_x", layout)

    edit(raw_dir, change)

    message = f"train_happy.h5: train_set_x has its data in other files; {AGAIN}"
    with pytest.raises(ValueError, match=f"^{message}$"):
        records(raw_dir)


@pytest.mark.parametrize("value", [2, -1])
def test_a_label_that_is_neither_is_named(raw_dir: Path, value: int) -> None:
    edit(raw_dir, replaced("y", data=[0, 1, 1, value, 1]))

    with pytest.raises(ValueError) as error:  # noqa: PT011 the whole message is compared
        records(raw_dir)
    assert str(error.value) == (
        f"train_happy.h5:3: label is {value}, not 0 (not_happy) or 1 (happy); {AGAIN}"
    )


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: b"", "file signature not found"),
        (lambda content: b"<html>not found</html>", "file signature not found"),
        (lambda content: content[:4000], "truncated file"),
        (lambda content: content[:-1], "truncated file"),
    ],
)
def test_a_file_that_is_no_h5_or_truncated_is_named(
    raw_dir: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    path = raw_dir / "train_happy.h5"
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(ValueError, match=reason) as error:
        records(raw_dir)
    assert re.fullmatch(
        rf"train_happy\.h5: no readable HDF5 file \(.*{reason}.*\); {AGAIN}", str(error.value)
    )


def test_a_damaged_chunk_is_named_with_its_picture(
    raw_dir: Path, faces: dict[str, np.ndarray]
) -> None:
    packed = {"chunks": (1, 64, 64, 3), "compression": "gzip", "fletcher32": True}
    edit(raw_dir, replaced("x", data=faces["train"], **packed))
    path = raw_dir / "train_happy.h5"
    with h5py.File(path) as file:
        chunk = file["train_set_x"].id.get_chunk_info(2)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(ValueError, match=rf"^train_happy\.h5:2: cannot be read \(.*\); {AGAIN}$"):
        records(raw_dir)


def test_a_type_that_numpy_does_not_have_is_refused(raw_dir: Path) -> None:
    def change(file: h5py.File) -> None:
        del file["train_set_x"]
        space = h5py.h5s.create_simple(X)
        h5py.h5d.create(file.id, b"train_set_x", h5py.h5t.UNIX_D32LE, space)

    edit(raw_dir, change)

    with pytest.raises(ValueError, match=r"^train_happy\.h5: no readable HDF5 file \(No NumPy"):
        records(raw_dir)


def test_a_link_in_place_of_the_file_is_refused(raw_dir: Path) -> None:
    path = raw_dir / "train_happy.h5"
    path.rename(raw_dir / "real.h5")
    path.symlink_to(raw_dir / "real.h5")

    with pytest.raises(ValueError, match=r"^train_happy\.h5: a link or device"):
        records(raw_dir)


def test_the_numbers_are_bounded(raw_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h5, "MAX_PICTURES", 4)

    with pytest.raises(ValueError, match="train_set_x has 5 pictures, not 1 to 4"):
        records(raw_dir)


def test_the_real_pictures_are_all_there(tmp_path: Path) -> None:
    if not (REAL / "train_happy.h5").exists():
        pytest.skip("needs ../shared/data/happy_house/")
    builder = Builder(data_dir=tmp_path, raw_dir=REAL)
    index = builder.index(builder.raw_files())

    assert {split: len(entries) for split, entries in index.splits.items()} == {
        "train": 100,
        "test": 50,
    }
    assert {entry.label for entry in index.splits["train"]} == {"not_happy", "happy"}
    assert index.notes == ()
