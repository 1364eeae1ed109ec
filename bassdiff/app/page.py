"""The page: what it shows, and which button does what."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from bassdiff.app.form import Form, edit_fields, main_fields, other_fields
from bassdiff.app.guard import SESSION_HEADER
from bassdiff.app.sessions import Session
from bassdiff.app.studio import State, Studio, given_name

# Fonts of the system: no request leaves the page.
THEME = gr.themes.Base(
    font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], primary_hue="teal"
)
HEAD = (
    '<link rel="stylesheet" href="./player/code/player.css">'
    '<script type="module" src="./player/code/player.js"></script>'
    '<script type="module" src="./player/code/labels.js"></script>'
)
_PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}


def build(studio: Studio) -> gr.Blocks:
    """The page of a studio.

    Handlers take Gradio's request, which `Guard` gave the name of the user's session.
    """

    def session_of(request: gr.Request) -> Session:
        return studio.sessions.of(request.headers.get(SESSION_HEADER, ""))

    async def opened(
        upload: str | None, request: gr.Request
    ) -> AsyncIterator[tuple[Any, str, Any, Any]]:
        session = session_of(request)
        if upload is None:
            return
        async for state in studio.open(session, upload):
            yield _opened(state, session)

    async def example(request: gr.Request) -> AsyncIterator[tuple[Any, str, Any, Any]]:
        session = session_of(request)
        async for state in studio.open(session, None):
            yield _opened(state, session)

    def player_of(kind: str) -> Any:
        async def played(request: gr.Request, *given: Any) -> AsyncIterator[str]:
            session = session_of(request)
            async for state in studio.play(session, kind, form.values(given)):
                yield shown(state, session)

        return played

    def styled(upload: str | None, request: gr.Request) -> tuple[str, str, Any]:
        session = session_of(request)
        state = studio.set_style(session, upload)
        return shown(state, session), given_name(session.style), None

    def noted(upload: str | None, request: gr.Request) -> tuple[str, str, Any]:
        session = session_of(request)
        state = studio.set_notes(session, upload)
        return shown(state, session), given_name(session.notes), None

    def unstyled(request: gr.Request) -> tuple[str, str, Any]:
        return styled(None, request)

    def unnoted(request: gr.Request) -> tuple[str, str, Any]:
        return noted(None, request)

    async def owned(upload: str, request: gr.Request) -> AsyncIterator[tuple[str, Any]]:
        session = session_of(request)
        async for state in studio.open_bass(session, upload):
            yield shown(state, session), None

    def undone(request: gr.Request) -> str:
        session = session_of(request)
        return shown(studio.change(session, Session.undo, "Undone."), session)

    def redone(request: gr.Request) -> str:
        session = session_of(request)
        return shown(studio.change(session, Session.redo, "Done again."), session)

    def cancelled(request: gr.Request) -> None:
        studio.cancel(session_of(request))

    def restored(request: gr.Request) -> tuple[str, str, str, str]:
        session = session_of(request)
        song = session.song
        about = "Drop a song or open the example to begin."
        if song is not None:
            about = f"Opened {song.path.name}. {song.about}"
        chords = song.chord_text if song else ""
        return (
            shown(State(about), session),
            chords,
            given_name(session.style),
            given_name(session.notes),
        )

    form = Form({})
    buttons: dict[str, gr.Button] = {}
    defaults = studio.generator.defaults
    with gr.Blocks(title="bassdiff", analytics_enabled=False, fill_width=True) as page:
        gr.Markdown("# bassdiff\nListens to a mix and plays a bass line that belongs to it.")
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                song = gr.File(
                    label="Your song, without its bass: any audio file (mix)",
                    height=120,
                    elem_id="song",
                )
                use_example = gr.Button("Open the example", elem_id="example")
                with gr.Accordion("Record with the microphone", open=False):
                    recording = gr.Audio(
                        label="Recording",
                        sources=["microphone"],
                        type="filepath",
                        format="wav",
                        editable=False,
                        elem_id="recording",
                    )
                main_fields(form, defaults)
                with gr.Accordion("Sound of a bass that you like (style)", open=False):
                    style_name = gr.Textbox(
                        "none", label="Reference of sound", interactive=False, elem_id="style-name"
                    )
                    style = gr.File(
                        label="A recording of a bass alone", height=120, elem_id="style"
                    )
                    no_style = gr.Button("Leave the sound to the model", size="sm")
                with gr.Accordion("A bass that you have, to change or continue", open=False):
                    own = gr.File(
                        label="Its recording, from the start of the song on (take)",
                        height=120,
                        elem_id="own",
                    )
                with gr.Accordion("More settings", open=False, elem_id="more"):
                    notes_name = gr.Textbox(
                        "none", label="Line to play", interactive=False, elem_id="notes-name"
                    )
                    notes = gr.File(
                        label="A MIDI file of one voice (notes)", height=120, elem_id="notes"
                    )
                    no_notes = gr.Button("Leave the line to the model", size="sm")
                    other_fields(form, defaults)
            with gr.Column(scale=3, min_width=320):
                with gr.Row():
                    buttons["new"] = gr.Button("Generate", variant="primary", elem_id="generate")
                    cancel = gr.Button("Cancel", variant="stop", elem_id="cancel")
                status = gr.HTML(elem_id="status")
                gr.HTML("<bass-player></bass-player>", elem_id="player", js_on_load=None)
                with gr.Row():
                    undo = gr.Button("Undo", size="sm", elem_id="undo")
                    redo = gr.Button("Redo", size="sm", elem_id="redo")
                edit_fields(form)
                with gr.Row():
                    for kind, words in (
                        ("edit", "Play the part again"),
                        ("continue", "Continue from the part's start"),
                        ("vary", "Vary the take"),
                        ("retimbre", "Give the take the other sound"),
                    ):
                        buttons[kind] = gr.Button(words, size="md", min_width=150, elem_id=kind)
        chords = form.fields["chords"]
        opening = [song, status, chords, recording]
        # Jobs have a line of their own, from which a cancelled one leaves.
        at_once: dict[str, Any] = {
            **_PRIVATE,
            "concurrency_limit": None,
            "trigger_mode": "multiple",
        }
        song.upload(opened, song, opening, **at_once)
        recording.stop_recording(opened, recording, opening, **at_once)
        use_example.click(example, None, opening, **at_once)
        for kind, button in buttons.items():
            button.click(player_of(kind), form.inputs, status, **at_once)
        cancel.click(cancelled, None, None, **at_once)
        undo.click(undone, None, status, **at_once)
        redo.click(redone, None, status, **at_once)
        style.upload(styled, style, [status, style_name, style], **at_once)
        no_style.click(unstyled, None, [status, style_name, style], **at_once)
        own.upload(owned, own, [status, own], **at_once)
        notes.upload(noted, notes, [status, notes_name, notes], **at_once)
        no_notes.click(unnoted, None, [status, notes_name, notes], **at_once)
        chords.input(lambda: True, None, form.fields["follow_chords"], **at_once)
        page.load(restored, None, [status, chords, style_name, notes_name], **at_once)
    return page


def shown(state: State, session: Session) -> str:
    """A state as HTML, with the version of the session for the player."""
    bar = ""
    if state.total:
        bar = f'<progress aria-label="Steps" max="{state.total}" value="{state.done}"></progress>'
    elif state.kind == "running":
        bar = '<progress aria-label="Working"></progress>'
    return (
        f'<div class="state {state.kind}" data-version="{session.version}">'
        f"<p>{html.escape(state.text)}</p>{bar}</div>"
    )


def _opened(state: State, session: Session) -> tuple[Any, str, Any, Any]:
    is_open = state.kind == "done" and session.song is not None
    chords = session.song.chord_text if is_open and session.song else gr.skip()
    return None, shown(state, session), chords, None
