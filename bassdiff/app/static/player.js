// The player: a mix and its basses in sync, what is heard in them, and a part to play again.

import { decode, Engine } from "./engine.js";
import { Picture } from "./picture.js";

const AT = new URL("../", import.meta.url);
const STEP_SECONDS = 1;
const DOWNLOADS = [
  ["bass", "Bass (WAV)"],
  ["mixdown", "Mix with bass (WAV)"],
  ["midi", "Notes (MIDI)"],
  ["record", "How it was made (JSON)"],
  ["picture", "Picture (PNG)"],
];

const clock = (seconds) => {
  const tenths = Math.round(seconds * 10);
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
};

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

class BassPlayer extends HTMLElement {
  engine = new Engine();
  state = { song: null, takes: [], current: null };
  region = null;
  version = null;
  // Requests overtake one another: only the last one counts.
  asked = 0;

  connectedCallback() {
    if (this.childElementCount) return;
    this.build();
    this.watch();
    this.refresh();
  }

  build() {
    this.setAttribute("role", "region");
    this.setAttribute("aria-label", "Player");
    this.playButton = make("button", { type: "button", class: "play" }, "Play");
    this.playButton.onclick = () => this.toggle();
    this.time = make("output", { class: "time", "aria-hidden": "true" }, "0:00.0");
    this.snap = make("input", { type: "checkbox", checked: "" });
    this.zoom = make("input", { type: "range", min: "1", max: "16", step: "1", value: "1" });
    this.zoom.oninput = () => this.draw();
    this.volume = make("input", { type: "range", min: "0", max: "1", step: "0.01", value: "0.8" });
    this.volume.oninput = () => (this.engine.volume = Number(this.volume.value));
    this.balance = make("input", { type: "range", min: "-1", max: "1", step: "0.05", value: "0" });
    this.balance.setAttribute("aria-label", "Balance, from the mix alone to the bass alone");
    this.balance.oninput = () => (this.engine.balance = Number(this.balance.value));
    this.balance.ondblclick = () => {
      this.balance.value = this.engine.balance = 0;
    };
    this.picture = new Picture();
    this.timeline = make("div", {
      class: "timeline",
      role: "slider",
      tabindex: "0",
      "aria-label": "Position in the song",
      "aria-valuemin": "0",
      "aria-describedby": "player-keys",
    });
    this.cursor = make("div", { class: "cursor" });
    this.shade = make("div", { class: "shade", hidden: "" });
    this.timeline.append(this.picture.canvas, this.shade, this.cursor);
    this.takes = make("fieldset", { class: "takes" }, make("legend", {}, "Takes"));
    this.downloads = make("div", { class: "downloads" });
    this.message = make("p", { class: "message", role: "status" });
    this.append(
      this.message,
      make(
        "div",
        { class: "bar" },
        this.playButton,
        this.time,
        ...this.switches("mix", "Mix"),
        ...this.switches("bass", "Bass"),
        make("label", {}, "Mix ", this.balance, " bass"),
        make("label", {}, "Volume ", this.volume),
      ),
      make("div", { class: "scroll" }, this.timeline),
      make(
        "div",
        { class: "bar" },
        make("label", {}, this.snap, " Parts begin and end with bars"),
        make("label", {}, "Zoom ", this.zoom),
      ),
      make(
        "p",
        { class: "keys", id: "player-keys" },
        "Drag to choose a part. Keys: space plays, arrows move, [ and ] begin and end a part, ",
        "Escape forgets it.",
      ),
      this.takes,
      this.downloads,
    );
    this.listen();
  }

  switches(track, name) {
    return [
      ["solo", "Solo"],
      ["mute", "Mute"],
    ].map(([what, word]) => {
      const label = { type: "button", "aria-pressed": "false", class: `${what} ${track}` };
      const button = make("button", label, `${word} ${name.toLowerCase()}`);
      button.onclick = () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(on));
        this.engine[what][track] = on;
        this.engine.adjust();
      };
      return button;
    });
  }

  // The page says when something has changed, in words and in a number.
  watch() {
    const spoken = make("p", { class: "unseen", role: "status", "aria-live": "polite" });
    document.body.append(spoken);
    const look = () => {
      const told = document.querySelector("#status .state");
      if (!told) return;
      // Steps are counted by a progress bar; a screen reader need not say each.
      const words = told.querySelector("p").textContent.split(", step")[0];
      if (spoken.textContent !== words) spoken.textContent = words;
      if (told.dataset.version !== this.version) {
        this.version = told.dataset.version;
        this.refresh();
      }
    };
    const status = document.querySelector("#status");
    if (status) new MutationObserver(look).observe(status, { childList: true, subtree: true });
    look();
    // Gradio draws a field again when it changes.
    document.addEventListener("input", (event) => {
      if (event.target.closest("#region")) this.readRegion(event.target.value);
    });
    new MutationObserver(() => this.draw()).observe(document.body, { attributeFilter: ["class"] });
    new ResizeObserver(() => this.draw()).observe(this);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  url(folder, file, shown = true) {
    const name = `${encodeURIComponent(folder)}/${encodeURIComponent(file)}`;
    return new URL(`files/${name}${shown ? "?player" : ""}`, AT).href;
  }

  async refresh() {
    const turn = ++this.asked;
    try {
      const answer = await fetch(new URL("state", AT));
      if (!answer.ok) throw new Error((await answer.json()).detail);
      const state = await answer.json();
      if (turn !== this.asked) return;
      const isOther = state.song?.id !== this.state.song?.id;
      this.state = state;
      if (isOther) {
        this.engine.stop();
        this.engine.forget();
        this.setRegion(null);
        this.seek(0);
      }
      this.list();
      await this.load(turn);
    } catch (error) {
      this.message.textContent = `The player could not load: ${error.message}.`;
    }
  }

  get take() {
    return this.state.takes.find((take) => take.number === this.state.current) ?? null;
  }

  async load(turn) {
    const { song } = this.state;
    this.hidden = !song;
    if (!song) return;
    this.ready = false;
    this.engine.open(song.rate);
    const take = this.take;
    const [mix, bass, mixImage, bassImage] = await Promise.all([
      decode(this.engine, this.url(song.id, song.wave)),
      take && decode(this.engine, this.url(take.folder, take.files.bass)),
      this.picture.image(this.url(song.id, song.spectrogram)),
      take && this.picture.image(this.url(take.folder, take.files.spectrogram)),
    ]);
    if (turn !== this.asked) return;
    this.engine.set(mix, bass);
    this.picture.show({ song, take, mix, bass, mixImage, bassImage });
    this.timeline.setAttribute("aria-valuemax", song.seconds.toFixed(1));
    this.message.textContent = take
      ? `${song.name} with take ${take.number}: ${take.label}.`
      : `${song.name}. Generate a bass to it.`;
    this.draw();
    this.ready = true;
    this.dispatchEvent(new CustomEvent("ready", { bubbles: true }));
  }

  list() {
    const legend = this.takes.firstElementChild;
    this.takes.hidden = !this.state.takes.length;
    const rows = this.state.takes.map((take) => {
      const input = make("input", { type: "radio", name: "take", value: String(take.number) });
      input.checked = take.number === this.state.current;
      input.onchange = () => this.choose(take.number);
      return make("label", {}, input, ` ${take.number}: ${take.label}`);
    });
    this.takes.replaceChildren(legend, ...rows);
    const take = this.take;
    if (!take) {
      this.downloads.replaceChildren();
      return;
    }
    const links = DOWNLOADS.filter(([what]) => take.files[what]).map(([what, words]) => {
      const href = this.url(take.folder, take.files[what], false);
      return make("a", { href, download: take.files[what] }, words);
    });
    const zip = (which) => new URL(`zip/${which}`, AT).href;
    links.push(make("a", { href: zip(take.number), download: "" }, "This take (ZIP)"));
    links.push(make("a", { href: zip("all"), download: "" }, "All takes (ZIP)"));
    this.downloads.replaceChildren(make("span", {}, `Download take ${take.number}: `), ...links);
  }

  async choose(number) {
    const focused = document.activeElement?.name === "take";
    this.state.current = number;
    const turn = ++this.asked;
    await fetch(new URL(`current/${number}`, AT), { method: "POST" });
    this.list();
    if (focused) this.takes.querySelector("input:checked")?.focus();
    await this.load(turn);
  }

  listen() {
    let from = null;
    this.timeline.addEventListener("pointerdown", (event) => {
      if (event.button || !this.state.song) return;
      from = this.seconds(event);
      this.timeline.setPointerCapture(event.pointerId);
    });
    this.timeline.addEventListener("pointermove", (event) => {
      if (from !== null && this.isDragged(from, event)) {
        this.setRegion(this.snapped(from, this.seconds(event)));
      }
    });
    this.timeline.addEventListener("pointerup", (event) => {
      if (from !== null && !this.isDragged(from, event)) this.seek(from);
      from = null;
    });
    this.timeline.addEventListener("pointercancel", () => (from = null));
    this.timeline.addEventListener("keydown", (event) => {
      const { song } = this.state;
      if (!song || event.ctrlKey || event.metaKey || event.altKey) return;
      const now = this.engine.position;
      const end = this.region?.[1] ?? song.seconds;
      const act = {
        " ": () => this.toggle(),
        ArrowLeft: () => this.seek(now - STEP_SECONDS),
        ArrowDown: () => this.seek(now - STEP_SECONDS),
        ArrowRight: () => this.seek(now + STEP_SECONDS),
        ArrowUp: () => this.seek(now + STEP_SECONDS),
        PageUp: () => this.seek(now + 10 * STEP_SECONDS),
        PageDown: () => this.seek(now - 10 * STEP_SECONDS),
        Home: () => this.seek(0),
        End: () => this.seek(song.seconds),
        "[": () => this.setRegion(this.snapped(now, end > now ? end : song.seconds)),
        "]": () => this.setRegion(this.snapped(this.region?.[0] ?? 0, now)),
        Escape: () => this.setRegion(null),
      }[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    });
    this.engine.onend = () => this.show();
  }

  seconds(event) {
    const box = this.timeline.getBoundingClientRect();
    const part = (event.clientX - box.left) / box.width;
    return Math.min(1, Math.max(0, part)) * this.state.song.seconds;
  }

  isDragged(from, event) {
    const box = this.timeline.getBoundingClientRect();
    const pixels = (Math.abs(this.seconds(event) - from) / this.state.song.seconds) * box.width;
    return pixels > 4;
  }

  // Bars that a part touches, if it is to begin and end with bars.
  snapped(a, b) {
    let [start, end] = a < b ? [a, b] : [b, a];
    const { bars, seconds } = this.state.song;
    if (this.snap.checked && bars.length) {
      start = bars.findLast((bar) => bar <= start + 0.01) ?? 0;
      end = bars.find((bar) => bar >= end - 0.01) ?? seconds;
    }
    return end > start ? [start, end] : null;
  }

  setRegion(region) {
    this.region = region;
    const field = document.querySelector("#region textarea, #region input");
    const text = region ? `${region[0].toFixed(3)}:${region[1].toFixed(3)}` : "";
    if (field && field.value !== text) {
      field.value = text;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    this.mark();
  }

  readRegion(text) {
    const { song } = this.state;
    const inSeconds = text.match(/^\s*([\d.]+):([\d.]*)\s*$/);
    const inBars = text.match(/^\s*bar:(\d+)(?:(-)(\d*))?\s*$/);
    this.region = null;
    if (song && inSeconds) {
      this.region = [Number(inSeconds[1]), Number(inSeconds[2] || song.seconds)];
    } else if (song && inBars) {
      const last = inBars[2] ? Number(inBars[3] || Infinity) : Number(inBars[1]);
      this.region = [song.bars[inBars[1] - 1] ?? 0, song.bars[last] ?? song.seconds];
    }
    this.mark();
  }

  mark() {
    const { song } = this.state;
    this.shade.hidden = !song || !this.region;
    if (this.shade.hidden) return;
    const [start, end] = this.region;
    this.shade.style.left = `${(100 * start) / song.seconds}%`;
    this.shade.style.width = `${(100 * (Math.min(end, song.seconds) - start)) / song.seconds}%`;
  }

  draw() {
    if (!this.state.song) return;
    this.timeline.style.width = `${100 * Number(this.zoom.value)}%`;
    this.picture.draw(this.timeline.clientWidth);
    this.mark();
    this.show();
  }

  async toggle() {
    if (this.engine.isPlaying) this.engine.stop();
    else if (this.ready) await this.engine.play();
    this.show();
  }

  seek(seconds) {
    this.engine.seek(Math.min(Math.max(0, seconds), this.state.song?.seconds ?? 0));
    this.show();
  }

  show() {
    const { song } = this.state;
    const now = this.engine.position;
    const word = this.engine.isPlaying ? "Pause" : "Play";
    if (this.playButton.textContent !== word) this.playButton.textContent = word;
    this.time.textContent = `${clock(now)} / ${clock(song?.seconds ?? 0)}`;
    this.cursor.style.left = `${(100 * now) / (song?.seconds || 1)}%`;
    const bar = song ? song.bars.filter((start) => start <= now + 0.001).length : 0;
    this.timeline.setAttribute("aria-valuenow", now.toFixed(1));
    this.timeline.setAttribute(
      "aria-valuetext",
      `${now.toFixed(1)} seconds${bar ? `, bar ${bar}` : ""}`,
    );
    cancelAnimationFrame(this.frame);
    if (this.engine.isPlaying) this.frame = requestAnimationFrame(() => this.show());
  }
}

customElements.define("bass-player", BassPlayer);
