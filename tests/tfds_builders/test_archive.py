import codecs
import os
import stat
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tfds_builders import archive
from tfds_builders.archive import Archive, open_archive

Write = Callable[[Path, dict[str, bytes]], Path]


def read_members(*paths: Path) -> list[tuple[str, bytes]]:
    opened = Archive(*paths)
    return [(name, opened.read(name)) for name in opened.names]


MEMBERS = {"happy/b.png": b"B", "happy/a.png": b"A", "happy/more/c.png": b"C"}


def test_zip_and_folder_give_the_same_sorted_members(
    tmp_path: Path, write_zip: Write, write_folder: Write
) -> None:
    from_zip = read_members(write_zip(tmp_path / "faces.zip", MEMBERS))
    from_folder = read_members(write_folder(tmp_path, MEMBERS) / "happy")

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
        read_members(path)
    assert repr(name) in str(error.value)


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("happy/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as faces:
        faces.writestr(link, "/etc/passwd")

    with pytest.raises(ValueError, match=r"happy/link\.png: a link"):
        read_members(tmp_path / "faces.zip")


def test_a_link_in_a_folder_is_refused(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, MEMBERS) / "happy"
    (folder / "link.png").symlink_to("/etc/passwd")

    with pytest.raises(ValueError, match=r"happy/link\.png: a link"):
        read_members(folder)


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
                read_members(path)
        with monkeypatch.context() as patch:
            patch.setattr(archive, "MAX_MEMBERS", 1)
            with pytest.raises(ValueError, match="1 members or more"):
                read_members(path)


def test_a_member_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as faces:
        faces.writestr("happy/a.png", b"A")
        with pytest.warns(UserWarning, match="Duplicate"):
            faces.writestr("happy/a.png", b"B")

    with pytest.raises(ValueError, match=r"happy/a\.png: comes twice"):
        read_members(tmp_path / "faces.zip")


def test_a_damaged_member_is_named(tmp_path: Path, write_zip: Write) -> None:
    path = write_zip(tmp_path / "faces.zip", {"happy/a.png": b"pixels"})
    path.write_bytes(path.read_bytes().replace(b"pixels", b"pixelz"))

    with pytest.raises(ValueError, match=r"happy/a\.png: cannot be read .*CRC"):
        read_members(path)


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
            read_members(path)


def test_what_is_no_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "faces.zip"
    path.write_bytes(b"<html>not found</html>")

    with pytest.raises(ValueError, match=r"faces\.zip is no readable zip"):
        read_members(path)


def test_a_zip_a_folder_and_a_plain_file_read_as_one(
    tmp_path: Path, write_zip: Write, write_folder: Write
) -> None:
    folder = write_folder(tmp_path, {"sad/b.png": b"B", "legend.csv": b"a,b"})
    packed = write_zip(tmp_path / "faces.zip", {"happy/a.png": b"A"})

    assert read_members(folder / "sad", packed, folder / "legend.csv") == [
        ("happy/a.png", b"A"),
        ("legend.csv", b"a,b"),
        ("sad/b.png", b"B"),
    ]


def test_the_same_name_in_two_containers_is_refused(
    tmp_path: Path, write_zip: Write, write_folder: Write
) -> None:
    folder = write_folder(tmp_path, {"happy/a.png": b"A"}) / "happy"
    packed = write_zip(tmp_path / "faces.zip", {"happy/a.png": b"B"})

    with pytest.raises(ValueError, match=r"^happy/a\.png: comes twice in .*faces\.zip"):
        Archive(folder, packed)


@pytest.mark.parametrize("name", ["faces.zip", "legend.csv", "happy"])
def test_a_path_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    for opens in (Archive, open_archive):
        with pytest.raises(FileNotFoundError, match=name):
            opens(tmp_path / name)


def test_a_name_that_is_not_inside_is_a_key_error(tmp_path: Path, write_zip: Write) -> None:
    opened = Archive(write_zip(tmp_path / "faces.zip", MEMBERS))

    with pytest.raises(KeyError):
        opened.read("happy/z.png")
    with pytest.raises(KeyError):
        next(opened.lines("happy/z.png"))


def test_an_archive_is_opened_once_until_a_file_changes(
    tmp_path: Path, write_zip: Write, write_folder: Write
) -> None:
    packed = write_zip(tmp_path / "faces.zip", MEMBERS)
    folder = write_folder(tmp_path, {"sad/b.png": b"B"}) / "sad"
    opened = open_archive(packed, folder)
    assert open_archive(packed, folder) is opened

    write_zip(packed, {"happy/z.png": b"Z"})
    _make_newer(packed)
    again = open_archive(packed, folder)
    assert again.names == ("happy/z.png", "sad/b.png")
    assert open_archive(packed, folder) is again

    write_folder(folder, {"c.png": b"C"})
    _make_newer(folder)
    assert open_archive(packed, folder).names == ("happy/z.png", "sad/b.png", "sad/c.png")


def test_a_file_that_comes_deep_in_a_folder_is_a_change_too(
    tmp_path: Path, write_folder: Write
) -> None:
    folder = write_folder(tmp_path, {"happy/ann/a.png": b"A"}) / "happy"
    open_archive(folder)

    write_folder(tmp_path, {"happy/ann/b.png": b"B"})
    _make_newer(folder / "ann")
    assert open_archive(folder).names == ("happy/ann/a.png", "happy/ann/b.png")


def _make_newer(path: Path) -> None:
    """A clock may be too coarse to tell two changes apart."""
    later = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))


def _texts(tmp_path: Path, write_zip: Write, content: bytes) -> list[Archive]:
    """The text in a zip and as a plain file."""
    (tmp_path / "a.csv").write_bytes(content)
    return [Archive(write_zip(tmp_path / "t.zip", {"a.csv": content})), Archive(tmp_path / "a.csv")]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a,b\nc,d\n", ["a,b\n", "c,d\n"]),
        (b"a,b\r\nc,d", ["a,b\r\n", "c,d"]),
        (codecs.BOM_UTF8 + b"a\nb", ["a\n", "b"]),
        ("a,\N{GRINNING FACE}\n\xe9".encode(), ["a,\N{GRINNING FACE}\n", "\xe9"]),
        (b'"a\r\nb"\n', ['"a\r\n', 'b"\n']),
    ],
)
def test_lines_are_those_of_the_text(
    tmp_path: Path, write_zip: Write, content: bytes, lines: list[str]
) -> None:
    for opened in _texts(tmp_path, write_zip, content):
        assert list(opened.lines("a.csv")) == lines


def test_lines_are_read_as_they_are_wanted(
    tmp_path: Path, write_zip: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"first\n" + b"more\n" * 100_000 + b"\xff"
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 10)  # Of what is read whole.
    for opened in _texts(tmp_path, write_zip, content):
        lines = opened.lines("a.csv")
        assert [next(lines), next(lines)] == ["first\n", "more\n"]
        with pytest.raises(ValueError, match=r"^a\.csv: no UTF-8 text \(.*0xff"):
            list(lines)


def test_a_line_without_end_is_refused(
    tmp_path: Path, write_zip: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_LINE_CHARACTERS", 8)
    for opened in _texts(tmp_path, write_zip, b"1234567\n12345678"):
        lines = opened.lines("a.csv")
        with pytest.raises(ValueError, match=r"^a\.csv: a line without end"):
            list(lines)
    for opened in _texts(tmp_path, write_zip, b"123456\n1234567"):
        assert list(opened.lines("a.csv")) == ["123456\n", "1234567"]


def test_a_text_is_bounded(
    tmp_path: Path, write_zip: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_STREAM_BYTES", 3)
    for opened in _texts(tmp_path, write_zip, b"1234"):
        with pytest.raises(ValueError, match=r"^a\.csv: 4 bytes"):
            next(opened.lines("a.csv"))


def test_a_text_that_is_damaged_is_named(tmp_path: Path, write_zip: Write) -> None:
    path = write_zip(tmp_path / "t.zip", {"a.csv": b"pixels\n"})
    path.write_bytes(path.read_bytes().replace(b"pixels", b"pixelz"))

    with pytest.raises(ValueError, match=r"^a\.csv: cannot be read .*CRC"):
        list(Archive(path).lines("a.csv"))


def _write_deflated(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


def test_a_member_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    members = {"happy/a.png": os.urandom(10_000), "happy/bomb.png": bytes(2 * 2**20)}
    path = _write_deflated(tmp_path / "faces.zip", members)

    with pytest.raises(ValueError, match=r"^happy/bomb\.png: unpacks from .* to 2,097,152 bytes"):
        Archive(path)


def test_a_zip_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    members = {f"happy/{number}.png": bytes(500_000) for number in range(4)}
    path = _write_deflated(tmp_path / "faces.zip", members | {"happy/big.png": bytes(600_000)})

    with pytest.raises(ValueError, match=r"faces\.zip: unpacks to 2,600,000 bytes.*happy/big\.png"):
        Archive(path)


def test_a_small_flat_picture_is_no_bomb(tmp_path: Path) -> None:
    members = {"happy/black.bmp": bytes(900_000), "happy/a.png": b"A"}

    assert dict(read_members(_write_deflated(tmp_path / "faces.zip", members))) == members


def test_threads_may_share_an_archive(tmp_path: Path, write_folder: Write) -> None:
    members = {f"happy/{number:03}.png": os.urandom(3000 + number) for number in range(200)}
    table = {"legend.csv": "".join(f"{number}\n" for number in range(20_000)).encode()}
    packed = _write_deflated(tmp_path / "faces.zip", members | table)
    folder = write_folder(tmp_path, members | table)

    for opened in (Archive(packed), Archive(folder / "happy", folder / "legend.csv")):
        with ThreadPoolExecutor(3) as threads:
            there = threads.submit(_read_all, opened, sorted(members))
            back = threads.submit(_read_all, opened, sorted(members, reverse=True))
            text = threads.submit("".join, opened.lines("legend.csv"))
            assert there.result() == back.result() == members
            assert text.result().encode() == table["legend.csv"]


def _read_all(opened: Archive, names: list[str]) -> dict[str, bytes]:
    return {name: opened.read(name) for name in names}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_without_a_bound_is_refused(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "faces.zip", "w", method) as faces:
        faces.writestr("happy/a.png", b"A")

    with pytest.raises(ValueError, match=r"happy/a\.png: compressed by an unusual method"):
        Archive(tmp_path / "faces.zip")


def test_a_bomb_that_lies_about_its_size_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "faces.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as faces:
        faces.writestr("happy/a.png", bytes(2**26))
    size = (2**26).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (1000).to_bytes(4, "little")))

    tracemalloc.start()
    with pytest.raises(ValueError, match=r"happy/a\.png: cannot be read"):
        Archive(path).read("happy/a.png")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24


def test_a_second_name_that_leads_outside_is_refused(tmp_path: Path) -> None:
    # Python 3.12 takes the name from this field (Info-ZIP Unicode Path) and leaves the first one.
    name, other = b"happy/a.png", b"../../etc/a.png"
    field = b"\x01" + zlib.crc32(name).to_bytes(4, "little") + other
    member = zipfile.ZipInfo(name.decode())
    member.extra = b"up" + len(field).to_bytes(2, "little") + field
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as faces:
        faces.writestr(member, b"A")

    if sys.version_info < (3, 12):
        assert Archive(tmp_path / "faces.zip").names == (name.decode(),)
    else:
        with pytest.raises(ValueError, match="leads outside"):
            Archive(tmp_path / "faces.zip")


def test_a_folder_that_may_not_be_read_is_no_gap(tmp_path: Path, write_folder: Write) -> None:
    folder = write_folder(tmp_path, MEMBERS) / "happy"
    (folder / "more").chmod(0)
    try:
        if os.access(folder / "more", os.R_OK):
            pytest.skip("this user may read everything")
        with pytest.raises(PermissionError, match="more"):
            Archive(folder)
    finally:
        (folder / "more").chmod(0o755)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / os.fsdecode(b"J\xfcrgen.png")).write_bytes(b"A")

    with pytest.raises(ValueError, match=r"rgen\.png': a name with unprintable characters"):
        Archive(tmp_path / "happy")
