"""Runs inspection and duplicate detection: from a specification to a page or report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bassdiff.data.sources import open_source, roots, unplaced
from bassdiff.data.store import Store
from bassdiff.evaluation.inspection.duplicates import Report, find_duplicates, write_report
from bassdiff.evaluation.inspection.page import write_inspection
from bassdiff.evaluation.inspection.songs import inspect_songs
from bassdiff.evaluation.inspection.stores import inspect_store
from bassdiff.evaluation.progress import Progress
from bassdiff.runtime.atomic import check_folder, check_writable
from bassdiff.runtime.errors import InputError


def inspect(
    spec: str,
    out: Path,
    options: dict[str, Any],
    num_songs: int | None,
    num_examples: int,
    progress: Progress,
) -> Path:
    """Writes a page about songs or a complete store.

    Args:
      spec: Songs, as for `open_source`, or a store's folder.
      out: Folder of the page.
      options: Options of `open_source`.
      num_songs: Number of songs to inspect, evenly spaced; None for all.
      num_examples: Number of songs to play on the page.
      progress: Wraps long loops.

    Returns:
      The page's path.

    Raises:
      InputError: If the songs cannot be opened, none can be read, or the page cannot be written.
    """
    check_folder(out)
    about = {"data": unplaced(spec)}
    if Path(spec).is_dir():
        store = Store(spec)
        if "codecs" not in store.manifest:
            raise InputError(f"{spec} holds waveforms; name latents, made by `bassdiff encode`")
        about |= {key: str(store.manifest.get(key, "not known")) for key in ("split", "seed")}
        found = inspect_store(store, about["data"], about, progress, num_songs)
    else:
        source = open_source(spec, **options)
        about |= {
            "split": options["split"],
            "SoundFonts": ", ".join(Path(font).name for font in options["soundfonts"]) or "default",
            "renderings of a song": str(options["variants"]),
            "songs are cut at": f"{options['max_seconds']:g} s, where they are rendered",
        }
        found = inspect_songs(
            source, about["data"], about, progress, num_songs, num_examples, roots(spec)
        )
    return write_inspection(out, found)


def duplicates(
    spec: str, against: str | None, out: Path, options: dict[str, Any], progress: Progress
) -> Report:
    """Writes a report on songs that occur in two sets.

    Args:
      spec: Songs, as for `open_source`.
      against: Other songs; equal to `spec` to compare all pairs within it; None to compare the
        training split of `spec` with its validation split.
      out: File to write.
      options: Options of `open_source`, without a split.
      progress: Wraps long loops.

    Raises:
      InputError: If songs cannot be opened or compared, or the file cannot be written.
    """
    check_writable(out)
    if against is None:
        sets = ("the training split", "the validation split")
        first, second = (open_source(spec, split, **options) for split in ("train", "validation"))
        report = find_duplicates(first, second, sets, progress, roots(spec))
    else:
        sets = (unplaced(spec), unplaced(against))
        first = open_source(spec, "all", **options)
        other = None if against == spec else open_source(against, "all", **options)
        report = find_duplicates(first, other, sets, progress, roots(f"{spec}+{against}"))
    write_report(out, report)
    return report
