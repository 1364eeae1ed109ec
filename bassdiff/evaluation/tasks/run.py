"""One evaluation from what was asked to its table on disk."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bassdiff.data.sources import open_source, unplaced
from bassdiff.diffusion.settings import Sampling
from bassdiff.evaluation.clips import Chosen, choose, digest
from bassdiff.evaluation.pairs import open_pairs
from bassdiff.evaluation.progress import Progress
from bassdiff.evaluation.result_cache import Takes
from bassdiff.evaluation.tasks.ablation import ablation
from bassdiff.evaluation.tasks.codec import codec
from bassdiff.evaluation.tasks.context import EvaluationContext
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
from bassdiff.pretrained.judge import Panel, load_judges
from bassdiff.pretrained.release import Weights, load_weights
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.stems import Source

# What plays clips anew, as finished pairs cannot be.
REPLAYED = ("style", "longform", "ablation", "sweep")
BANK_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Request:
    """What to evaluate.

    Attributes:
      out: the folder for clips, takes and tables; an evaluation that is there goes on.
      data: the songs, as `data/sources.py` names them, none of them trained on; or, where
        `finished`, "pairs:" and a folder for `evaluation/pairs.py`.
      finished: `data` holds another system's finished pairs, not songs to play to.
      source: options of `open_source`: split, soundfonts, variants, cache_dir, max_seconds.
      num_clips: how many clips.
      clip_seconds: their length.
      seed: of the first clip.
      weights: name or folder of the generator's weights.
      overrides: settings that differ from the weights' defaults.
      adapter: file of an adapter of those weights.
      judge: name or folder of the matching models that judge; or "none".
      embedder: what distances compare: "matching", or as in `evaluation/embedders.py`.
      bank: training songs whose nearest bass is an anchor; none when empty.
      training: store of the latents that the weights were trained on, for `memorisation`.
      sweep_clips: how many of the clips `style` and `ablation` play many times.
      num_songs: whole songs for `longform`.
      segment_seconds: a minute of `longform`.
      grid: values by setting, for `sweep`.
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
    """Evaluates and saves one task's table.

    Args:
      task: one of `evaluation.folder.TASKS`.
      request: what to evaluate.
      progress: wraps what takes long, as `tqdm(items, description)` does.

    Raises:
      InputError: something that was named cannot be used; nothing was written then.
    """
    if request.finished and task in REPLAYED:
        raise InputError(f"finished pairs cannot be played again; {task} needs --data")
    weights = load_weights(request.weights, request.adapter)
    judge = None if request.judge == "none" else load_judges(request.judge)
    question = _question(task, request, judge, weights)
    source = _source(request)
    chosen = _chosen(task, source, request, progress)
    about = {
        "bassdiff": importlib.metadata.version("bassdiff"),
        # Where songs lie on this machine is nobody's business.
        "data": unplaced(request.data),
        "split": request.source["split"],
        "soundfonts": [Path(font).name for font in request.source["soundfonts"]],
        "variants": request.source["variants"],
        "finished": request.finished,
        "max_seconds": request.source["max_seconds"],
        "requested_clips": request.num_songs if task == "longform" else request.num_clips,
        "clip_seconds": None if task == "longform" else request.clip_seconds,
        "seed": request.seed,
        "weights": {
            "name": Path(request.weights).name,
            "unet": weights.unet.checksum,
            "mix_codec": weights.mix_codec.checksum,
            "bass_codec": weights.bass_codec.checksum,
        },
        "sampling": {**weights.unet.bindings["sampling"], **request.overrides},
        "judge": judge.name if judge else None,
        "bank": unplaced(request.bank),
        # Last, since what is above may explain why it differs.
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


def _question(
    task: str, request: Request, judge: Panel | None, weights: Weights
) -> Callable[[EvaluationContext], Table]:
    """What to ask of a context, with everything opened that this takes."""
    if task == "music":
        name = unplaced(request.bank)
        bank = _bank(request) if name else None
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
    swept = {"style": style, "ablation": ablation}[task]
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
    return choose(source, request.num_clips, request.clip_seconds, request.finished, spare)


def _embedder(which: str, judge: Panel | None) -> Embedder:
    if which != "matching":
        return open_embedder(which)
    if judge is None:
        raise InputError("there is no matching model to embed with; choose another --embedder")
    return judge
