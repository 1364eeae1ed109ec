"""How musical a model is while it learns: the same unseen mixes again and again, scored."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from bassdiff.metrics.music import HeardMix, hear_bass, hear_mix, score_clips
from bassdiff.synthesis.annotation import Annotation
from bassdiff.training.diffusion import DiffusionObjective
from bassdiff.training.log import RunLog
from bassdiff.training.state import TrainState

SCORES = (
    *("harmony_top1", "harmony_matched", "rhythm_correlation", "rhythm_matched"),
    *("voiced_share", "hnr_db", "jitter_db", "rests_per_minute"),
)


class OnlineEvaluation:
    """Plays to the validation clips and logs what the measures of `evaluate music` say.

    The mixes are heard as the mix codec gives them back, since training knows nothing else of
    them; its round trip keeps chords and onsets.

    Args:
      objective: Whose clips are played to, from the same noise every time.
      decode_mix: The mix codec, normalised latents `[T, C']` to `[N]`.
      guidance: With which it plays.
    """

    def __init__(
        self,
        objective: DiffusionObjective,
        decode_mix: Callable[[np.ndarray], np.ndarray],
        guidance: float,
    ) -> None:
        self._objective, self._decode_mix, self._guidance = objective, decode_mix, guidance

    # Once, and only by the process that evaluates.
    @functools.cached_property
    def _mixes(self) -> list[HeardMix]:
        mixes = self._objective.validation["mix"]
        return [hear_mix(self._decode_mix(mix), Annotation()) for mix in mixes]

    def __call__(self, state: TrainState, log: RunLog) -> None:
        """Plays with the averaged parameters and logs the scores as `music/...`."""
        mix = self._objective.validation["mix"]
        played = self._objective.play(state.ema, mix, self._guidance)
        # A model that has gone wrong must not take the run with it: it is heard as silent.
        basses = [np.nan_to_num(self._objective.decode(latents)) for latents in played]
        heard = [hear_bass(np.clip(bass, -8.0, 8.0)) for bass in basses]
        # Clips come from songs of their own while there are songs enough.
        scores = score_clips(self._mixes, heard, range(len(heard)))
        values = {f"music/{name}": float(scores[name].value) for name in SCORES}
        # What plays no held note has none that could waver.
        known = {name: value for name, value in values.items() if np.isfinite(value)}
        log.scalars(int(state.step), known)
