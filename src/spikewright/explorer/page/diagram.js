// The diagram of a network: boxes to drag or to move with arrow keys, and arrows between them.
const [WIDE, HIGH] = [110, 84]; // pixels of a box with its surroundings
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LOOP = 30; // pixels for loops above the first boxes
const STEP = 12; // pixels of one press of an arrow key

// In a frame on a page of another site a browser may keep nothing: places then hold until it closes.
function memory() {
  try {
    return window.localStorage;
  } catch {
    const kept = new Map();
    return { getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text), removeItem: (key) => kept.delete(key) };
  }
}

export class Diagram {
  constructor(parent, { boxes, arrows }, title, open) {
    Object.assign(this, { parent, boxes, arrows, title, open });
    this.kept = memory();
    this.inner = parent.firstElementChild;
    this.lines = this.inner.firstElementChild;
    this.buttons = boxes.map((box, place) => this.button(box, place));
    this.inner.replaceChildren(this.lines, ...this.buttons);
    this.show();
  }

  button(box, place) {
    const [button, name, size] = ["button", "span", "small"].map((tag) => document.createElement(tag));
    const names = (ends) => ends.map((end) => this.boxes[end].name).join(", ");
    const from = names(this.arrows.filter(([, end]) => end === place).map(([start]) => start));
    const to = names(this.arrows.filter(([start]) => start === place).map(([, end]) => end));
    const words = [box.name, box.kind, box.size, from && `from ${from}`, to && `to ${to}`];
    button.type = "button";
    button.className = box.kind;
    button.title = box.name;
    button.setAttribute("aria-label", words.filter(Boolean).join(", "));
    button.setAttribute("aria-describedby", "arranging");
    [name.textContent, size.textContent] = [box.name, box.size];
    button.append(name, size);
    let dragged = false;
    button.addEventListener("pointerdown", (event) => {
      dragged = false;
      button.setPointerCapture(event.pointerId);
    });
    button.addEventListener("pointermove", ({ buttons, movementX, movementY }) => {
      if (!buttons || !(movementX || movementY)) return;
      dragged = true;
      this.move(place, movementX, movementY);
    });
    button.addEventListener("click", () => dragged || this.open(box));
    button.addEventListener("keydown", (event) => {
      dragged = false;
      if (!(event.key in MOVES)) return;
      event.preventDefault();
      this.move(place, ...MOVES[event.key].map((part) => STEP * part));
    });
    return button;
  }

  // Ranks go to the right where that has room, else down.
  show() {
    const ranks = Math.max(...this.boxes.map(({ rank }) => rank)) + 1;
    const members = [...Array(ranks).keys()].map((rank) => [...this.boxes.keys()].filter((place) => this.boxes[place].rank === rank));
    const most = Math.max(...members.map(({ length }) => length));
    const upright = this.parent.clientWidth < ranks * WIDE;
    this.upright = upright;
    const [columns, lines] = upright ? [most, ranks] : [ranks, most];
    this.inner.style.minWidth = `${columns * WIDE}px`;
    this.inner.style.height = `${lines * HIGH + LOOP}px`;
    this.key = JSON.stringify([this.title, this.boxes.map(({ name }) => name), upright]);
    const kept = JSON.parse(this.kept.getItem(this.key));
    this.places = kept ?? this.boxes.map(({ rank }, place) => {
      const among = (members[rank].indexOf(place) + 0.5) / members[rank].length;
      return upright ? [among, (rank + 0.5) / ranks] : [(rank + 0.5) / ranks, among];
    });
    this.draw();
  }

  arrangeAnew() {
    this.kept.removeItem(this.key);
    this.show();
  }

  // Places are parts of the width and the height, so that they hold for any window.
  move(place, right, down) {
    const [x, y] = this.places[place];
    const inside = (part) => Math.min(0.98, Math.max(0.02, part));
    this.places[place] = [inside(x + right / this.inner.clientWidth), inside(y + down / this.inner.clientHeight)];
    this.kept.setItem(this.key, JSON.stringify(this.places));
    this.draw();
  }

  draw() {
    this.buttons.forEach((button, place) => {
      [button.style.left, button.style.top] = this.places[place].map((part) => `${100 * part}%`);
    });
    const [width, height] = [this.inner.clientWidth, this.inner.clientHeight];
    const ends = this.buttons.map((button, place) => ({
      x: this.places[place][0] * width, y: this.places[place][1] * height,
      wide: button.offsetWidth / 2 + 3, high: button.offsetHeight / 2 + 3,
    }));
    this.lines.replaceChildren(...this.arrows.flatMap(([start, end, learning]) => {
      const [path, tip] = ["path", "path"].map((tag) => document.createElementNS(this.lines.namespaceURI, tag));
      const far = Math.abs(this.boxes[start].rank - this.boxes[end].rank) > 1;
      const both = this.arrows.some(([from, to]) => from === end && to === start);
      const [way, [x, y, fromX, fromY]] = start === end ? loop(ends[start], this.upright) : bend(ends[start], ends[end], learning ? 60 : far || both ? 36 : 0);
      path.setAttribute("d", way);
      if (learning) path.setAttribute("class", "learning");
      tip.setAttribute("class", "tip");
      tip.setAttribute("d", "M 0 0 L -9 -4 L -9 4 Z");
      tip.setAttribute("transform", `translate(${x} ${y}) rotate(${(180 / Math.PI) * Math.atan2(y - fromY, x - fromX)})`);
      return [path, tip];
    }));
  }
}

// The curve of an arrow, and its tip: where it is, and where it comes from.
// Above a box, or to its left where arrows go down.
function loop({ x, y, wide, high }, upright) {
  if (upright) {
    const left = x - wide;
    return [`M ${left} ${y - 10} C ${left - 32} ${y - 26} ${left - 32} ${y + 26} ${left} ${y + 10}`, [left, y + 10, left - 15, y + 17]];
  }
  const top = y - high;
  return [`M ${x - 14} ${top} C ${x - 34} ${top - 30} ${x + 34} ${top - 30} ${x + 14} ${top}`, [x + 14, top, x + 24, top - 15]];
}

// A curve from box to box, `aside` pixels to the left of the straight line in its middle.
function bend(from, to, aside) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy) || 1;
  aside = Math.min(aside, 0.35 * length);
  const [x, y] = [(from.x + to.x) / 2 + (aside * dy) / length, (from.y + to.y) / 2 - (aside * dx) / length];
  const [[x0, y0], [x1, y1]] = [edge(from, x, y), edge(to, x, y)];
  return [`M ${x0} ${y0} Q ${x} ${y} ${x1} ${y1}`, [x1, y1, x, y]];
}

// Where the line from the middle of a box to a point leaves the box.
function edge(box, x, y) {
  const [dx, dy] = [x - box.x, y - box.y];
  const part = Math.min(box.wide / Math.abs(dx), box.high / Math.abs(dy), 1);
  return [box.x + part * dx, box.y + part * dy];
}
