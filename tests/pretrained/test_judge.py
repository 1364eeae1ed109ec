import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.metrics.music import fit_of
from bassdiff.models.matching import MatchingModel
from bassdiff.pretrained import judge as judging
from bassdiff.pretrained.features import open_features, spectrum
from bassdiff.pretrained.judge import Judge, Panel, load_judges
from bassdiff.pretrained.weights import load_matching, save_matching
from bassdiff.runtime.errors import InputError

HOP, SIZE = 2048, 16


@pytest.fixture(scope="module")
def matching_file(tmp_path_factory, randomised):
    model = MatchingModel(
        width=8, num_blocks=1, num_heads=2, reach_frames=8, embedding_size=12, window_frames=SIZE
    )
    side = jnp.zeros((1, SIZE, 348))
    shapes = jax.eval_shape(model.init, jax.random.key(0), side, side, jnp.full(1, SIZE))
    path = tmp_path_factory.mktemp("judge") / "matching_spectrum.safetensors"
    statistics = {name: np.full(348, 0.5, np.float32) for name in ("mix", "bass")}
    bindings = {"features": {"mix": "spectrum", "bass": "spectrum"}}
    save_matching(path, model, randomised(shapes["params"]), statistics, statistics, bindings, {})
    return path


@pytest.fixture(scope="module")
def panel(matching_file):
    return load_judges(matching_file.parent)


@pytest.fixture(scope="module")
def judge(panel):
    (alone,) = panel.judges
    return alone


@pytest.fixture
def noise(rng):
    """Every second another colour, so that no two windows are alike."""
    white = 0.1 * rng.normal(size=41 * HOP)
    colour = np.repeat(rng.uniform(0.02, 3.0, 6), 8 * HOP)[: len(white)]
    tone = np.sin(np.cumsum(colour))
    return (0.1 * white + 0.3 * tone).astype(np.float32)


def test_windows_overlap_by_half_and_are_unit_vectors(judge, noise):
    for frames, windows in ((41, 5), (SIZE, 1), (SIZE + 8, 2), (5, 1)):
        vectors = judge.mix_vectors(noise[: frames * HOP])
        assert vectors.shape == (windows, 12)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)


def test_a_window_is_judged_by_what_is_in_it(judge, noise):
    """Away from its borders, where features look into the neighbours."""
    whole = judge.bass_vectors(noise)
    late = judge.bass_vectors(noise[8 * HOP :])
    np.testing.assert_allclose(late[1:], whole[2:], atol=0.05)
    assert np.abs(whole[1] - whole[3]).max() > 0.05


def test_level_does_not_count(judge, noise):
    np.testing.assert_allclose(judge.mix_vectors(0.1 * noise), judge.mix_vectors(noise), atol=2e-3)


def test_fit_is_the_mean_cosine_over_common_windows(judge, noise):
    mix, bass = judge.mix_vectors(noise), judge.bass_vectors(noise[: 30 * HOP])
    count = len(bass)
    assert count < len(mix)
    assert fit_of(mix, bass) == pytest.approx(np.mean([mix[i] @ bass[i] for i in range(count)]))


def test_a_panels_cosine_is_the_mean_of_its_judges(judge, noise):
    class Other(Judge):
        """Hears everything upside down."""

        def __init__(self):
            self.name = "other"

        hop_samples = judge.hop_samples

        def mix_vectors(self, mix):
            return judge.mix_vectors(mix)[:, ::-1]

        def bass_vectors(self, bass):
            return -judge.bass_vectors(bass)[:, ::-1]

    panel = Panel([judge, Other()])
    assert panel.name == f"{judge.name}+other"
    mix, bass = panel.mix_vectors(noise), panel.bass_vectors(noise)
    np.testing.assert_allclose(np.linalg.norm(mix, axis=1), 1.0, rtol=1e-5)
    assert fit_of(mix, bass) == pytest.approx(0.0, abs=1e-6)
    assert panel.pair(noise, noise).shape == (3, 48)
    np.testing.assert_array_equal(panel.sound(noise), bass[::2])


def test_judges_of_unlike_windows_make_no_panel(judge):
    class Other(Judge):
        name, hop_samples = "other", 1

        def __init__(self):
            pass

    with pytest.raises(InputError, match="windows of unlike lengths"):
        Panel([judge, Other()])


def test_every_length_shares_one_program(judge, noise, compilations):
    judge.mix_vectors(noise)
    before = len(compilations)
    for frames in (3, 20, 33):
        judge.mix_vectors(noise[: frames * HOP])
    assert len(compilations) == before


def test_the_name_tells_kind_and_weights(judge, matching_file):
    assert judge.name == f"matching-spectrum-{load_matching(matching_file).checksum[:8]}"


def test_the_released_judge_hears_spectra():
    names = [judge.name.rpartition("-")[0] for judge in load_judges().judges]
    assert sorted(names) == ["matching-spectrum"]


def test_a_judge_refuses_features_it_was_not_trained_on(matching_file, tiny_weights):
    with pytest.raises(InputError, match=r"was trained on .*spectrum.*, not on"):
        Judge(load_matching(matching_file), open_features("latents", tiny_weights))


def test_bad_names_are_said(matching_file, tiny_weights):
    with pytest.raises(InputError, match="unknown features 'mfcc'; choose among latents, spectrum"):
        open_features("mfcc")
    with pytest.raises(InputError, match=r"holds no matching model \(matching_latents"):
        load_judges(tiny_weights)
    with pytest.raises(InputError, match="holds no matching model"):
        load_matching(tiny_weights / "unet.safetensors")


def test_the_spectrum_needs_no_whole_and_has_a_frame_per_hop(noise):
    whole = spectrum(noise)
    assert whole.shape == (41, 348)
    np.testing.assert_allclose(spectrum(noise[: 30 * HOP])[:20], whole[:20], atol=1e-5)
    assert spectrum(noise[: HOP + 1]).shape == (2, 348)
    assert judging.BATCH_WINDOWS > 1
