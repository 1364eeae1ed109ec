"""Of several candidates the one that fits best is kept, in whatever order they come."""

import itertools

import numpy as np
import pytest

from bassdiff.batch.candidates import Candidates, Chosen, Song, candidate_seed
from bassdiff.batch.item import Item
from bassdiff.batch.player import Player


def candidate(number, score, error=None, song_id="a"):
    return Chosen(Song(Item(song_id, ""), None, None, number), np.zeros((1, 1)), score, error)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_best_is_chosen_in_any_order(order):
    candidates, scores = Candidates(3), (0.1, 0.7, 0.7)
    candidates.offer(candidate(0, 0.9, song_id="other"))
    *early, last = (candidates.offer(candidate(n, scores[n])) for n in order)
    assert early == [None, None]
    assert (last.song.number, last.score, last.error) == (1, 0.7, None)
    assert candidates.measures(last) == {"candidate": 1, "match": 0.7}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_what_is_no_number_is_not_chosen_and_an_error_is_kept(order):
    candidates, error = Candidates(3), MemoryError("full")
    scores, errors = (float("nan"), -0.5, float("nan")), (None, None, error)
    *_, last = (candidates.offer(candidate(n, scores[n], errors[n])) for n in order)
    assert (last.song.number, last.error) == (1, error)


def test_seeds_of_candidates_differ():
    assert len({candidate_seed(seed, n) for seed in range(20) for n in range(20)}) == 400


@pytest.mark.filterwarnings("default:the bass came out", "default:no pitch is heard")
@pytest.mark.usefixtures("plain_decoder")
def test_a_job_keeps_the_best_of_three(tmp_path, play, songs, rows, contents, monkeypatch):
    """By judges that like quiet basses; the same as of the three played one by one."""
    scored = []

    def score(self, song, wave):
        scored.append(-float(np.abs(wave).mean()))
        return scored[-1]

    monkeypatch.setattr(Player, "score", score)
    out = tmp_path / "out"
    assert play(songs, out=out, candidates=3).played == 5
    assert len(scored) == 15
    found = {row["id"]: row for row in rows(out)}
    assert len({row["measures"]["candidate"] for row in found.values()}) > 1
    for name, row in found.items():
        number, seed = row["measures"]["candidate"], row["seed"]
        table = tmp_path / "alone.jsonl"
        table.write_text(
            f'{{"mix": "{songs}/{name}.wav", "seed": {candidate_seed(seed, number)}}}\n'
        )
        play(table, out=tmp_path / name)
        file = f"{name}.bass.wav"
        assert contents(out)[file] == contents(tmp_path / name)[file]
    assert play(songs, out=out, candidates=3).kept == 5


def test_judges_hear_which_bass_belongs_to_the_mix():
    """The released ones, of a mix that is nothing but its bass."""
    from bassdiff.batch.player import Encoded
    from bassdiff.pretrained.judge import load_judges

    player = Player.__new__(Player)
    player._panel, player._device, player.busy_seconds = load_judges("small"), None, 0.0
    time = np.arange(6 * 44100) / 44100
    pulse = (np.sin(2 * np.pi * 2 * time) > 0).astype(np.float32)
    right, wrong = (
        (0.3 * pulse * np.sin(2 * np.pi * f_hz * time)).astype(np.float32) for f_hz in (55.0, 77.8)
    )

    class Heard:
        length = len(right)

    mix = Encoded(Heard, np.zeros((1, 1)), player._panel.mix_vectors(right))
    assert player.score(mix, right) > player.score(mix, wrong)
    assert np.isnan(player.score(mix, right * np.nan))
