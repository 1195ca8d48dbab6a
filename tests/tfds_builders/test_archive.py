import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tfds_builders import archive
from tfds_builders.archive import read_members

Write = Callable[[Path, dict[str, bytes]], Path]
MEMBERS = {"happy/b.png": b"B", "happy/a.png": b"A", "happy/more/c.png": b"C"}


def test_zip_and_folder_give_the_same_sorted_members(
    tmp_path: Path, write_zip: Write, write_folder: Write
) -> None:
    from_zip = list(read_members(write_zip(tmp_path / "faces.zip", MEMBERS)))
    from_folder = list(read_members(write_folder(tmp_path, MEMBERS) / "happy"))

    assert from_zip == from_folder == sorted(MEMBERS.items())


def test_litter_and_directories_are_left_out(
    tmp_path: Path, write_zip: Write, write_folder: Write
) -> None:
    litter = {"happy/.DS_Store": b"", "happy/Thumbs.db": b"", "happy/__MACOSX/a.png": b""}
    path = write_zip(tmp_path / "faces.zip", MEMBERS | litter | {"happy/": b""})
    folder = write_folder(tmp_path, MEMBERS | litter) / "happy"

    assert [name for name, _ in read_members(path)] == sorted(MEMBERS)
    assert [name for name, _ in read_members(folder)] == sorted(MEMBERS)


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.png", "happy/../../a.png", "C:\\a.png"])
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, write_zip: Write, name: str) -> None:
    path = write_zip(tmp_path / "faces.zip", {name: b"x"})

    with pytest.raises(ValueError, match="leads outside") as error:
        list(read_members(path))
    assert repr(name) in str(error.value)


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("happy/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as faces:
        faces.writestr(link, "/etc/passwd")

    with pytest.raises(ValueError, match=r"happy/link\.png: a link"):
        list(read_members(tmp_path / "faces.zip"))


def test_a_link_in_a_folder_is_refused(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, MEMBERS) / "happy"
    (folder / "link.png").symlink_to("/etc/passwd")

    with pytest.raises(ValueError, match=r"happy/link\.png: a link"):
        list(read_members(folder))


def test_sizes_and_numbers_are_bounded(
    tmp_path: Path, write_zip: Write, write_folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = (
        write_zip(tmp_path / "faces.zip", {"happy/a.png": b"AA"}),
        write_folder(tmp_path, {"happy/a.png": b"AA"}) / "happy",
    )
    for path in both:
        with monkeypatch.context() as patch:
            patch.setattr(archive, "MAX_MEMBER_BYTES", 1)
            with pytest.raises(ValueError, match=r"happy/a\.png: 2 bytes"):
                list(read_members(path))
        with monkeypatch.context() as patch:
            patch.setattr(archive, "MAX_MEMBERS", 0)
            with pytest.raises(ValueError, match="more than 0 members"):
                list(read_members(path))


def test_a_member_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as faces:
        faces.writestr("happy/a.png", b"A")
        with pytest.warns(UserWarning, match="Duplicate"):
            faces.writestr("happy/a.png", b"B")

    with pytest.raises(ValueError, match=r"happy/a\.png: comes twice"):
        list(read_members(tmp_path / "faces.zip"))


def test_a_damaged_member_is_named(tmp_path: Path, write_zip: Write) -> None:
    path = write_zip(tmp_path / "faces.zip", {"happy/a.png": b"pixels"})
    path.write_bytes(path.read_bytes().replace(b"pixels", b"pixelz"))

    with pytest.raises(ValueError, match=r"happy/a\.png: cannot be read .*CRC"):
        list(read_members(path))


def test_several_folders_read_like_one_zip(
    tmp_path: Path, write_zip: Write, write_folder: Write
) -> None:
    members = {"happy/a.png": b"A", "sad/b.png": b"B"}
    folder = write_folder(tmp_path, members)

    assert dict(read_members(folder / "happy", folder / "sad")) == members
    assert dict(read_members(write_zip(tmp_path / "faces.zip", members))) == members


def test_no_files_at_all_are_refused(tmp_path: Path, write_zip: Write) -> None:
    (tmp_path / "happy").mkdir()

    for path in (tmp_path / "happy", write_zip(tmp_path / "faces.zip", {})):
        with pytest.raises(ValueError, match="no files inside"):
            list(read_members(path))


def test_what_is_no_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "faces.zip"
    path.write_bytes(b"<html>not found</html>")

    with pytest.raises(ValueError, match=r"faces\.zip is no readable zip"):
        list(read_members(path))
