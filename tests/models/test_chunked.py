import numpy as np
import pytest

from bassdiff.models.chunked import CHUNKS_PER_CALL, chunked

FRAME = 4


def smooth_and_halve(values):
    """`[G, 4 T, 2]` to `[G, 2 T, 2]`: a filter that reaches 5 samples, then every other one."""
    kernel = np.asarray([1.0, 2.0, 3.0, 2.0, 1.0, 7.0, 5.0, 1.0, 2.0, 1.0, 3.0])

    def one(values):
        out = [np.convolve(values[:, c], kernel, mode="same")[::2] for c in range(2)]
        return np.stack(out, axis=-1)

    return np.stack([one(row) for row in values])


@pytest.mark.parametrize("num_frames", [3, 6, 7, 24])
@pytest.mark.parametrize("chunk_frames", [1, 6, 7, 100])
def test_the_chunks_length_does_not_matter(rng, num_frames, chunk_frames):
    values = rng.normal(size=(num_frames * FRAME, 2))
    (pieces,) = chunked(
        smooth_and_halve, [values], FRAME, 2, halo_frames=2, chunk_frames=chunk_frames
    )
    assert pieces.shape == (num_frames * 2, 2)
    np.testing.assert_allclose(pieces, smooth_and_halve(values[None])[0], rtol=1e-10)


def test_a_halo_that_is_too_narrow_would_show(rng):
    values = rng.normal(size=(24 * FRAME, 2))
    (pieces,) = chunked(smooth_and_halve, [values], FRAME, 2, halo_frames=1, chunk_frames=6)
    assert np.abs(pieces - smooth_and_halve(values[None])[0]).max() > 0.1


def test_every_call_has_one_shape(rng):
    shapes = set()

    def watched(values):
        shapes.add(values.shape)
        return smooth_and_halve(values)

    for num_frames in (1, 5, 17, 40):
        values = rng.normal(size=(num_frames * FRAME, 2))
        chunked(watched, [values], FRAME, 2, halo_frames=2, chunk_frames=8)
    assert shapes == {(CHUNKS_PER_CALL, 12 * FRAME, 2)}


def test_nothing_in_nothing_out():
    empty = np.zeros((0, 2))
    assert chunked(smooth_and_halve, [empty], FRAME, 2, halo_frames=2)[0].shape == (0, 2)
    assert chunked(smooth_and_halve, [], FRAME, 2, halo_frames=2) == []


def test_signals_share_calls_and_nothing_else(rng, monkeypatch):
    monkeypatch.setattr("bassdiff.models.chunked.CHUNKS_PER_CALL", 4)
    signals = [rng.normal(size=(count * FRAME, 2)) for count in (7, 20, 1)]
    calls = []

    def watched(values, owner):
        calls.append(owner.tolist())
        return smooth_and_halve(values) + owner[:, None, None]

    together = chunked(
        watched, signals, FRAME, 2, 2, chunk_frames=8,
        extras=lambda signal, chunk: (np.float64(10 * signal + chunk),),
    )  # fmt: skip
    # One chunk of the first, three of the second, one of the third; the last call is filled up.
    assert calls == [[0, 10, 11, 12], [20, 20, 20, 20]]
    for number, (signal, mixed) in enumerate(zip(signals, together, strict=True)):
        (alone,) = chunked(smooth_and_halve, [signal], FRAME, 2, 2, chunk_frames=8)
        chunk = np.arange(len(alone)) // (8 * 2)
        np.testing.assert_allclose(mixed, alone + (10 * number + chunk)[:, None], rtol=1e-12)
