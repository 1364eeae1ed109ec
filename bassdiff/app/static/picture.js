// Draws waveforms, spectrograms, notes, bars and chords on one canvas.

const ROWS = [
  ["chords", 22],
  ["mix", 64],
  ["mixSpectrogram", 72],
  ["bass", 64],
  ["bassSpectrogram", 120],
];
const HEIGHT = ROWS.reduce((sum, [, height]) => sum + height, 0);
const MOST_PIXELS = 16000;
// The range of the bass's spectrogram, as the server draws it.
const BASS_HZ = [27.5, 2000];
const MOST_BARS = 60;

export class Picture {
  canvas = document.createElement("canvas");
  #shown = null;

  constructor() {
    this.canvas.setAttribute("aria-hidden", "true");
  }

  async image(url) {
    const image = new Image();
    image.src = url;
    await image.decode();
    return image;
  }

  show(shown) {
    this.#shown = { ...shown, peaks: {} };
  }

  draw(width) {
    if (!this.#shown || !width) return;
    const ratio = Math.min(devicePixelRatio, MOST_PIXELS / width);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(HEIGHT * ratio);
    this.canvas.style.height = `${HEIGHT}px`;
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(this.canvas);
    const colours = {
      text: style.color,
      mix: style.getPropertyValue("--mix-colour"),
      bass: style.getPropertyValue("--bass-colour"),
      note: style.getPropertyValue("--note-colour"),
    };
    const { song, take, mix, bass, mixImage, bassImage } = this.#shown;
    const x = (seconds) => (seconds / song.seconds) * width;
    let top = 0;
    const place = {};
    for (const [name, height] of ROWS) {
      place[name] = [top, height];
      top += height;
    }
    this.#wave(pen, "mix", mix, place.mix, width, colours.mix, song.seconds);
    pen.drawImage(mixImage, 0, place.mixSpectrogram[0], width, place.mixSpectrogram[1]);
    if (take && bass) {
      this.#wave(pen, "bass", bass, place.bass, width, colours.bass, song.seconds);
      pen.drawImage(
        bassImage,
        0,
        place.bassSpectrogram[0],
        x(Math.min(bass.duration, song.seconds)),
        place.bassSpectrogram[1],
      );
      this.#notes(pen, take.notes, place.bassSpectrogram, x, colours.note);
    }
    this.#bars(pen, song, place, x, colours.text);
    for (const [row, word] of [
      ["mix", "mix"],
      ["bass", take ? "bass" : "no bass yet"],
    ]) {
      pen.fillStyle = colours.text;
      pen.font = "11px system-ui, sans-serif";
      pen.fillText(word, 4, place[row][0] + 12);
    }
  }

  #wave(pen, name, buffer, [top, height], width, colour, seconds) {
    const columns = Math.ceil(width);
    if (this.#shown.peaks[name]?.[0].length !== columns) {
      this.#shown.peaks[name] = peaks(buffer, columns, seconds);
    }
    const [low, high] = this.#shown.peaks[name];
    // Each as high as its row: what is soft can be seen too.
    const highest = high.reduce((most, value, i) => Math.max(most, value, -low[i]), 0.01);
    const scale = 1 / highest;
    pen.fillStyle = colour;
    const middle = top + height / 2;
    for (let column = 0; column < columns; column++) {
      const up = scale * high[column] * (height / 2 - 1);
      const down = scale * low[column] * (height / 2 - 1);
      pen.fillRect(column, middle - up, 1, Math.max(1, up - down));
    }
  }

  #notes(pen, notes, [top, height], x, colour) {
    const octaves = Math.log2(BASS_HZ[1] / BASS_HZ[0]);
    const y = (pitch) => {
      const hz = 440 * 2 ** ((pitch - 69) / 12);
      return top + height * (1 - Math.log2(hz / BASS_HZ[0]) / octaves);
    };
    pen.strokeStyle = colour;
    pen.lineWidth = 1.5;
    for (const [start, end, pitch] of notes) {
      pen.strokeRect(x(start) + 1, y(pitch + 0.5), Math.max(1, x(end) - x(start) - 2), 5);
    }
  }

  #bars(pen, song, place, x, colour) {
    let step = 1;
    while (song.bars.length > (MOST_BARS * x(song.seconds)) / 1000 * step) step *= 2;
    pen.font = "11px system-ui, sans-serif";
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.4;
    song.bars.forEach((start, number) => {
      if (number % step) return;
      pen.beginPath();
      pen.moveTo(Math.round(x(start)) + 0.5, 0);
      pen.lineTo(Math.round(x(start)) + 0.5, HEIGHT);
      pen.stroke();
    });
    pen.globalAlpha = 1;
    let free = -1;
    for (const [start, end, name] of song.chords) {
      if (x(start) < free || x(end) - x(start) < 4) continue;
      pen.fillText(name, x(start) + 3, place.chords[0] + 15);
      free = x(start) + pen.measureText(name).width + 6;
    }
  }
}

// The lowest and the highest sample of each column, over all channels.
function peaks(buffer, columns, seconds) {
  const low = new Float32Array(columns);
  const high = new Float32Array(columns);
  const perColumn = (seconds * buffer.sampleRate) / columns;
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const samples = buffer.getChannelData(channel);
    for (let column = 0; column < columns; column++) {
      const end = Math.min(samples.length, Math.ceil((column + 1) * perColumn));
      for (let i = Math.floor(column * perColumn); i < end; i++) {
        if (samples[i] < low[column]) low[column] = samples[i];
        else if (samples[i] > high[column]) high[column] = samples[i];
      }
    }
  }
  return [low, high];
}
