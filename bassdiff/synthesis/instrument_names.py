"""Recognises basses and drums by the names of instruments."""

from __future__ import annotations

import re

# Part of a word, as in Contrabass and Bassgitarre, but not of bassoon (basson) and basset horn.
_BASS = re.compile(r"bass(?!oo?n|et)|\b(bajo|baixo)\b|fretless")
# Instruments and voices that "bass" only describes.
_LOW_OTHERS = re.compile(
    r"\bbass (clarinet|flute|trombone|trumpet|tuba|horn|oboe|recorder|sax|voice|vocal|vox|choir|"
    r"chorus|singer|clef|marimba|harmonica|accordion)"
)
_BASS_DRUM = re.compile(r"\bbass ?drums?\b")
_DRUMS = re.compile(
    r"\b(drums?|drum ?(kit|set)s?|kicks?|snares?|hi ?hats?|cymbals?|crash|ride|claps?|toms?|"
    r"perc|percussions?|shakers?|congas?|bongos?|tambourines?)\b"
)
# Words of an instrument's name.
_LONGEST = 3
_STEEL_DRUMS = re.compile(r"\bsteel ?(drums?|pans?)\b")


def is_bass_name(name: str) -> bool:
    """Whether a name is that of a bass, and not of something else that is low.

    >>> is_bass_name("Contrabass"), is_bass_name("bass_DI")
    (True, True)
    >>> is_bass_name("Bassoon"), is_bass_name("BassClarinet")
    (False, False)
    """
    words = _words(name)
    is_other = _LOW_OTHERS.search(words) or _DRUMS.search(words) or _BASS_DRUM.search(words)
    return bool(_BASS.search(words)) and not is_other


def is_drum_name(name: str) -> bool:
    """Whether a name is that of drums or other percussion without a pitch.

    Longer ones are titles of songs, which many files give to their tracks.

    >>> is_drum_name("Bass Drum"), is_drum_name("Steel Drums")
    (True, False)
    """
    words = _BASS_DRUM.sub("drum", _words(name))
    if len(words.split()) > _LONGEST:
        return False
    return bool(_DRUMS.search(words)) and not (_STEEL_DRUMS.search(words) or _BASS.search(words))


def _words(name: str) -> str:
    """A name in small letters, with single spaces between words and around numbers.

    >>> _words("HiHat_2")
    'hi hat 2'
    """
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])", " ", name)
    return " ".join(re.split(r"[\W_]+", parted.lower())).strip()
