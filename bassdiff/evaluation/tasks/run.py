"""Runs one evaluation task: from a request to a table on disk."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from bassdiff.data.sources import open_source, unplaced
from bassdiff.data.target import BASS, aimed
from bassdiff.diffusion.settings import Sampling, check_overrides
from bassdiff.evaluation.clips import Chosen, choose, digest
from bassdiff.evaluation.pairs import open_pairs
from bassdiff.evaluation.progress import Progress
from bassdiff.evaluation.result_cache import Takes
from bassdiff.evaluation.tasks.ablation import ablation
from bassdiff.evaluation.tasks.codec import codec
from bassdiff.evaluation.tasks.context import EvaluationContext
from bassdiff.evaluation.tasks.control import control
from bassdiff.evaluation.tasks.distances import distances
from bassdiff.evaluation.tasks.longform import longest, longform
from bassdiff.evaluation.tasks.matching import matching
from bassdiff.evaluation.tasks.memorisation import memorisation, open_training
from bassdiff.evaluation.tasks.music import music
from bassdiff.evaluation.tasks.style import style
from bassdiff.evaluation.tasks.sweep import Grid, combinations, sweep
from bassdiff.inference.generator import BassGenerator
from bassdiff.metrics.embedders import Embedder, open_embedder
from bassdiff.metrics.table import Table
from bassdiff.pretrained.codec import CodecPair
from bassdiff.pretrained.judge import Panel, load_judges
from bassdiff.pretrained.release import (
    Weights,
    find,
    has_codecs_only,
    load_codecs,
    load_weights,
)
from bassdiff.runtime.atomic import check_folder
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.stems import Source

# Tasks that generate basses, which finished pairs do not allow.
REPLAYED = ("style", "longform", "ablation", "sweep", "control")
BANK_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Request:
    """A request for an evaluation.

    Attributes:
      out: Folder for clips, basses and tables; an existing evaluation is resumed.
      data: Specification of unseen songs, see `data/sources.py`; with `finished`, "pairs:" and a
        folder for `evaluation/pairs.py`.
      finished: Whether `data` holds finished pairs of another system.
      source: Options of `open_source`: split, soundfonts, variants, cache_dir, max_seconds.
      num_clips: Number of clips.
      clip_seconds: Length of a clip.
      seed: Seed of the first clip.
      weights: Name or folder of the generator's weights.
      overrides: Settings that differ from the weights' defaults.
      adapter: File of an adapter of those weights.
      judge: Name or folder of weights whose matching models judge, or "none".
      embedder: Embedder of `distances`: "matching", or as in `metrics/embedders.py`.
      bank: Songs to retrieve the nearest bass from; none if empty.
      training: Store of latents that the weights were trained on, for `memorisation`.
      sweep_clips: Number of clips for `style`, `ablation` and `control`.
      num_songs: Number of whole songs for `longform`.
      segment_seconds: Length of a "minute" of `longform`.
      grid: Values by setting, for `sweep`.
    """

    out: Path
    data: str
    finished: bool
    source: dict[str, Any]
    num_clips: int
    clip_seconds: float
    seed: int
    weights: str
    overrides: dict[str, Any]
    adapter: str | None = None
    judge: str = "small"
    embedder: str = "matching"
    bank: str = ""
    training: str = ""
    sweep_clips: int = 12
    num_songs: int = 3
    segment_seconds: float = 60.0
    grid: Grid = dataclasses.field(default_factory=dict)


def run(task: str, request: Request, progress: Progress) -> Table:
    """Runs one task and saves its table.

    Args:
      task: One of `result_folder.TASKS`.
      request: The request.
      progress: Wraps long loops, as `tqdm(items, description)` does.

    Raises:
      InputError: If something in the request is invalid; nothing is written.
    """
    if request.finished and task in REPLAYED:
        raise InputError(f"{task} generates basses, which finished pairs do not allow; use --data")
    check_overrides(request.overrides)
    check_folder(request.out)
    source = _source(request)
    if task == "codec" and has_codecs_only(find(request.weights)):
        return _codecs_alone(request, source, progress)
    weights = load_weights(request.weights, request.adapter)
    source = aimed(source, weights.target)
    judge = None
    # Matching models know basses.
    if request.judge != "none" and weights.target == BASS:
        judge = load_judges(request.judge)
    question = _question(task, request, judge, weights)
    chosen = _chosen(task, source, request, progress)
    about = {
        **_about(task, request),
        **({"target": weights.target} if weights.target != BASS else {}),
        "weights": {"name": Path(request.weights).name, **weights.fingerprints},
        "sampling": {**weights.unet.bindings["sampling"], **request.overrides},
        "judge": judge.name if judge else None,
        "bank": unplaced(request.bank),
        # Last: the entries above may explain a difference.
        "clips_sha256": digest(chosen.clips),
    }
    context = EvaluationContext(
        BassGenerator(weights),
        source,
        chosen.clips,
        Takes(request.out, about, chosen.clips),
        request.seed,
        request.overrides,
        chosen.spare,
        chosen.num_skipped,
        judge,
        progress,
    )
    table = question(context)
    context.takes.save(table)
    return table


def _about(task: str, request: Request) -> dict[str, Any]:
    """The clips that are asked for, without paths, which are private."""
    return {
        "bassdiff": importlib.metadata.version("bassdiff"),
        "data": unplaced(request.data),
        "split": request.source["split"],
        "soundfonts": [Path(font).name for font in request.source["soundfonts"]],
        "variants": request.source["variants"],
        "finished": request.finished,
        "max_seconds": request.source["max_seconds"],
        "requested_clips": request.num_songs if task == "longform" else request.num_clips,
        "clip_seconds": None if task == "longform" else request.clip_seconds,
        "seed": request.seed,
    }


def _codecs_alone(request: Request, source: Source, progress: Progress) -> Table:
    """The task `codec` of a folder without a U-Net."""
    mix_codec, bass_codec = load_codecs(request.weights)
    target = str(bass_codec.training.get("target", BASS))
    source = aimed(source, target)
    chosen = _chosen("codec", source, request, progress)
    about = {
        **_about("codec", request),
        "target": target,
        "weights": {
            "name": Path(request.weights).name,
            "mix_codec": mix_codec.checksum,
            "bass_codec": bass_codec.checksum,
        },
        "sampling": {},
        "clips_sha256": digest(chosen.clips),
    }
    # Nothing is generated, so a pair of codecs will do.
    pair = cast(BassGenerator, CodecPair(mix_codec, bass_codec))
    takes = Takes(request.out, about, chosen.clips)
    context = EvaluationContext(
        pair,
        source,
        chosen.clips,
        takes,
        request.seed,
        num_skipped=chosen.num_skipped,
        progress=progress,
    )
    table = codec(context)
    takes.save(table)
    return table


def _question(
    task: str, request: Request, judge: Panel | None, weights: Weights
) -> Callable[[EvaluationContext], Table]:
    """The task as a function of its context, with everything it needs opened."""
    if task == "music":
        name = unplaced(request.bank)
        bank = aimed(_bank(request), weights.target) if name else None
        return lambda context: music(context, bank, name)
    if task == "distances":
        embedder = _embedder(request.embedder, judge)
        return lambda context: distances(context, embedder)
    if task == "memorisation":
        training = open_training(request.training, weights.bass_codec)
        return lambda context: memorisation(context, training, Path(request.training).name)
    if task == "longform":
        return lambda context: longform(context, request.segment_seconds)
    if task == "sweep":
        defaults = Sampling.of_weights(weights.unet.bindings)
        combinations(request.grid, dataclasses.replace(defaults, **request.overrides))
        return lambda context: sweep(context, request.grid, request.adapter)
    if task in ("matching", "codec"):
        return {"matching": matching, "codec": codec}[task]
    swept = {"style": style, "ablation": ablation, "control": control}[task]
    return lambda context: swept(context.first(request.sweep_clips))


def _bank(request: Request) -> Source:
    seconds = min(BANK_SECONDS, request.source["max_seconds"])
    cache = request.source["cache_dir"]
    return open_source(request.bank, "train", cache_dir=cache, max_seconds=seconds)


def _source(request: Request) -> Source:
    if request.finished:
        return open_pairs(Path(request.data.partition(":")[2]))
    return open_source(request.data, **request.source)


def _chosen(task: str, source: Source, request: Request, progress: Progress) -> Chosen:
    if task == "longform":
        songs = longest(source, request.num_songs, request.segment_seconds, progress)
        return Chosen(songs, [], 0)
    spare = request.num_clips if task == "distances" else 0
    return choose(
        source, request.num_clips, request.clip_seconds, request.finished, spare, progress
    )


def _embedder(which: str, judge: Panel | None) -> Embedder:
    if which != "matching":
        return open_embedder(which)
    if judge is None:
        raise InputError("there is no matching model to embed with; choose another --embedder")
    return judge
