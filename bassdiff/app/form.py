"""The form of the page: a field for each choice and each setting, in plain words."""

from __future__ import annotations

import dataclasses
from typing import Any

import gradio as gr

from bassdiff.app.playing import MOST_LETTERS, MOST_VARIATIONS
from bassdiff.diffusion.settings import FITTED, Sampling, setting_fields, setting_names

# Plain words for settings; the term comes after it in brackets.
_WORDS = {
    "solver": "How each step is computed",
    "schedule": "How the steps are spread",
    "steps": "Number of steps: more take longer",
    "sigma_min": "Where the steps end",
    "guidance_kind": "Way of following the mix",
    "guidance": "How closely to follow the mix",
    "guidance_low": "From which noise the kind interval follows it",
    "guidance_high": "Up to which noise",
    "rescale": "Keep strong following natural",
    "channel_rescale": "Keep attacks and levels natural",
    "apg_parallel": "Share of what only inflates, for apg",
    "apg_norm": "Bound of the contrast, for apg",
    "threshold_quantile": "Share that threshold does not clip",
    "threshold_floor": "Sizes that threshold never clips",
    "grounding": "What is taken from the reference of sound",
    "style_strength": "How strongly to take the reference's sound",
    "steadiness": "Keep held notes still",
    "pedal": "Hold one note where the mix has no pitch",
    "chord_strength": "How closely to keep to the chords",
    "window_seconds": "Length of the windows of long songs, in seconds",
}
_MAIN = ("guidance", "steps", "style_strength", "chord_strength")


@dataclasses.dataclass
class Form:
    """Fields by the names under which `playing.wish_of` expects their values."""

    fields: dict[str, Any]

    def values(self, given: tuple[Any, ...]) -> dict[str, Any]:
        """The values by name, as Gradio hands them over."""
        return dict(zip(self.fields, given, strict=True))

    @property
    def inputs(self) -> list[Any]:
        """The fields, in the order that `values` expects."""
        return list(self.fields.values())


def main_fields(form: Form, defaults: Sampling) -> None:
    """The fields that most people use."""
    form.fields["chords"] = gr.Textbox(
        label="Chords of the song, as they are heard (chords)",
        info="Edit them: | or a new line ends a bar, G/B has B below, F:2 lasts two beats.",
        lines=3,
        max_lines=8,
        max_length=MOST_LETTERS,
        elem_id="chords",
    )
    form.fields["follow_chords"] = gr.Checkbox(
        label="Keep to these chords; otherwise the bass follows what it hears",
        elem_id="follow_chords",
    )
    with gr.Row():
        form.fields["seed"] = gr.Number(
            0,
            label="Number of the attempt (seed)",
            info="The same one plays the same bass.",
            precision=0,
            minimum=0,
            maximum=2**32 - 1,
            elem_id="seed",
        )
        form.fields["variations"] = gr.Slider(
            1,
            MOST_VARIATIONS,
            value=1,
            step=1,
            label="How many basses (variations)",
            elem_id="variations",
        )
    fields = {field.name: field for field in setting_fields()}
    for name in _MAIN:
        form.fields[name] = _setting(fields[name], defaults)


def other_fields(form: Form, defaults: Sampling) -> None:
    """The fields that are folded away."""
    with gr.Row():
        for name, label, info in (
            ("key", "Key (key)", "such as C, F# minor or Bb dorian"),
            ("bpm", "Tempo in beats a minute (bpm)", "a number, or auto: as it is heard"),
            ("meter", "Beats of a bar and their value (meter)", "such as 4/4"),
            ("avoid_below", "Lowest note of the instrument (avoid below)", "such as E1"),
            ("avoid_above", "Its highest note (avoid above)", "such as G3"),
            ("tuning_cents", "Tuning of the mix, in cents (tuning)", "a number; else as heard"),
            ("bass_lufs", "Loudness of the bass, in LUFS (bass lufs)", "else as in a mix"),
        ):
            form.fields[name] = gr.Textbox(
                label=label, info=info, max_length=40, max_lines=1, elem_id=name
            )
    with gr.Row():
        # An empty field of numbers would be sent as 0, which is not the same as none.
        for name, label, low, high in (
            ("first_beat_seconds", "Start of bar 1, in seconds (first beat)", -600, 3600),
            ("quantise", "Move onsets to the beats, 0 to 1 (quantise)", 0, 1),
            ("gain_db", "How much louder, in decibels (gain)", -40, 40),
        ):
            form.fields[name] = gr.Number(
                0, label=label, minimum=low, maximum=high, step=0.1, elem_id=name
            )
    with gr.Row():
        for field in setting_fields():
            if field.name not in _MAIN:
                form.fields[field.name] = _setting(field, defaults)


def edit_fields(form: Form) -> None:
    """The fields of changes to a take."""
    form.fields["region"] = gr.Textbox(
        label="Part to play again (region)",
        info="Drag over the waveform, or write it: 12.5:20 in seconds, bar:9-12 in bars.",
        max_lines=1,
        max_length=60,
        elem_id="region",
    )
    form.fields["strength"] = gr.Slider(
        0.0,
        1.0,
        value=0.5,
        step=0.05,
        label="How much to change when varying or taking another sound (strength)",
        elem_id="strength",
    )


def _setting(field: dataclasses.Field[Any], defaults: Sampling) -> Any:
    name, value = field.name, getattr(defaults, field.name)
    label = f"{_WORDS[name]} ({name.replace('_', ' ')})"
    if "low" not in field.metadata:
        names = setting_names()[name]
        if name == "schedule" and not defaults.levels:
            names = [one for one in names if one != FITTED]
        return gr.Dropdown(names, value=value, label=label, elem_id=name)
    low, high = field.metadata["low"], field.metadata["high"]
    return gr.Number(
        value,
        label=label,
        info=f"{low:g} to {high:g}",
        minimum=low,
        maximum=high,
        precision=0 if field.type == "int" else None,
        step=1 if field.type == "int" else 0.1,
        elem_id=name,
    )
