// A pad to draw on: pixels of the input, from 0 (black) to 255, in base64 for a request.
import { thumbnail } from "./drawing.js";

export class Pad {
  constructor(canvas, [lines, columns], changed) {
    Object.assign(this, { canvas, lines, columns, changed });
    this.levels = new Uint8Array(lines * columns);
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.dab(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && this.dab(event));
    this.show();
  }

  // A soft brush whose width follows the size of the picture.
  dab(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = ((event.clientX - box.left) / box.width) * this.columns - 0.5;
    const line = ((event.clientY - box.top) / box.height) * this.lines - 0.5;
    const reach = Math.max(1.0, this.lines / 18);
    for (let i = 0; i < this.levels.length; i++) {
      const far = Math.hypot(Math.floor(i / this.columns) - line, (i % this.columns) - column);
      const level = 255 * Math.max(0, Math.min(1, 1.5 - far / reach));
      this.levels[i] = Math.max(this.levels[i], level);
    }
    this.show();
    this.changed(this.text);
  }

  get text() {
    return btoa(String.fromCharCode(...this.levels));
  }

  set text(given) {
    const bytes = atob(given);
    if (bytes.length === this.levels.length) {
      this.levels = Uint8Array.from(bytes, (character) => character.charCodeAt(0));
    }
    this.show();
  }

  clear() {
    this.levels.fill(0);
    this.show();
  }

  show() {
    thumbnail(this.canvas, [this.lines, this.columns, 1], this.levels);
  }
}
