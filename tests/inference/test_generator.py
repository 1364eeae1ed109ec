"""The generator as a library: alignment, seeds, settings without compilation, refusals."""

import dataclasses

import jax
import numpy as np
import pytest

from bassdiff.audio.loudness import loudness_lufs
from bassdiff.diffusion.generation import frame_bucket
from bassdiff.inference import generator
from bassdiff.inference.control import Control
from bassdiff.inference.inputs import Style, Task, continuation, edit, retimbre, variation
from bassdiff.inference.samples import checked
from bassdiff.runtime.errors import InputError

# Untrained weights play at any level.
pytestmark = pytest.mark.filterwarnings("default:the bass came out")
RATE = 44100


def mix(seconds, rate=RATE):
    time = np.arange(round(seconds * rate)) / rate
    return (0.2 * np.sin(2 * np.pi * 220 * time) * (np.sin(2 * np.pi * 3 * time) > 0)).astype(
        np.float32
    )


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_output_is_exactly_as_long_as_the_input(player, rate):
    song = mix(1.37, rate)
    stereo = np.stack([song, song], axis=1)
    bass = player.generate(stereo, rate, steps=2)
    assert bass.shape == song.shape
    assert bass.dtype == np.float32
    np.testing.assert_array_equal(bass, player.generate(song, rate, steps=2))


def test_a_stereo_reference_is_averaged(player):
    song, style = mix(1.2), mix(1.5)
    stereo = np.stack([style, style], axis=1)
    np.testing.assert_array_equal(
        player.generate(song, RATE, style=stereo), player.generate(song, RATE, style=style)
    )


def test_seeds_and_steps_decide(player):
    song = mix(1.2)
    first = player.generate(song, RATE, seed=1)
    np.testing.assert_array_equal(first, player.generate(song, RATE, seed=1))
    assert np.any(first != player.generate(song, RATE, seed=2))
    assert np.any(first != player.generate(song, RATE, seed=1, steps=6))


def test_a_song_takes_four_programs(tiny_weights, compilations):
    """Encoding, denoising, where the oscillator begins, and decoding."""
    jax.clear_caches()
    generator.load(tiny_weights).generate(mix(1.0), RATE, steps=3)
    assert len(compilations) == 4


def test_over_drums_alone_one_note_is_held(tiny_weights, monkeypatch):
    """As far as the model keeps its hands off: what is sampled holds one note in every frame."""
    player = generator.load(tiny_weights)
    sampled = []
    decode = type(player.bass_codec).decode_all
    monkeypatch.setattr(
        type(player.bass_codec), "decode_all", lambda self, z: sampled.extend(z) or decode(self, z)
    )
    rng = np.random.default_rng(0)
    since = np.arange(3 * RATE) % (RATE // 4) / RATE
    drums = (0.3 * rng.standard_normal(3 * RATE) * np.exp(-30 * since)).astype(np.float32)
    with pytest.warns(UserWarning, match="the bass holds one note"):
        player.generate(drums, RATE, steps=3)
    player.generate(drums, RATE, steps=3, pedal=0.0)
    held, free = (12 * np.log2(player.bass_codec.pitch(z)[0] / 27.5) for z in sampled)
    assert np.ptp(held) < 0.05
    assert held[0] == pytest.approx(round(held[0]), abs=0.05)
    assert np.ptp(free) > 1.0


def test_no_setting_compiles_anything(player, compilations):
    player.generate(mix(1.0), RATE, style=mix(1.0), steps=3)
    before = len(compilations)
    player.generate(
        mix(2.9), RATE, style=mix(1.5), steps=9, guidance=5.0, rescale=0.1, style_strength=0.3,
        pedal=0.4, schedule="karras", seed=9,
    )  # fmt: skip
    turns = [Style(mix(1.5)), Style(mix(1.0), 2.0), Style(mix(1.0), 1.0, 1.5)]
    player.generate(mix(2.9), RATE, style=turns, grounding="moments")
    player.generate(mix(2.9), RATE, draft=edit(mix(2.9), 0.5, 1.5))
    player.generate(mix(2.9), RATE, draft=retimbre(mix(2.0)), style=mix(1.0))
    player.generate(mix(2.0), RATE)
    assert len(compilations) == before


def test_progress_counts_every_step(player):
    seen = []
    player.generate(mix(1.0), RATE, steps=12, progress=lambda *at: seen.append(at))
    assert seen[:2] == [("listening", 0, 1), ("listening", 1, 1)]
    assert seen[2:-2] == [("playing", done, 12) for done in range(1, 13)]
    assert seen[-2:] == [("decoding", 0, 1), ("decoding", 1, 1)]


def test_louder_mix_louder_bass_and_the_same_notes(player):
    song = mix(1.5)
    quiet = player.generate(0.1 * song, RATE, steps=2)
    loud = player.generate(song, RATE, steps=2)
    np.testing.assert_allclose(10 * quiet, loud, rtol=0.02, atol=0.02 * np.abs(loud).max())


def test_integers_that_were_never_scaled_are_told(player):
    loud, told = 32767 * mix(1.5), "reaches 6[0-9]{3} and full scale is 1, as if"
    with pytest.warns(UserWarning, match=f"the mix {told}"):
        bass = player.generate(loud, RATE, steps=2)
    plain = player.generate(mix(1.5), RATE, steps=2)
    np.testing.assert_allclose(bass / 32767, plain, atol=0.02 * np.abs(plain).max())
    with pytest.warns(UserWarning, match=f"the style reference {told}"):
        player.generate(mix(1.5), RATE, steps=2, style=loud)


@pytest.mark.parametrize("hz", [20.0, 9000.0])
def test_very_low_and_very_high_material_is_no_silence(player, hz, recwarn):
    song = (0.1 * np.sin(2 * np.pi * hz * np.arange(2 * RATE) / RATE)).astype(np.float32)
    bass = player.generate(song, RATE, steps=2)
    assert not [w for w in recwarn if "the mix is silent" in str(w.message)]
    assert np.isfinite(bass).all() and bass.any()


def test_the_level_can_be_chosen(player):
    song = mix(1.5)
    plain = player.generate(song, RATE, steps=2)
    louder = player.generate(song, RATE, steps=2, control=Control(gain_db=6.0))
    np.testing.assert_allclose(louder, plain * 10.0 ** (6.0 / 20.0), rtol=1e-5)
    for more in (0.0, 3.0):
        control = Control(bass_lufs=-23.0, gain_db=more)
        level = loudness_lufs(player.generate(song, RATE, steps=2, control=control), RATE)
        assert level == pytest.approx(-23.0 + more, abs=0.1)


def test_a_silent_mix_is_played_over(player):
    with pytest.warns(UserWarning, match="silent"):
        bass = player.generate(np.zeros(RATE, np.float32), RATE, steps=2)
    assert np.all(np.isfinite(bass))


@pytest.mark.parametrize(
    ("song", "settings", "words"),
    [
        (mix(0.9), {}, "0.900 s long"),
        (np.zeros(3601 * 8000, np.float32), {}, "longer than 1 h"),
        (np.full(RATE, np.nan, np.float32), {}, "not finite"),
        (np.zeros(RATE, complex), {}, "of type complex128 .* give floats or integers"),
        (np.zeros((2, RATE), np.float32), {}, "with time first, which is its transpose"),
        ("song.wav", {}, "give floats or integers"),
        (44100, {}, r"and shape \(\)"),
        (mix(1.0), {"seed": None}, "seed is None; choose a whole number"),
        (mix(1.0), {"seed": 1.5}, "seed is 1.5"),
        (mix(1.0), {"steps": 4.5}, "steps is 4.5; choose a whole number from 2"),
        (mix(1.0), {"guidance": "much"}, "guidance is 'much'; choose a number"),
        (mix(1.0), {"steps": 1}, "steps is 1"),
        (mix(1.0), {"solver": "best"}, "unknown solver"),
        (mix(1.0), {"seed": -1}, "seed is -1"),
        (mix(1.0), {"style": np.zeros(RATE, np.float32)}, "no sound"),
        (mix(1.0), {"style": np.ones(RATE // 4, np.float32)}, "is 0.250 s long"),
        (mix(1.0), {"stepz": 3}, "stepz"),
        (mix(1.0), {"style": 3}, "the style is a int"),
        (mix(1.0), {"draft": "bass.wav"}, "draft is a str; make one by edit"),
        (mix(1.0), {"control": {"key": "C"}}, "control is a dict; make a Control"),
        (mix(1.0), {"sampling": {"steps": 3}}, "sampling is a dict; make a Sampling"),
        (mix(1.0), {"guidance_kind": "best"}, "unknown guidance_kind"),
        (mix(1.0), {"window_seconds": 5.0}, "window_seconds is 5.0; choose a value from 10.0"),
        (mix(1.0), {"grounding": "best"}, "unknown grounding"),
        (
            mix(1.0),
            {"schedule": "fitted"},
            "no levels for the schedule 'fitted'",
        ),
        (mix(1.0), {"draft": variation(mix(2.0), 0.5)}, "lasts 2.0 s and the mix 1.0 s"),
        (mix(1.0), {"draft": continuation(mix(1.0))}, "begins at 1.0 s and the mix lasts 1.0"),
        (mix(1.0), {"draft": edit(mix(1.0), 1.5, 2.0)}, "begins at 1.5 s"),
        (mix(1.0), {"draft": edit(0 * mix(1.0), 0.5, 2.0)}, "has no sound"),
        (
            mix(1.0),
            {"style": [Style(mix(1.0)), Style(mix(1.0), 1.0, 0.5)], "grounding": "replacement"},
            "take turns need",
        ),
        (mix(1.0), {"style": [Style(mix(1.0), 1.0, n / 10) for n in range(9)]}, "name 8 at"),
        (mix(1.0), {"style": [Style(mix(1.0), 1.0, 1.5)]}, r"takes over at 1.5 s and .* 1.0 s;"),
    ],
)
def test_refusals_are_sentences(player, song, settings, words):
    rate = 8000 if np.size(song) > 10 * RATE else RATE
    with pytest.raises(InputError, match=words):
        player.generate(song, rate, **settings)


@pytest.mark.parametrize("rate", [0, -1, 44100.5, float("nan"), "44100", None, np.zeros(3)])
def test_a_rate_that_is_none_is_refused(player, rate):
    with pytest.raises(InputError, match="give a positive whole number"):
        player.generate(mix(1.0), rate)


def test_what_is_not_finite_is_not_played(player, monkeypatch):
    nothing = [np.full(9000 * 8, np.nan, np.float32)]
    monkeypatch.setattr(player.bass_codec, "decode_all", lambda latents: nothing)
    with pytest.raises(InputError, match="not finite with these settings; lower the guidance"):
        player.generate(mix(1.0), RATE, steps=2)


@pytest.fixture(scope="module")
def draft():
    time = np.arange(2 * RATE) / RATE
    return (0.3 * np.sin(2 * np.pi * 55 * time) * (np.sin(2 * np.pi * 2 * time) > 0)).astype(
        np.float32
    )


def test_without_strength_a_draft_comes_back(player, draft):
    np.testing.assert_array_equal(
        player.generate(mix(2.0), RATE, draft=variation(draft, 0.0)), draft
    )


@pytest.mark.parametrize("rate", [RATE, 48000, 22050])
def test_an_edit_keeps_what_is_outside_its_region(player, rate):
    """To the sample, at the mix's own rate; inside, it is something else."""
    time = np.arange(2 * rate) / rate
    given = (0.3 * np.sin(2 * np.pi * 55 * time) * (time % 0.5 < 0.3)).astype(np.float32)
    edited = player.generate(mix(2.0, rate), rate, draft=edit(given, 0.5, 1.25))
    outside = (time < 0.5) | (time >= 1.25)
    np.testing.assert_array_equal(edited[outside], given[outside])
    inside = (time > 0.6) & (time < 1.2)
    assert np.abs(edited[inside] - given[inside]).max() > 0.1 * np.abs(given).max()


def test_a_continuation_keeps_the_bass_and_goes_on(player, draft):
    begun = draft[: 3 * RATE // 2]
    whole = player.generate(mix(2.0), RATE, draft=continuation(begun))
    np.testing.assert_array_equal(whole[: len(begun)], begun)
    assert np.abs(whole[int(1.6 * RATE) :]).max() > 0.01 * np.abs(begun).max()


def test_silence_after_a_short_draft_is_reported(player, draft):
    with pytest.warns(UserWarning, match=r"lasts 2\.0 s and the mix 3\.0 s; beyond it"):
        player.generate(mix(3.0), RATE, draft=edit(draft, 0.5, 1.0), steps=2)


def test_a_variation_departs_with_its_strength(player, draft):
    known = player._preparation.start(variation(draft, 0.5), RATE, len(draft)).known

    def distance(strength):
        start = player._preparation.start(variation(draft, strength), RATE, len(draft))
        frames = np.zeros((len(known), 8), np.float32)
        request = player.sampler.request(frames, player.defaults, start=start)
        (latents,) = player.sampler.sample([request], player.defaults)
        return float(np.sqrt(np.mean(np.square(latents - known))))

    distances = [distance(strength) for strength in (0.05, 0.2, 0.5)]
    assert distances == sorted(distances)
    assert 0.0 < distances[0] < 0.5 * distances[-1]


def test_another_sound_keeps_the_notes(player, draft):
    start = player._preparation.start(retimbre(draft), RATE, len(draft))
    frames = np.zeros((len(start.known), 8), np.float32)
    request = player.sampler.request(frames, player.defaults, start=start)
    (latents,) = player.sampler.sample([request], player.defaults)
    notes = player._preparation._timbre == 0.0
    np.testing.assert_allclose(latents[:, notes], start.known[:, notes], rtol=1e-5, atol=1e-6)
    assert np.abs(latents[:, ~notes] - start.known[:, ~notes]).max() > 0.1


def test_blended_styles_lie_between_and_those_that_take_turns_do_not(player):
    one, other = mix(1.5), 0.2 * np.random.default_rng(0).normal(size=RATE).astype(np.float32)
    (first, _), (second, _) = (player._preparation.style_latents(s, RATE) for s in (one, other))

    def grounding(styles):
        return player._preparation.grounding(styles, RATE, player.defaults, 64)

    blend = grounding([Style(one, 3.0), Style(other, 1.0)])
    np.testing.assert_allclose(blend.style[0], 0.75 * first + 0.25 * second, rtol=1e-4, atol=1e-5)
    turns = grounding([Style(other, 1.0, 1.0), Style(one)])
    np.testing.assert_allclose(turns.style[:2], [first, second], rtol=1e-5)
    np.testing.assert_allclose(turns.sections[[0, 63], :2], np.eye(2), atol=1e-6)


def test_a_long_song_is_heard_in_windows(player):
    """Of 10 s here: what is in one window is as it would be at once, but for what overlaps."""
    song = mix(20.0)
    whole = player.generate(song, RATE, steps=2)
    windowed = player.generate(song, RATE, steps=2, window_seconds=10.0)
    assert windowed.shape == whole.shape and np.all(np.isfinite(windowed))
    assert np.abs(windowed - whole).max() > 0


@pytest.mark.parametrize(
    ("level", "words"),
    [(0.0, "came out silent; try another seed"), (30.0, "louder than basses are; lower the"),
     (0.1, "softer than basses are; raise the guidance")],
)  # fmt: skip
def test_a_bass_of_an_odd_level_is_reported(player, monkeypatch, level, words):
    wave = level * mix(1.0)
    monkeypatch.setattr(player.bass_codec, "decode_all", lambda latents: [wave])
    with pytest.warns(UserWarning, match=words):
        player.generate(mix(1.0), RATE, steps=2)


def test_a_guidance_that_does_nothing_is_reported(player):
    with pytest.warns(UserWarning, match="guidance does nothing here"):
        player.generate(mix(1.0), RATE, steps=2, guidance_kind="none", guidance=3.0)


def test_a_whole_rate_may_be_a_float(player):
    played = [player.generate(mix(1.0), kind(RATE), steps=2) for kind in (int, float)]
    np.testing.assert_array_equal(*played)


def test_a_batch_plays_what_each_would_be_played_alone(player, draft):
    """On eight devices, of different lengths, settings, sounds and rates."""
    settings = player.defaults
    tasks = [
        Task(mix(1.3), RATE, seed=1),
        Task(mix(2.0), RATE, style=mix(1.5), seed=2),
        Task(mix(1.1, 48000), 48000, seed=3, sampling=dataclasses.replace(settings, steps=6)),
        Task(mix(2.0), RATE, draft=edit(draft, 0.5, 1.25), seed=4),
        Task(mix(2.0), RATE, draft=variation(draft, 0.0)),
        Task(mix(1.2), RATE, sampling=dataclasses.replace(settings, guidance_kind="interval")),
    ]
    seen = []
    together = player.generate_batch(tasks, progress=lambda *at: seen.append(at))
    for task, bass in zip(tasks, together, strict=True):
        alone = player.generate(
            task.mix, task.sample_rate_hz, style=task.style, draft=task.draft, seed=task.seed,
            sampling=task.sampling,
        )  # fmt: skip
        assert len(bass) == len(task.mix)
        # Rounding differs with the batch; untrained weights make it large.
        np.testing.assert_allclose(bass, alone, atol=2e-2 * np.abs(alone).max())
    steps = [done for stage, done, _ in seen if stage == "playing"]
    assert steps == list(range(1, 11))
    assert seen[-1] == ("decoding", 6, 6)


def test_songs_of_like_length_share_a_program(player, compilations):
    player.generate_batch([Task(mix(seconds), RATE) for seconds in (1.0, 2.0, 3.0)])
    compilations.clear()
    player.generate_batch([Task(mix(seconds), RATE) for seconds in (3.5, 1.4, 2.2)])
    assert compilations == []


def test_all_steps_of_a_shared_batch_are_one_program(player, compilations):
    """A program that takes a batch as the host has it, and one that takes it as a step left it,
    would be two."""
    tasks = [Task(mix(seconds), RATE) for seconds in (1.0, 2.0, 3.0)]
    player.generate_batch(tasks)
    changed = dataclasses.replace(player.defaults, solver="dpmpp3m", steps=5)
    compilations.clear()
    player.generate_batch(
        [dataclasses.replace(task, sampling=changed) for task in tasks], progress=lambda *_: None
    )
    assert len(compilations) == 1


def test_what_is_handed_in_stays_as_it_is(player):
    """Whoever hands in an hour does not want it copied, but neither changed."""
    for song in (mix(1.0) + 0.1, np.stack([mix(1.0) + 0.1, mix(1.0)], axis=1)):
        before = song.copy()
        sampling = dataclasses.replace(player.defaults, steps=2)
        task = Task(song, RATE, draft=edit(song, 0.2, 0.6), sampling=sampling)
        player.generate_batch([task] * 2)
        np.testing.assert_array_equal(song, before)


def test_padding_adds_little_and_ten_lengths_take_few_programs():
    """Of ten songs of 10 s to 70 s; and above 8.3 s, nothing is lengthened by more than 35 %.

    Each of five among these lengths is more than 1.35 times the one before: with fewer programs,
    more would be added.
    """
    seconds = np.asarray([10, 15, 20, 23, 30, 40, 45, 50, 60, 70])
    frames = [-(-length * RATE // 2048) for length in seconds]
    apart = np.asarray([10, 15, 23, 40, 60])
    assert set(apart) <= set(seconds) and np.all(apart[1:] / apart[:-1] > 1.35)
    assert len({frame_bucket(count) for count in frames}) == len(apart)
    assert max(frame_bucket(n) / n for n in range(178, 13824)) <= 1.35


def test_channels_do_not_decide_the_level(player):
    """Against each other, or two of six: within 1 dB of the same on one, and the same bass."""
    song = mix(1.5)
    alone = player.generate(song, RATE, steps=2)
    empty = np.zeros_like(song)
    for channels in ([song, song], [song, -song], [song, -0.9 * song], [song, song, *4 * [empty]]):
        bass = player.generate(np.stack(channels, axis=1), RATE, steps=2)
        assert abs(20 * np.log10(bass.std() / alone.std())) < 1.0
        assert np.corrcoef(bass, alone)[0, 1] > 0.99


def test_an_offset_is_not_heard(player):
    song = mix(1.5)
    alone = player.generate(song, RATE, steps=2)
    moved = player.generate(song + np.float32(0.5), RATE, steps=2)
    assert np.corrcoef(moved, alone)[0, 1] > 0.95


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint8])
def test_integer_samples_are_scaled(kind):
    song, top = mix(1.0), np.iinfo(kind)
    middle = 0 if top.min else 128
    stored = np.round(song * (float(top.max) - middle) + middle).astype(kind)
    np.testing.assert_allclose(checked("the mix", stored), song, atol=0.01)


def test_styles_may_be_named_by_their_recordings(player):
    first, second = mix(1.5), 0.5 * mix(1.0)
    np.testing.assert_array_equal(
        player.generate(mix(1.2), RATE, style=[first, second], steps=2),
        player.generate(mix(1.2), RATE, style=[Style(first), Style(second)], steps=2),
    )


@pytest.mark.parametrize("rate", [RATE, 48000])
def test_a_song_out_of_tune_is_heard_in_tune_and_its_bass_has_its_tuning(player, rate):
    """Slowed down by 40 cents, it is what it would be in tune, and then as much faster."""
    song, control = mix(2.0, rate), Control(tuning_cents=40.0)
    factor = 2.0 ** (40.0 / 1200.0)
    slow = np.interp(np.arange(round(2 * rate * factor)) / factor, np.arange(2 * rate), song)
    free = {"draft": None, "steps": 2, "control": Control(tuning_cents=0.0)}
    in_tune = player.generate(slow.astype(np.float32), rate, **free)
    bass = player.generate(song, rate, steps=2, control=control)
    assert bass.shape == song.shape
    expected = np.interp(np.arange(2 * rate) * factor, np.arange(len(in_tune)), in_tune)
    # Alike below what linear interpolation spoils.
    correlation = np.corrcoef(bass[999:-999], expected[999:-999])[0, 1]
    assert correlation > 0.9


def test_edits_of_a_song_out_of_tune_stay_to_the_sample(player, draft):
    control = Control(tuning_cents=-32.0)
    edited = player.generate(mix(2.0), RATE, draft=edit(draft, 0.5, 1.25), control=control)
    outside = np.r_[: RATE // 2, RATE * 5 // 4 : 2 * RATE]
    np.testing.assert_array_equal(edited[outside], draft[outside])
    inside = slice(RATE * 6 // 10, RATE * 12 // 10)
    assert np.abs(edited[inside] - draft[inside]).max() > 1e-3
    known = player._preparation.start(edit(draft, 0.5, 1.25), RATE, len(draft), 0.5).keep
    # At twice the speed, half as many frames hold it.
    assert len(known) == -(-RATE // 2048)
    assert np.flatnonzero(known[:, 0] == 0).tolist() == list(range(5, 13))
