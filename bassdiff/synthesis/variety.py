"""Random variation of instruments, levels and effects between renderings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from bassdiff.synthesis import effects
from bassdiff.synthesis.score import Part
from bassdiff.synthesis.timbres import TIMBRES, Timbre, vary_timbre

# General MIDI programs that can stand in for each other, by family.
FAMILIES: tuple[tuple[int, ...], ...] = (
    (0, 1, 2, 3, 4, 5, 6, 7),
    (8, 9, 10, 11, 12, 13, 14),
    (16, 17, 18, 19, 20, 21),
    (24, 25, 26, 27, 28),
    (29, 30),
    (40, 41, 42, 48, 49, 50, 51, 52, 53, 54),
    (56, 57, 59, 60, 61, 62, 63),
    (64, 65, 66, 67, 68, 69, 71),
    (72, 73, 74, 75, 76, 79),
    (80, 81, 82, 83, 84, 85, 87),
    (88, 89, 90, 91, 92, 93, 94, 95),
)
BASS_PROGRAMS: tuple[int, ...] = (32, 33, 34, 35, 36, 37, 38, 39)
DRUM_KITS: tuple[int, ...] = (0, 0, 0, 8, 16, 24, 25, 32, 40)
KEEP_PROGRAM = 0.4
SYNTHESISED_BASS = 0.5


def substituted(parts: Sequence[Part], rng: np.random.Generator) -> tuple[Part, ...]:
    """The parts of one stem on other instruments of the same families, some on their own."""

    def replaced(part: Part) -> Part:
        if rng.random() < KEEP_PROGRAM:
            return part
        if part.is_drum:
            choices = DRUM_KITS
        elif part.stem == "bass":
            choices = BASS_PROGRAMS
        else:
            choices = next((f for f in FAMILIES if part.program in f), (part.program,))
        return dataclasses.replace(part, program=int(rng.choice(choices)))

    return tuple(replaced(part) for part in parts)


def bass_timbre(rng: np.random.Generator) -> Timbre | None:
    """A synthesised bass sound, or `None` where the SoundFont plays."""
    if rng.random() >= SYNTHESISED_BASS:
        return None
    name = rng.choice(sorted(TIMBRES))
    return vary_timbre(TIMBRES[name], rng)


def level_change_db(rng: np.random.Generator) -> float:
    """Draws the deviation of a stem's level from its usual one, in dB."""
    return float(np.clip(rng.normal(0.0, 2.5), -6.0, 6.0))


def dressed(samples: np.ndarray, stem: str, rng: np.random.Generator) -> np.ndarray:
    """Applies random studio effects to a stem: equaliser, drive, compressor, reverb.

    The bass gets milder effects and no reverb.

    Args:
      samples: `[N]` float32 of any level.
      stem: Name of the stem.
      rng: Draws the settings.

    Returns:
      `[N]` float32 of another level.
    """
    strength = 2.0 if stem == "bass" else 4.0
    bands = [
        ("low", float(rng.uniform(80.0, 250.0)), strength * float(rng.normal(0.0, 0.7))),
        ("peak", float(np.exp(rng.uniform(5.7, 8.3))), strength * float(rng.normal())),
        ("high", float(rng.uniform(3000.0, 9000.0)), strength * float(rng.normal())),
    ]
    samples = effects.equalise(samples, bands)
    if rng.random() < (0.25 if stem in ("bass", "guitar", "keys", "drums") else 0.1):
        samples = effects.drive(samples, float(rng.uniform(0.2, 2.0)))
    if rng.random() < (0.6 if stem in ("bass", "drums", "melody") else 0.3):
        samples = effects.compress(
            samples,
            ratio=float(rng.uniform(1.5, 5.0)),
            threshold_db=float(rng.uniform(-24.0, -8.0)),
            attack_seconds=float(rng.uniform(0.002, 0.02)),
        )
    if stem != "bass" and rng.random() < 0.8:
        small_room = stem == "drums" or rng.random() < 0.4
        decay_seconds = float(rng.uniform(0.2, 0.7) if small_room else rng.uniform(0.8, 2.5))
        samples = effects.reverb(samples, decay_seconds, float(rng.uniform(0.02, 0.18)), rng)
    return samples


def another_sound(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Changes the sound of a recording: strong equalisation, sometimes overdrive.

    Args:
      samples: `[N]` float32.
      rng: Draws the settings.

    Returns:
      `[N]` float32 of the same level.
    """
    samples = np.asarray(samples, np.float32)
    bands = [
        ("low", float(rng.uniform(60.0, 200.0)), float(rng.normal(0.0, 4.0))),
        ("peak", float(np.exp(rng.uniform(5.0, 6.8))), float(rng.normal(0.0, 6.0))),
        ("peak", float(np.exp(rng.uniform(6.5, 8.3))), float(rng.normal(0.0, 6.0))),
        ("high", float(rng.uniform(1000.0, 6000.0)), float(rng.normal(0.0, 8.0))),
    ]
    changed = effects.equalise(samples, bands)
    if rng.random() < 0.3:
        changed = effects.drive(changed, float(rng.uniform(0.5, 6.0)))
    before, after = (float(np.sqrt(np.mean(np.square(x)))) for x in (samples, changed))
    return changed * np.float32(before / max(after, 1e-9))
