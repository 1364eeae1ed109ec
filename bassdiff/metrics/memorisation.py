"""Memorisation: the nearest training phrases of a bass.

A phrase is 6 s of a bass: its latents, and its melody, the note of every latent frame. It is
  searched
for in every training bass at every time, and its melody in every key. Music repeats itself, so
distances mean little on their own: compare them with those of unseen true basses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import scipy.fft

PHRASE_FRAMES = 128
# At least half of a phrase must sound, or silence would be compared with silence.
LEAST_SOUNDING = 0.5
# Melodies of fewer notes, such as a repeated root, occur in most songs.
LEAST_PITCHES = 3
SILENT = -1000
_OWN_SILENT = -2000
# Melodies are compared at every second frame, at all lags: notes last longer than 93 ms.
_STRIDE = 2
_BLOCK_FRAMES = 512
# Semitones, above the range of a bass.
_LARGEST_STEP = 49


class Phrases(NamedTuple):
    """Phrases to search for.

    Attributes:
      latents: `[Q, shifts, W, C]` float32, each phrase at several shifts of less than a frame,
        since a copy may begin between two frames of the original.
      notes: `[Q, W]` int16 semitones above a fixed pitch, `SILENT` for rests.
      starts: `[Q]` int, first frame of each phrase within its bass.
    """

    latents: np.ndarray
    notes: np.ndarray
    starts: np.ndarray

    @property
    def has_melody(self) -> np.ndarray:
        """Whether each phrase has enough different notes to be recognised, `[Q]` bool."""
        return np.array(
            [len(np.unique(row[row != SILENT])) >= LEAST_PITCHES for row in self.notes], bool
        )


class Nearest(NamedTuple):
    """The nearest training phrase of every phrase, by three measures.

    Attributes:
      distance: `[Q]` RMS difference of latents: 0 for a copy, about √2 for unrelated sounds of unit
        variance.
      same_key: `[Q]` agreement of melodies, 0…1: share of sounding frames with the same note
        (Dice's coefficient); NaN for phrases without a melody.
      any_key: `[Q]` the same for the best transposition of the training bass.
      song: `[Q]` int, number of the training bass that is nearest in latents.
    """

    distance: np.ndarray
    same_key: np.ndarray
    any_key: np.ndarray
    song: np.ndarray


def phrases(latents: np.ndarray, notes: np.ndarray) -> Phrases:
    """Cuts a bass into consecutive phrases and drops mostly silent ones.

    Args:
      latents: `[shifts, T, C]` normalised, at each shift.
      notes: `[T]` int16, `SILENT` for rests.
    """
    starts = np.arange(0, len(notes) - PHRASE_FRAMES + 1, PHRASE_FRAMES)
    sounding = [(notes[s : s + PHRASE_FRAMES] != SILENT).mean() >= LEAST_SOUNDING for s in starts]
    starts = starts[np.array(sounding, bool)]
    places = starts[:, None] + np.arange(PHRASE_FRAMES)
    return Phrases(np.asarray(latents, np.float32)[:, places].swapaxes(0, 1), notes[places], starts)


def joined(many: Iterable[Phrases]) -> Phrases:
    """Concatenates the phrases of several basses."""
    return Phrases(*map(np.concatenate, zip(*many, strict=True)))


def nearest(wanted: Phrases, training: Iterable[tuple[np.ndarray, np.ndarray]]) -> Nearest:
    """Searches for phrases in training basses, with one of these in memory at a time.

    Takes about 0.5 ms of a core per second of training bass and 100 phrases, and about 1 MB per
    phrase at two shifts.

    Args:
      wanted: Q phrases.
      training: Latents `[T, C]` and notes `[T]` of each bass; basses shorter than a phrase are
        skipped.

    Returns:
      The nearest phrases; without a training bass, distances are infinite and agreements 0.
    """
    search = _Search(wanted)
    count = len(wanted.notes)
    has_melody = wanted.has_melody
    distance, song = np.full(count, np.inf), np.full(count, -1)
    same_key, any_key = (np.where(has_melody, 0.0, np.nan) for _ in range(2))
    for number, (latents, notes) in enumerate(training):
        if len(notes) < PHRASE_FRAMES:
            continue
        found = search.distances(np.asarray(latents, np.float32))
        song[found < distance] = number
        distance = np.minimum(distance, found)
        for query, (own, any_) in search.agreements(notes, np.flatnonzero(has_melody)):
            same_key[query] = max(same_key[query], own)
            any_key[query] = max(any_key[query], any_)
    return Nearest(distance, same_key, any_key, song)


def nearer_share(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """For each value, the share of reference values that are greater, ties counting half.

    Args:
      values: `[n]` distances; NaN if unknown.
      reference: `[m]` distances; NaN is left out.

    Returns:
      `[n]` 0…1, 0.5 on average for equal distributions; NaN if unknown.
    """
    reference = np.sort(reference[np.isfinite(reference)])
    if not len(reference):
        return np.full(len(values), np.nan)
    above = len(reference) - np.searchsorted(reference, values, "right")
    below = np.searchsorted(reference, values, "left")
    ties = len(reference) - above - below
    share = (above + ties / 2) / len(reference)
    return np.where(np.isnan(values), np.nan, share)


class _Search:
    """Phrases with their transforms, to compare with many basses."""

    def __init__(self, wanted: Phrases) -> None:
        count, shifts, _, channels = wanted.latents.shape
        self._shape = count, shifts
        rows = wanted.latents.reshape(count * shifts, PHRASE_FRAMES, channels)
        self._energy = np.square(rows).sum(axis=(1, 2))
        # [frequencies, phrases, C]: a matrix product per frequency.
        waves = scipy.fft.rfft(rows, _BLOCK_FRAMES, axis=1).conj()
        self._waves = np.ascontiguousarray(waves.transpose(1, 0, 2))
        notes = wanted.notes[:, ::_STRIDE]
        # Rests on both sides do not count as a common note.
        self._silenced = np.where(notes == SILENT, _OWN_SILENT, notes)
        self._counts = (notes != SILENT).sum(axis=1)

    def distances(self, latents: np.ndarray) -> np.ndarray:
        """The least distance of each phrase over all lags and shifts, `[Q]`."""
        num_lags = len(latents) - PHRASE_FRAMES + 1
        power = np.concatenate([[0.0], np.cumsum(np.square(latents, dtype=np.float64).sum(axis=1))])
        energy = power[PHRASE_FRAMES:] - power[:-PHRASE_FRAMES]
        step = _BLOCK_FRAMES - PHRASE_FRAMES + 1
        starts = np.arange(0, num_lags, step)
        padded = np.pad(latents, ((0, starts[-1] + _BLOCK_FRAMES - len(latents)), (0, 0)))
        blocks = np.stack([padded[start : start + _BLOCK_FRAMES] for start in starts], axis=2)
        product = self._waves @ scipy.fft.rfft(blocks, axis=0)  # [frequencies, rows, blocks]
        dots = scipy.fft.irfft(product.transpose(1, 2, 0), _BLOCK_FRAMES)[..., :step]
        dots = dots.reshape(len(dots), -1)[:, :num_lags]  # [rows, lags]
        least = (energy - 2 * dots).min(axis=1) + self._energy
        mean = np.maximum(least, 0.0) / (PHRASE_FRAMES * latents.shape[1])
        return np.sqrt(mean).reshape(self._shape).min(axis=1)

    def agreements(
        self, notes: np.ndarray, queries: np.ndarray
    ) -> Iterator[tuple[int, tuple[float, float]]]:
        """For each query, its best agreement over all lags: in its own key, and in any."""
        view = np.lib.stride_tricks.sliding_window_view(notes, PHRASE_FRAMES)
        windows = np.ascontiguousarray(view[:, ::_STRIDE])  # [lags, W / stride]
        counts = (windows != SILENT).sum(axis=1)
        first_bins = np.arange(len(windows))[:, None] * (2 * _LARGEST_STEP + 1) + _LARGEST_STEP
        for query in queries:
            # Number of common frames for each lag and transposition.
            apart = np.clip(windows - self._silenced[query], -_LARGEST_STEP, _LARGEST_STEP)
            common = np.bincount(
                (first_bins + apart).ravel(), minlength=len(windows) * (2 * _LARGEST_STEP + 1)
            ).reshape(len(windows), -1)
            total = counts + self._counts[query]
            same = common[:, _LARGEST_STEP]
            # The outermost bins hold rests.
            best = common[:, 1:-1].max(axis=1)
            yield int(query), (float((2 * same / total).max()), float((2 * best / total).max()))
