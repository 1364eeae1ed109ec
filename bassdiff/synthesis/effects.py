"""Studio effects: equaliser, drive, compressor, reverb, wow and vibrato."""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.signal

from bassdiff.audio.io import SAMPLE_RATE_HZ

LEVEL_BLOCK_SAMPLES = 128


def equalise(samples: np.ndarray, bands: list[tuple[str, float, float]]) -> np.ndarray:
    """Boosts and cuts frequency bands.

    The filters are those of R. Bristow-Johnson's "Audio EQ Cookbook".

    Args:
      samples: `[N]` float32.
      bands: Kind, frequency in Hz and gain in dB. Kinds are "low" and "high" shelves, and "peak", a
        bell of about one and a half octaves.

    Returns:
      `[N]` float32.
    """
    if not bands:
        return samples
    sections = np.stack([_biquad(kind, frequency, gain) for kind, frequency, gain in bands])
    return scipy.signal.sosfilt(sections, samples).astype(np.float32)


def _biquad(kind: str, frequency_hz: float, gain_db: float) -> np.ndarray:
    amplitude = 10.0 ** (gain_db / 40.0)
    angle = 2.0 * np.pi * frequency_hz / SAMPLE_RATE_HZ
    cosine, alpha = np.cos(angle), np.sin(angle) / (2.0 * 0.9)
    if kind == "peak":
        b = [1 + alpha * amplitude, -2 * cosine, 1 - alpha * amplitude]
        a = [1 + alpha / amplitude, -2 * cosine, 1 - alpha / amplitude]
    else:
        # The high shelf is the low one mirrored at half the Nyquist frequency.
        sign = {"low": 1.0, "high": -1.0}[kind]
        up, down, root = amplitude + 1, amplitude - 1, 2 * np.sqrt(amplitude) * alpha
        c = sign * cosine
        b = [
            amplitude * (up - down * c + root),
            sign * 2 * amplitude * (down - up * c),
            amplitude * (up - down * c - root),
        ]
        a = [up + down * c + root, sign * -2 * (down + up * c), up + down * c - root]
    row = np.array([*b, *a])
    return row / row[3]


def drive(samples: np.ndarray, amount: float) -> np.ndarray:
    """Soft clipping that keeps the peak: tanh(g x / peak) / tanh(g) * peak, g = 1 + amount."""
    top = np.float32(np.abs(samples).max())
    if top == 0.0:
        return samples
    gain = np.float32(1.0 + amount)
    return np.tanh(samples * (gain / top)) * (top / np.tanh(gain))


def compress(
    samples: np.ndarray,
    ratio: float,
    threshold_db: float = -12.0,
    attack_seconds: float = 0.008,
    release_seconds: float = 0.12,
) -> np.ndarray:
    """Compresses the dynamic range.

    Args:
      samples: `[N]` float32.
      ratio: Compression ratio above the threshold.
      threshold_db: Threshold relative to the loudest block of 3 ms.
      attack_seconds: Time constant of gain reduction.
      release_seconds: Time constant of recovery.

    Returns:
      `[N]` float32, nowhere louder than before.
    """
    blocks = -(-len(samples) // LEVEL_BLOCK_SAMPLES)
    padded = np.zeros(blocks * LEVEL_BLOCK_SAMPLES, np.float32)
    padded[: len(samples)] = samples
    shaped = padded.reshape(blocks, LEVEL_BLOCK_SAMPLES)
    level_db = 10.0 * np.log10(np.einsum("ij,ij->i", shaped, shaped) + 1e-12)
    over_db = np.maximum(level_db - (level_db.max() + threshold_db), 0.0)
    wanted_db = over_db * (1.0 - 1.0 / ratio)
    block_seconds = LEVEL_BLOCK_SAMPLES / SAMPLE_RATE_HZ
    rise, fall = np.exp(-block_seconds / np.array([attack_seconds, release_seconds]))
    reduction_db = np.empty(blocks + 1)
    reduction_db[0] = state = 0.0
    for index, wanted in enumerate(wanted_db.tolist(), start=1):
        keep = rise if wanted > state else fall
        state = wanted + (state - wanted) * keep
        reduction_db[index] = state
    gain = (10.0 ** (-reduction_db / 20.0)).astype(np.float32)
    ramp = np.arange(LEVEL_BLOCK_SAMPLES, dtype=np.float32) / LEVEL_BLOCK_SAMPLES
    curve = gain[:-1, None] + np.diff(gain)[:, None] * ramp
    return (shaped * curve).ravel()[: len(samples)]


def reverb(
    samples: np.ndarray, decay_seconds: float, wet: float, rng: np.random.Generator
) -> np.ndarray:
    """Adds reverb: convolution with decaying noise, faster at high frequencies.

    Args:
      samples: `[N]` float32.
      decay_seconds: Decay time to -60 dB.
      wet: Root of the energy of the response; 0.02 is dry, 0.2 a church.
      rng: Draws the response.

    Returns:
      `[N]` float32; the tail beyond N is cut.
    """
    length = int(decay_seconds * SAMPLE_RATE_HZ)
    time = np.arange(length) / SAMPLE_RATE_HZ
    decay = 10.0 ** (-3.0 * time / decay_seconds)
    noise = rng.standard_normal((2, length))
    dull = scipy.signal.lfilter([0.12], [1.0, -0.88], noise[0]) * 3.0
    response = noise[1] * decay**2.5 + dull * decay
    # Reverb in the bass would blur the range that matters most.
    high_pass = scipy.signal.butter(2, 200.0, "high", fs=SAMPLE_RATE_HZ, output="sos")
    response = scipy.signal.sosfilt(high_pass, response)
    before = int(rng.uniform(0.003, 0.025) * SAMPLE_RATE_HZ)
    response *= wet / np.sqrt(np.sum(response**2))
    response = np.concatenate([[1.0], np.zeros(before), response]).astype(np.float32)
    return _convolved(samples, response)


def waver(
    samples: np.ndarray, rate_hz: float, cents: float, rng: np.random.Generator
) -> np.ndarray:
    """Modulates the pitch, like a singer's vibrato or an old tape.

    Args:
      samples: `[N]` float32.
      rate_hz: Approximate rate of modulation.
      cents: Largest deviation in hundredths of a semitone.
      rng: Draws how the depth changes over time.

    Returns:
      `[N]` float32; no sound moves by more than 0.1 * cents / rate_hz milliseconds.
    """
    if not len(samples):
        return samples
    time = np.arange(len(samples)) / SAMPLE_RATE_HZ
    knots = np.arange(0.0, time[-1] + 2.0, 1.0)
    depth = np.interp(time, knots, rng.uniform(0.0, 1.0, len(knots)))
    # The derivative of a delay is a change of pitch: 1200 / ln 2 cents for one of 1.
    seconds = cents * np.log(2.0) / 1200.0 / (2.0 * np.pi * rate_hz)
    moved = time + seconds * depth * np.sin(2.0 * np.pi * (rate_hz * time + rng.random()))
    return np.interp(moved, time, samples).astype(np.float32)


def _convolved(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Overlap-add in single precision, cut to the length of `samples`."""
    size = scipy.fft.next_fast_len(4 * len(response), real=True)
    step = size - len(response) + 1
    spectrum = scipy.fft.rfft(response, size)
    out = np.zeros(len(samples) + size, np.float32)
    for first in range(0, len(samples), step):
        block = scipy.fft.rfft(samples[first : first + step], size)
        out[first : first + size] += scipy.fft.irfft(block * spectrum, size)
    return out[: len(samples)]
