import pytest

from tfds_builders.labelled_faces.layouts import folder_rows, sort_out


@pytest.mark.parametrize(
    ("pictures", "labels"),
    [
        (["happy/a.png", "sad/a.png"], ["happy", "sad"]),
        (["my/faces/happy/a.png", "my/faces/sad/b.png"], ["happy", "sad"]),
        (["faces/happy/ann/a.png", "faces/happy/bob/b.png", "faces/sad/c.png"], None),
        (["faces\\happy\\a.png", "faces\\sad\\a.png"], ["happy", "sad"]),
        (["train/a.png", "happy/a.png"], ["train", "happy"]),
    ],
)
def test_the_label_is_the_first_folder_that_pictures_do_not_share(
    pictures: list[str], labels: list[str] | None
) -> None:
    rows = folder_rows(pictures)

    assert [row.source for row in rows] == pictures
    assert [row.label for row in rows] == (labels or ["happy", "happy", "sad"])


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (
            ["a.png", "happy/b.png", "sad/b.png"],
            "a.png: in no folder of a class, like 1 of 3 pictures; put each into a folder named "
            "after its class, or add a table (.csv)",
        ),
        (
            ["faces/a.png", "faces/happy/b.png"],
            "faces/a.png: in no folder of a class, like 1 of 2 pictures; put each into a folder "
            "named after its class, or add a table (.csv)",
        ),
        (
            ["images/a.png", "images/b.png"],
            "images/a.png: in no folder of a class, like 2 of 2 pictures; put each into a folder "
            "named after its class, or add a table (.csv)",
        ),
        (
            ["faces/Train/happy/a.png", "faces/test/happy/b.png"],
            "Train, test: folders of splits, not of classes; put the folders of the classes "
            "together, or name one of these as source",
        ),
    ],
)
def test_pictures_without_a_class_are_named(pictures: list[str], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 as the whole message is compared
        folder_rows(pictures)

    assert str(error.value) == message


def test_pictures_are_known_by_their_suffix() -> None:
    names = ["a.PNG", "b.jpeg", "c/d.jpg", "e.bmp", "f.gif", "g.jpg.zip", "README", "c\\.h.png"]

    pictures, others = sort_out(names)

    assert pictures == names[:4]
    assert others == {
        "files that are no pictures (.gif)": 1,
        "files that are no pictures (.zip)": 1,
        "files that are no pictures (no suffix)": 1,
        "files that are no pictures (hidden)": 1,
    }
