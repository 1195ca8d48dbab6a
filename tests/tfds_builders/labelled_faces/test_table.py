from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tfds_builders.archive import Archive
from tfds_builders.labelled_faces.layouts import Row, sort_out
from tfds_builders.labelled_faces.table import Columns, Table, find_table, read_table

Write = Callable[[Path, dict[str, bytes]], Path]
Read = Callable[..., Table]
RECOGNISED = Columns()


@pytest.fixture
def read(tmp_path: Path, write_zip: Write) -> Read:
    """Reads the table data/legend.csv of a zip that has these pictures."""

    def read_from_zip(
        table: bytes, pictures: Sequence[str] = ("a.png", "b.png"), columns: Columns = RECOGNISED
    ) -> Table:
        members = {"data/legend.csv": table, **dict.fromkeys(pictures, b"")}
        archive = Archive(write_zip(tmp_path / "faces.zip", members))
        return read_table(archive, "data/legend.csv", sort_out(archive.names)[0], columns)

    return read_from_zip


BOTH = [Row("a.png", "happy"), Row("b.png", "sad")]


@pytest.mark.parametrize(
    "table",
    [
        b"image,label\na.png,happy\nb.png,sad\n",
        b"\xef\xbb\xbfimage;label\r\na.png;happy\r\n\r\nb.png;sad",
        b'File Name\tEMOTION\n"a.png"\t"happy"\n\t\nb.png\tsad\n',
        b"user.id,image_path,Class,confidence\n1,a.png,happy,.5\n2,b.png,sad,.6\n",
    ],
)
def test_separators_and_headers_are_recognised(read: Read, table: bytes) -> None:
    assert read(table) == Table(BOTH, 0)


def test_the_annotator_is_no_subject(read: Read) -> None:
    table = read(b"user.id,image,emotion\n7,a.png,happy\n8,b.png,sad\n")

    assert [row.subject for row in table.rows] == ["", ""]


def test_columns_may_be_named(read: Read) -> None:
    table = b"file,path,emotion,label,Who\nx,a.png,happy,1, Ann  Lee\nx,b.png,sad,2,Bob\n"

    named = read(table, columns=Columns("path", "emotion", "who"))

    assert named.rows == [Row("a.png", "happy", "Ann Lee"), Row("b.png", "sad", "Bob")]
    assert read(table, columns=Columns("path", "Emotion", None)) == Table(BOTH, 0)


def test_a_column_is_found_by_its_very_name_first(read: Read) -> None:
    table = b"image,Label,label\na.png,1,happy\nb.png,2,sad\n"

    assert read(table, columns=Columns(label="label")) == Table(BOTH, 0)


@pytest.mark.parametrize(
    ("cell", "picture"),
    [
        ("images/x.png", "images/x.png"),
        ("./images//x.png", "images/x.png"),
        ("images\\x.png", "images/x.png"),
        ("../images/x.png", "images/x.png"),
        ("y.png", "data/y.png"),
        ("faces/z.png", "data/faces/z.png"),
        (" z.png ", "data/faces/z.png"),
        ("y.png", "y.png"),
        ("\u00e9.png", "images/e\u0301.png"),
        ("images/w.png", "images\\w.png"),
    ],
)
def test_a_picture_is_found_by_its_name(read: Read, cell: str, picture: str) -> None:
    others = {
        "data/y.png": ["images/y.png"],
        "y.png": ["data/y.png", "images/y.png"],
    }
    pictures = [picture, "other/v.png", *others.get(picture, [])]

    assert read(f"image,label\n{cell},happy\n".encode(), pictures).rows == [Row(picture, "happy")]


def test_a_row_that_says_it_again_is_counted(read: Read) -> None:
    table = read(b"image,label\na.png,happy\nb.png,sad\n./a.png, HAPPY\na.png,happy\n")

    assert table == Table(BOTH, 2)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", "data/legend.csv: is empty; its first line names the columns"),
        (b"\n ,\n", "data/legend.csv: is empty; its first line names the columns"),
        (b"image,label\n", "data/legend.csv: no rows below the header; write one for each picture"),
        (
            b"a.png,happy\nb.png,sad\n",
            "data/legend.csv: no column is known to tell the image; say image_column; its header "
            "has: a.png, happy",
        ),
        (
            b"image,mood\n",
            "data/legend.csv: no column is known to tell the label; say label_column; its header "
            "has: image, mood",
        ),
        (
            b"image,label,Emotion\n",
            "data/legend.csv: label, Emotion may each tell the label; say label_column",
        ),
        (
            b"image,label\na.png,happy\nb.png\n",
            "data/legend.csv, line 3: fields: 1, in the header: 2; put a field that has the "
            "separator in it in quotes",
        ),
        (
            b"image,label\na.png,happy, very\n",
            "data/legend.csv, line 2: fields: 3, in the header: 2; put a field that has the "
            "separator in it in quotes",
        ),
        (
            b"image,label\n ,happy\n",
            "data/legend.csv, line 2: names no picture; fill it in, or take the row out",
        ),
        (
            b"image,label\na.png,happy\nx/b.png,sad\na.png,sad\n",
            "data/legend.csv, line 4: a.png has the label 'sad', but 'happy' in data/legend.csv, "
            "line 2; keep the right row",
        ),
        (
            b"image,label\na.png,happy\na.png,\n",
            "data/legend.csv, line 3: a.png has the label '', but 'happy' in data/legend.csv, "
            "line 2; keep the right row",
        ),
        (
            b"image,label,subject\na.png,happy,ann\na.png,happy,bob\n",
            "data/legend.csv, line 3: a.png has the subject 'bob', but 'ann' in data/legend.csv, "
            "line 2; keep the right row",
        ),
        (
            b"image,label\na.png,happy\nx.png,sad\nb.jpg,sad\n",
            "data/legend.csv, line 3: 'x.png' is none of the 3 pictures (rows like it: 2); add the "
            "pictures, or say which column names them (image_column)",
        ),
        (
            b"image,label\nwrong/b.png,sad\n",
            "data/legend.csv, line 2: 'wrong/b.png' is none of the 3 pictures (rows like it: 1); "
            "add the pictures, or say which column names them (image_column)",
        ),
        (
            b"image,label\nb.png,sad\n",
            "data/legend.csv, line 2: 'b.png' may mean x/b.png, y/b.png; write the folder's name "
            "too",
        ),
        *(
            (
                f"image,label\n{cell},sad\n".encode(),
                f"data/legend.csv, line 2: {cell!r} leads outside; write names from the table's "
                "folder",
            )
            for cell in ("../../a.png", "/a.png", "C:\\a.png", "..\\..\\a.png", "../..")
        ),
        (
            b"image,label\na.png,hap\0py\n",
            "data/legend.csv, line 2: a NUL byte; save the table as UTF-8 text",
        ),
        (
            b'image,label\na.png,"happy\nb.png,sad\n',
            "data/legend.csv, line 3: unexpected end of data; look for a quote that is not closed",
        ),
        (
            b'image,label\na.png,"happy"!\n',
            "data/legend.csv, line 2: ',' expected after '\"'; look for a quote that is not closed",
        ),
        (
            b"image,label\na.png," + b"0123456789" * 13_108 + b"\n",
            "data/legend.csv, line 2: field larger than field limit (131072); look for a quote "
            "that is not closed",
        ),
        (
            b"image,label\na.png,d\xe9go\xfbt\n",
            "data/legend.csv: no UTF-8 text ('utf-8' codec can't decode byte 0xe9 in position 19: "
            "invalid continuation byte), in ZIP",
        ),
    ],
)
def test_a_bad_table_is_named_with_the_cure(
    tmp_path: Path, read: Read, table: bytes, message: str
) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 as the whole message is compared
        read(table, ["a.png", "x/b.png", "y/b.png"])

    assert str(error.value).replace(str(tmp_path / "faces.zip"), "ZIP") == message


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(image="pic"), "image_column: data/legend.csv has no pic; its header has: a, b, a"),
        (Columns(image="a"), "data/legend.csv: a, a may each tell the image; say image_column"),
        (
            Columns("b", "b", "who"),
            "subject_column: data/legend.csv has no who; its header has: a, b, a",
        ),
    ],
)
def test_an_unknown_column_is_named_with_the_header(
    read: Read, columns: Columns, message: str
) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 as the whole message is compared
        read(b"a,b,a\n", columns=columns)

    assert str(error.value) == message


def test_a_long_header_is_cut_in_the_message(read: Read) -> None:
    with pytest.raises(ValueError, match=r"header has: c0, c1, .*, c19, 980 more$"):
        read(",".join(f"c{number}" for number in range(1000)).encode())


def test_the_only_csv_is_the_table() -> None:
    assert find_table(["a.png", "data/Legend.CSV", "data/._Legend.CSV"], "") == "data/Legend.CSV"
    assert find_table(["a.png", "b.txt"], "") == ""
    assert find_table(["a.csv", "b.csv"], "b.csv") == "b.csv"
    assert find_table(["a.csv", "b.tsv"], "b.tsv") == "b.tsv"

    with pytest.raises(ValueError, match=r"^table: say which, there are 2: a\.csv, b/c\.csv$"):
        find_table(["b/c.csv", "a.csv"], "")
    with pytest.raises(ValueError, match=r"^table: there is no c\.csv; there are: b/c\.csv$"):
        find_table(["b/c.csv"], "c.csv")
