"""A picture of a mix and its bass."""

from __future__ import annotations

import os

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import FuncFormatter, NullLocator
from PIL import Image

from bassdiff.audio.pitch import PitchTrack
from bassdiff.inference.appearance import BASS_HZ, MIX_HZ, Appearance, spectrogram_db
from bassdiff.inference.picture_marks import Marks, draw_marks, draw_note_names
from bassdiff.runtime.atomic import OpenFile, atomic_file

_RANGE_DB, _MIN_TOP_DB = 70.0, 0.0
_TICKS_HZ = (30, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
_MIX_COLOUR, _BASS_COLOUR = "#7a7a7a", "#d1495b"
_PITCH_COLOUR = "#4df0ff"


def draw(
    mix: Appearance,
    bass: Appearance,
    path: str | os.PathLike[str],
    open_file: OpenFile = atomic_file,
    marks: Marks | None = None,
) -> None:
    """Draws the spectrograms of a mix and its bass, the bass's pitch, and both's onsets.

    Args:
      mix: the mix without the bass, by `appearance`.
      bass: the bass, with its pitch.
      path: the PNG file to write, whole or not at all.
      open_file: opens the file; from `atomic_files`, for several that belong together.
      marks: bars, chords and a region to mark; None for none.

    Raises:
      InputError: the file cannot be written.
    """
    seconds = max(mix.seconds, bass.seconds)

    # Figure without pyplot: no global state, so that threads may draw side by side.
    figure = Figure(figsize=(12, 8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    mix_axes, bass_axes, onset_axes = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": (3, 3, 1.3)}
    )
    _draw_spectrogram(mix_axes, mix)
    mix_axes.set_title("mix", loc="left")
    _draw_spectrogram(bass_axes, bass)
    bass_axes.set_title("bass, with its pitch", loc="left")
    if bass.pitch is not None:
        _draw_pitch(bass_axes, bass.pitch)
    draw_note_names(bass_axes, bass.range_hz)
    _draw_onsets(onset_axes, mix, bass)
    onset_axes.set_xlim(0, seconds)
    onset_axes.set_xlabel("seconds")
    if marks is not None:
        draw_marks((mix_axes, bass_axes, onset_axes), marks, seconds)
    with open_file(path) as file:
        # A fifth larger than at full effort, in a third of the time.
        figure.savefig(file, format="png", pil_kwargs={"compress_level": 2})


def save_spectrogram(
    samples: np.ndarray, sample_rate_hz: int, path: str | os.PathLike[str], is_bass: bool
) -> None:
    """Writes a spectrogram without axes: time from left to right, frequency in octaves.

    Args:
      samples: `[N]` float.
      sample_rate_hz: Its rate.
      path: The PNG file to write.
      is_bass: Whether it shows `BASS_HZ`, otherwise `MIX_HZ`.

    Raises:
      InputError: The file cannot be written.
    """
    image = spectrogram_db(samples, sample_rate_hz, BASS_HZ if is_bass else MIX_HZ)
    top_db = max(float(image.max()), _MIN_TOP_DB)
    shades = np.clip(1.0 + (image[::-1] - top_db) / _RANGE_DB, 0.0, 1.0)
    with atomic_file(path) as file:
        Image.fromarray(colormaps["magma"](shades, bytes=True)[..., :3]).save(file, "PNG")


def _draw_spectrogram(axes: Axes, shown: Appearance) -> None:
    image, range_hz = shown.spectrogram_db, shown.range_hz
    extent = (0, shown.seconds, *np.log2(range_hz))
    # Silence would be painted at full brightness: no level is below this.
    top_db = max(float(image.max()), _MIN_TOP_DB)
    axes.imshow(
        image,
        origin="lower",
        aspect="auto",
        extent=extent,
        vmin=top_db - _RANGE_DB,
        vmax=top_db,
        cmap="magma",
        interpolation="nearest",
    )
    axes.set_yticks([np.log2(tick) for tick in _TICKS_HZ if range_hz[0] <= tick <= range_hz[1]])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda octaves, _: f"{2**octaves:.0f}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("Hz")


def _draw_pitch(axes: Axes, pitch: PitchTrack) -> None:
    seconds = np.arange(len(pitch.f0_hz)) * pitch.hop_seconds
    octaves = np.log2(np.where(pitch.voiced, pitch.f0_hz, np.nan))
    # Glides between notes would draw a fence over the spectrogram.
    octaves[1:][np.abs(np.diff(octaves)) > 1 / 12] = np.nan
    outline = [Stroke(linewidth=3.5, foreground="black"), Normal()]
    axes.plot(
        seconds, octaves, color=_PITCH_COLOUR, linewidth=1.8, path_effects=outline, scaley=False
    )


def _draw_onsets(axes: Axes, mix: Appearance, bass: Appearance) -> None:
    curves = ((mix, _MIX_COLOUR, "mix", 1), (bass, _BASS_COLOUR, "bass", -1))
    for shown, colour, name, sign in curves:
        peaks = shown.onsets
        seconds = np.arange(len(peaks)) * shown.onset_seconds
        height = sign * peaks / max(float(peaks.max()), 1e-9)
        axes.fill_between(seconds, height, color=colour, linewidth=0, label=name)
    axes.axhline(0, color="black", linewidth=0.5)
    axes.set_ylim(-1.05, 1.05)
    axes.set_yticks([])
    axes.set_title("onsets: mix above, bass below", loc="left")
