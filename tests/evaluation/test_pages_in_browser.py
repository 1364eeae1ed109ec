"""The pages as people meet them: in a browser, on a phone and on a desk.

See the fixture `browser` for what they need.
"""

import base64
import dataclasses
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from bassdiff.diffusion.settings import Sampling
from bassdiff.evaluation import listening, report
from bassdiff.evaluation.clips import Clip
from bassdiff.evaluation.result_folder import TASKS
from bassdiff.evaluation.tasks.gallery import gallery
from bassdiff.synthesis.annotation import Annotation
from bassdiff.synthesis.score import Chord

pytestmark = pytest.mark.browser

SYSTEMS = ["model", "true", "follower"]
WIDTHS = (390, 1280)
# Sounds are decoded and played in real time, on machines that may be busy with other things.
PATIENCE_MS = 120_000


@pytest.fixture
def open_page(browser):
    """Opens pages that must not complain, nor ask for anything but themselves."""
    complaints, contexts = [], []

    def watch(page, own):
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url[:100]))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((own, "data:", "blob:"))
                else complaints.append(f"asked for {request.url[:100]}")
            ),
        )

    def open_(path, width=1280, query=""):
        context = browser.new_context(
            viewport={"width": width, "height": 844}, accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        watch(page, path.as_uri())
        page.goto(path.as_uri() + query)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def report_path(evaluation_folder, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "metrics.jsonl"
    log.write_text("".join(f'{{"step": {step}, "loss": {1 / step}}}\n' for step in range(1, 100)))
    return report.write_report(evaluation_folder, tmp_path_factory.mktemp("report"), log)


@pytest.fixture(scope="module")
def mushra_path(evaluation_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("mushra")
    return listening.write_listening_page(evaluation_folder, out, SYSTEMS, num_clips=3)


@pytest.fixture(scope="module")
def ab_path(evaluation_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("ab")
    return listening.write_listening_page(evaluation_folder, out, SYSTEMS[:2], "ab", num_clips=2)


@pytest.fixture(scope="module")
def gallery_path(tmp_path_factory):
    class Player:
        defaults = Sampling()
        bass_codec = SimpleNamespace(has_pitch=True)

        def generate_batch(self, tasks):
            return [0.5 * (task.mix if task.style is None else task.style) for task in tasks]

    time = np.arange(44100) / 44100
    waves = [0.2 * np.sin(2 * np.pi * hz * time).astype(np.float32) for hz in (220, 55, 330, 82)]
    clips = [
        Clip(f"{i}", f"A song with rather a long name {i}", i, 0, waves[2 * i], waves[2 * i + 1])
        for i in range(2)
    ]
    chords = tuple(Chord(i / 14, (i + 1) / 14, i % 12, "maj7", (i + 3) % 12) for i in range(14))
    clips[1] = dataclasses.replace(clips[1], annotation=Annotation((), chords))
    out = tmp_path_factory.mktemp("gallery")
    return gallery(Player(), clips, out, "facts", before=Player())


def fits(page):
    """Nothing sticks out at the sides."""
    widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    needed, there = page.evaluate(widths)
    return needed == there == page.viewport_size["width"]


@pytest.mark.parametrize("width", WIDTHS)
def test_report_fits_and_shows_its_tables(open_page, report_path, width):
    page = open_page(report_path, width)
    assert fits(page)
    assert page.locator("table").count() == len(TASKS)
    assert all(table.is_visible() for table in page.locator("table").all())
    loaded = "[...document.images].map((image) => (image.loading = 'eager', image.naturalWidth))"
    assert set(page.evaluate(loaded)) == {1056}


@pytest.mark.parametrize("width", WIDTHS)
def test_gallery_fits_and_its_sounds_load(open_page, gallery_path, width):
    page = open_page(gallery_path, width)
    assert fits(page)
    players = "[...document.querySelectorAll('audio')]"
    page.wait_for_function(f"{players}.every((player) => player.duration > 0.9)")
    assert page.evaluate(f"{players}.length") == 8 + 10


def test_first_column_stays_while_a_table_scrolls(open_page, report_path):
    page = open_page(report_path, 390)
    box, name = page.locator("#music .scroll"), page.locator("#music tr.system th")
    before = name.bounding_box()["x"]
    assert box.evaluate("(box) => (box.scrollLeft = 100, box.scrollLeft)") == 100
    assert name.bounding_box()["x"] == pytest.approx(before, abs=1.5)


def test_a_glossary_is_as_wide_as_a_phone(open_page, report_path):
    page = open_page(report_path, 390)
    for place in range(3):
        width = page.locator("#music details dd").nth(place).bounding_box()["width"]
        assert width > 300


def test_charts_follow_the_colour_scheme(open_page, report_path):
    page = open_page(report_path)
    colour = "getComputedStyle(document.querySelector('svg text')).fill"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(colour) != light


def test_one_player_sounds_at_a_time(open_page, report_path):
    page = open_page(report_path)
    players = page.locator("audio")
    for number in (0, 1):
        players.nth(number).evaluate("(player) => player.play()")
        page.wait_for_function(
            "(n) => document.querySelectorAll('audio')[n].currentTime > 0.2", arg=number
        )
    paused = "[...document.querySelectorAll('audio')].map((player) => player.paused)"
    assert page.evaluate(paused) == [n != 1 for n in range(players.count())]


def secrets_of(path):
    text = path.read_text(encoding="utf-8")
    study = json.loads(re.search(r'id="study">(.*?)</script>', text)[1])
    return json.loads(base64.b64decode(study["names"]))


def shows(page, selector, text):
    """Waits until an element says this, and nothing else."""
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.innerText === text",
        arg=[selector, text],
    )


def next_can_be_pressed(page, can):
    """Waits until it can, or cannot."""
    page.wait_for_function("(can) => document.querySelector('#next')?.disabled === !can", arg=can)


def hear_all(page):
    page.wait_for_selector(".play:enabled")
    for button in page.locator(".play").all():
        button.click()
        page.wait_for_function(
            "(key) => document.querySelector(`.play[data-key='${key}']`).matches('.heard')",
            arg=button.get_attribute("data-key"),
        )


def rate_all(page, rating_of):
    for slider in page.locator("[data-rate]").all():
        slider.fill(str(rating_of(slider.get_attribute("data-rate"))))


def download(page, folder):
    with page.expect_download() as waiting:
        page.click("#download")
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


@pytest.mark.parametrize("width", WIDTHS)
def test_a_whole_session(open_page, mushra_path, tmp_path, width):
    names = secrets_of(mushra_path)
    wanted = {"model": 72, "true": 95, "follower": 0}
    page = open_page(mushra_path, width, "?seed=5")
    assert fits(page)
    page.click("#begin")
    for number in range(3):
        shows(page, "#progress", f"Clip {number + 1} of 3")
        hear_all(page)
        rate_all(page, lambda key: wanted[names[key]])
        assert fits(page)
        seen = page.inner_text("main")
        assert not any(name in seen for name in SYSTEMS)
        page.click("#next")
    path = download(page, tmp_path)
    answers = json.loads(path.read_text())
    assert answers["seed"] == 5 and len(answers["trials"]) == 3
    for trial in answers["trials"]:
        ratings = {stimulus["system"]: stimulus["rating"] for stimulus in trial["stimuli"]}
        assert ratings == wanted
        for heard in (trial["reference"], *trial["stimuli"]):
            assert heard["plays"] == 1 and 0.7 <= heard["seconds"] < 20
    means = {name: of["mean"] for name, of in listening.summarise([path])["systems"].items()}
    assert means == wanted


def order_of(page):
    session = page.evaluate("JSON.parse(Object.values(localStorage)[0])")
    return [(trial["clip"], trial["order"]) for trial in session["trials"]]


def test_orders_are_each_listener_s_own(open_page, mushra_path):
    def order(query):
        page = open_page(mushra_path, query=query)
        page.click("#begin")
        return order_of(page)

    assert order("?seed=1") == order("?seed=1")
    orders = [order(f"?seed={seed}") for seed in range(1, 9)]
    assert len({str([clip for clip, _ in order]) for order in orders}) > 2
    assert len({str(keys) for order in orders for clip, keys in order if clip == 0}) > 2
    assert order("") != order("")


def test_nothing_is_skipped_and_nothing_is_lost(open_page, mushra_path):
    page = open_page(mushra_path)
    page.click("#begin")
    page.wait_for_selector(".play:enabled")
    next_can_be_pressed(page, False)
    rate_all(page, lambda _: 40)
    shows(page, ".todo", "Still to play: the mix alone, A, B, C.")
    next_can_be_pressed(page, False)
    hear_all(page)
    shows(page, ".todo", "")
    next_can_be_pressed(page, True)
    page.click("#next")
    shows(page, "#progress", "Clip 2 of 3")
    hear_all(page)
    shows(page, ".todo", "Still to rate: A, B, C.")
    next_can_be_pressed(page, False)
    page.locator("[data-rate]").first.fill("81")
    shows(page, ".todo", "Still to rate: B, C.")
    before = order_of(page)

    page.reload()
    shows(page, "#progress", "Clip 2 of 3")
    page.wait_for_selector(".play:enabled")
    assert order_of(page) == before
    assert page.locator(".rating").all_inner_texts() == ["81\nExcellent", "not rated", "not rated"]
    shows(page, ".todo", "Still to rate: B, C.")
    page.click("#back")
    shows(page, "#progress", "Clip 1 of 3")
    page.wait_for_selector(".play:enabled")
    assert [slider.input_value() for slider in page.locator("[data-rate]").all()] == ["40"] * 3
    next_can_be_pressed(page, True)


def test_a_click_that_leaves_the_slider_in_the_middle_is_a_rating(open_page, mushra_path):
    page = open_page(mushra_path)
    page.click("#begin")
    page.wait_for_selector(".play:enabled")
    page.locator("[data-rate]").first.click()
    assert page.locator(".rating").first.inner_text() == "50\nFair"


def test_switching_goes_on_from_the_same_place(open_page, mushra_path):
    page = open_page(mushra_path)
    page.click("#begin")
    page.wait_for_selector(".play:enabled")
    place = "Number(document.querySelector('.transport input').value)"
    page.keyboard.press("0")
    page.wait_for_function(f"() => {place} > 0.4")
    before = page.evaluate(place)
    page.keyboard.press("2")
    page.wait_for_timeout(150)
    assert 0 <= page.evaluate(place) - before < 0.8
    sounding = page.locator(".play[aria-pressed=true]")
    assert sounding.all_inner_texts() == ["B"]
    page.wait_for_function(f"() => {place} < 0.4")  # the loop begins again
    page.locator("h1").focus()
    page.keyboard.press(" ")
    assert sounding.count() == 0
    stopped = page.evaluate(place)
    page.wait_for_timeout(300)
    assert page.evaluate(place) == stopped


@pytest.mark.parametrize(("choice", "share"), [("model", 1.0), ("No preference", 0.5)])
def test_preferences_are_those_of_the_right_system(open_page, ab_path, tmp_path, choice, share):
    names = secrets_of(ab_path)
    page = open_page(ab_path, 390, "?seed=2")
    page.click("#begin")
    for _ in range(2):
        hear_all(page)
        next_can_be_pressed(page, False)
        if choice == "model":
            keys = [radio.get_attribute("value") for radio in page.locator("[name=choice]").all()]
            page.check(f"[value='{next(key for key in keys if names.get(key) == 'model')}']")
        else:
            page.get_by_label(choice).check()
        assert fits(page)
        page.click("#next")
    summary = listening.summarise([download(page, tmp_path)])
    assert summary["systems"]["model"]["mean"] == share
    assert summary["pairs"][0]["no_preference"] == (1.0 if choice == "No preference" else 0.0)
