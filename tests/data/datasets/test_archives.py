"""Archives are checked, unpacked once, and leave nothing behind."""

import hashlib
import json
import os
import shutil
import tarfile
import zipfile

import pytest

from bassdiff.cli import main as cli
from bassdiff.data.datasets import archives, base
from bassdiff.data.datasets.archives import Archive
from bassdiff.data.datasets.preparing import BUILDERS, prepare
from bassdiff.data.datasets.reading import PreparedSongs
from bassdiff.runtime.errors import InputError


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Packs a miniature as its set is packed, and has its builder expect it."""

    def pack(name, root, inside="", is_published=True):
        known = BUILDERS[name].ARCHIVE
        kind = "zip" if known.name.endswith(".zip") else "gztar"
        base_name = tmp_path / "downloads" / known.name.removesuffix(".zip").removesuffix(".tar.gz")
        made = shutil.make_archive(base_name, kind, root, inside or None)
        path = tmp_path / "downloads" / known.name
        assert str(path) == made
        digest = hashlib.md5(path.read_bytes()).hexdigest()
        expected = Archive(known.name, path.stat().st_size, digest)
        monkeypatch.setattr(
            BUILDERS[name], "ARCHIVE", expected if is_published else Archive(known.name)
        )
        return path

    return pack


def test_published_sizes_and_checksums_are_kept_with_the_builders():
    known = {name: BUILDERS[name].ARCHIVE for name in ("musdb18_hq", "slakh2100", "moisesdb")}
    assert known["musdb18_hq"].num_bytes == 22_656_664_047
    assert known["slakh2100"].num_bytes == 104_322_767_708
    assert all(len(bytes.fromhex(known[name].md5)) == 16 for name in ("musdb18_hq", "slakh2100"))
    for name, archive in known.items():
        assert archive.name in BUILDERS[name].MANUAL_DOWNLOAD_INSTRUCTIONS


@pytest.mark.parametrize("name", ["musdb18_hq", "slakh2100", "moisesdb"])
@pytest.mark.parametrize("given", ["file", "its folder"])
def test_an_archive_gives_what_its_content_gives(tmp_path, request, publish, name, given):
    fixture = {"musdb18_hq": "musdb", "slakh2100": "slakh", "moisesdb": "moises"}[name]
    root = request.getfixturevalue(fixture)
    if name == "musdb18_hq":
        path = publish(name, root)
    else:
        path = publish(name, root.parent, root.name, is_published=name == "slakh2100")
    made = prepare(name, tmp_path / "data", path if given == "file" else path.parent)
    unpacked = prepare(name, tmp_path / "other", root)
    ours, theirs = (PreparedSongs(folder, "all") for folder in (made, unpacked))
    assert ours.names == theirs.names
    assert (ours[0].bass == theirs[0].bass).all()
    report = json.loads((made / "report.json").read_text())
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    assert report["archive"] == {"name": path.name, "md5": digest}
    assert "archive" not in json.loads((unpacked / "report.json").read_text())
    # The user's file stays, what was unpacked of it does not.
    assert path.is_file()
    assert [p.name for p in made.parent.iterdir() if p.is_dir()] == ["1.0.0"]


def spoil(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 255]))


def test_a_spoilt_download_is_refused_by_its_checksum(tmp_path, publish, musdb, capsys):
    path = publish("musdb18_hq", musdb)
    spoil(path)
    command = ["data", "prepare", "musdb18_hq", "--from", path, "--out", tmp_path / "data"]
    assert cli.main([str(word) for word in command]) == 2
    assert "its MD5 is" in capsys.readouterr().err
    assert not list((tmp_path / "data").rglob("*.wav"))


def test_a_download_that_was_cut_off_is_refused_by_its_size(tmp_path, publish, slakh):
    path = publish("slakh2100", slakh.parent, slakh.name)
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(InputError, match=r"has \d+ bytes, not \d+ as published; download it again"):
        prepare("slakh2100", tmp_path / "data", path)


@pytest.mark.parametrize("spoilt", [spoil, lambda path: os.truncate(path, 20000)])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_without_a_published_checksum_the_archive_itself_tells(tmp_path, rng, spoilt, kind):
    content = tmp_path / "content"
    content.mkdir()
    (content / "a.bin").write_bytes(rng.bytes(50000))
    path = tmp_path / f"a.{kind}"
    shutil.make_archive(str(tmp_path / "a"), "zip" if kind == "zip" else "gztar", content)
    spoilt(path)
    with pytest.raises(InputError, match=r"a\.(zip|tar\.gz): is damaged \(.*; download it again"):
        archives.unpack(path, Archive(path.name), tmp_path / "target")
    assert not list(tmp_path.glob("target*"))


def test_what_was_unpacked_is_not_unpacked_again(tmp_path, publish, musdb, monkeypatch):
    path = publish("musdb18_hq", musdb)

    def full_disk(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(base, "_check_space", full_disk)
        with pytest.raises(InputError, match="no space left on device"):
            prepare("musdb18_hq", tmp_path / "data", path)
    monkeypatch.setattr(archives, "_extract", None)
    assert len(PreparedSongs(prepare("musdb18_hq", tmp_path / "data", path), "all")) == 5


def test_a_disk_that_fills_while_unpacking_is_left_as_it_was(tmp_path, publish, musdb, monkeypatch):
    path = publish("musdb18_hq", musdb)

    def fills(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "extract", fills)
    with pytest.raises(InputError, match=r"cannot be written \(no space left on device\)"):
        prepare("musdb18_hq", tmp_path / "data", path)
    assert not list((tmp_path / "data").rglob("archive*"))
    room = type("Room", (), {"free": 10})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: room)
    with pytest.raises(InputError, match=r"at least .* GB and 0\.0 GB are free"):
        prepare("musdb18_hq", tmp_path / "data", path)


def test_nothing_is_written_outside(tmp_path):
    path, inside = tmp_path / "bad.tar.gz", tmp_path / "inside"
    inside.write_text("x")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(inside, "../../outside")
    with pytest.raises(InputError, match="holds what may not be unpacked"):
        archives.unpack(path, Archive(path.name), tmp_path / "a" / "b" / "target")
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "a" / "outside").exists()


def test_another_file_is_refused_with_what_is_wanted(tmp_path, musdb):
    other = tmp_path / "musdb18.zip"
    other.write_bytes(b"x")
    with pytest.raises(InputError, match=r"is made from a folder or musdb18hq\.zip"):
        prepare("musdb18_hq", tmp_path / "data", other)
    with pytest.raises(InputError, match=r"stem_folders is made from a folder\."):
        prepare("stem_folders", tmp_path / "data", other)
