// Everything that is drawn: rasters, feature maps, lines over time, and the curve of scales.
export const shade = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const SERIES = ["--c0", "--c1", "--c2"]; // of the three largest outputs
export const LEFT = 52; // where numbers beside a drawing end
export const FOOT = 18; // pixels of an axis below a drawing
const HEAD = 19; // pixels of a name above the numbers
const GLOW = 10; // steps for which a spike is seen in a feature map

// A canvas of this height in CSS pixels, cleared, as sharp as the screen.
export function sheet(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || canvas.parentElement.clientWidth;
  if (canvas.style.height !== `${height}px`) canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "12px system-ui, sans-serif";
  return { pen, width, height };
}

export function across(pen, left, right, y, dash = []) {
  pen.setLineDash(dash);
  pen.beginPath();
  pen.moveTo(left, y);
  pen.lineTo(right, y);
  pen.stroke();
  pen.setLineDash([]);
}

// A number as precise as a range of values asks for.
export const rounded = (value, range) => Number(value.toFixed(Math.min(20, Math.max(0, 2 - Math.floor(Math.log10(range || 1))))));

// An axis below a drawing: round numbers from `from` to `to`, none below zero of time, and their unit.
export function axisBelow(pen, right, y, { from, to, unit = "", least = -Infinity }) {
  const rough = ((to - from) * 56) / (right - LEFT);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  pen.fillStyle = shade("--muted");
  pen.strokeStyle = shade("--rule");
  pen.lineWidth = 1;
  across(pen, LEFT, right, y);
  pen.textAlign = "right";
  pen.fillText(unit, LEFT - 8, y + 14);
  pen.textAlign = "center";
  for (let mark = Math.ceil(Math.max(from, least) / step - 1e-9); mark * step <= to + 1e-9 * step; mark++) {
    const x = LEFT + ((right - LEFT) * (mark * step - from)) / (to - from);
    pen.fillRect(x, y, 1, 4);
    const text = Number((mark * step).toPrecision(6));
    pen.fillText(text, Math.min(x, right - pen.measureText(text).width / 2), y + 14);
  }
  pen.textAlign = "left";
}

// Numbers of neurons beside the rows of a raster, as many as fit.
function numberRows(pen, numbers, line) {
  pen.fillStyle = shade("--muted");
  pen.textAlign = "right";
  pen.fillText("neuron", LEFT - 6, 11);
  const every = Math.ceil(13 / line);
  for (let row = 0; row < numbers.length; row += every) pen.fillText(numbers[row], LEFT - 6, HEAD + row * line + Math.min(line / 2 + 4, 10));
  pen.textAlign = "left";
}

// A colour `#rrggbb` of the page as a pixel, opaque or nearly.
function ink(name, alpha) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(shade(name).slice(at, at + 2), 16));
  return ((Math.round(255 * alpha) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

// Pixels are set one by one: a run has too many spikes for a rectangle each.
// `numbers` are those of its neurons, `axis` that of time.
export function raster(canvas, { shape: [steps, rows], values }, time, numbers, axis) {
  const line = Math.max(2, Math.min(6, 160 / rows));
  const { pen, width, height } = sheet(canvas, HEAD + rows * line + FOOT);
  numberRows(pen, numbers, line);
  const ratio = window.devicePixelRatio || 1;
  const [start, top] = [Math.round(LEFT * ratio), Math.round(HEAD * ratio)];
  const image = new ImageData(Math.max(1, canvas.width - start), Math.max(1, Math.round(rows * line * ratio)));
  const pixels = new Uint32Array(image.data.buffer);
  const shades = (name) => [1, 2, 3].map((count) => ink(name, Math.min(1, 0.55 + 0.15 * count)));
  const [past, taken, coming] = [shades("--c0"), shades("--c1"), shades("--faint")];
  const [wide, high] = [image.width / steps, image.height / rows];
  const gap = wide > 3 ? 1 : 0;
  for (let t = 0; t < steps; t++) {
    const from = Math.floor(t * wide);
    const to = Math.max(from + 1, Math.floor((t + 1) * wide) - gap);
    for (let row = 0; row < rows; row++) {
      const count = values[t * rows + row];
      if (!count) continue;
      const colours = t >= time ? coming : count > 0 ? past : taken;
      const colour = colours[Math.min(3, Math.abs(count)) - 1];
      const last = Math.max(Math.floor(row * high) + 1, Math.floor((row + 1) * high) - 1);
      for (let y = Math.floor(row * high); y < last; y++) pixels.fill(colour, y * image.width + from, y * image.width + to);
    }
  }
  pen.putImageData(image, start, top);
  axisBelow(pen, width, height - FOOT, axis);
  if (time < steps) {
    pen.fillStyle = shade("--text");
    pen.fillRect(LEFT + (time * wide) / ratio, HEAD, 1, height - HEAD - FOOT);
  }
}

// Spikes so far, the latest ones brightest; after the last step, those of the whole run.
function lit({ shape: [steps, maps, lines, columns], values }, time) {
  const size = maps * lines * columns;
  const found = new Float32Array(size);
  const whole = time >= steps;
  for (let t = whole ? 0 : Math.max(0, time - GLOW); t < time; t++) {
    const weight = whole ? 1 : 0.7 ** (time - 1 - t);
    for (let i = 0; i < size; i++) found[i] += weight * Math.abs(values[t * size + i]);
  }
  return found;
}

export function featureMaps(canvas, maps, time) {
  const [, count, lines, columns] = maps.shape;
  const gap = 4;
  const width = canvas.clientWidth || canvas.parentElement.clientWidth;
  const across = Math.max(1, Math.min(count, Math.floor((width + gap) / (52 + gap))));
  const tall = (52 * lines) / columns;
  const { pen } = sheet(canvas, Math.ceil(count / across) * (tall + gap) - gap);
  const brightness = lit(maps, time);
  const most = brightness.reduce((a, b) => Math.max(a, b), 1e-6);
  const picture = new OffscreenCanvas(columns, lines);
  const image = new ImageData(columns, lines);
  pen.imageSmoothingEnabled = false;
  for (let map = 0; map < count; map++) {
    for (let i = 0; i < lines * columns; i++) {
      const level = brightness[map * lines * columns + i] / most;
      image.data.set([255 * level ** 0.6, 200 * level, 90 * level ** 2, 255], 4 * i);
    }
    picture.getContext("2d").putImageData(image, 0, 0);
    pen.drawImage(picture, (map % across) * (52 + gap), Math.floor(map / across) * (tall + gap), 52, tall);
  }
}

// `names` are those of the shown values.
export function output(canvas, answers, source, names, time) {
  const [steps, count] = answers.shape;
  const { pen, width, height } = sheet(canvas, 190);
  const all = [...source.values, ...answers.values].filter(Number.isFinite);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const bottom = height - FOOT;
  const y = (value) => 8 + (bottom - 16) * (1 - (value - low) / (high - low || 1));
  const order = [...source.values.keys()].sort((a, b) => source.values[b] - source.values[a]);
  const longest = Math.max(...order.slice(0, SERIES.length).map((place) => pen.measureText(names[place]).width));
  const right = width - Math.min(longest + 12, width / 3);
  const x = (t) => LEFT + ((right - LEFT) * (t + 1)) / steps;
  axisBelow(pen, right, bottom, { from: 0, to: steps, unit: "step" });
  pen.textAlign = "right";
  for (const value of [low, high]) pen.fillText(rounded(value, high - low), LEFT - 6, y(value) + 4);
  pen.textAlign = "left";
  for (const place of [...order].reverse()) {
    const rank = order.indexOf(place);
    const large = rank < SERIES.length;
    pen.strokeStyle = pen.fillStyle = shade(large ? SERIES[rank] : "--other");
    pen.lineWidth = large ? 2 : 1;
    across(pen, LEFT, right, y(source.values[place]), [4, 4]);
    pen.beginPath();
    if (time > 0) pen.moveTo(LEFT, y(answers.values[place]));
    for (let t = 0; t < Math.min(time, steps); t++) {
      pen.lineTo(x(t), y(answers.values[t * count + place]));
    }
    pen.stroke();
    if (steps === 1) pen.fillRect(x(0) - 3, y(answers.values[place]) - 3, 6, 6);
  }
  let next = 12; // names keep clear of each other, from top to bottom
  order.slice(0, SERIES.length).forEach((place, rank) => {
    next = Math.max(next, y(source.values[place]) + 4);
    pen.fillStyle = shade(SERIES[rank]);
    pen.fillText(names[place], right + 8, Math.min(next, bottom - 13 * (Math.min(order.length, SERIES.length) - 1 - rank)), width - right - 8);
    next += 13;
  });
}

// `scales` are the ends of the axis, powers of ten.
export function curve(canvas, points, here, source, fraction, scales) {
  const { pen, width, height } = sheet(canvas, 190);
  const [left, bottom, right] = [46, height - 22, width - 10];
  const [first, last] = scales.map(Math.log10);
  const x = (scale) => left + ((right - left) * (Math.log10(scale) - first)) / (last - first);
  const values = [...points, here].filter(Boolean).map((point) => point.value);
  const [low, high] = fraction ? [0, Math.max(1, ...values)] : [Math.min(0, ...values), Math.max(...values, source ?? 0) * 1.1 || 1];
  const y = (value) => 8 + (bottom - 8) * (1 - (value - low) / (high - low));
  pen.fillStyle = shade("--muted");
  pen.strokeStyle = shade("--rule");
  pen.lineWidth = 1;
  pen.textAlign = "right";
  for (const part of [0, 0.5, 1]) {
    const value = low + part * (high - low);
    pen.fillText(fraction ? `${Math.round(100 * value)} %` : value.toPrecision(2), left - 6, y(value) + 4);
    across(pen, left, right, y(value));
  }
  pen.textAlign = "center";
  for (let power = first; power <= last; power++) {
    pen.fillText(10 ** power, Math.min(x(10 ** power), right - 10), height - 6);
  }
  if (source !== null) {
    pen.strokeStyle = shade("--other");
    across(pen, left, right, y(source), [4, 4]);
  }
  pen.strokeStyle = pen.fillStyle = shade("--c0");
  pen.lineWidth = 2;
  pen.beginPath();
  for (const point of points) pen.lineTo(x(point.scale), y(point.value));
  pen.stroke();
  pen.lineWidth = 1;
  for (const point of points) {
    pen.fillRect(x(point.scale) - 2, y(point.value) - 2, 4, 4);
    if (point.interval) pen.strokeRect(x(point.scale), y(point.interval[1]), 0.01, y(point.interval[0]) - y(point.interval[1]));
  }
  if (!here) return;
  pen.fillStyle = pen.strokeStyle = shade("--c1");
  if (here.scale === null) {
    pen.lineWidth = 2; // scales that differ from layer to layer: no place on the axis
    across(pen, left, right, y(here.value));
  } else {
    pen.beginPath();
    pen.arc(x(Math.min(scales[1], Math.max(scales[0], here.scale))), y(here.value), 6, 0, 2 * Math.PI);
    pen.fill();
  }
}

// A picture `(lines, columns, colours)` of bytes, or a trace of values from 0 to 1.
export function thumbnail(canvas, shape, values) {
  if (shape.length === 1) return trace(canvas, values);
  const [lines, columns, colours] = shape;
  canvas.width = columns;
  canvas.height = lines;
  const image = new ImageData(columns, lines);
  for (let i = 0; i < lines * columns; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = values[i * colours + (colours === 3 ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function trace(canvas, values) {
  canvas.width = canvas.height = 48;
  const pen = canvas.getContext("2d");
  pen.strokeStyle = shade("--c0");
  pen.beginPath();
  values.forEach((value, i) => pen.lineTo((48 * i) / Math.max(1, values.length - 1), 46 - 44 * value));
  pen.stroke();
}
