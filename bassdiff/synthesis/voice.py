"""Turns an instrument into a singing voice: vowels, syllables, vibrato, breath."""

from __future__ import annotations

import numpy as np
import scipy.signal

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.synthesis import effects

# First four formants of men's vowels in Hz; the first three as Peterson and Barney measured them
# (JASA 24(2), 1952).
VOWELS: dict[str, tuple[int, int, int, int]] = {
    "a": (730, 1090, 2440, 3400),
    "e": (530, 1840, 2480, 3500),
    "i": (270, 2290, 3010, 3600),
    "o": (570, 840, 2410, 3300),
    "u": (300, 870, 2240, 3200),
}
BANDWIDTH_HZ = 110.0
FORMANT_GAINS = (1.0, 0.7, 0.4, 0.3)
CONTROL_SAMPLES = 64
SYLLABLE_SECONDS = (0.12, 0.5)
JOIN_SECONDS = 0.04
CONSONANT_PROBABILITY = 0.35


def sung(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Makes an instrument sing random syllables on its own notes.

    Args:
      samples: `[N]` float32.
      rng: Draws the voice and its syllables.

    Returns:
      `[N]` float32 with the root mean square of `samples`.
    """
    level = float(np.sqrt(np.mean(np.square(samples))))
    if level == 0.0:
        return samples
    # Vowels need partials to shape; a flute, for example, has few.
    source = effects.drive(samples, float(rng.uniform(2.0, 8.0)))
    source = effects.waver(source, float(rng.uniform(4.5, 6.5)), float(rng.uniform(5.0, 40.0)), rng)
    loudness = scipy.signal.sosfilt(
        scipy.signal.butter(1, 20.0, fs=SAMPLE_RATE_HZ, output="sos"), np.abs(source)
    ).astype(np.float32)
    breath = rng.standard_normal(len(samples), np.float32) * np.maximum(loudness, 0.0)
    source = source + np.float32(rng.uniform(0.02, 0.15)) * breath

    shares, consonants = _syllables(len(samples), rng)
    size = float(rng.uniform(0.95, 1.3))
    voice = np.zeros(len(samples), np.float32)
    for share, formants in zip(shares, VOWELS.values(), strict=True):
        voice += share * _vowel(source, formants, size)
    hiss = scipy.signal.sosfilt(
        scipy.signal.butter(2, 3500.0, "high", fs=SAMPLE_RATE_HZ, output="sos"), breath
    ).astype(np.float32)
    scale = np.sqrt(np.mean(np.square(voice)) / max(float(np.mean(np.square(hiss))), 1e-12))
    voice = voice * (1.0 - consonants) + np.float32(0.5 * scale) * hiss * consonants
    return voice * np.float32(level / np.sqrt(np.mean(np.square(voice))))


def _syllables(num_samples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Weights of each vowel `[5, N]` and of consonants `[N]`, 0 to 1."""
    steps = -(-num_samples // CONTROL_SAMPLES) + 1
    vowel = np.zeros((len(VOWELS), steps), np.float32)
    consonant = np.zeros(steps, np.float32)
    start = 0
    while start < steps:
        length = int(rng.uniform(*SYLLABLE_SECONDS) * SAMPLE_RATE_HZ / CONTROL_SAMPLES)
        vowel[rng.integers(len(VOWELS)), start : start + length] = 1.0
        if rng.random() < CONSONANT_PROBABILITY:
            consonant[start : start + int(rng.uniform(0.1, 0.3) * length)] = 1.0
        start += length
    window = np.hanning(int(JOIN_SECONDS * SAMPLE_RATE_HZ / CONTROL_SAMPLES) + 2)
    window = (window / window.sum()).astype(np.float32)
    moment = np.arange(num_samples) / CONTROL_SAMPLES

    def smooth(steps_: np.ndarray) -> np.ndarray:
        joined = np.convolve(steps_, window, "same")
        return np.interp(moment, np.arange(steps), joined).astype(np.float32)

    return np.stack([smooth(row) for row in vowel]), smooth(consonant)


def _vowel(source: np.ndarray, formants: tuple[int, ...], size: float) -> np.ndarray:
    """A bank of parallel resonances; a smaller head has higher ones."""
    total = np.zeros(len(source), np.float32)
    for formant_hz, gain in zip(formants, FORMANT_GAINS, strict=True):
        peak_hz = formant_hz * size
        b, a = scipy.signal.iirpeak(peak_hz, peak_hz / BANDWIDTH_HZ, fs=SAMPLE_RATE_HZ)
        total += np.float32(gain) * scipy.signal.lfilter(b, a, source).astype(np.float32)
    return total
