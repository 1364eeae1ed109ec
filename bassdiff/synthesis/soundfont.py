"""Renders parts of a song through a SoundFont."""

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
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.score import Part

# The renderer's output is 16-bit and clips: controller 7 keeps loud stems below full scale, and its
# gain, (value / 127)^2, is undone afterwards.
CHANNEL_VOLUME = 64
FONT_RATE_HZ = 48000
PARTS_PER_STEM = 7
TICKS_PER_BEAT = 960
TICK_SECONDS = 0.5 / TICKS_PER_BEAT
# Chorus send, reverb send, pan.
DRY_GENERATORS = (15, 16, 17)


def default_soundfont() -> Path:
    """The small General MIDI SoundFont that ships inside `pretty_midi`."""
    return Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"


def play(stems: Sequence[Sequence[Part]], soundfont: Path, num_samples: int) -> list[np.ndarray]:
    """Renders stems, dry and each apart from the others.

    Args:
      stems: Parts of each stem, with at most 7 melodic ones (others are dropped); times count from
        the first sample.
      soundfont: An .sf2 file.
      num_samples: Length of the results.

    Returns:
      For each stem `[num_samples]` float32 mono at `SAMPLE_RATE_HZ`; may exceed ±1.

    Raises:
      InputError: If the SoundFont cannot be read.
    """
    # A call has a large fixed cost, and a stereo file holds two stems.
    out: list[np.ndarray] = []
    for first in range(0, len(stems), 2):
        pair = stems[first : first + 2]
        out += _play_pair(pair, soundfont, num_samples)[: len(pair)]
    return out


def _play_pair(
    pair: Sequence[Sequence[Part]], soundfont: Path, num_samples: int
) -> list[np.ndarray]:
    if not any(part.notes for parts in pair for part in parts):
        return [np.zeros(num_samples, np.float32) for _ in range(2)]
    try:
        wave = midirenderer.render_wave_from(
            _dry_font(soundfont), _midi_bytes(pair, num_samples / SAMPLE_RATE_HZ)
        )
    except InputError:
        raise
    except BaseException as error:
        # A panic of the renderer is not an Exception.
        is_panic = type(error).__name__ == "PanicException"
        if not is_panic and not isinstance(error, ValueError | RuntimeError):
            raise
        reason = "the renderer cannot play it" if is_panic else str(error)
        raise InputError(
            f"{soundfont}: not a readable SoundFont ({reason}); give an .sf2 file."
        ) from error
    # 44 bytes of header, then 16-bit stereo.
    stereo = np.frombuffer(wave, "<i2", offset=44).reshape(-1, 2)
    gain = np.float32((127.0 / CHANNEL_VOLUME) ** 2 / 32768.0)
    return [_resampled(stereo[:, side] * gain, num_samples) for side in range(2)]


def _resampled(samples: np.ndarray, num_samples: int) -> np.ndarray:
    needed = int(num_samples * FONT_RATE_HZ / SAMPLE_RATE_HZ) + FONT_RATE_HZ
    audio = soxr.resample(samples[:needed], FONT_RATE_HZ, SAMPLE_RATE_HZ, quality="HQ")
    out = np.zeros(num_samples, np.float32)
    out[: len(audio)] = audio[:num_samples]
    return out


@functools.lru_cache(maxsize=2)
def _dry_font(path: Path) -> bytes:
    """The SoundFont's bytes with every pan and every send to chorus and reverb set to 0.

    A stereo sample would otherwise reach both sides of a file that holds two stems.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such SoundFont; check the path.")
    font = bytearray(path.read_bytes())
    pdta = font.rfind(b"LIST", 0, font.rfind(b"pdtaphdr"))
    position = pdta + 12
    # Chunks of the preset data: a name, a size, records. Generators are pairs of an
    # operator and its amount (SoundFont 2.01, section 7.5).
    while 12 <= position + 8 <= len(font):
        name = bytes(font[position : position + 4])
        size = int.from_bytes(font[position + 4 : position + 8], "little")
        if name in (b"pgen", b"igen"):
            body = np.frombuffer(font, "<i2", count=size // 2, offset=position + 8).reshape(-1, 2)
            body[np.isin(body[:, 0], DRY_GENERATORS), 1] = 0
        position += 8 + size
    return bytes(font)


def _midi_bytes(pair: Sequence[Sequence[Part]], end_seconds: float) -> bytes:
    score = pretty_midi.PrettyMIDI(resolution=TICKS_PER_BEAT, initial_tempo=120.0)
    for side, parts in enumerate(pair):
        drums = [part for part in parts if part.is_drum]
        melodic = [part for part in parts if not part.is_drum]
        for part in drums + melodic[:PARTS_PER_STEM]:
            score.instruments.append(_track(part, pan=127 * side))
    # The renderer stops at the last event, which must not be the end of a sounding note.
    end = pretty_midi.ControlChange(7, CHANNEL_VOLUME, end_seconds)
    score.instruments[0].control_changes.append(end)
    buffer = io.BytesIO()
    score.write(buffer)
    return buffer.getvalue()


def _track(part: Part, pan: int) -> pretty_midi.Instrument:
    track = pretty_midi.Instrument(part.program, is_drum=part.is_drum)
    track.notes = [
        pretty_midi.Note(n.velocity, n.pitch, n.start_seconds, n.end_seconds) for n in part.notes
    ]
    controls = [(7, CHANNEL_VOLUME, 0.0), (10, pan, 0.0), (91, 0, 0.0), (93, 0, 0.0)]
    if part.bends:
        span = int(np.ceil(max(2.0, *(abs(bend.semitones) for bend in part.bends))))
        # Registered parameter 0 is the bend range. It must be selected before its value is sent,
        # and simultaneous events are written in the order of their numbers.
        controls += [(101, 0, 0.0), (100, 0, 0.0), (6, span, TICK_SECONDS)]
        track.pitch_bends = [
            pretty_midi.PitchBend(
                int(np.clip(round(bend.semitones / span * 8192), -8192, 8191)), bend.start_seconds
            )
            for bend in part.bends
        ]
    track.control_changes = [pretty_midi.ControlChange(*control) for control in controls]
    return track
