"use strict";
// Plays the frames of the crystal in a view: a button, a slider, and how far displacements are enlarged.
class CrystalPlayer {
  constructor(box, view) {
    const find = (name) => box.querySelector(name);
    Object.assign(this, { box, view, button: find(".play"), slider: find(".frame"), says: find("output"), enlarged: find(".enlarged") });
    this.runs = 0;
    this.button.addEventListener("click", () => (this.playing ? this.stop() : this.play()));
    this.slider.addEventListener("input", () => { this.stop(); this.go(Number(this.slider.value)); });
    this.enlarged.addEventListener("change", () => {
      view.enlarged = Number(this.enlarged.value);
      view.redraw();
    });
  }

  // another crystal: its last frame, or from the first on if it is to play
  async take(crystal, plays) {
    this.stop();
    const last = CrystalView.unpack(crystal, this.view.drawing.step).frames.length - 1;
    this.box.hidden = last < 1;
    this.slider.max = last;
    await this.view.show(crystal, last);
    this.tell(last);
    if (plays && last > 0 && !matchMedia("(prefers-reduced-motion: reduce)").matches) this.play(1);
  }

  tell(frame) {
    const names = this.view.crystal.names;
    this.slider.value = frame;
    this.says.textContent = names[frame] ?? `${frame} of ${this.slider.max}`;
    this.slider.setAttribute("aria-valuetext", this.says.textContent);
  }

  go(frame) {
    this.tell(frame);
    return this.view.move(frame);
  }

  stop() {
    this.playing = false;
    this.runs += 1;
    this.button.textContent = "Play";
  }

  async play(times = Infinity) {
    this.stop();
    const mine = this.runs;
    this.playing = true;
    this.button.textContent = "Pause";
    const last = Number(this.slider.max);
    const pause = Math.max(40, 2000 / last); // the whole way in two seconds
    for (let round = 0; round < times; round++) {
      for (let frame = 0; frame <= last; frame++) {
        if (mine !== this.runs) return;
        const due = performance.now() + (frame === last ? 1500 : pause);
        await this.go(frame);
        await new Promise((done) => setTimeout(done, Math.max(0, due - performance.now())));
      }
    }
    if (mine === this.runs) this.stop();
  }
}
