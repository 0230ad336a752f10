// The player: pictures under one camera, and the controls below them. The other files of this folder
// stand before this text in the module that the browser loads.

const ICONS = {
  play: "M4 2.5 13 8 4 13.5z",
  pause: "M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z",
};

class Controls {
  constructor(model, playback) {
    this.model = model;
    this.playback = playback;
    const id = `flowllm-${Math.random().toString(36).slice(2)}`;
    this.path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    icon.setAttribute("viewBox", "0 0 16 16");
    icon.setAttribute("aria-hidden", "true");
    icon.append(this.path);
    this.button = element("button", { type: "button", class: "flowllm-play" }, [icon]);
    this.slider = element("input", { type: "range", min: 0, step: 1, id: `${id}-frame` });
    this.place = element("output", { class: "flowllm-place", for: `${id}-frame` });
    this.speed = element("input", { type: "number", min: 1, max: 60, step: 1, id: `${id}-speed` });
    this.loop = element("input", { type: "checkbox", id: `${id}-loop` });
    const label = (name, text) => element("label", { for: `${id}-${name}`, text });
    const group = { class: "flowllm-controls", role: "group", "aria-label": "Playback" };
    this.row = element("div", group, [
      this.button,
      label("frame", "Frame"), this.slider, this.place,
      element("span", {}, [label("speed", "Frames/s"), this.speed]),
      element("span", {}, [this.loop, label("loop", "Loop")]),
    ]);
    this.button.addEventListener("click", () => playback.toggle());
    this.slider.addEventListener("input", () => playback.seek(this.slider.valueAsNumber, false));
    this.slider.addEventListener("change", () => playback.seek(this.slider.valueAsNumber, true));
    this.speed.addEventListener("change", () => {
      this.speed.value = this._within(this.speed); // also while it has the focus
      this._set("speed", this.speed.valueAsNumber);
    });
    this.loop.addEventListener("change", () => this._set("loop", this.loop.checked));
  }

  _within(input) {
    const value = input.valueAsNumber;
    return Number.isFinite(value) ? Math.min(60, Math.max(1, value)) : this.model.get("speed");
  }

  _set(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
    this.state();
  }

  frame(k) {
    const times = this.model.get("times");
    const places = this.model.get("places");
    let time = "";
    if (places.length) time = `, ${places[Math.min(k, places.length - 1)]}`;
    else if (times.length) time = `, t = ${times[Math.min(k, times.length - 1)].toFixed(2)}`;
    this.slider.value = k;
    this.place.textContent = `${k + 1} of ${this.playback.last + 1}${time}`;
    this.slider.setAttribute("aria-valuetext", `frame ${this.place.textContent}`);
  }

  state() {
    const { playing, last } = this.playback;
    this.row.style.display = this.model.get("controls") && last > 0 ? "" : "none";
    this.path.setAttribute("d", ICONS[playing ? "pause" : "play"]);
    this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.button.title = playing ? "Pause (space)" : "Play (space)";
    this.slider.max = last;
    this.frame(this.playback.frame);
    if (document.activeElement !== this.speed) this.speed.value = this.model.get("speed");
    this.loop.checked = this.model.get("loop");
  }
}

// Space plays and pauses everywhere but in a field; arrows, Home and End step. JupyterLab swallows
// left and right before the slider or a field gets them, so they must not reach it.
function keys(playback) {
  return (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { tagName, type } = event.target;
    if (tagName === "SELECT") {
      event.stopPropagation();
      return;
    }
    if (tagName === "INPUT" && type === "number") {
      event.stopPropagation();
      return;
    }
    const steps = {
      ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10,
      Home: -Infinity, End: Infinity,
    };
    if (event.key === " " && tagName !== "BUTTON" && type !== "checkbox") playback.toggle();
    else if (event.key in steps) {
      const to = playback.frame + steps[event.key];
      playback.seek(Math.max(0, Math.min(playback.last, to)));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
}

export default () => {
  let playback;
  return {
    initialize({ model }) {
      playback = new Playback(model);
    },
    render({ model, el }) {
      const gallery = new Gallery(model, playback);
      const controls = new Controls(model, playback);
      const root = element("div", { class: "flowllm-player" });
      root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own keys
      const tools = new Tools(model, gallery);
      root.append(gallery.row, controls.row, tools.row);
      root.flowllm = { gallery, playback }; // for tests and benchmarks
      root.addEventListener("keydown", keys(playback));
      el.append(root);
      const detach = playback.attach({
        frame: (k) => {
          gallery.show(k);
          controls.frame(k);
          root.dataset.frame = k;
          root.dataset.rate = playback.rate.toFixed(1);
        },
        state: () => {
          controls.state();
          root.dataset.playing = playback.playing;
        },
      });
      model.on("change:scenes", () => gallery.load());
      model.on("change:shown change:height change:renderer", () => {
        gallery.arrange();
        gallery._awake();
      });
      model.on("change:labels", () => gallery.setLabels());
      model.on("change:look", () => gallery.setLook());
      model.on("change:controls", () => controls.state());
      model.on("change:orientation", () => gallery.turning || gallery.lookAll());
      model.on("msg:custom", (message) => {
        if (message.do === "reset") gallery.reset();
      });
      gallery.load();
      return () => {
        detach();
        gallery.dispose();
      };
    },
  };
};
