"""Parts of a song through a SoundFont."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from pathlib import Path

import midirenderer
import numpy as np
import pretty_midi
import soxr

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.data.score import Part
from bassdiff.types import InputError

# The renderer's output is 16-bit and clips: controller 7 keeps a loud stem below full scale
# and its gain, (value / 127)^2, is taken back afterwards.
CHANNEL_VOLUME = 64
FONT_RATE_HZ = 48000
MELODIC_CHANNELS = 15


def default_soundfont() -> Path:
    """The small General MIDI SoundFont that ships inside `pretty_midi`."""
    return Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"


def play(parts: Sequence[Part], soundfont: Path, num_samples: int) -> np.ndarray:
    """Renders parts together, dry.

    Args:
      parts: at most 15 melodic ones; times count from the first sample.
      soundfont: an .sf2 file.
      num_samples: length of the result.

    Returns:
      `[num_samples]` float32 mono at `SAMPLE_RATE_HZ`; may exceed ±1.

    Raises:
      InputError: when the SoundFont cannot be read.
    """
    if not any(part.notes for part in parts):
        return np.zeros(num_samples, np.float32)
    try:
        wave = midirenderer.render_wave_from(_font(soundfont), _midi_bytes(parts))
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"{soundfont}: not a readable SoundFont ({error}); give an .sf2 file."
        ) from error
    # 44 bytes of header, then 16-bit stereo.
    stereo = np.frombuffer(wave, "<i2", offset=44).astype(np.float32)
    gain = (127.0 / CHANNEL_VOLUME) ** 2 / 2.0 / 32768.0
    mono = (stereo[0::2] + stereo[1::2]) * np.float32(gain)
    out = soxr.resample(mono, FONT_RATE_HZ, SAMPLE_RATE_HZ, quality="HQ")[:num_samples]
    return np.pad(out, (0, num_samples - len(out)))


@functools.lru_cache(maxsize=2)
def _font(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"{path}: there is no such SoundFont; check the path.")
    return path.read_bytes()


def _midi_bytes(parts: Sequence[Part]) -> bytes:
    # At 120 beats a minute, 960 ticks a beat place notes within 0.3 ms.
    score = pretty_midi.PrettyMIDI(resolution=960, initial_tempo=120.0)
    for part in parts[:MELODIC_CHANNELS]:
        track = pretty_midi.Instrument(part.program, is_drum=part.is_drum)
        track.notes = [
            pretty_midi.Note(n.velocity, n.pitch, n.start_seconds, n.end_seconds)
            for n in part.notes
        ]
        # Dry: reverb (91) and chorus (93) are `effects`' business.
        for number, value in ((7, CHANNEL_VOLUME), (91, 0), (93, 0)):
            track.control_changes.append(pretty_midi.ControlChange(number, value, 0.0))
        if part.bends:
            span = int(np.ceil(max(2.0, *(abs(b.semitones) for b in part.bends))))
            # Registered parameter 0 is the bend range.
            for number, value in ((101, 0), (100, 0), (6, span)):
                track.control_changes.append(pretty_midi.ControlChange(number, value, 0.0))
            track.pitch_bends = [
                pretty_midi.PitchBend(
                    int(np.clip(round(b.semitones / span * 8192), -8192, 8191)), b.start_seconds
                )
                for b in part.bends
            ]
        score.instruments.append(track)
    buffer = io.BytesIO()
    score.write(buffer)
    return buffer.getvalue()
