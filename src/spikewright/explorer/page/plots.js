// What is drawn of a network that runs: values of the latest steps, and tuning curves.
import { FOOT, LEFT, SERIES, across, axisBelow, rounded, shade, sheet } from "./drawing.js";

// The latest samples of one probe, with room for a whole window: new ones push old ones out.
export class Track {
  constructor({ shown, every, raster }, window) {
    this.every = every;
    this.shape = [Math.max(1, Math.ceil(window / every)), shown];
    this.values = new Float32Array(this.shape[0] * shown);
    this.empty = raster ? 0 : NaN;
    this.clear();
  }

  clear() {
    this.values.fill(this.empty);
  }

  add(values) {
    const kept = Math.max(0, this.values.length - values.length);
    this.values.copyWithin(0, this.values.length - kept);
    this.values.set(values.subarray(values.length - (this.values.length - kept)), kept);
  }

  get last() {
    return this.values.subarray(this.values.length - this.shape[1]);
  }
}

// A sheet with a level line at each end and in the middle, and `below` as `axisBelow` takes it;
// returns how to place a value on it.
function axes(canvas, tall, low, high, below) {
  const { pen, width, height } = sheet(canvas, tall);
  const y = (value) => 8 + (height - FOOT - 14) * (1 - (value - low) / (high - low || 1));
  pen.fillStyle = shade("--muted");
  pen.strokeStyle = shade("--rule");
  pen.textAlign = "right";
  for (const value of [low, (low + high) / 2, high]) {
    pen.fillText(rounded(value, high - low), LEFT - 6, y(value) + 4);
    across(pen, LEFT, width, y(value));
  }
  pen.textAlign = "left";
  axisBelow(pen, width, height - FOOT, below);
  return { pen, width, y };
}

// The ends of an axis that holds all finite values, and `bound` of either sign.
export function ends(values, bound) {
  let [low, high] = [-bound, bound];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high && Number.isFinite(value)) high = value;
  }
  return low === high ? [low - 1, high + 1] : [Number.isFinite(low) ? low : -bound, high];
}

export function traces(canvas, { shape: [samples, lines], values }, bound, time) {
  const { pen, width, y } = axes(canvas, 140, ...ends(values, bound), time);
  const x = (sample) => LEFT + ((width - LEFT) * (sample + 1)) / samples;
  for (let line = lines - 1; line >= 0; line--) {
    pen.strokeStyle = shade(SERIES[line] ?? "--other");
    pen.lineWidth = line < SERIES.length ? 2 : 1;
    pen.beginPath();
    for (let sample = 0; sample < samples; sample++) {
      const value = values[sample * lines + line];
      if (Number.isFinite(value)) pen.lineTo(x(sample), y(value));
    }
    pen.stroke();
  }
}

export function responses(canvas, { shape: [points], values: x }, { shape: [, neurons], values }) {
  const { pen, width, y } = axes(canvas, 230, ...ends(values, 0), { from: x[0], to: x[points - 1] });
  const place = (value) => LEFT + ((width - LEFT) * (value - x[0])) / (x[points - 1] - x[0] || 1);
  for (let neuron = 0; neuron < neurons; neuron++) {
    pen.strokeStyle = shade(SERIES[neuron % SERIES.length]);
    pen.globalAlpha = 0.7;
    pen.beginPath();
    for (let i = 0; i < points; i++) pen.lineTo(place(x[i]), y(values[i * neurons + neuron]));
    pen.stroke();
  }
}
