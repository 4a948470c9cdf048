// The playhead: how many steps of a run are shown. After the last one the whole run is.
export class Player {
  constructor(element, draw) {
    Object.assign(this, { element, draw, steps: 1, time: 1, timer: null });
    element("play").addEventListener("click", () => (this.timer ? this.pause() : this.play()));
    element("step").addEventListener("click", () => {
      this.pause();
      this.go(this.time >= this.steps ? 1 : this.time + 1);
    });
    element("time").addEventListener("input", (event) => {
      this.pause();
      this.go(Number(event.target.value));
    });
    element("speed").addEventListener("change", () => this.timer && this.play());
  }

  // A new run is shown as a whole, unless one is playing.
  load(steps) {
    this.steps = steps;
    this.element("time").max = steps;
    this.go(this.timer ? Math.min(this.time, steps) : steps);
  }

  play() {
    this.pause();
    if (this.time >= this.steps) this.go(1);
    this.element("play").textContent = "Pause";
    const speed = Number(this.element("speed").value);
    this.timer = setInterval(() => {
      if (this.time >= this.steps) return this.pause();
      this.go(this.time + 1);
    }, 1000 / speed);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.element("play").textContent = "Play";
  }

  go(time) {
    this.time = time;
    this.element("time").value = time;
    this.element("time-value").textContent = `${time} of ${this.steps}`;
    this.draw();
  }
}
