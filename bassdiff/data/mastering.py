"""Augments mixes as production does: room, mastering, tape, noise and MP3."""

from __future__ import annotations

import io

import numpy as np
import scipy.signal
import soundfile

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.loudness import match_loudness
from bassdiff.data.mixing import MIX_LUFS, random_mix
from bassdiff.synthesis import effects
from bassdiff.synthesis.stems import Stems

# Share of mixes that stay unchanged.
UNTOUCHED_PROBABILITY = 0.25
# libsndfile's compression level for MP3: 160 to 56 kbit/s.
MP3_COMPRESSION = (0.5, 0.9)


def mastered_mix(stems: Stems, rng: np.random.Generator) -> np.ndarray:
    """Draws a mix as `random_mix` does, and masters three of four.

    Args:
      stems: The song.
      rng: Source of randomness.

    Returns:
      `[N]` float32 at `MIX_LUFS`; silence if nothing sounds.
    """
    mix = random_mix(stems, rng)
    if rng.random() < UNTOUCHED_PROBABILITY:
        return mix
    return match_loudness(mastered(mix, rng), SAMPLE_RATE_HZ, MIX_LUFS)


def mastered(mix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Applies a random chain of effects that shift sounds by a few milliseconds at most.

    Args:
      mix: `[N]` float32 at 44.1 kHz.
      rng: Draws the effects and their strength.

    Returns:
      `[N]` float32 of another level.
    """
    if rng.random() < 0.3:
        mix = effects.reverb(mix, float(rng.uniform(0.2, 1.5)), float(rng.uniform(0.03, 0.2)), rng)
    mix = effects.equalise(
        mix,
        [
            ("low", float(rng.uniform(60.0, 250.0)), float(rng.normal(0.0, 3.0))),
            ("peak", float(np.exp(rng.uniform(5.3, 8.3))), float(rng.normal(0.0, 3.0))),
            ("high", float(rng.uniform(2500.0, 9000.0)), float(rng.normal(0.0, 3.5))),
        ],
    )
    if rng.random() < 0.2:
        mix = _cut(mix, "high", float(rng.uniform(40.0, 150.0)))
    if rng.random() < 0.25:
        mix = _cut(mix, "low", float(rng.uniform(3500.0, 14000.0)))
    if rng.random() < 0.2:
        mix = effects.waver(mix, float(rng.uniform(0.3, 3.0)), float(rng.uniform(1.0, 6.0)), rng)
    if rng.random() < 0.6:
        mix = effects.compress(
            mix,
            ratio=float(rng.uniform(1.5, 8.0)),
            threshold_db=float(rng.uniform(-24.0, -6.0)),
            attack_seconds=float(rng.uniform(0.002, 0.03)),
        )
    if rng.random() < 0.5:
        mix = effects.drive(mix, float(rng.uniform(0.3, 4.0)))
    if rng.random() < 0.4:
        mix = mix + _noise(mix, rng)
    if rng.random() < 0.3:
        mix = as_mp3(mix, float(rng.uniform(*MP3_COMPRESSION)))
    return mix


def as_mp3(mix: np.ndarray, compression: float) -> np.ndarray:
    """Encodes to MP3 and decodes again, without delay.

    Args:
      mix: `[N]` float32.
      compression: 0 (320 kbit/s) to 0.9 (56 kbit/s); beyond, decoders shift the sound.
    """
    top = np.float32(max(np.abs(mix).max(initial=0.0), 1e-9))
    file = io.BytesIO()
    soundfile.write(
        file,
        0.9 * mix / top,
        SAMPLE_RATE_HZ,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=compression,
        bitrate_mode="CONSTANT",
    )
    file.seek(0)
    decoded = soundfile.read(file, dtype="float32")[0][: len(mix)]
    return np.pad(decoded, (0, len(mix) - len(decoded))) * (top / np.float32(0.9))


def _cut(samples: np.ndarray, kind: str, frequency_hz: float) -> np.ndarray:
    sections = scipy.signal.butter(2, frequency_hz, kind, fs=SAMPLE_RATE_HZ, output="sos")
    return scipy.signal.sosfilt(sections, samples).astype(np.float32)


def _noise(mix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Low-passed hiss 30 to 60 dB below the mix, sometimes with mains hum."""
    level = np.sqrt(np.mean(np.square(mix))) * 10.0 ** (rng.uniform(-60.0, -30.0) / 20.0)
    white = rng.standard_normal(len(mix), np.float32)
    hiss = scipy.signal.lfilter([1.0], [1.0, -0.9], white).astype(np.float32)
    noise = hiss / max(float(np.std(hiss)), 1e-9)
    if rng.random() < 0.25:
        cycles = np.arange(len(mix)) * (float(rng.choice([50.0, 60.0])) / SAMPLE_RATE_HZ)
        for partial in (1, 2, 3, 5):
            noise += (np.sin(2 * np.pi * (cycles * partial % 1.0)) / partial).astype(np.float32)
    return np.float32(level) * noise
