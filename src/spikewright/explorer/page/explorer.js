// The page: choices become a request, the latest answer is drawn, and the address keeps the state.
import * as drawing from "./drawing.js";
import { Pad } from "./pad.js";
import { Player } from "./player.js";
import { choose, connect, element, showStatus } from "./shared.js";

const WORDS = { fraction: (v) => `${(100 * v).toFixed(1)} %`, other: (v) => v.toPrecision(4) };
let facts, settings, sample, pad, socket;
let number = 0;
let sent = 0;
let points = [];
let measured = null;

const player = new Player(element, drawSample);

function take(message) {
  if (message.kind === "facts") return begin(message);
  if (message.number !== number) return;
  ({ sample: showSample, measured: showMeasured, curve: showPoint, advice: showAdvice, error: showError }[message.kind] ?? (() => {
    document.body.dataset.state = "done";
  }))(message);
}

// The first message: make the controls, and ask for the state in the address.
function begin(message) {
  facts = message;
  settings = { ...facts.first, ...fromAddress() };
  document.title = `${facts.title}: Spikewright explorer`;
  element("title").textContent = facts.title;
  element("steps").max = facts.most_steps;
  setEnds(element("scale"));
  for (const [name, values] of [["neuron", facts.neurons], ["start", facts.starts], ["readout", facts.readouts]]) {
    element(name).replaceChildren(...values.map((value) => new Option(value)));
  }
  element("digits").replaceChildren(...whole(1, facts.most_digits).map((digits) => new Option(digits)));
  element("rules").replaceChildren(...facts.rules.map((rule) => new Option(rule)));
  listSamples();
  listScales();
  if (facts.drawable) {
    element("drawing").hidden = false;
    pad = new Pad(element("pad"), facts.image, (text) => change({ drawn: text }));
    if (settings.drawn) pad.text = settings.drawn;
  }
  showChoices();
  ask();
}

const nameOf = (number) => facts.class_names[number] ?? String(number);

function listSamples() {
  const { shape, values } = facts.arrays.thumbnails;
  const size = values.length / shape[0];
  const buttons = [...Array(shape[0]).keys()].map((place) => {
    const button = document.createElement("button");
    const label = facts.labels[place] ?? null;
    const canvas = document.createElement("canvas");
    drawing.thumbnail(canvas, shape.slice(1), values.subarray(place * size, (place + 1) * size));
    button.type = "button";
    button.append(canvas, label === null ? "" : nameOf(label));
    button.title = label === null ? "" : nameOf(label);
    button.setAttribute("aria-label", `Sample ${place}` + (label === null ? "" : `, label ${nameOf(label)}`));
    button.addEventListener("click", () => change({ sample: place, drawn: null }));
    return button;
  });
  element("samples").replaceChildren(...buttons);
  element("samples").classList.toggle("named", facts.class_names.length > 0);
}

// A slider for each layer.
function listScales() {
  const parts = facts.layers.flatMap(({ name }, place) => {
    const [label, slider] = [document.createElement("label"), document.createElement("input")];
    Object.assign(slider, { type: "range", id: `scale-${place}`, step: 1 });
    setEnds(slider);
    label.htmlFor = slider.id;
    slider.addEventListener("input", () => {
      change({ layers: { ...settings.layers, [name]: scaleOf(Number(slider.value)) }, rule: null });
    });
    return [label, slider];
  });
  element("each").replaceChildren(...parts);
}

const whole = (first, last) => [...Array(last - first + 1).keys()].map((place) => first + place);

// Sliders of scales have places: a hundred times the logarithm of the scale to base ten.
const placeOf = (scale) => Math.round(100 * Math.log10(scale));
const scaleOf = (place) => Number((10 ** (place / 100)).toPrecision(3));

function setEnds(slider) {
  [slider.min, slider.max] = facts.scales.map(placeOf);
}

// Choices in words and controls, from the settings.
function showChoices() {
  element("scale").value = placeOf(settings.scale);
  element("scale-value").textContent = settings.scale;
  element("scale").setAttribute("aria-valuetext", settings.scale);
  element("steps").value = settings.steps;
  element("steps-value").textContent = settings.steps;
  const coded = settings.digits !== null;
  element("code").value = coded ? "digits" : "rates";
  element("of-digits").hidden = !coded;
  element("of-rates").hidden = element("by-scale").hidden = coded;
  element("digits").value = settings.digits ?? 4;
  const waits = [["found", ""], ...whole(0, settings.digits ?? 0).map((steps) => [steps, steps])];
  element("silent").replaceChildren(...waits.map(([text, value]) => new Option(text, value)));
  choose("silent", settings.silent);
  choose("cap", settings.cap);
  element("rule").value = settings.rule ?? "";
  choose("synapse", settings.synapse, (seconds) => `${Number((1000 * seconds).toPrecision(3))} ms`);
  for (const name of ["neuron", "start", "readout"]) element(name).value = settings[name];
  element("apart").open ||= Object.keys(settings.layers).length > 0;
  facts.layers.forEach(({ name }, place) => {
    const scale = settings.layers[name] ?? settings.scale;
    const slider = element(`scale-${place}`);
    slider.value = placeOf(scale);
    slider.labels[0].textContent = `${name}: ${Number(scale.toPrecision(4))}`;
  });
  [...element("samples").children].forEach((button, place) => {
    button.setAttribute("aria-pressed", place === settings.sample && !settings.drawn);
  });
}

function change(changes) {
  const others = ["steps", "cap", "neuron", "start", "readout", "synapse", "digits"];
  if (others.some((name) => name in changes)) points = [];
  settings = { ...settings, ...changes };
  if (!settings.drawn && pad) pad.clear();
  showChoices();
  history.replaceState(null, "", `#${toAddress()}`);
  ask();
}

function ask() {
  number += 1;
  document.body.dataset.state = "busy";
  sent = performance.now();
  measured = null;
  for (const name of ["measured", "costs", "proposed", "brief"]) age(name, true);
  progress("Measuring what would help …");
  socket.send(JSON.stringify({ number, ...settings }));
}

// What was measured for other choices is grey.
function age(name, old) {
  element(name).classList.toggle("old", old);
  for (const button of element(name).querySelectorAll("button")) button.disabled = old;
}

// The spinner above advice, with words; none where no more will come.
function progress(text) {
  element("advising").hidden = !text;
  element("advising").lastElementChild.textContent = text;
}

const asText = (value) => (value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));

function toAddress() {
  const texts = (values) => Object.entries(values).map(([name, value]) => [name, asText(value)]);
  const first = Object.fromEntries(texts(facts.first));
  return new URLSearchParams(texts(settings).filter(([name, text]) => text !== first[name])).toString();
}

function fromAddress() {
  const found = {};
  for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
    if (!(name in facts.first)) continue;
    const plain = ["sample", "scale", "steps", "cap", "synapse", "layers", "digits", "silent"].includes(name);
    try {
      found[name] = text === "" ? null : plain ? JSON.parse(text) : text;
    } catch {
      continue; // an address that was cut: this choice is as at first
    }
  }
  return found;
}

function showSample(message) {
  sample = message;
  const spikes = sample.layers.reduce((sum, layer) => sum + layer.spikes, 0);
  const { answer, source } = sample.output;
  const label = sample.label === null ? "" : `, label ${nameOf(sample.label)}`;
  element("answer").textContent = `: answer ${nameOf(answer)}, source ${nameOf(source)}${label}`;
  const coded = sample.silent !== null;
  const steps = coded ? `${sample.own_steps} steps of each layer, ${sample.steps} of the network` : `${sample.steps} steps`;
  showStatus(`${spikes.toLocaleString("en")} spikes in ${steps}`);
  element("waits").textContent = coded ? waitsOf(sample.silent) : "";
  element("call").textContent = sample.call;
  element("command").textContent = sample.command;
  element("shell").hidden = !sample.command;
  listLayers();
  player.load(sample.steps);
  document.body.dataset.latency = performance.now() - sent;
}

function waitsOf(silent) {
  const each = typeof silent === "number" ? `${silent}` : Object.entries(silent).map(([name, steps]) => `${name} ${steps}`).join(", ");
  return `Silent steps of a layer behind its inputs: ${each}. Time is that of the network; orange spikes are negative.`;
}

function listLayers() {
  const parts = sample.layers.map((layer, place) => {
    const box = document.createElement("div");
    const heading = document.createElement("h3");
    const counts = document.createElement("span");
    counts.className = "muted";
    counts.textContent = ` ${layer.spikes.toLocaleString("en")} spikes of ${layer.neurons} neurons, ${layer.rate.toFixed(1)} Hz`;
    heading.append(layer.name, counts);
    box.append(heading, plot(`raster ${place}`, `Spikes of the most active neurons of ${layer.name}`));
    if (sample.arrays[`${place} maps`]) box.append(plot(`maps ${place}`, `Feature maps of ${layer.name}`));
    return box;
  });
  element("layers").replaceChildren(...parts);
}

function plot(name, label) {
  const canvas = document.createElement("canvas");
  canvas.id = name.replace(" ", "-");
  canvas.className = "plot";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  return canvas;
}

function drawSample() {
  if (!sample) return;
  const steps = { from: 0, to: sample.steps, unit: "step" };
  sample.layers.forEach((layer, place) => {
    drawing.raster(element(`raster-${place}`), sample.arrays[`${place} raster`], player.time, sample.arrays[`${place} numbers`].values, steps);
    const maps = sample.arrays[`${place} maps`];
    if (maps) drawing.featureMaps(element(`maps-${place}`), maps, player.time);
  });
  drawing.output(element("output"), sample.arrays.answers, sample.arrays.source, sample.output.numbers.map(nameOf), player.time);
}

function showMeasured(message) {
  const alike = !settings.rule && !Object.keys(settings.layers).length;
  measured = { ...message, scale: alike ? settings.scale : null };
  const words = message.fraction ? WORDS.fraction : WORDS.other;
  element("measure").textContent = message.measure[0].toUpperCase() + message.measure.slice(1);
  element("score").textContent = `${words(message.value)} ${message.measure}`;
  const between = message.interval ? `${words(message.interval[0])} to ${words(message.interval[1])}, ` : "";
  const source = message.source === null ? "" : `; source ${words(message.source)}`;
  element("interval").textContent = `${between}on ${message.samples} of ${message.of} samples${source}`;
  element("brief").textContent = element("score").textContent + source;
  for (const name of ["measured", "costs", "brief"]) age(name, false);
  const costs = [["Spikes a sample", message.spikes.toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 })]];
  for (const layer of message.layers) costs.push([layer.name, `${layer.rate.toFixed(2)} Hz`]);
  if (message.energy !== null) costs.push(["Energy a sample", message.energy_text]);
  element("costs").replaceChildren(...costs.flatMap(([name, value]) => {
    const [term, description] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, description.textContent] = [name, value];
    return [term, description];
  }));
  drawCurve();
}

function showPoint(point) {
  points = [...points.filter(({ scale }) => scale !== point.scale), point];
  points.sort((a, b) => a.scale - b.scale);
  drawCurve();
}

function drawCurve() {
  const any = measured ?? points[0];
  if (any) drawing.curve(element("curve"), points, measured, any.source, any.fraction, facts.scales);
}

function showAdvice({ text, samples, layers, proposals, last }) {
  const most = layers.slice(0, 3).map(({ name, text: lost }) => `${name} ${lost}`);
  const costs = most.length ? `Each layer alone, over ${samples} samples: ${most.join(", ")}.` : "";
  element("advice").textContent = `${costs} ${text}`.trim();
  element("proposals").replaceChildren(...proposals.map((proposal) => {
    const [item, summary] = [document.createElement("li"), document.createElement("span")];
    summary.textContent = `${proposal.text}: ${proposal.gain}, ${proposal.price}`;
    item.append(summary);
    if (proposal.changes) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: "Try" });
      button.setAttribute("aria-label", `Try: ${proposal.text}`);
      button.addEventListener("click", () => change(proposal.changes));
      item.append(button);
    }
    return item;
  }));
  age("proposed", false);
  progress(last ? "" : "Measuring on more samples …");
}

function showError({ text }) {
  showStatus(text, true);
  progress("");
  document.body.dataset.state = "wrong";
}

function copy(text, button) {
  navigator.clipboard.writeText(text).then(() => {
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = before), 1200);
  });
}

element("scale").addEventListener("input", (event) => change({ scale: scaleOf(Number(event.target.value)), rule: null }));
element("steps").addEventListener("input", (event) => change({ steps: Number(event.target.value) }));
element("cap").addEventListener("change", (event) => change({ cap: Number(event.target.value) || null }));
for (const name of ["neuron", "start", "readout"]) {
  element(name).addEventListener("change", (event) => change({ [name]: event.target.value }));
}
element("synapse").addEventListener("change", (event) => change({ synapse: Number(event.target.value) || null }));
element("rule").addEventListener("change", (event) => change({ rule: event.target.value.trim() || null }));
const digitsAnd = (digits) => ({ digits, silent: settings.silent === null ? null : Math.min(settings.silent, digits) });
element("code").addEventListener("change", (event) => change(event.target.value === "digits" ? digitsAnd(4) : { digits: null, silent: null }));
element("digits").addEventListener("change", (event) => change(digitsAnd(Number(event.target.value))));
element("silent").addEventListener("change", (event) => change({ silent: event.target.value === "" ? null : Number(event.target.value) }));
element("alike").addEventListener("click", () => change({ layers: {} }));
element("clear").addEventListener("click", () => change({ drawn: null }));
element("link").addEventListener("click", (event) => copy(location.href, event.target));
for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", () => copy(element(button.dataset.copies).textContent, button));
}
const redraw = () => {
  drawSample();
  drawCurve();
};
window.addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
socket = connect(take, "The server has ended: start spikewright explore again.");
