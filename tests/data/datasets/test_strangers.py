"""Archives and metadata that someone made to do harm, or that are of another kind."""

import io
import json
import shutil
import tarfile
import zipfile
from collections import namedtuple

import numpy as np
import pytest

from bassdiff.data.datasets import moisesdb
from bassdiff.data.datasets.archives import Archive, unpack
from bassdiff.data.datasets.paths import inside
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json, parse_yaml


def zipped(tmp_path, **files):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def refused(path, tmp_path):
    with pytest.raises(InputError) as caught:
        unpack(path, Archive(path.name), tmp_path / "out")
    assert {item.name for item in tmp_path.iterdir()} <= {path.name}
    return str(caught.value)


def test_what_is_inside_has_room_before_it_is_unpacked(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 0, 1_000_000))
    path = zipped(tmp_path, a=bytes(2_000_000))
    assert path.stat().st_size < 10_000
    assert "unpacking takes at least 0.0 GB" in refused(path, tmp_path)
    path.unlink()
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("a")
        member.size = 2_000_000
        archive.addfile(member, io.BytesIO(bytes(2_000_000)))
    assert "free some space" in refused(path, tmp_path)


def test_an_encrypted_or_unknown_archive_is_named(tmp_path):
    path = zipped(tmp_path, a=b"sound")
    data = bytearray(path.read_bytes())
    central = data.find(b"PK\1\2")
    encrypted = bytearray(data)
    encrypted[6] |= 1
    encrypted[central + 8] |= 1
    path.write_bytes(encrypted)
    assert "is encrypted; unpack it yourself" in refused(path, tmp_path)
    data[8:10] = data[central + 10 : central + 12] = (97).to_bytes(2, "little")
    path.write_bytes(data)
    assert "compressed in a way that is not known here" in refused(path, tmp_path)


def test_names_that_cannot_be_together_are_damage(tmp_path):
    path = tmp_path / "a.zip"
    for names in (("a", "a/b"), ("a/b", "a"), ("x" * 300,)):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"sound")
        assert "is damaged (" in refused(path, tmp_path)


def test_an_archive_that_is_spoilt_anywhere_is_unpacked_or_refused(tmp_path):
    rng = np.random.default_rng(24)
    path = tmp_path / "whole.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(4):
            archive.writestr(f"folder/{number}", b"sound" * 50)
    whole, good = path.read_bytes(), 0
    for number in range(300):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(len(data) - 4))
            data[place : place + 4] = int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF])).to_bytes(4)
        path.write_bytes(data)
        try:
            unpack(path, Archive(path.name), tmp_path / f"{number}")
            good += 1
        except InputError as error:
            assert "\n" not in str(error)
    assert 0 < good < 200


def test_a_name_that_leaves_the_folder_is_refused(tmp_path):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../elsewhere"))
    assert "holds what may not be unpacked" in refused(path, tmp_path)


@pytest.mark.parametrize("names", [("/etc", "passwd"), ("..", "other.wav"), ("a", "../../b.wav")])
def test_metadata_names_files_of_its_song(tmp_path, names):
    song = tmp_path / "song"
    (song / "bass").mkdir(parents=True)
    assert inside(song, "bass", "a.wav") == song / "bass" / "a.wav"
    with pytest.raises(ValueError, match="is outside"):
        inside(song, *names)


@pytest.mark.parametrize(
    "stems",
    [
        [{"stemName": "/etc", "tracks": [{"id": "passwd", "extension": "wav"}]}],
        [{"stemName": "bass", "tracks": [{"id": "../../a", "extension": "wav"}]}],
        [{"stemName": 3, "tracks": []}, 1],
    ],
)
def test_a_moisesdb_song_that_names_other_files_is_refused(tmp_path, stems):
    (tmp_path / moisesdb.METADATA).write_text(json.dumps({"stems": stems}))
    with pytest.raises(InputError, match="is not valid MoisesDB metadata"):
        moisesdb._read(tmp_path)


def test_deep_json_is_none():
    assert parse_json('{"a": [1]}') == {"a": [1]}
    for text in ("[" * 200_000, '{"a":' * 100_000, "{"):
        with pytest.raises(ValueError):
            parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "a: &a [1]\nb: *a",
        "!!python/object/apply:os.system ['true']",
        "x" * (2 << 20),
        "a: b: c",
    ],
)
def test_yaml_that_does_harm_is_none(text):
    assert parse_yaml("a: [1, x]") == {"a": [1, "x"]}
    with pytest.raises(ValueError):
        parse_yaml(text)


def test_a_file_that_is_named_twice_is_read_once(tmp_path, monkeypatch):
    track = {"id": "a", "extension": "wav"}
    stems = [{"stemName": name, "tracks": [track] * 3} for name in ("bass", "drums")]
    (tmp_path / moisesdb.METADATA).write_text(json.dumps({"stems": stems}), encoding="utf-8-sig")
    monkeypatch.setattr(moisesdb, "assemble", lambda name, files: files)
    assert {name: len(paths) for name, paths in moisesdb._read(tmp_path).items()} == {
        "bass": 1,
        "drums": 1,
    }
