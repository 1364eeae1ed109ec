"""Miniatures of the real sets: their folders, file names, formats and metadata, little audio."""

import json

import numpy as np
import pytest
import soundfile
import yaml

RATE_HZ = 44100
SECONDS = 0.25
MOISES_STEMS = {
    "bass": [("bass_guitar", 1)],
    "drums": [("full_acoustic_drumkit", 2), ("hi-hat", 1)],
    "guitar": [("clean_electric_guitar", 1), ("distorted_electric_guitar", 1)],
    "vocals": [("lead_male_singer", 1)],
}
MUSDB_TRAIN = ("A Classic Education - NightOwl", "Music Delta - 80s Rock", "Leaf - Summerghost")
MUSDB_TEST = ("AM Contra - Heart Peripheral", "Zeno - Signs")
SLAKH = {
    "train": ("Track00001", "Track00002"),
    "validation": ("Track01501",),
    "test": ("Track01876",),
}
MOISES_IDS = tuple(f"{i:08x}-fc46-4b55-b2a4-ce4b3d2f5c5{i}" for i in range(4))


def noise(rng, channels=1, seconds=SECONDS):
    """Sixteen-bit samples `[N, channels]`, an odd sum of channels among them."""
    return rng.integers(-6000, 6000, (int(seconds * RATE_HZ), channels)).astype(np.int16)


def write(path, samples, subtype=None, rate_hz=RATE_HZ):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz, subtype)


def write_musdb_song(folder, rng):
    stems = {name: noise(rng, 2) for name in ("drums", "bass", "other", "vocals")}
    for name, samples in {**stems, "mixture": sum(stems.values())}.items():
        write(folder / f"{name}.wav", samples, "PCM_16")


def write_moises_song(folder, rng, stems=MOISES_STEMS):
    described = []
    for stem, kinds in stems.items():
        tracks = []
        for kind, count in kinds:
            for _ in range(count):
                track_id = f"{rng.integers(2**32):08x}-0000-4000-8000-000000000000"
                write(folder / stem / f"{track_id}.wav", noise(rng, 2), "PCM_16")
                tracks.append(
                    {"id": track_id, "trackType": kind, "extension": "wav", "has_bleed": False}
                )
        described.append({"id": f"{stem}-id", "stemName": stem, "tracks": tracks})
    described = {"song": "Song", "artist": "Artist", "genre": "rock", "stems": described}
    (folder / "data.json").write_text(json.dumps(described))


def write_slakh_song(folder, rng, write_midi, band, classes=("Guitar", "Bass", "Drums", "Guitar")):
    stems = {}
    for number, name in enumerate((*classes, "Sound Effects")):
        is_rendered = name != "Sound Effects"
        stems[f"S{number:02d}"] = {
            "audio_rendered": is_rendered,
            "inst_class": name,
            "integrated_loudness": -13.1,
            "is_drum": name == "Drums",
            "midi_program_name": name,
            "midi_saved": True,
            "plugin_name": "plugin.nkm",
            "program_num": number,
        }
        if is_rendered:
            write(folder / "stems" / f"S{number:02d}.flac", noise(rng), "PCM_16")
    write(folder / "mix.flac", noise(rng), "PCM_16")
    write_midi(folder / "all_src.mid", band)
    (folder / "MIDI").mkdir()
    described = {
        "UUID": "1a81ae092884234f3264e2f45927f00a",
        "audio_dir": "stems",
        "lmd_midi_dir": "lmd_matched/O/O/H/TROOHTB128F931F9DF/1a81ae092884234f3264e2f45927f00a.mid",
        "midi_dir": "MIDI",
        "normalization_factor": -13.0,
        "normalized": True,
        "overall_gain": 0.18,
        "stems": stems,
        "target_peak": -1.0,
    }
    (folder / "metadata.yaml").write_text(yaml.safe_dump(described))


@pytest.fixture
def musdb(tmp_path, rng):
    root = tmp_path / "musdb18hq"
    for part, songs in (("train", MUSDB_TRAIN), ("test", MUSDB_TEST)):
        for song in songs:
            write_musdb_song(root / part / song, rng)
    return root


@pytest.fixture
def moises(tmp_path, rng):
    for song in MOISES_IDS:
        write_moises_song(tmp_path / "moisesdb" / "moisesdb_v0.1" / song, rng)
    return tmp_path / "moisesdb"


@pytest.fixture
def slakh(tmp_path, rng, write_midi, band):
    root = tmp_path / "slakh2100_flac_redux"
    for part, songs in {**SLAKH, "omitted": ("Track00003",)}.items():
        for song in songs:
            write_slakh_song(root / part / song, rng, write_midi, band)
    return root


@pytest.fixture
def stem_folder(tmp_path, rng):
    root = tmp_path / "my songs"
    for index in range(4):
        for stem, suffix in (("bass", "wav"), ("drums", "flac"), ("keys", "wav")):
            write(root / f"song {index}" / f"{stem}.{suffix}", noise(rng), "PCM_16")
    return root
