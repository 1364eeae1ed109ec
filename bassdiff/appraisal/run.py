"""One evaluation from what was asked to its table on disk."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bassdiff.appraisal.ablation import ablation
from bassdiff.appraisal.distances import distances
from bassdiff.appraisal.longform import longform
from bassdiff.appraisal.matching import matching
from bassdiff.appraisal.music import music
from bassdiff.appraisal.stage import Progress, Stage
from bassdiff.appraisal.style import style
from bassdiff.bassist import Bassist
from bassdiff.data.sources import open_source
from bassdiff.data.stems import Source
from bassdiff.errors import InputError
from bassdiff.evaluation.clips import clips
from bassdiff.evaluation.embedders import Embedder, open_embedder
from bassdiff.evaluation.table import Table
from bassdiff.evaluation.takes import Takes
from bassdiff.pretrained.judge import Panel, load_judges
from bassdiff.pretrained.release import load_weights


@dataclasses.dataclass(frozen=True)
class Request:
    """What to evaluate.

    Attributes:
      out: the folder for clips, takes and tables; an evaluation that is there goes on.
      data: the songs, as `data/sources.py` names them, none of them trained on.
      finished: `data` holds another system's finished pairs, not songs to play to.
      source: options of `open_source`: split, soundfonts, variants, cache_dir, max_seconds.
      num_clips: how many clips.
      clip_seconds: their length.
      seed: of the first clip.
      weights: name or folder of the bassist's weights.
      knobs: settings that differ from the weights' defaults.
      judge: name or folder of the matching models that judge; or "none".
      embedder: what distances compare: "matching", or as in `evaluation/embedders.py`.
      bank: training songs whose nearest bass is an anchor; none when empty.
      sweep_clips: how many of the clips `style` and `ablation` play many times.
      num_songs: whole songs for `longform`.
      segment_seconds: a minute of `longform`.
    """

    out: Path
    data: str
    finished: bool
    source: dict[str, Any]
    num_clips: int
    clip_seconds: float
    seed: int
    weights: str
    knobs: dict[str, Any]
    judge: str = "small"
    embedder: str = "matching"
    bank: str = ""
    sweep_clips: int = 12
    num_songs: int = 3
    segment_seconds: float = 60.0


def run(task: str, request: Request, progress: Progress) -> Table:
    """Evaluates and saves one task's table.

    Args:
      task: one of `evaluation.folder.TASKS`.
      request: what to evaluate.
      progress: wraps what takes long, as `tqdm(items, description)` does.

    Raises:
      InputError: something that was named cannot be used.
    """
    weights = load_weights(request.weights)
    judge = None if request.judge == "none" else load_judges(request.judge)
    source = open_source(request.data, **request.source)
    spare = request.num_clips if task == "distances" else 0
    chosen, others = clips(source, request.num_clips, request.clip_seconds, request.finished, spare)
    takes = Takes(
        request.out,
        {
            "bassdiff": importlib.metadata.version("bassdiff"),
            # Where songs lie on this machine is nobody's business.
            "data": "+".join(_unplaced(spec) for spec in request.data.split("+")),
            "split": request.source["split"],
            "soundfonts": [Path(font).name for font in request.source["soundfonts"]],
            "variants": request.source["variants"],
            "finished": request.finished,
            "max_seconds": request.source["max_seconds"],
            "requested_clips": request.num_clips,
            "clip_seconds": request.clip_seconds,
            "seed": request.seed,
            "weights": {
                "name": Path(request.weights).name,
                "unet": weights.unet.checksum,
                "mix_codec": weights.mix_codec.fingerprint,
                "bass_codec": weights.bass_codec.fingerprint,
            },
            "sampling": {**weights.unet.bindings["sampling"], **request.knobs},
        },
    )
    takes.save_clips(chosen)
    stage = Stage(
        Bassist(weights), source, chosen, takes, request.seed, request.knobs, judge, progress
    )
    table = _answer(task, request, stage, others, judge)
    takes.save(table)
    return table


def _answer(
    task: str, request: Request, stage: Stage, others: list[Any], judge: Panel | None
) -> Table:
    if request.finished and task in ("style", "longform", "ablation"):
        raise InputError(f"finished pairs cannot be played again; {task} needs --data")
    if task == "distances":
        return distances(stage, others, _embedder(request.embedder, judge))
    if task == "longform":
        return longform(stage, request.num_songs, request.segment_seconds)
    if task == "music":
        return music(stage, _bank(request.bank))
    simple: dict[str, Callable[[Stage], Table]] = {
        "matching": matching,
        "style": style,
        "ablation": ablation,
    }
    return simple[task](stage if task == "matching" else stage.first(request.sweep_clips))


def _embedder(which: str, judge: Panel | None) -> Embedder:
    if which != "matching":
        return open_embedder(which)
    if judge is None:
        raise InputError("there is no matching model to embed with; choose another --embedder")
    return judge


def _bank(spec: str) -> Source | None:
    return open_source(spec, "train", max_seconds=60.0) if spec else None


def _unplaced(spec: str) -> str:
    kind, _, where = spec.partition(":")
    return f"{kind}:{Path(where).name}"
