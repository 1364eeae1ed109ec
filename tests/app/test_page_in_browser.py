"""The page as people meet it: headless Chromium, a microphone that hums, and tiny weights."""

import json
import os
import re
import time
import zipfile

import numpy as np
import pytest

from bassdiff.audio import io
from bassdiff.cli import main as cli
from bassdiff.examples import example_mix

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[app]'")
pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("default")]
# Machines may be busy with other things.
PATIENCE_MS = int(os.environ.get("PATIENCE_MS", 180_000))
PLAYER = "document.querySelector('bass-player')"


@pytest.fixture(scope="module")
def place(serve):
    return serve(max_minutes=1.0, max_megabytes=5.0)


@pytest.fixture
def visit(browser, place):
    """Opens the page as one more user; nothing may complain, nor be asked of other servers."""
    complaints, contexts = [], []

    def open_(width=1280, dark=False, context=None):
        if context is None:
            context = browser.new_context(
                viewport={"width": width, "height": 900},
                color_scheme="dark" if dark else "light",
                accept_downloads=True,
                permissions=["microphone"],
            )
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on(
            "console",
            # Gradio warns whenever it closes a stream; answers are looked at below. It would show a
            # recording, which has become the song by then, or not, as fast as the machine is.
            lambda message: (
                complaints.append(message.text)
                if message.type == "error"
                and not message.text.startswith(("Failed to load", "Waveform load error"))
                else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "response",
            lambda answer: (
                complaints.append(f"{answer.status} {answer.url}")
                # Of a recording, as above.
                if answer.status >= 400 and "/file=" not in answer.url
                else None
            ),
        )
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((place.url, "data:", "blob:"))
                else complaints.append(f"asked for {request.url[:100]}")
            ),
        )
        page.goto(place.url)
        page.wait_for_selector("#status .state")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def says(page, pattern):
    """Waits until the status says something; gives all of it."""
    page.wait_for_function(
        "(pattern) => new RegExp(pattern).test(document.querySelector('#status')?.innerText)",
        arg=pattern,
    )
    return page.inner_text("#status .state p")


def takes(page):
    return page.evaluate(f"{PLAYER}.state.takes.map((take) => take.number)")


def wait_for_take(page, number):
    """Waits until the player has loaded a take."""
    page.wait_for_function(
        f"(number) => {PLAYER}.ready && {PLAYER}.take?.number === number", arg=number
    )


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    """Six seconds with chords and a beat, from which tempo and bars are heard."""
    rate, time_ = 22050, np.arange(6 * 22050) / 22050
    noise = np.random.default_rng(0).normal(size=len(time_)) * np.exp(-30 * (time_ * 2 % 1))
    chords = np.where(
        time_ % 4 < 2,
        *(
            sum(np.sin(2 * np.pi * hz * time_) for hz in three)
            for three in ((261.6, 329.6, 392.0), (220, 261.6, 329.6))
        ),
    )
    path = tmp_path_factory.mktemp("loop") / "My loop.wav"
    io.write(path, 0.1 * chords + 0.1 * noise, rate)
    return path


def open_loop(page, path):
    page.set_input_files("#song input[type=file]", path)
    says(page, "^Opened My loop.wav")
    page.wait_for_function(f"{PLAYER}.ready")


def generate(page, number, button="#generate", steps=2):
    page.fill("#steps input", str(steps))
    page.click(button)
    says(page, r"^Finished")
    wait_for_take(page, number)


def heard(page, track):
    """The samples that the player has of a track, `[N, channels]`."""
    text = page.evaluate(
        f"""(track) => {{
          const buffer = {PLAYER}.engine.buffers[track];
          const parts = [];
          for (let i = 0; i < buffer.numberOfChannels; i++) {{
            parts.push(Array.from(buffer.getChannelData(i)));
          }}
          return parts;
        }}""",
        track,
    )
    return np.asarray(text, np.float32).T


def rendered(page, seconds=2.0):
    """What the player's levels let through, `[N, 2]`."""
    text = page.evaluate(
        f"""async (seconds) => {{
          const buffer = await {PLAYER}.engine.rendered(seconds);
          return [0, 1].map((i) => Array.from(buffer.getChannelData(i)));
        }}""",
        seconds,
    )
    return np.asarray(text, np.float32).T


def fetched(page, tmp_path, name="Bass (WAV)"):
    """A download of the current take."""
    with page.expect_download() as waiting:
        page.get_by_role("link", name=re.compile(f"^{re.escape(name)}")).click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def drag(page, start_seconds, end_seconds):
    box = page.locator("bass-player .timeline").bounding_box()
    seconds = page.evaluate(f"{PLAYER}.state.song.seconds")
    at = [box["x"] + box["width"] * moment / seconds for moment in (start_seconds, end_seconds)]
    page.mouse.move(at[0], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(sum(at) / 2, box["y"] + 60)
    page.mouse.move(at[1], box["y"] + 60)
    page.mouse.up()


def test_the_example_is_played_and_heard_as_it_was_written(visit, tmp_path):
    page = visit()
    page.click("#example")
    says(page, "^Opened example")
    assert re.search(r"\bG\b.*\|", page.input_value("#chords textarea"))
    generate(page, 1)
    bass, mix = io.read(fetched(page, tmp_path)), io.read(example_mix())
    rate = io.probe(example_mix()).sample_rate_hz
    assert page.evaluate(f"{PLAYER}.engine.context.sampleRate") == rate
    # Decoded from Vorbis, and as a wav file of 24 bits in the player.
    np.testing.assert_allclose(heard(page, "mix"), mix, atol=2.0**-23)
    np.testing.assert_array_equal(heard(page, "bass"), bass)
    page.locator("bass-player").evaluate("(player) => (player.engine.volume = 1)")
    first = slice(0, 2 * rate)
    for buttons, expected in (
        ((), mix + bass),
        (("Solo bass",), bass),
        (("Solo bass", "Solo mix"), mix + bass),
        (("Mute bass",), mix),
        (("Mute mix",), bass),
    ):
        for name in buttons:
            page.get_by_role("button", name=name).click()
        both = np.repeat(expected[first], 2, axis=1)
        np.testing.assert_allclose(rendered(page), both, atol=1e-6)
        for name in buttons:
            page.get_by_role("button", name=name).click()
    page.get_by_label("Balance").fill("0.5")
    both = np.repeat((0.5 * mix + bass)[first], 2, axis=1)
    np.testing.assert_allclose(rendered(page), both, atol=1e-6)
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function(f"{PLAYER}.engine.position > 0.5")
    page.get_by_role("button", name="Pause").click()
    assert not page.evaluate(f"{PLAYER}.engine.isPlaying")


def test_a_part_is_played_again_and_the_rest_stays_to_the_sample(visit, loop, tmp_path):
    page = visit()
    open_loop(page, loop)
    generate(page, 1)
    before = heard(page, "bass")
    bars = page.evaluate(f"{PLAYER}.state.song.bars")
    drag(page, bars[1] + 0.3, bars[2] - 0.3)
    start, end = map(float, page.input_value("#region input").split(":"))
    assert [start, end] == pytest.approx([bars[1], bars[2]], abs=1e-3)
    page.fill("#seed input", "5")
    generate(page, 2, "#edit")
    after = heard(page, "bass")
    rate = page.evaluate(f"{PLAYER}.state.song.rate")
    first, last = round(start * rate), round(end * rate)
    np.testing.assert_array_equal(after[: first - 1], before[: first - 1])
    np.testing.assert_array_equal(after[last + 1 :], before[last + 1 :])
    assert np.abs(after[first:last] - before[first:last]).max() > 1e-3
    assert "played again, seed 5" in page.inner_text("bass-player .takes")
    # From a place on.
    page.get_by_label("Parts begin and end with bars").uncheck()
    drag(page, 3.0, 4.0)
    generate(page, 3, "#continue")
    start = float(page.input_value("#region input").split(":")[0])
    third, first = heard(page, "bass"), round(start * rate)
    np.testing.assert_array_equal(third[: first - 1], after[: first - 1])
    assert np.abs(third[first:] - after[first:]).max() > 1e-3
    # A/B between takes.
    page.get_by_role("radio", name="1: from nothing").check()
    wait_for_take(page, 1)
    np.testing.assert_array_equal(heard(page, "bass"), before)


def test_a_job_ends_within_a_step_and_leaves_the_line(visit, loop):
    first, second = visit(), visit()
    for page in (first, second):
        open_loop(page, loop)
    # The program compiles before it is timed.
    generate(first, 1)
    first.fill("#steps input", "256")
    first.click("#generate")
    says(first, r"step \d+ of 256, about \d+ s left")
    assert first.locator("#status progress").get_attribute("max") == "256"
    second.click("#generate")
    says(second, "^Waiting: 1 ahead of you")
    second.click("#cancel")
    says(second, "^Cancelled")
    says(first, r"step \d+ of 256")
    began = time.monotonic()
    first.click("#cancel")
    says(first, "^Cancelled")
    assert time.monotonic() - began < 10.0
    assert takes(first) == [1] and takes(second) == []
    generate(first, 3)


def test_a_closed_page_leaves_no_work_behind(visit, loop, place):
    page, other = visit(), visit()
    for one in (page, other):
        open_loop(one, loop)
    page.fill("#steps input", "256")
    page.click("#generate")
    says(page, r"step \d+ of 256")
    page.close()
    # It would wait for minutes otherwise.
    generate(other, 1)


def test_a_wrong_file_gets_a_sentence_and_changes_nothing(visit, loop, tmp_path):
    page = visit()
    open_loop(page, loop)
    generate(page, 1)
    wrong = tmp_path / "notes <b>.wav"
    wrong.write_text("these are words")
    page.set_input_files("#song input[type=file]", wrong)
    said = says(page, "notes b.wav")
    assert said.endswith(".") and "/" not in said
    assert page.locator("#status .state.error").count() == 1
    assert takes(page) == [1] and page.evaluate(f"{PLAYER}.state.song.name") == "My loop.wav"
    page.click("#edit")
    says(page, "^no part is chosen")


def test_a_song_is_dropped_with_a_style_and_a_line(visit, loop, tmp_path, song, write_midi, track):
    page = visit()
    (tmp_path / "My song.wav").write_bytes(song)
    page.set_input_files("#song input[type=file]", tmp_path / "My song.wav")
    says(page, "^Opened My song.wav")
    page.get_by_role("button", name="Sound of a bass that you like").click()
    rate, time_ = 22050, np.arange(22050) / 22050
    io.write(tmp_path / "fat.wav", 0.3 * np.sign(np.sin(2 * np.pi * 55 * time_)), rate)
    page.set_input_files("#style input[type=file]", tmp_path / "fat.wav")
    says(page, "fat.wav is taken")
    generate(page, 1)
    page.get_by_role("button", name="More settings").click()
    line = write_midi(tmp_path / "line.mid", [track(33, [36, 43, 36, 43])])
    page.set_input_files("#notes input[type=file]", line)
    says(page, "line.mid is played")
    generate(page, 2)
    generate(page, 3, "#vary")
    generate(page, 4, "#retimbre")
    assert "another sound" in page.inner_text("bass-player .takes")
    record = json.loads(fetched(page, tmp_path, "How it was made").read_text())
    assert record["words"]["retimbre"] == "My song-bass-3.wav"
    assert record["words"]["style"] == ["style-fat.wav"]
    assert set(record["files"]) == {
        *("My song.wav", "style-fat.wav", "notes-line.mid", "My song-bass-3.wav"),
    }


def test_history_survives_a_reload_and_is_undone(visit, loop):
    page = visit()
    open_loop(page, loop)
    generate(page, 1)
    generate(page, 2)
    page.get_by_role("radio", name="1: from nothing").check()
    wait_for_take(page, 1)
    page.reload()
    says(page, "^Opened My loop.wav")
    wait_for_take(page, 1)
    assert takes(page) == [1, 2]
    assert "C" in page.input_value("#chords textarea")
    page.click("#undo")
    page.wait_for_function(f"{PLAYER}.state.takes.length === 1")
    page.click("#redo")
    wait_for_take(page, 2)
    assert takes(page) == [1, 2]


def test_two_users_have_their_own(visit, loop):
    first, second = visit(), visit()
    for page in (first, second):
        open_loop(page, loop)
    generate(first, 1)
    assert takes(second) == []
    theirs = first.evaluate(f"{PLAYER}.url({PLAYER}.take.folder, {PLAYER}.take.files.bass)")
    status = "async (url) => (await fetch(url)).status"
    assert first.evaluate(status, theirs) == 200
    asked = second.context.request.get(theirs)
    assert asked.status == 404
    # In another window, the same user has the same.
    third = visit(context=first.context)
    wait_for_take(third, 1)


def test_everything_can_be_kept(visit, loop, tmp_path, tiny_weights, monkeypatch):
    page = visit()
    open_loop(page, loop)
    generate(page, 1)
    page.fill("#region input", "bar:2")
    generate(page, 2, "#edit")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="This take (ZIP)").click()
    waiting.value.save_as(tmp_path / "take.zip")
    with zipfile.ZipFile(tmp_path / "take.zip") as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "take")
    stem = "My loop-bass-2"
    own = {f"{stem}{end}" for end in (".wav", "-mixdown.wav", ".mid", ".json", ".png")}
    assert names == own | {"My loop.wav", "My loop-bass-1.wav"}
    for name in ("Bass (WAV)", "Mix with bass", "Notes", "How it was made", "Picture"):
        path = fetched(page, tmp_path, name)
        assert path.read_bytes() == (tmp_path / "take" / path.name).read_bytes()
    # Made again on the command line, bit for bit.
    monkeypatch.chdir(tmp_path / "take")
    words = ["generate", "--like", f"{stem}.json", "--out", "again.wav"]
    assert cli.main(words) == 0
    np.testing.assert_array_equal(io.read("again.wav"), io.read(f"{stem}.wav"))


def test_a_recording_is_a_song(visit, loop):
    page = visit()
    page.get_by_role("button", name="Record with the microphone").click()
    page.locator("#recording").get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(3000)
    page.locator("#recording").get_by_role("button", name="Stop").first.click()
    says(page, r"^Opened .*\.wav")
    generate(page, 1)


def test_it_fits_on_a_phone(visit, loop):
    page = visit(width=390)
    open_loop(page, loop)
    generate(page, 1)
    for name in ("Sound of a bass that you like", "More settings"):
        page.get_by_role("button", name=name).click()
    widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    needed, there = page.evaluate(widths)
    assert needed == there == 390
    for part in ("#generate", "bass-player .play", "bass-player .timeline", "#edit"):
        box = page.locator(part).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, part


def test_a_screen_reader_says_what_each_part_is_for(visit, loop):
    """What Orca read wrongly: parts of Gradio without a name of their own, and a stale message."""
    page = visit()
    page.evaluate(
        """() => {
          const said = (window.said = []);
          const parts = [...document.querySelectorAll('bass-player .message, .unseen')];
          new MutationObserver(() => said.push(...parts.map((part) => part.textContent)))
            .observe(document.body, { childList: true, subtree: true });
        }"""
    )
    open_loop(page, loop)
    generate(page, 1)
    said = page.evaluate("window.said")
    assert any(words.startswith("Opened") for words in said)
    assert any(words.endswith("Generate a bass to it.") for words in said)
    assert "No song is open." not in said
    style = page.get_by_role("button", name="Sound of a bass that you like")
    for name in (
        "Choose a file: Your song, without its bass: any audio file (mix)",
        "Reset: How many basses (variations)",
    ):
        assert page.get_by_role("button", name=name).count() == 1
    assert page.get_by_role("button", name=re.compile("upload|default value")).count() == 0
    for expanded in (True, False):
        assert style.get_attribute("aria-expanded") == str(not expanded).lower()
        style.click()
        page.wait_for_function(
            "([button, state]) => button.getAttribute('aria-expanded') === state",
            arg=[style.element_handle(), str(expanded).lower()],
        )
        chosen = page.get_by_role("button", name="Choose a file: A recording of a bass alone")
        assert chosen.count() == expanded
    assert "▼" not in page.locator("body").aria_snapshot()


def test_keys_and_screen_readers_reach_everything(visit, loop):
    page = visit(dark=True)
    open_loop(page, loop)
    generate(page, 1)
    page.get_by_role("slider", name="Position in the song").focus()
    for key in ("Home", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate(f"{PLAYER}.engine.position") == 2.0
    spoken = page.locator(".timeline").get_attribute("aria-valuetext")
    assert re.fullmatch(r"2\.0 seconds, bar \d", spoken)
    page.keyboard.press("[")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    assert page.input_value("#region input") != ""
    page.keyboard.press("Escape")
    assert page.input_value("#region input") == ""
    page.keyboard.press("Space")
    page.wait_for_function(f"{PLAYER}.engine.isPlaying")
    page.keyboard.press("Space")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, textarea, select, a[href]')]
          .filter((part) => part.offsetParent && !(
            part.innerText?.trim() || part.getAttribute('aria-label') || part.title
            || part.labels?.length || part.getAttribute('aria-labelledby')
          )).map((part) => part.outerHTML.slice(0, 200))"""
    )
    assert nameless == []
    ratio = page.evaluate(
        """() => {
          const light = (colour) => {
            const [r, g, b] = colour.match(/[\\d.]+/g).map((value) => {
              const part = value / 255;
              return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const text = light(getComputedStyle(document.querySelector('bass-player')).color);
          const back = light(getComputedStyle(document.body).backgroundColor);
          return (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
        }"""
    )
    assert ratio > 7.0


def test_a_bass_of_ones_own_is_the_first_take(visit, loop, tmp_path):
    """It is handed over and drawn as any other, and what is played from it is made again so."""
    page = visit()
    page.get_by_role("button", name="A bass that you have").click()
    rate = 44100
    time_ = np.arange(5 * rate) / rate
    own = 0.3 * np.sin(2 * np.pi * 55 * time_) * np.exp(-3 * (time_ % 1))
    io.write(tmp_path / "my bass.wav", own, rate)
    page.set_input_files("#own input[type=file]", tmp_path / "my bass.wav")
    says(page, "no song is open; drop one, or use the example")
    open_loop(page, loop)
    page.set_input_files("#own input[type=file]", tmp_path / "my bass.wav")
    assert (
        says(page, "is a take now") == "Your bass my bass.wav is a take now; change or continue it."
    )
    wait_for_take(page, 1)
    assert "1: your bass my bass.wav" in page.inner_text("bass-player .takes")
    notes = page.evaluate(f"{PLAYER}.state.takes[0].notes")
    assert len(notes) == 5 and {pitch for _, _, pitch in notes} == {33}
    # As given, at the rate of the song.
    kept = io.read_mono(fetched(page, tmp_path), rate)
    assert np.corrcoef(kept[: len(own)], own)[0, 1] > 0.999
    assert page.locator("bass-player .downloads a", has_text="How it was made").count() == 0
    page.locator("#region textarea, #region input").first.fill("5:6")
    generate(page, 2, "#continue")
    record = json.loads(fetched(page, tmp_path, "How it was made").read_text())
    assert record["words"]["continuing"] == "My loop-own-my bass.wav"
    assert "My loop-own-my bass.wav" in record["files"]


def test_a_bass_that_cannot_be_a_take_is_told(visit, loop, tmp_path):
    page = visit()
    open_loop(page, loop)
    page.get_by_role("button", name="A bass that you have").click()
    for name, wave, message in (
        (
            "long.wav",
            np.ones(22050 * 7) * 0.1,
            "lasts 7.0 s and the song 6.0 s; cut it to the song",
        ),
        ("silent.wav", np.zeros(22050), "has no sound; give a recording of a bass playing"),
    ):
        io.write(tmp_path / name, wave, 22050)
        page.set_input_files("#own input[type=file]", tmp_path / name)
        says(page, re.escape(message))
    assert takes(page) == []
