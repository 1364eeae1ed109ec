"""Memorisation task: distances to the nearest training phrases, with baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.loudness import match_loudness
from bassdiff.data.mixing import BASS_LUFS
from bassdiff.data.store import Store
from bassdiff.evaluation import baselines
from bassdiff.evaluation.tasks.context import MODEL, EvaluationContext
from bassdiff.evaluation.tasks.music import LABELS
from bassdiff.metrics.memorisation import (
    LEAST_SOUNDING,
    PHRASE_FRAMES,
    SILENT,
    Nearest,
    Phrases,
    joined,
    nearer_share,
    nearest,
    phrases,
)
from bassdiff.metrics.table import Column, Row, Table, mean_score
from bassdiff.models.bass_codec import PITCHES_PER_FRAME, BassCodec
from bassdiff.models.features import LATENT_HOP
from bassdiff.models.pitch import LOWEST_HZ
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.weights import CodecWeights
from bassdiff.runtime.errors import InputError

COLUMNS = (
    Column("copied", "nearer than any unseen", "share of 6 s phrases that are nearer to a training "
           "phrase, in latents or melody, than every phrase of the unseen true basses", "lower"),
    Column("nearer_latents", "nearer in latents", "share of the unseen true basses' phrases that "
           "are farther from training, in latents; ties count half", "lower", 0.5),
    Column("nearer_melody", "nearer in melody", "the same by melody, in the same key", "lower",
           0.5),
    Column("nearer_any_key", "nearer in melody, any key", "the same, transposed at will", "lower",
           0.5),
    Column("distance", "distance in latents", "root mean square difference to the nearest training "
           "phrase; 0 is a copy, about 1.4 unrelated sounds", "none"),
    Column("same_key", "melody in common", "share of the sounding time in which the training "
           "phrase that agrees best has the same note", "none"),
    Column("any_key", "melody in common, any key", "the same, transposed at will", "none"),
)  # fmt: skip
PHRASE_SECONDS = PHRASE_FRAMES * LATENT_HOP / SAMPLE_RATE_HZ
SHIFTS = (0, LATENT_HOP // 2)
# Offset of planted copies from the frames of the original: real copies would be off the grid too.
PLANTED_LATE_SAMPLES = 777
NUM_LIKEST = 5

Heard = list[tuple[str, Phrases]]


def open_training(folder: str, codec: CodecWeights) -> Store:
    """Opens the store that weights were trained on.

    Raises:
      InputError: If none is named, or it belongs to another codec or to one without a pitch.
    """
    if not folder:
        raise InputError("memorisation needs --training, the folder of latents that was trained on")
    if "+" in folder and not Path(folder).is_dir():
        raise InputError("memorisation compares with one folder of latents at a time; name one")
    store = Store(folder)
    origin = store.manifest.get("codecs")
    if not isinstance(origin, dict) or origin.get("bass") != codec.fingerprint:
        raise InputError(
            f"{folder}: its latents come from another bass codec than these weights; name the "
            "store that they were trained on, or encode it with --weights"
        )
    if not isinstance(codec.model, BassCodec):
        raise InputError("the bass codec of these weights has no pitch, so no melodies to compare")
    return store


def memorisation(context: EvaluationContext, training: Store, training_name: str) -> Table:
    """Compares the distances of basses to the training set with those of unseen true basses.

    Memorised phrases are nearer. Two rows of planted copies show that a copy would be found: a
    training bass through the codec, off the grid of frames, and the same in another key. The
    codec's round trip of the true bass shows the effect of the codec alone.

    With 24 clips of 24 s, 480 phrases, it takes about 0.3 s of one core for every two minutes of
    training bass per key: 20 minutes for 2,000 songs in two keys. One training bass is in memory
    at a time, and 0.5 GB for the phrases.

    Args:
      context: The evaluation; its songs must not be in the training set.
      training: The training set.
      training_name: Its name in the table.

    Raises:
      InputError: If a true bass is unknown, a song was trained on, or no phrase has a bass.
    """
    context.require_true()
    trained = {name.partition("~")[0] for name in training.manifest["names"]}
    if seen := sorted(trained & {song.partition("~")[0] for song in context.songs}):
        raise InputError(
            f"{seen[0]} is in {training_name} too, so its true bass was seen in training; use "
            "songs that were not trained on"
        )
    codec = context.generator.bass_codec
    numbers = range(len(context.clips))
    planted = _planted(context, training)
    systems: dict[str, tuple[str, list[str], Callable[[int], np.ndarray]]] = {
        MODEL: (LABELS[MODEL], context.songs, context.model),
        "true": ("unseen true bass", context.songs, context.true),
        "codec": (LABELS["codec"], context.songs, context.codec),
        "planted": (
            "a training bass, off the grid",
            [name for name, _ in planted],
            lambda number: planted[number][1],
        ),
        "planted_key": (
            "the same in another key",
            [name for name, _ in planted],
            lambda number: baselines.pitch_shifted(planted[number][1], baselines.other_key(number)),
        ),
    }
    heard: dict[str, Heard] = {}
    # The true basses first: without them no other system needs to play.
    for name in sorted(systems, key=lambda name: name != "true"):
        label, songs, play = systems[name]
        heard[name] = [
            (songs[number], heard_phrases(codec, play(number)))
            for number in context.progress(numbers[: len(songs)], label)
        ]
        if name == "true" and not any(len(found.starts) for _, found in heard[name]):
            raise InputError(
                f"no true bass sounds for half of {PHRASE_SECONDS:.1f} s; ask for more or longer "
                "clips"
            )
    names: list[str] = []

    def training_basses() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for song in context.progress(range(len(training)), "training basses"):
            if training.manifest["num_frames"][song]:
                for row in training.read(song, "bass"):
                    names.append(training.manifest["names"][song])
                    latents = np.asarray(row, np.float32)
                    yield latents, notes_of(codec, latents)

    everything = [found for of_system in heard.values() for _, found in of_system]
    found = nearest(joined(everything), training_basses())
    ends = np.cumsum([len(of_bass.starts) for of_bass in everything])[:-1]
    parts = map(Nearest._make, zip(*(np.split(field, ends) for field in found), strict=True))
    split = {name: [next(parts) for _ in of_system] for name, of_system in heard.items()}
    unseen = Nearest(*map(np.concatenate, zip(*split["true"], strict=True)))
    frames = sum(training.manifest["num_frames"])
    return Table(
        "memorisation",
        "Does it play what it was trained on?",
        context.about(
            training=training_name,
            training_songs=len(training),
            training_hours=round(frames * LATENT_HOP / SAMPLE_RATE_HZ / 3600, 2),
            phrase_seconds=round(PHRASE_SECONDS, 1),
            phrases={name: sum(len(f.starts) for _, f in of) for name, of in heard.items()},
            likest=_likest(context, heard[MODEL], split[MODEL], names),
        ),
        COLUMNS,
        tuple(
            _row(name, label, split[name], [song for song, _ in heard[name]], unseen)
            for name, (label, _, _) in systems.items()
        ),
    )


def heard_phrases(codec: Codec, bass: np.ndarray) -> Phrases:
    """The phrases of a bass `[N]` at 44.1 kHz, normalised as in training."""
    level = match_loudness(bass, SAMPLE_RATE_HZ, BASS_LUFS)
    latents = [codec.encode(np.pad(level, (shift, 0))[: len(level)]) for shift in SHIFTS]
    return phrases(np.stack(latents), notes_of(codec, latents[0]))


def notes_of(codec: Codec, latents: np.ndarray) -> np.ndarray:
    """The nearest note of every frame of latents `[T, C]`: `[T]` int16 semitones, or `SILENT`."""
    frequency_hz, sounds = (values[::PITCHES_PER_FRAME] for values in codec.pitch(latents))
    semitones = np.rint(12 * np.log2(frequency_hz / LOWEST_HZ)).astype(np.int16)
    return np.where(sounds, semitones, np.int16(SILENT))


def _planted(context: EvaluationContext, training: Store) -> list[tuple[str, np.ndarray]]:
    """(song, bass) for up to as many training songs as clips, from their busiest part."""
    codec = context.generator.bass_codec
    length = len(context.clips[0].mix)
    frames = -(-(length + PLANTED_LATE_SAMPLES) // LATENT_HOP)
    long = [song for song, count in enumerate(training.manifest["num_frames"]) if count >= frames]
    if not long:
        raise InputError(
            "no training bass is as long as a clip, so none can be planted; shorten --clip-seconds"
        )
    chosen = np.unique(np.linspace(0, len(long) - 1, len(context.clips)).round().astype(int))
    planted = []
    for place in context.progress(chosen, "planted copies"):
        latents = np.asarray(training.read(long[place], "bass")[0], np.float32)
        sounding = np.cumsum(np.pad(notes_of(codec, latents) != SILENT, (1, 0)))
        share = sounding[frames:] - sounding[:-frames]
        if share.max() < LEAST_SOUNDING * frames:
            continue
        start = int(share.argmax())
        audio = codec.decode(latents[start : start + frames])
        bass = audio[PLANTED_LATE_SAMPLES : PLANTED_LATE_SAMPLES + length]
        planted.append((training.manifest["names"][long[place]], bass))
    return planted


def _row(name: str, label: str, found: list[Nearest], songs: list[str], unseen: Nearest) -> Row:
    def mean(of: Callable[[Nearest], np.ndarray]) -> list[float]:
        values = [of(clip) for clip in found]
        return [float(v[~np.isnan(v)].mean()) if (~np.isnan(v)).any() else np.nan for v in values]

    nearer = {
        "nearer_latents": lambda f: nearer_share(f.distance, unseen.distance),
        "nearer_melody": lambda f: nearer_share(-f.same_key, -unseen.same_key),
        "nearer_any_key": lambda f: nearer_share(-f.any_key, -unseen.any_key),
    }
    plain = {
        "distance": lambda f: f.distance,
        "same_key": lambda f: f.same_key,
        "any_key": lambda f: f.any_key,
    }

    def copied(clip: Nearest) -> np.ndarray:
        beyond = [clip.distance < unseen.distance.min()]
        for mine, theirs in ((clip.same_key, unseen.same_key), (clip.any_key, unseen.any_key)):
            if not np.isnan(theirs).all():
                beyond.append(mine > np.nanmax(theirs))
        return np.any(beyond, axis=0).astype(float)

    measures: dict[str, Callable[[Nearest], np.ndarray]] = {"copied": copied, **nearer, **plain}
    scores = {column: mean_score(mean(of), songs) for column, of in measures.items()}
    return Row(name, label, "system" if name == MODEL else "anchor", scores)


def _likest(
    context: EvaluationContext, heard: Heard, found: list[Nearest], names: list[str]
) -> list[str]:
    """The places where the system is nearest to training in latents, for listening."""
    places = [
        (clip.distance[at], context.clips[number].name, heard[number][1].starts[at], clip.song[at])
        for number, clip in enumerate(found)
        for at in range(len(clip.distance))
    ]
    return [
        f"{name} at {start * LATENT_HOP / SAMPLE_RATE_HZ:.1f} s and {names[song]}, {distance:.2f}"
        for distance, name, start, song in sorted(places)[:NUM_LIKEST]
    ]
