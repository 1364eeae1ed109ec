"""Measures of how well basses follow their mixes, compared with mismatched pairs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from bassdiff.metrics import notes
from bassdiff.metrics.harmony_rhythm import (
    BassFeatures,
    MixFeatures,
    aligned_correlation,
    bass_features,
    bass_onsets,
    harmony_score,
    line_features,
    mix_features,
    mix_onsets,
    rhythm_score,
)
from bassdiff.metrics.sound import Sound, gap_level_db, sound
from bassdiff.metrics.table import Column, Score, mean_score, ratio_score
from bassdiff.synthesis.annotation import Annotation

_NO_BASS = "; a bass pitched in less than a tenth of the frames counts as none"

COLUMNS = (
    Column("harmony_top1", "harmony top-1", "share of basses that fit the mix's chroma best as "
           f"they are, among their 12 transpositions{_NO_BASS}, 0", chance=1 / 12),
    Column("harmony_rank", "harmony rank", "mean rank of the bass among its 12 transpositions"
           f"{_NO_BASS}, rank 12", "lower", 6.5),
    Column("harmony_z", "harmony z", "how far the bass stands above its transpositions, in their "
           f"standard deviations{_NO_BASS}, 0", chance=0.0),
    Column("harmony_matched", "harmony matched > mismatched", "share of basses of other songs "
           "whose harmony z is less; ties count half", chance=0.5),
    Column("rhythm_correlation", "rhythm correlation", "correlation of the bass's onsets with the "
           "mix's, the best of five lags: by chance about 0.03 to 0.06, see another song's bass"),
    Column("rhythm_percentile", "rhythm percentile", "share of other lags within 2 s at which the "
           "onsets agree less", chance=0.5),
    Column("rhythm_matched", "rhythm matched > mismatched", "share of basses of other songs whose "
           "onsets agree with the mix less; ties count half", chance=0.5),
    Column("fit", "learned fit", "cosine of the matching model's two vectors"),
    Column("fit_matched", "learned fit matched > mismatched", "share of basses of other songs "
           "that the matching model likes less; ties count half", chance=0.5),
    Column("chord_tone_share", "chord tones", "share of the pitched time on a tone of the "
           "annotated chord; 0 without pitch"),
    Column("root_share", "chord roots", "share of the pitched time on the annotated chord's "
           "lowest note; 0 without pitch", "none"),
    Column("held_share", "one pitch class", "share of the pitched time on the pitch class that is "
           "played most; 0 without pitch", "none"),
    Column("onset_f1_drums", "onsets with the drums", "F-measure of the bass's onsets against the "
           "drums', within 50 ms"),
    Column("onset_f1_true", "onsets of the true bass", "F-measure of the onsets against the true "
           "bass's, within 50 ms", "none"),
    Column("beat_f1", "beats", "F-measure of the beats tracked in the bass against the song's; 0 "
           "without beats"),
    Column("tempo_ok", "tempo", "share of basses whose tempo is the song's, or a simple multiple"),
    Column("voiced_share", "pitched", "share of frames with a pitch", "none"),
    Column("active_share", "sounding", "share of the time in which the bass sounds", "none"),
    Column("rests_per_minute", "rests a minute", "silences of 0.1 s or more", "none", digits=1),
    Column("hnr_db", "harmonic-to-noise ratio", "dB, the median over pitched frames",
           "none", digits=1),
    Column("jitter_db", "jitter of held notes", "mean change in dB of partials from one latent "
           "frame to the next inside held notes", "none"),
    Column("level_spread_db", "spread of note levels", "standard deviation in dB", "none",
           digits=1),
    Column("attack_db", "steepest attack", "rise in dB within 11.6 ms at the beginning of a note, "
           "the median", "none", digits=1),
    Column("gap_level_db", "level in gaps", "dB below the bass's loud parts where the mix pauses "
           "for 2 s or more; not known without such a pause", "none", digits=1),
    Column("pitch_low", "lowest pitch", "5th percentile of the pitch, as a MIDI number", "none",
           digits=1),
    Column("pitch_high", "highest pitch", "95th percentile of the pitch, as a MIDI number", "none",
           digits=1),
)  # fmt: skip


# A bass or another line of one low voice; chords or high lines; drums.
Voices = Literal["one", "many", "unpitched"]
# What needs the pitch of one voice, and what needs harmony.
_OF_ONE_VOICE = frozenset({
    *("chord_tone_share", "root_share", "held_share", "voiced_share", "pitch_low", "pitch_high"),
    *("hnr_db", "jitter_db", "level_spread_db", "attack_db"),
})  # fmt: skip
_OF_HARMONY = frozenset({"harmony_top1", "harmony_rank", "harmony_z", "harmony_matched"})


def columns_for(voices: Voices) -> tuple[Column, ...]:
    """The measures that mean something for lines of a kind."""
    unasked = {"one": frozenset(), "many": _OF_ONE_VOICE, "unpitched": _OF_ONE_VOICE | _OF_HARMONY}
    return tuple(column for column in COLUMNS if column.name not in unasked[voices])


class Judge(Protocol):
    """A matching model: a `Judge` of `pretrained/judge.py`, or a `Panel` of them."""

    @property
    def hop_samples(self) -> int:
        """Distance of windows, in samples."""
        ...

    def mix_vectors(self, mix: np.ndarray) -> np.ndarray:
        """Unit vectors `[windows, E]` of a mix `[N]`."""
        ...

    def bass_vectors(self, bass: np.ndarray) -> np.ndarray:
        """Unit vectors `[windows, E]` of a bass `[N]`."""
        ...


@dataclass(frozen=True)
class HeardMix:
    """The analysis of a clip's mix.

    Attributes:
      features: Chroma and onsets.
      annotation: Beats and chords, as far as they are known.
      drum_onsets: Onsets of the drums in seconds; None without a drum stem.
      true_onsets: Onsets of the true bass in seconds; None if unknown.
      vectors: Vectors of the matching model, `[windows, E]`; None without one.
      samples: `[N]` of the mix, to find its pauses; None to skip that measure.
    """

    features: MixFeatures
    annotation: Annotation
    drum_onsets: np.ndarray | None = None
    true_onsets: np.ndarray | None = None
    vectors: np.ndarray | None = None
    samples: np.ndarray | None = None


@dataclass(frozen=True)
class HeardBass:
    """The analysis of a bass; see `HeardMix`."""

    features: BassFeatures
    activity: notes.Activity
    sound: Sound
    vectors: np.ndarray | None = None
    samples: np.ndarray | None = None


def hear_mix(
    mix: np.ndarray,
    annotation: Annotation,
    drums: np.ndarray | None = None,
    true_bass: np.ndarray | None = None,
    judge: Judge | None = None,
    voices: Voices = "one",
) -> HeardMix:
    """Analyses a mix without its bass, `[N]` at 44.1 kHz, and its annotation."""
    onsets_of = bass_onsets if voices == "one" else mix_onsets
    return HeardMix(
        mix_features(mix),
        annotation,
        None if drums is None else notes.onset_times(mix_onsets(drums)),
        None if true_bass is None else notes.onset_times(onsets_of(true_bass)),
        None if judge is None else judge.mix_vectors(mix),
        mix,
    )


def hear_bass(bass: np.ndarray, judge: Judge | None = None, voices: Voices = "one") -> HeardBass:
    """Analyses a bass, or a line of another kind, `[N]` at 44.1 kHz."""
    features = bass_features(bass) if voices == "one" else line_features(bass)
    return HeardBass(
        features,
        notes.activity(bass),
        sound(bass, features.pitch),
        None if judge is None else judge.bass_vectors(bass),
        bass,
    )


def score_clips(
    mixes: Sequence[HeardMix],
    basses: Sequence[HeardBass],
    songs: Sequence[Hashable],
    bass_songs: Sequence[Hashable] | None = None,
) -> dict[str, Score]:
    """Scores each bass against the mix with the same index.

    Args:
      mixes: N mixes.
      basses: N basses.
      songs: Song of each mix; clips of one song are drawn together in the bootstrap.
      bass_songs: Song that each bass was made for, if not its mix's. In comparisons with mismatched
        basses, those made for the mix's song or for the song of the compared bass are left out,
        because the true bass would pull such a row below chance.

    Returns:
      Scores by the names of `COLUMNS`; NaN if unknown.

    Raises:
      ValueError: If the numbers differ or are 0.
    """
    scores = score_features(
        [mix.features for mix in mixes], [bass.features for bass in basses], songs, bass_songs
    )
    measured = [_measures(mix, bass) for mix, bass in zip(mixes, basses, strict=True)]
    for name in measured[0]:
        scores[name] = mean_score([values[name] for values in measured], songs)
    heard = [mix.vectors for mix in mixes if mix.vectors is not None]
    played = [bass.vectors for bass in basses if bass.vectors is not None]
    if len(heard) == len(played) == len(mixes):
        fit = np.array([[fit_of(mix, bass) for bass in played] for mix in heard])
        scores["fit"] = mean_score(np.diagonal(fit), songs)
        scores["fit_matched"] = ratio_score(*_won(fit, _rivals(songs, bass_songs)), songs)
    return scores


def score_features(
    mixes: Sequence[MixFeatures],
    basses: Sequence[BassFeatures],
    songs: Sequence[Hashable] | None = None,
    bass_songs: Sequence[Hashable] | None = None,
) -> dict[str, Score]:
    """The harmony and rhythm scores of `score_clips`; by default every pair is its own song."""
    songs = list(range(len(mixes))) if songs is None else list(songs)
    if not mixes or len(basses) != len(mixes) or len(songs) != len(mixes):
        raise ValueError(
            f"{len(mixes)} mixes, {len(basses)} basses and {len(songs)} songs: give as many of "
            "each, and at least one"
        )
    rivals = _rivals(songs, bass_songs)
    harmonies = [[harmony_score(mix, bass) for bass in basses] for mix in mixes]
    fit = np.array([[pair.z for pair in row] for row in harmonies])
    sync = np.array([[aligned_correlation(mix, bass) for bass in basses] for mix in mixes])
    rhythms = [rhythm_score(mix, bass) for mix, bass in zip(mixes, basses, strict=True)]
    own = [harmonies[index][index] for index in range(len(mixes))]
    return {
        "harmony_top1": mean_score([float(score.top1) for score in own], songs),
        "harmony_rank": mean_score([score.rank for score in own], songs),
        "harmony_z": mean_score([score.z for score in own], songs),
        "harmony_matched": ratio_score(*_won(fit, rivals), songs),
        "rhythm_correlation": mean_score([score.correlation for score in rhythms], songs),
        "rhythm_percentile": mean_score([score.percentile for score in rhythms], songs),
        "rhythm_matched": ratio_score(*_won(sync, rivals), songs),
        "voiced_share": mean_score([bass.pitch.voiced_share for bass in basses], songs),
    }


def wins(own: np.ndarray, rivals: np.ndarray) -> np.ndarray:
    """Compares scores: 1 if `own` is greater, 1/2 for ties; NaN never wins."""
    own, rivals = (np.where(np.isnan(side), -np.inf, side) for side in (own, rivals))
    return ((own > rivals) + 0.5 * (own == rivals)) * (own > -np.inf)


def fit_of(mix_vectors: np.ndarray, bass_vectors: np.ndarray) -> float:
    """Mean cosine of corresponding windows, `[windows, E]` each, over their common length."""
    count = min(len(mix_vectors), len(bass_vectors))
    return float(np.mean(np.sum(mix_vectors[:count] * bass_vectors[:count], axis=1)))


def derangement(songs: Sequence[Hashable]) -> list[int]:
    """Pairs each clip with one of another song: the smallest rotation with the fewest equal songs.

    Raises:
      ValueError: If all clips come from one song.
    """
    number = {name: index for index, name in enumerate(dict.fromkeys(songs))}
    if len(number) < 2:
        raise ValueError("shuffling needs pairs of at least two songs")
    song = np.array([number[name] for name in songs])
    shifts = [np.roll(np.arange(len(song)), shift) for shift in range(1, len(song))]
    return max(shifts, key=lambda order: int((song[order] != song).sum())).tolist()


def _rivals(songs: Sequence[Hashable], bass_songs: Sequence[Hashable] | None) -> np.ndarray:
    """Which basses the one of each mix is compared with, `[N, N]` bool."""
    mix_song = np.array([hash(song) for song in songs])
    bass_song = np.array([hash(song) for song in bass_songs or songs])
    return (bass_song != bass_song[:, None]) & (bass_song != mix_song[:, None])


def _measures(mix: HeardMix, bass: HeardBass) -> dict[str, float]:
    pitch, onsets = bass.features.pitch, notes.onset_times(bass.features.onsets)
    known = mix.annotation
    beats = notes.beat_agreement(
        mix.features.onsets, bass.features.onsets, known.beat_seconds or None
    )
    span = notes.pitch_range(pitch)

    def against(reference: np.ndarray | None) -> float:
        return np.nan if reference is None else notes.onset_f1(reference, onsets)

    gap_db = np.nan
    if mix.samples is not None and bass.samples is not None:
        gap_db = gap_level_db(mix.samples, bass.samples)
    return {
        "hnr_db": bass.sound.hnr_db,
        "jitter_db": bass.sound.jitter_db,
        "level_spread_db": bass.sound.level_spread_db,
        "attack_db": bass.sound.attack_db,
        "gap_level_db": gap_db,
        "chord_tone_share": notes.chord_tone_share(pitch, known.chords),
        "root_share": notes.root_share(pitch, known.chords),
        "held_share": notes.held_share(pitch),
        "onset_f1_drums": against(mix.drum_onsets),
        "onset_f1_true": against(mix.true_onsets),
        "beat_f1": beats.beat_f1,
        "tempo_ok": beats.tempo_ok,
        "active_share": bass.activity.active_share,
        "rests_per_minute": bass.activity.rests_per_minute,
        "pitch_low": span.low_midi,
        "pitch_high": span.high_midi,
    }


def _won(score_matrix: np.ndarray, rivals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of won and of all comparisons of each mix, `[N]` each."""
    won = wins(np.diagonal(score_matrix)[:, None], score_matrix)
    return (won * rivals).sum(axis=1), rivals.sum(axis=1).astype(float)
