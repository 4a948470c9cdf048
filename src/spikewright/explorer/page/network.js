// The page of a network that runs on the server: inputs are moved, and what is new is drawn.
import { raster } from "./drawing.js";
import { Diagram } from "./diagram.js";
import { Track, responses, traces } from "./plots.js";
import { choose, connect, element, showStatus } from "./shared.js";

let facts, socket, curves, diagram;
let sent = 0;
let number = 0; // of the latest request: an older state says nothing about what it moved
let awaited = null; // the ensemble whose tuning curves were asked for and are not here yet
let state = { resets: -1, step: 0, playing: false, speed: 1, values: [] };
let tracks = [];
let waiting = false;
let rest = 0; // milliseconds until the next drawing: as long as the latest took, so half is free

function take(message) {
  ({ facts: begin, run: follow, curves: showCurves, error: showError })[message.kind](message);
}

function showError({ text }) {
  awaited = null;
  showStatus(text, true);
  redraw();
}

function ask(request) {
  number += 1;
  awaited = request.curves ?? awaited;
  sent = performance.now();
  document.body.dataset.state = "asked";
  socket.send(JSON.stringify({ number, ...request }));
}

function begin(message) {
  facts = message;
  tracks = facts.plots.map((plot) => new Track(plot, facts.window));
  document.title = `${facts.title}: Spikewright explorer`;
  element("title").textContent = facts.title;
  element("window").textContent = `the latest ${facts.window} steps`;
  element("held").textContent = facts.held.length ? `Held, too many values to move: ${facts.held.join(", ")}` : "";
  element("first").hidden = !facts.inputs.length;
  listInputs();
  diagram = new Diagram(element("diagram"), facts.diagram, facts.title, openBox);
  listPlots();
  element("ensemble").replaceChildren(...facts.ensembles.map((name, place) => new Option(name, place)));
  element("results").hidden = !facts.ensembles.length;
  if (facts.ensembles.length) ask({ curves: 0 });
}

// A slider for each value of each input.
function listInputs() {
  const parts = facts.inputs.flatMap(({ name, bound, first }, place) => first.flatMap((_, entry) => {
    const [label, slider] = [document.createElement("label"), document.createElement("input")];
    Object.assign(slider, { type: "range", id: `input-${place}-${entry}`, min: -bound, max: bound, step: "any" });
    label.htmlFor = slider.id;
    label.append(first.length > 1 ? `${name}[${entry}] ` : `${name} `, document.createElement("output"));
    slider.addEventListener("input", () => move(place, entry, Number(slider.value)));
    return [label, slider];
  }));
  element("inputs").replaceChildren(...parts);
  if (!parts.length) element("inputs").textContent = "No node has a constant output that could be moved.";
}

// A box leads to its slider, or to its tuning curves.
function openBox({ input, curves: ensemble }) {
  if (input !== undefined) element(`input-${input}-0`).focus();
  if (ensemble === undefined) return;
  element("ensemble").value = ensemble;
  ask({ curves: ensemble });
}

function move(place, entry, value) {
  const values = state.values.map((list) => [...list]);
  values[place][entry] = value;
  state.values = values;
  showInputs();
  ask({ values: { [place]: values[place] } });
}

function showInputs() {
  state.values.forEach((list, place) => list.forEach((value, entry) => {
    const slider = element(`input-${place}-${entry}`);
    if (Number(slider.value) !== value) slider.value = value;
    slider.labels[0].querySelector("output").textContent = Number(value.toPrecision(4));
  }));
}

function listPlots() {
  element("plots").replaceChildren(...facts.plots.map((plot, place) => {
    const [box, heading, text, canvas] = ["div", "h3", "output", "canvas"].map((tag) => document.createElement(tag));
    heading.id = `plot-${place}-name`;
    text.id = `plot-${place}-now`;
    text.className = "muted";
    heading.append(plot.name, plot.shown < plot.size ? ` (${plot.shown} of ${plot.size} ${plot.raster ? "neurons" : "values"})` : "", " ");
    Object.assign(canvas, { id: `plot-${place}`, className: "plot" });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-labelledby", heading.id);
    heading.append(text);
    box.append(heading, canvas);
    seeing.observe(canvas);
    return box;
  }));
}

// What is new: samples, and how the run stands.
function follow(message) {
  if (message.resets !== state.resets) tracks.forEach((track) => track.clear());
  tracks.forEach((track, place) => track.add(message.arrays[place].values));
  const mine = message.number === number;
  const asked = mine ? {} : { playing: state.playing };
  state = { ...message, ...asked, values: mine || !state.values.length ? message.values : state.values };
  showPlaying();
  if (mine) choose("speed", state.speed, (speed) => `${speed} of real time`);
  showInputs();
  showStatus(state.wrong ?? (state.playing ? "Running" : "Standing still"), state.wrong !== null);
  redraw();
}

function showPlaying() {
  element("play").textContent = state.playing ? "Pause" : "Play";
}

// At once: a second click asks for the opposite, though the first is not answered yet.
function toggle() {
  state.playing = !state.playing;
  showPlaying();
  ask({ playing: state.playing });
}

// Plots out of sight, which may be many, are not drawn.
const seen = new Set();
let looked = false; // whether it is known which are in sight
const seeing = new IntersectionObserver((changes) => {
  looked = true;
  for (const { target, isIntersecting } of changes) seen[isIntersecting ? "add" : "delete"](target);
  redraw();
}, { rootMargin: "200px" });

// Drawn once a picture of the screen, however many messages came.
function redraw() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => requestAnimationFrame(draw), rest);
}

function draw() {
  const started = performance.now();
  waiting = false;
  const time = { from: (state.step - facts.window) * facts.dt, to: state.step * facts.dt, unit: "s", least: 0 };
  facts.plots.forEach((plot, place) => {
    const [canvas, track] = [element(`plot-${place}`), tracks[place]];
    if (!seen.has(canvas)) return;
    if (plot.raster) raster(canvas, track, track.shape[0], plot.numbers, time);
    else traces(canvas, track, plot.bound, time);
  });
  facts.plots.forEach((plot, place) => {
    element(`plot-${place}-now`).textContent = now(plot, tracks[place].last);
  });
  if (curves) responses(element("curves"), curves.arrays.x, curves.arrays.rates);
  element("clock").textContent = `step ${state.step}, ${(state.step * facts.dt).toFixed(3)} s`;
  document.body.dataset.step = state.step;
  const answered = state.number === number && awaited === null && looked;
  if (answered && document.body.dataset.state !== "done") {
    document.body.dataset.state = "done";
    document.body.dataset.latency = performance.now() - sent;
  }
  rest = performance.now() - started;
}

function now({ raster: spikes }, last) {
  if (spikes) return `${last.reduce((sum, count) => sum + Math.abs(count), 0)} spikes in the latest step`;
  const finite = [...last].filter(Number.isFinite);
  return finite.slice(0, 3).map((value) => value.toFixed(3)).join(", ") + (finite.length > 3 ? ", …" : "");
}

function showCurves(message) {
  curves = message;
  if (message.ensemble === awaited) awaited = null;
  const x = curves.arrays.x.values;
  const shown = curves.arrays.rates.shape[1];
  const of = shown < curves.neurons ? `${shown} of ${curves.neurons} neurons` : `${shown} neurons`;
  const [from, to] = [x[0], x[x.length - 1]].map((value) => Number(value.toPrecision(3)));
  element("along").textContent = `${of}, in Hz, for ${from} to ${to}: ${curves.along}`;
  redraw();
}

element("play").addEventListener("click", toggle);
element("step").addEventListener("click", () => ask({ act: "step" }));
element("reset").addEventListener("click", () => ask({ act: "reset" }));
element("speed").addEventListener("change", (event) => ask({ speed: Number(event.target.value) }));
element("ensemble").addEventListener("change", (event) => ask({ curves: Number(event.target.value) }));
element("arrange").addEventListener("click", () => diagram.arrangeAnew());
element("first").addEventListener("click", () => {
  state.values = facts.inputs.map(({ first }) => first);
  showInputs();
  ask({ values: Object.fromEntries(state.values.entries()) });
});
window.addEventListener("resize", () => {
  diagram?.show();
  redraw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
socket = connect(take, "The server has ended: start the explorer again.");
