import json

import pytest

from bassdiff.cli.config_values import config_words
from bassdiff.cli.configs import read_config
from bassdiff.runtime.errors import InputError


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"seed": 7, "data": {"latents": "runs/l"}, "model": {"widths": [8, 8]}}'),
        ("a.yaml", "seed: 7\ndata:\n  latents: runs/l\nmodel:\n  widths: [8, 8]\n"),
    ],
)
def test_values_are_taken(tmp_path, name, text):
    config = read_config("diffusion:tiny", config_words(written(tmp_path, name, text)))
    assert (config.seed, config.data.latents, config.model.widths) == (7, "runs/l", (8, 8))


def test_a_value_of_another_type_or_an_unknown_key_is_refused(tmp_path):
    for text in ('{"seed": "seven"}', '{"strings": 4}', '{"data": 3}'):
        with pytest.raises(InputError, match="cannot be used"):
            read_config("diffusion:tiny", config_words(written(tmp_path, "a.json", text)))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "[1]", "no mapping"),
        ("a.json", "{", "holds no settings"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", '{"a":' * 9 + "1" + "}" * 9, "nested too deeply"),
        ("a.json", '{"a": null}', "config.a is not a text, a number or a list of numbers"),
        ("a.json", '{"a b": 1}', "a key 'a b'"),
        ("a.json", json.dumps({f"k{n}": n for n in range(1001)}), "more than 1000 values"),
        ("a.json", " " * (1 << 21), "more than 1 MB"),
        ("a.yaml", "a: &a [1]\nb: *a\n", "aliases"),
        ("a.yaml", "a: !!python/object/apply:os.getcwd []\n", "holds no settings"),
        ("a.yaml", "a: [", "holds no settings"),
    ],
)
def test_what_is_no_settings_is_refused(tmp_path, name, text, words):
    with pytest.raises(InputError, match="give keys and values as JSON or YAML") as caught:
        config_words(written(tmp_path, name, text))
    assert words in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        config_words(tmp_path / "a.json")
