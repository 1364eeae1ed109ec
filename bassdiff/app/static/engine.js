// Plays two tracks in sync, each with a level of its own.

const FADE_SECONDS = 0.01;
const AHEAD_SECONDS = 0.03;
const MOST_KEPT = 6;

// Decodes a file at its own rate, so that its samples stay as they were written.
export async function decode(engine, url) {
  if (!engine.kept.has(url)) {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error((await answer.json()).detail);
    engine.kept.set(url, await engine.context.decodeAudioData(await answer.arrayBuffer()));
    if (engine.kept.size > MOST_KEPT) engine.kept.delete(engine.kept.keys().next().value);
  }
  return engine.kept.get(url);
}

export class Engine {
  context = null;
  kept = new Map();
  solo = { mix: false, bass: false };
  mute = { mix: false, bass: false };
  onend = () => {};
  #buffers = { mix: null, bass: null };
  #sources = {};
  #graph = null;
  #balance = 0;
  #volume = 0.8;
  #at = 0;
  #begun = null;

  // A context of the song's rate, or of the device's where that rate is not played.
  open(rate) {
    if (this.context && this.asked === rate) return;
    this.stop();
    this.context?.close();
    this.asked = rate;
    try {
      this.context = new AudioContext({ sampleRate: rate });
    } catch {
      this.context = new AudioContext();
    }
    this.#graph = this.build(this.context);
  }

  // Levels between tracks and the output; of any context, so that what is heard can be computed.
  build(context) {
    const master = new GainNode(context, { gain: this.#volume });
    master.connect(context.destination);
    const gains = {};
    for (const track of ["mix", "bass"]) {
      gains[track] = new GainNode(context, { gain: this.level(track) });
      gains[track].connect(master);
    }
    return { master, gains };
  }

  level(track) {
    const soloed = this.solo.mix || this.solo.bass;
    if (this.mute[track] || (soloed && !this.solo[track])) return 0;
    const away = track === "mix" ? this.#balance : -this.#balance;
    return Math.min(1, 1 - away);
  }

  get buffers() {
    return this.#buffers;
  }

  get isPlaying() {
    return this.#begun !== null;
  }

  get position() {
    if (!this.isPlaying) return this.#at;
    const now = Math.max(this.context.currentTime, this.#begun);
    return Math.min(this.#at + now - this.#begun, this.seconds);
  }

  get seconds() {
    return this.#buffers.mix?.duration ?? 0;
  }

  set volume(value) {
    this.#volume = value;
    this.adjust();
  }

  set balance(value) {
    this.#balance = value;
    this.adjust();
  }

  get balance() {
    return this.#balance;
  }

  adjust() {
    if (!this.#graph) return;
    const now = this.context.currentTime;
    const move = (gain, value) => gain.setTargetAtTime(value, now, FADE_SECONDS);
    move(this.#graph.master.gain, this.#volume);
    for (const track of ["mix", "bass"]) {
      move(this.#graph.gains[track].gain, this.level(track));
    }
  }

  // Other sounds take over at the same place: A/B without a gap.
  set(mix, bass) {
    const changed = ["mix", "bass"].filter((track) => this.#buffers[track] !== { mix, bass }[track]);
    this.#buffers = { mix, bass: bass ?? null };
    if (!this.isPlaying) return;
    const when = this.context.currentTime + AHEAD_SECONDS;
    for (const track of changed) {
      this.#sources[track]?.stop(when);
      this.#start(track, when, this.#at + when - this.#begun);
    }
  }

  async play() {
    if (!this.#buffers.mix) return;
    await this.context.resume();
    if (this.#at >= this.seconds - 0.01) this.#at = 0;
    const when = this.context.currentTime + AHEAD_SECONDS;
    for (const track of ["mix", "bass"]) this.#start(track, when, this.#at);
    this.#begun = when;
  }

  #start(track, when, offset) {
    delete this.#sources[track];
    const buffer = this.#buffers[track];
    if (!buffer || offset >= buffer.duration) return;
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.#graph.gains[track]);
    source.onended = () => {
      if (this.#sources[track] !== source || track !== "mix") return;
      this.stop();
      this.onend();
    };
    source.start(when, offset);
    this.#sources[track] = source;
  }

  stop() {
    this.#at = this.position;
    this.#begun = null;
    const sources = Object.values(this.#sources);
    this.#sources = {};
    for (const source of sources) source.stop();
  }

  seek(seconds) {
    const wasPlaying = this.isPlaying;
    if (wasPlaying) this.stop();
    this.#at = seconds;
    if (wasPlaying) this.play();
  }

  forget() {
    this.kept.clear();
    this.#buffers = { mix: null, bass: null };
    this.#at = 0;
  }

  // What is heard from the beginning on, for whoever wants to check it.
  async rendered(seconds) {
    const rate = this.context.sampleRate;
    const context = new OfflineAudioContext(2, Math.round(seconds * rate), rate);
    const { gains } = this.build(context);
    for (const track of ["mix", "bass"]) {
      if (!this.#buffers[track]) continue;
      const source = new AudioBufferSourceNode(context, { buffer: this.#buffers[track] });
      source.connect(gains[track]);
      source.start();
    }
    return context.startRendering();
  }
}
