// Plays frames in the browser. The kernel hears of it: eight times a second at most while it plays,
// at once and exactly when it pauses or someone moved to a frame.

const REPORT_EVERY = 125; // ms

class Playback {
  constructor(model) {
    this.model = model;
    this.views = new Set(); // of { frame(k), state() }
    this.frame = this._within(model.get("frame"));
    this.position = this.frame; // with the part of a frame that has passed
    this.reported = 0;
    this.rate = 0;
    model.on("change:frame", () => {
      if (model.get("frame") !== this.frame) this._show(this._within(model.get("frame")), true);
    });
    model.on("change:playing", () => this._run());
    model.on("change:frames", () => this._show(this._within(this.frame), true));
    model.on("change:speed change:loop change:times change:places", () => this._tell());
  }

  get last() {
    return Math.max(0, this.model.get("frames") - 1);
  }

  _within(frame) {
    return Math.min(Math.max(0, Math.round(frame)), Math.max(0, this.model.get("frames") - 1));
  }

  attach(view) {
    this.views.add(view);
    view.frame(this.frame);
    view.state();
    this._run();
    return () => this.views.delete(view);
  }

  get playing() {
    return this.model.get("playing");
  }

  toggle() {
    this.model.set("frame", this.frame); // where it stops, in the same message
    this.model.set("playing", !this.playing);
    this.model.save_changes();
  }

  // move to a frame by hand; the end of a drag is reported exactly
  seek(frame, done = true) {
    this._show(this._within(frame), true);
    this._report(done);
  }

  _run() {
    this._tell();
    if (!this.playing || this.running || !this.views.size) return;
    if (!this.last) {
      this.toggle(); // a single frame
      return;
    }
    if (this.position >= this.last) this._show(0, true);
    this.running = true;
    this.started = this.before = performance.now();
    this.shown = 0;
    requestAnimationFrame((now) => this._tick(now));
  }

  _tick(now) {
    if (!this.playing || !this.views.size) {
      this.running = false;
      this._report(true);
      return;
    }
    const passed = Math.min(0.25, Math.max(0, (now - this.before) / 1000)); // after sleep, no leap
    this.before = now;
    this.position += passed * this.model.get("speed");
    if (this.position >= this.last + 1) {
      if (this.model.get("loop")) this.position %= this.last + 1;
      else this.position = this.last;
    }
    const frame = Math.min(Math.floor(this.position), this.last);
    if (frame !== this.frame) {
      this._show(frame, false);
      this.shown += 1;
      this._measure(now);
    }
    if (!this.model.get("loop") && frame === this.last) this.toggle();
    else this._report(false);
    requestAnimationFrame((later) => this._tick(later));
  }

  // frames shown in a second, over stretches of a second
  _measure(now) {
    if (now - this.started < 1000) return;
    this.rate = (1000 * this.shown) / (now - this.started);
    this.started = now;
    this.shown = 0;
  }

  _show(frame, exact) {
    this.frame = frame;
    if (exact) this.position = frame;
    for (const view of this.views) view.frame(frame);
  }

  _tell() {
    for (const view of this.views) view.state();
  }

  _report(exact) {
    const now = performance.now();
    if (this.model.get("frame") === this.frame && !exact) return;
    if (!exact && now - this.reported < REPORT_EVERY) return;
    this.reported = now;
    this.model.set("frame", this.frame);
    this.model.set("measured_rate", Math.round(10 * this.rate) / 10);
    this.model.save_changes();
  }
}
