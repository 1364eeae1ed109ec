"""The verb `transcribe`: a bass recording to MIDI."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def transcribe(arguments: argparse.Namespace) -> None:
    """Writes the notes of a bass recording as a MIDI file."""
    from bassdiff.audio.channels import to_mono
    from bassdiff.audio.io import probe, read
    from bassdiff.inference.writing import write_notes
    from bassdiff.runtime.atomic import check_writable

    path = Path(arguments.bass)
    out = Path(arguments.out) if arguments.out else path.with_suffix(".mid")
    check_writable(out)
    rate_hz = probe(path).sample_rate_hz
    count = write_notes(to_mono(read(path)), rate_hz, out)
    print("wrote", out, f"with {count} notes", file=sys.stderr)


def transcribe_words(sub: argparse.ArgumentParser) -> None:
    """Adds the options of `transcribe`."""
    sub.add_argument(
        "bass", metavar="BASS", help="recording of a bass that plays one note at a time"
    )
    sub.add_argument("--out", metavar="FILE", help="MIDI file to write (default: BASS with .mid)")
