"""Every kind of file: all of its sound, and in its place."""

import numpy as np
import pytest

from bassdiff.audio.io import read_mono
from tests.audio import odd_files
from tests.audio.odd_files import KINDS, PAGE, RATE_HZ, song


def lag(samples: np.ndarray, reference: np.ndarray) -> int:
    """Where in a signal another one begins."""
    size = 1 << int(len(samples) + len(reference)).bit_length()
    spectrum = np.fft.rfft(samples, size) * np.conj(np.fft.rfft(reference, size))
    place = int(np.argmax(np.fft.irfft(spectrum)))
    return place - size if place > size // 2 else place


@pytest.mark.parametrize("name", KINDS)
def test_all_of_the_sound_is_read_in_its_place(tmp_path, name):
    kind = KINDS[name]
    path = tmp_path / name
    path.write_bytes(kind.build())
    samples = read_mono(path, RATE_HZ)
    assert abs(len(samples) - kind.num_samples) <= kind.within
    place = lag(samples, song())
    assert abs(place - kind.lag) <= (kind.within if kind.lag else 0)
    # The sound itself, not only where it is loudest.
    heard = samples[place:][: len(song())]
    assert np.corrcoef(heard, song()[: len(heard)])[0, 1] > 0.97


def test_the_docs_list_the_kinds():
    text = PAGE.read_text(encoding="utf-8")
    assert odd_files.page(text) == text
