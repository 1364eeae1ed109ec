"""Scores basses for unseen mixes during training."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from bassdiff.metrics.music import HeardMix, hear_bass, hear_mix, score_clips
from bassdiff.synthesis.annotation import Annotation
from bassdiff.training.diffusion import DiffusionObjective
from bassdiff.training.log import RunLog
from bassdiff.training.sharding import alone
from bassdiff.training.state import TrainState

SCORES = (
    *("harmony_top1", "harmony_matched", "rhythm_correlation", "rhythm_matched"),
    *("voiced_share", "hnr_db", "jitter_db", "rests_per_minute"),
)


class OnlineEvaluation:
    """Generates basses for the validation clips and logs measures of `evaluate music`.

    Mixes are decoded from their latents, the only form that training has; the round trip keeps
    chords and onsets.

    Args:
      objective: The objective with its validation clips; noise is the same every time.
      decode_mix: Decodes normalised latents `[T, C']` of a mix to `[N]`.
      guidance: Guidance of sampling.
    """

    def __init__(
        self,
        objective: DiffusionObjective,
        decode_mix: Callable[[np.ndarray], np.ndarray],
        guidance: float,
    ) -> None:
        self._objective, self._decode_mix, self._guidance = objective, decode_mix, guidance

    # Computed once, only by the process that evaluates.
    @functools.cached_property
    def _mixes(self) -> list[HeardMix]:
        mixes = self._objective.validation["mix"]
        return [hear_mix(self._decode_mix(mix), Annotation()) for mix in mixes]

    def __call__(self, state: TrainState, log: RunLog) -> None:
        """Samples with the averaged parameters and logs the scores as `music/...`.

        All devices of the mesh that is set play; the first process listens.
        """
        mix = self._objective.validation["mix"]
        played = self._objective.play(state.ema, mix, self._guidance)
        if log.enabled:
            with alone():
                self._score(played, int(state.step), log)

    def _score(self, played: np.ndarray, step: int, log: RunLog) -> None:
        # A broken model must not stop the run; NaN counts as silence.
        basses = [np.nan_to_num(self._objective.decode(latents)) for latents in played]
        heard = [hear_bass(np.clip(bass, -8.0, 8.0)) for bass in basses]
        # Clips count as different songs.
        scores = score_clips(self._mixes, heard, range(len(heard)))
        values = {f"music/{name}": float(scores[name].value) for name in SCORES}
        # Without held notes there is no jitter, for instance.
        known = {name: value for name, value in values.items() if np.isfinite(value)}
        log.scalars(step, known)
