"""Styles and drafts as latents, from which sampling starts."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bassdiff.audio.channels import to_mono
from bassdiff.audio.io import SAMPLE_RATE_HZ, probe, read
from bassdiff.audio.loudness import loudness_lufs, match_loudness
from bassdiff.audio.resampling import resample
from bassdiff.audio.tuning import at_speed
from bassdiff.data.mixing import BASS_LUFS
from bassdiff.diffusion.noise_range import SIGMA_MAX
from bassdiff.diffusion.request import MAX_SECTIONS
from bassdiff.diffusion.settings import Sampling
from bassdiff.inference.inputs import SPLICE_SECONDS, Draft, Recording, Style, section_shares
from bassdiff.inference.line import Line
from bassdiff.inference.samples import checked, warn_if_far_too_loud, whole_rate
from bassdiff.models.features import LATENT_HOP
from bassdiff.pretrained.codec import Codec
from bassdiff.runtime.errors import InputError

FRAME_SECONDS = LATENT_HOP / SAMPLE_RATE_HZ
MIN_STYLE_SECONDS = 0.5
SILENCE_LUFS = -70.0


@dataclasses.dataclass(frozen=True)
class Grounding:
    """The sound to play in, as latents.

    Attributes:
      style: `[S, C]` mean of the references' normalised latents where they sound.
      spread: `[S, C]` their standard deviation.
      sections: `[T, S]` the share of each frame that is in each reference's sound.
      strength: 0 where there is no reference.
    """

    style: np.ndarray
    spread: np.ndarray
    sections: np.ndarray
    strength: float


@dataclasses.dataclass(frozen=True)
class Start:
    """Where sampling starts, as latents.

    Attributes:
      given: `[N]` the draft at the mix's rate, as long as the mix; None where only notes are known.
      known: `[T, C]` its normalised latents.
      keep: `[T, C]`, 1 where they are kept.
      sigma_max: The noise level that sampling starts at.
      gain: Factor from the level at which codecs encode basses to the wanted one.
      free_seconds: The stretch outside which all is kept, if there is one.
    """

    given: np.ndarray | None
    known: np.ndarray
    keep: np.ndarray
    sigma_max: float = SIGMA_MAX
    gain: float = 1.0
    free_seconds: tuple[float, float] | None = None


class Preparation:
    """Encodes references and drafts with the bass codec."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.has_pitch = codec.has_pitch
        # The reference lends its sound, not its notes.
        self._timbre = codec.sound_channels

    def grounding(
        self,
        style: Recording | Sequence[Style] | None,
        sample_rate_hz: int,
        sampling: Sampling,
        num_frames: int,
        mix_seconds: float = float("inf"),
        frame_seconds: float = FRAME_SECONDS,
    ) -> Grounding:
        """The sound of references; without any its strength is 0.

        Args:
          style: The references.
          sample_rate_hz: The rate of references that are samples.
          sampling: Settings.
          num_frames: Latent frames of the mix.
          mix_seconds: Its length.
          frame_seconds: Seconds of the mix per latent frame; less if it is slowed down.

        Raises:
          InputError: If a style has no sound, begins after the mix has ended, or too many styles
            take turns.
        """
        styles = _styles(style)
        starts = section_starts(styles, sampling.grounding, mix_seconds)
        # Of one size whatever is asked, so that one program serves it.
        mean = np.zeros((MAX_SECTIONS, self._codec.num_channels), np.float32)
        spread = np.ones_like(mean)
        weights = np.zeros(MAX_SECTIONS)
        for reference in styles:
            section = starts.index(reference.start_seconds)
            weights[section] += reference.weight
            share = np.float32(reference.weight / weights[section])
            own_mean, own_spread = self.style_latents(reference.recording, sample_rate_hz)
            mean[section] += share * (own_mean - mean[section])
            spread[section] += share * (own_spread - spread[section])
        padding = np.full(MAX_SECTIONS - max(1, len(starts)), np.inf)
        times = (np.arange(num_frames) + 0.5) * frame_seconds
        sections = section_shares(np.concatenate([starts or [0.0], padding]), times)
        return Grounding(mean, spread, sections, sampling.style_strength if styles else 0.0)

    def style_latents(self, style: Recording, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation `[C]` of a bass recording's latents where it sounds.

        Raises:
          InputError: If the recording cannot be read or has no sound.
        """
        name, wave = _heard("the style reference", style, sample_rate_hz)
        if len(wave) < MIN_STYLE_SECONDS * SAMPLE_RATE_HZ:
            raise InputError(
                f"{name} is {len(wave) / SAMPLE_RATE_HZ:.3f} s long; give a style reference of "
                f"{MIN_STYLE_SECONDS} s at least"
            )
        latents = self._codec.encode(match_loudness(wave, SAMPLE_RATE_HZ, BASS_LUFS))
        sounding = self._codec.sounding
        share = np.clip(latents @ sounding.weights + sounding.offset, 0.0, 1.0) + 1e-4
        mean = np.average(latents, axis=0, weights=share)
        variance = np.average(np.square(latents - mean), axis=0, weights=share)
        return mean.astype(np.float32), np.sqrt(variance).astype(np.float32)

    def start(
        self, draft: Draft, sample_rate_hz: int, num_samples: int, slower: float = 1.0
    ) -> Start:
        """A draft as latents, as long as a mix of `num_samples` at its rate.

        Args:
          draft: The draft.
          sample_rate_hz: The rate of the mix.
          num_samples: The length of the mix.
          slower: The factor by which the mix is slowed down, to be in tune.

        Raises:
          InputError: If the draft cannot be read, has no sound or does not fit the mix.
        """
        name, given = _heard("the bass", draft.bass, sample_rate_hz, sample_rate_hz)
        length, seconds = len(given) / sample_rate_hz, num_samples / sample_rate_hz
        if len(given) > num_samples + sample_rate_hz // 10:
            raise InputError(
                f"{name} lasts {length:.1f} s and the mix {seconds:.1f} s; cut it to the mix"
            )
        given = np.pad(given[:num_samples], (0, max(0, num_samples - len(given))))
        wave = resample(at_speed(given, slower), sample_rate_hz, SAMPLE_RATE_HZ)
        loudness = loudness_lufs(wave, SAMPLE_RATE_HZ)
        gain = 10.0 ** ((loudness - BASS_LUFS) / 20.0)
        known = self._codec.encode(wave / np.float32(gain))
        keep = np.zeros_like(known)
        free = None
        if draft.free_seconds is not None:
            start, end = draft.free_seconds
            start = length if start is None else start
            free = start, end
            dataclasses.replace(draft, free_seconds=free).check_fits(seconds)
            if length < seconds - 0.1 and end < seconds:
                warnings.warn(
                    f"{name} lasts {length:.1f} s and the mix {seconds:.1f} s; beyond it and the "
                    "region, the bass is silent",
                    stacklevel=3,
                )
            times = (np.arange(len(known)) + 0.5) * FRAME_SECONDS / slower
            keep[(times < start) | (times >= end)] = 1.0
        if draft.keep_notes:
            if not self.has_pitch:
                raise InputError("these weights' codec has no pitch channels to keep notes in")
            keep[:, self._timbre == 0.0] = 1.0
        return Start(given, known, keep, draft.sigma_max, gain, free)

    def with_line(self, line: Line, start: Start | None, gain: float) -> Start:
        """Adds a line to a start: its pitches are known and kept.

        Args:
          line: A line as long as the mix.
          start: The start without the line; its kept parts stay. None for noise.
          gain: As in `Start`, for a start without a draft.

        Raises:
          InputError: The codec has no pitch channels.
        """
        is_pitch = self._codec.pitch_channels
        if not self.has_pitch:
            raise InputError("these weights' codec has no pitch channels to put notes in")
        latents = self._codec.line(line.semitones, line.known, line.sounds)
        if start is None:
            nothing = np.zeros_like(latents)
            start = Start(None, nothing, nothing, gain=gain)
        told = line.wanted[:, None] & is_pitch[None] & (start.keep == 0.0)
        known = np.where(told, latents, start.known)
        return dataclasses.replace(start, known=known, keep=np.where(told, 1.0, start.keep))


def section_starts(
    styles: Sequence[Style], grounding: str | None, mix_seconds: float
) -> list[float]:
    """When the styles of a mix take over from each other, in seconds.

    Args:
      styles: The references.
      grounding: The setting; None if it is not known yet.
      mix_seconds: Length of the mix.

    Raises:
      InputError: One begins after the mix has ended, or too many take turns, or any with a setting
        that does not allow it.
    """
    starts = sorted({reference.start_seconds for reference in styles})
    if starts and starts[-1] >= mix_seconds:
        raise InputError(
            f"a style takes over at {starts[-1]:g} s and the mix lasts {mix_seconds:.1f} s; "
            "let it begin earlier"
        )
    if len(starts) > MAX_SECTIONS:
        raise InputError(f"{len(starts)} styles take turns; name {MAX_SECTIONS} at most")
    if grounding == "replacement" and len(starts) > 1:
        raise InputError("styles that take turns need --grounding mean or moments")
    return starts


def _styles(style: Recording | Sequence[Style] | None) -> list[Style]:
    if style is None:
        return []
    if isinstance(style, Style):
        return [style]
    if isinstance(style, (str, Path)):
        return [Style(style)]
    if hasattr(style, "__array__"):
        return [Style(np.asarray(style))]
    if not isinstance(style, Sequence):
        raise InputError(
            f"the style is a {type(style).__name__}; give a file, samples, or a list of Styles"
        )
    return [one if isinstance(one, Style) else Style(one) for one in style]


def spliced(bass: np.ndarray, start: Start, sample_rate_hz: int) -> np.ndarray:
    """Puts a generated region into its draft, which stays the same to the sample outside it.

    Args:
      bass: `[N]` the generated bass, at the mix's rate and the draft's level.
      start: The start that it was sampled from.
      sample_rate_hz: The rate of the mix.
    """
    if start.given is None:
        return bass
    if start.sigma_max == 0.0:
        return start.given
    if start.free_seconds is None:
        return bass
    times = np.arange(len(bass)) / sample_rate_hz
    begin, end = start.free_seconds
    rising = np.clip((times - begin) / SPLICE_SECONDS, 0.0, 1.0)
    falling = np.clip((end - times) / SPLICE_SECONDS, 0.0, 1.0)
    share = np.minimum(rising, falling).astype(np.float32)
    # Where the share is 0, rounding in the sum would change the draft.
    return np.where(share > 0.0, share * bass + (1.0 - share) * start.given, start.given)


def _heard(
    name: str, recording: Recording, sample_rate_hz: int, wanted_hz: int = SAMPLE_RATE_HZ
) -> tuple[str, np.ndarray]:
    """The name of a recording for messages, and its samples `[N]` at the wanted rate."""
    if isinstance(recording, (str, Path)):
        name, rate_hz = str(recording), probe(recording).sample_rate_hz
        wave = read(recording)
        warn_if_far_too_loud(name, wave)
    else:
        rate_hz = whole_rate(sample_rate_hz)
        wave = checked(name, recording)
    wave = resample(to_mono(wave), rate_hz, wanted_hz)
    if len(wave) >= MIN_STYLE_SECONDS * wanted_hz and (
        loudness_lufs(wave, wanted_hz) <= SILENCE_LUFS
    ):
        raise InputError(f"{name} has no sound; give a recording of a bass playing")
    return name, wave
