"""Changes the tempo and pitch of recordings by a phase vocoder that preserves attacks."""

from __future__ import annotations

import numpy as np
import scipy.fft

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.resampling import resample

# Long enough to resolve the partials of low notes.
WINDOW_SAMPLES = 4096
HOP_SAMPLES = WINDOW_SAMPLES // 4
# Attacks are found to within a hop of the onset detector.
ATTACK_SAMPLES = 512
# Rise of the level, averaged over mel bands, that makes an attack: steady tones and noise stay
# below it, notes and drums reach 2 to 40.
ATTACK_DB = 2.0


def stretched_and_shifted(
    samples: np.ndarray, sample_rate_hz: int, tempo: float = 1.0, semitones: int = 0
) -> np.ndarray:
    """Changes the tempo of a recording and, independently, its pitch.

    Resampling sets the pitch and changes the duration; the vocoder corrects the duration in one
    pass, since every pass costs quality. An attack at time t comes at t / tempo for every pitch,
    so stems stay together.

    Args:
      samples: `[N]` float32.
      sample_rate_hz: samples per second.
      tempo: above 0; 1.1 is 10 % faster, and shorter.
      semitones: how much higher; below 0, lower.

    Returns:
      `[round(N / tempo)]` float32; `samples` themselves where nothing changes.
    """
    if tempo == 1.0 and semitones == 0:
        return samples
    ratio = 2.0 ** (semitones / 12.0)
    stretched = stretched_by(samples, sample_rate_hz, tempo / ratio)
    # Rounding the rate is 0.02 cents.
    from_hz = round(sample_rate_hz * ratio)
    return resample(stretched, from_hz, sample_rate_hz, round(len(samples) / tempo))


def stretched_by(samples: np.ndarray, sample_rate_hz: int, rate: float) -> np.ndarray:
    """Plays a recording `rate` times as fast at its pitch.

    Magnitudes are those of the frame that is due; phases advance as they do in the recording.
    Around an attack the recording is copied, and what lies between attacks is stretched a little
    more instead: a vocoder that stretches all alike moves clicks by tens of milliseconds. After
    Flanagan and Golden, Phase vocoder, 1966, with the phase resets of Duxbury, Davies and
    Sandler, Improved time-scaling of musical audio using phase locking at transients, 2002.

    Args:
      samples: `[N]` float32.
      sample_rate_hz: samples per second.
      rate: above 0.

    Returns:
      `[round(N / rate)]` float32.
    """
    if rate == 1.0:
        return samples
    num_out = round(len(samples) / rate)
    padded = np.pad(samples, (WINDOW_SAMPLES, 2 * WINDOW_SAMPLES))
    attacks = _attacks(padded, sample_rate_hz) - WINDOW_SAMPLES
    sources, is_fresh = _time_map(attacks, rate, num_out)
    # Beyond the end is silence.
    sources = np.minimum(sources, len(samples) + WINDOW_SAMPLES // 2)
    window = np.hanning(WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
    out = np.zeros(len(sources) * HOP_SAMPLES + WINDOW_SAMPLES, np.float32)

    def spectrum(centre: int) -> np.ndarray:
        start = centre + WINDOW_SAMPLES // 2
        return scipy.fft.rfft(padded[start : start + WINDOW_SAMPLES] * window)

    phasor = np.ones(WINDOW_SAMPLES // 2 + 1, np.complex64)
    for i, (source, fresh) in enumerate(zip(sources.tolist(), is_fresh.tolist(), strict=True)):
        now = spectrum(source)
        if fresh:
            phasor = _unit(now)
        else:
            phasor = _unit(phasor * _unit(now) * _unit(spectrum(source - HOP_SAMPLES)).conj())
        frame = scipy.fft.irfft(np.abs(now) * phasor) * window
        out[i * HOP_SAMPLES : i * HOP_SAMPLES + WINDOW_SAMPLES] += frame
    # Squared Hann windows a quarter of their length apart add up to 1.5.
    return out[WINDOW_SAMPLES // 2 :][:num_out] / np.float32(1.5)


def _attacks(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Where notes and hits begin, in samples, increasing."""
    rise_db = librosa.onset.onset_strength(y=samples, sr=sample_rate_hz)
    return librosa.onset.onset_detect(
        onset_envelope=rise_db,
        sr=sample_rate_hz,
        units="samples",
        normalize=False,
        delta=ATTACK_DB,
    )


def _time_map(attacks: np.ndarray, rate: float, num_out: int) -> tuple[np.ndarray, np.ndarray]:
    """The position in the recording of each output frame, and which frames take its phases.

    From half a window before an attack, where frames begin to contain it, until it is over, frames
    are as far apart in the recording as in the output, and so copy it.

    Args:
      attacks: increasing, in samples.
      rate: how fast the recording is played.
      num_out: samples of the output.

    Returns:
      Centres of the frames `[F]` int in samples of the recording, and `[F]` bool.
    """
    before, after = WINDOW_SAMPLES // 2, ATTACK_SAMPLES
    room = (before + after + HOP_SAMPLES) * max(1.0, rate)
    knots = [(0.0, 0.0)]
    starts = [0.0]
    last = 0.0
    for attack in attacks.tolist():
        if attack - last < room:
            continue
        last = attack
        target = attack / rate
        knots += [(target - before, attack - before), (target + after, attack + after)]
        starts.append(target - before)
    knots.append((knots[-1][0] + num_out, knots[-1][1] + num_out * rate))
    targets, sources = np.transpose(knots)
    frames = np.arange(0, num_out + WINDOW_SAMPLES // 2, HOP_SAMPLES)
    is_fresh = np.zeros(len(frames), bool)
    first = np.searchsorted(frames, starts)
    is_fresh[first[first < len(frames)]] = True
    return np.round(np.interp(frames, targets, sources)).astype(int), is_fresh


def _unit(values: np.ndarray) -> np.ndarray:
    """Complex numbers at length 1; 1 for 0, which has no phase."""
    lengths = np.abs(values)
    return np.where(lengths > 0, values / np.maximum(lengths, 1e-30), 1).astype(np.complex64)
