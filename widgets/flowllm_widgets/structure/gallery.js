// Pictures side by side under one camera. Each starts its stage when it comes into sight.

const PATIENCE = 30000; // ms until something else draws, until the extension comes after all
const LOADING = "Loading the 3-D view \u2026";
const NOTHING = "The 3-D view could not be loaded; run the cell again, or reload the page.";
const TURNED = 0.8; // of the ball that holds everything at any turn
const STEP = (10 * Math.PI) / 180; // a turn by an arrow key

function element(tag, attributes = {}, children = []) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

class Gallery {
  constructor(model, playback) {
    this.model = model;
    this.playback = playback;
    this.row = element("div", { class: "flowllm-pictures" });
    this.panels = []; // { scene, box, host, picture, visible }
    this.zoom = 1;
    this.shift = [0, 0, 0];
    this.resized = new ResizeObserver(() => this._resize());
    this.seen = new IntersectionObserver((entries) => this._seen(entries), { rootMargin: "200px" });
    this.themed = new MutationObserver(() => {
      this.theme();
      // the style sheet comes after the attribute, on a busy machine seconds after
      for (const delay of [400, 1500, 5000]) setTimeout(() => this.theme(), delay);
    });
    this.themed.observe(document.body, { attributes: true });
  }

  get drawing() {
    return ["auto", "nglview"].includes(this.model.get("renderer"));
  }

  async load() {
    const scenes = this.model.get("scenes").map((data) => new Scene(data));
    // the first stays, hidden, when there is nothing to show: another crystal comes soon
    while (this.panels.length > Math.max(1, scenes.length)) this._drop(this.panels.pop());
    if (!scenes.length && this.panels.length) this.panels[0].scene = null;
    while (this.panels.length < scenes.length) this.panels.push(this._panel());
    scenes.forEach((scene, k) => {
      const panel = this.panels[k];
      panel.scene = scene;
      panel.caption.textContent = scene.data.caption;
      panel.host.setAttribute("aria-label", this._description(scene));
      if (panel.picture) {
        panel.picture.load(scene, this.model.get("labels"), this.model.get("look"));
        panel.picture.show(this.playback.frame);
      }
    });
    this.arrange();
    await this._awake();
  }

  _description(scene) {
    const keys = "Arrow keys turn it, plus and minus zoom, 0 resets the view.";
    return `3-D picture, ${scene.data.caption || "crystal"}: ${scene.data.description}. ${keys}`;
  }

  arrange() {
    const shown = this.model.get("shown");
    const height = `${this.model.get("height")}px`;
    this.row.style.display = this.drawing ? "" : "none";
    this.panels.forEach((panel, k) => {
      panel.box.style.display = shown[k] === false || !panel.scene ? "none" : "";
      panel.host.style.height = height;
      panel.caption.style.display = panel.scene?.data.caption ? "" : "none";
    });
    this._resize();
  }

  _panel() {
    const host = element("div", { class: "flowllm-picture", tabindex: "0", role: "application" });
    const caption = element("div", { class: "flowllm-caption" });
    host.append(element("div", { class: "flowllm-loading", role: "status", text: LOADING }));
    const box = element("figure", {}, [host, caption]);
    const panel = { box, host, caption, picture: null, visible: false };
    host.addEventListener("pointerdown", () => host.focus({ preventScroll: true }));
    for (const [name, scrolls] of [["focusin", true], ["focusout", false]]) {
      host.addEventListener(name, () => {
        if (panel.picture) panel.picture.stage.mouseObserver.handleScroll = scrolls;
      });
    }
    host.addEventListener("keydown", (event) => this._key(event, panel));
    host.addEventListener("wheel", (event) => this._wheel(event, panel), { passive: false });
    this.row.append(box);
    this.seen.observe(host);
    this.resized.observe(host);
    return panel;
  }

  _drop(panel) {
    this.seen.unobserve(panel.host);
    this.resized.unobserve(panel.host);
    this._sleep(panel);
    panel.box.remove();
  }

  _sleep(panel) {
    const { picture } = panel;
    panel.picture = null;
    picture?.dispose();
  }

  _seen(entries) {
    for (const entry of entries) {
      const panel = this.panels.find((p) => p.host === entry.target);
      if (panel) panel.visible = entry.isIntersecting;
    }
    this._awake();
  }

  // Starts the stage of each picture that has come into sight: browsers allow only some 16 of them,
  // and take the oldest away when there are more, which then wakes again when it is seen.
  async _awake() {
    const waiting = () => this.panels.filter((p) => p.visible && p.scene && !p.picture);
    if (this.failed || !waiting().length || !(this.drawing || this.late)) return;
    try {
      const NGL = await this._library();
      if (this.late) this._tell("ready", ""); // it came after all: the kernel lets it draw again
      this.late = false;
      if (!this.drawing) return;
      for (const panel of waiting()) this._wake(NGL, panel);
      this._tell("ready", "");
    } catch (error) {
      this.failed = true;
      for (const panel of this.panels) {
        const line = panel.host.querySelector(".flowllm-loading");
        if (line) line.textContent = NOTHING; // seen where the kernel does not answer
      }
      this._tell(error.status ?? "failed", String(error?.message ?? error));
      if (!error.status) console.error(error);
    }
  }

  // The library, once for all pictures. One that takes long is not given up.
  _library() {
    if (!this.library) {
      const { model } = this;
      this.library = loadNGL(model.widget_manager, model.get("_module"));
      this.patience = setTimeout(() => {
        this.late = true;
        this._tell("no-extension", "it has not come yet");
      }, PATIENCE);
      const came = () => clearTimeout(this.patience);
      this.library.then(came, came);
    }
    return this.library;
  }

  _wake(NGL, panel) {
    const picture = new Picture(NGL, panel.host);
    panel.picture = picture;
    panel.host.querySelector(".flowllm-loading")?.remove();
    picture.theme(this._background());
    picture.load(panel.scene, this.model.get("labels"), this.model.get("look"));
    picture.show(this.playback.frame);
    this._look(picture);
    picture.stage.viewerControls.signals.changed.add(() => this._follow(panel));
    picture.canvas.addEventListener("webglcontextlost", () => {
      if (panel.picture !== picture) return;
      panel.lost = (panel.lost ?? 0) + 1;
      setTimeout(() => this._sleep(panel), 0);
      if (panel.lost < 4) setTimeout(() => this._awake(), 500); // else when it is seen again
    });
  }

  _tell(status, detail) {
    if (this.model.get("status") === status) return;
    this.model.set("status", status);
    this.model.set("status_detail", detail);
    this.model.save_changes();
  }

  show(frame) {
    for (const panel of this.panels) {
      if (!panel.picture || !panel.visible || panel.box.style.display === "none") continue;
      if (panel.scene?.frames > 1) panel.picture.show(frame);
    }
  }

  setLabels() {
    for (const { picture } of this.panels) picture?.setLabels(this.model.get("labels"));
  }

  setLook() {
    for (const { picture } of this.panels) picture?.setLook(this.model.get("look"));
  }

  // All pictures beside each other with their captions, as one PNG; nothing without a picture.
  async image() {
    const open = this.panels.filter((p) => p.picture && p.scene && p.box.style.display !== "none");
    if (!open.length) return null;
    const images = await Promise.all(open.map(async ({ picture }) => (
      createImageBitmap(await picture.image()))));
    const room = open.some((p) => p.scene.data.caption) ? 44 : 0;
    const canvas = element("canvas");
    canvas.width = images.reduce((sum, image) => sum + image.width, 0);
    canvas.height = Math.max(...images.map((image) => image.height)) + room;
    const pen = canvas.getContext("2d");
    Object.assign(pen, { font: "26px sans-serif", textAlign: "center", fillStyle: "#5b6675" });
    images.reduce((left, image, k) => {
      pen.drawImage(image, left, 0);
      pen.fillText(open[k].scene.data.caption, left + image.width / 2, canvas.height - 14);
      return left + image.width;
    }, 0);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }

  // ---- the one camera ---------------------------------------------------------------------------

  get _distance() {
    const open = this.panels.filter((p) => p.scene && p.box.style.display !== "none");
    // what is seen at first fills the picture; turned, it may leave it by a little
    const half = [0, 1].map((side) => Math.max(1, ...open.map(({ scene: { data } }) => (
      Math.max(data.room[side], TURNED * data.extent)))));
    const fits = open.filter((p) => p.picture).map((p) => p.picture.fit(half));
    return Math.max(1, ...fits) * this.zoom;
  }

  _look(...pictures) {
    this.turning = true;
    const distance = this._distance;
    for (const picture of pictures) {
      picture.turnTo(this.model.get("orientation"), distance, this.shift);
    }
    this.turning = false;
  }

  lookAll() {
    this._look(...this.panels.filter((p) => p.picture).map((p) => p.picture));
  }

  // someone turned one picture: the others follow, and the kernel hears of it when it rests
  _follow(panel) {
    if (this.turning || !panel.picture) return;
    const { rows, distance, shift } = panel.picture.camera;
    panel.picture.turned();
    this.zoom *= distance / this._distance;
    this.shift = shift;
    this.turning = true;
    for (const { picture } of this.panels) {
      if (picture && picture !== panel.picture) picture.turnTo(rows, distance, shift);
    }
    this.model.set("orientation", rows);
    this.turning = false;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.model.save_changes(), 300);
  }

  reset() {
    this.zoom = 1;
    this.shift = [0, 0, 0];
    this.model.set("orientation", this.model.get("_first_orientation"));
    this.model.save_changes();
    this.lookAll();
  }

  // an axis of the cell comes towards the viewer, and another one stands upright: c, or b along c
  along(axis) {
    const panel = this.panels.find((p) => p.scene && p.box.style.display !== "none");
    if (!panel) return;
    const { scene } = panel;
    const axes = scene.axes(Math.min(this.playback.frame, scene.frames - 1));
    const towards = axes[axis];
    const right = unit(cross(axes[axis === 2 ? 1 : 2], towards));
    this.shift = [0, 0, 0];
    this.model.set("orientation", [...right, ...cross(towards, right), ...towards]);
    this.model.save_changes();
    this.lookAll();
  }

  // Ctrl and the wheel zoom a picture that was not clicked, and do not scroll the page.
  _wheel(event, panel) {
    const { picture } = panel;
    if (!picture || picture.stage.mouseObserver.handleScroll || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    picture.stage.viewerControls.zoom(Math.max(-0.3, Math.min(0.3, -event.deltaY / 400)));
  }

  _key(event, panel) {
    if (!panel.picture || event.ctrlKey || event.metaKey || event.altKey) return;
    const controls = panel.picture.stage.viewerControls;
    const act = {
      ArrowLeft: () => controls.spin([0, 1, 0], -STEP),
      ArrowRight: () => controls.spin([0, 1, 0], STEP),
      ArrowUp: () => controls.spin([1, 0, 0], STEP),
      ArrowDown: () => controls.spin([1, 0, 0], -STEP),
      "+": () => controls.zoom(0.1),
      "=": () => controls.zoom(0.1),
      "-": () => controls.zoom(-0.1),
      0: () => this.reset(),
    }[event.key];
    if (!act) return;
    act();
    event.preventDefault();
    event.stopPropagation();
  }

  // ---- surroundings -----------------------------------------------------------------------------

  _resize() {
    for (const { picture, host } of this.panels) {
      if (picture && host.clientWidth) picture.stage.handleResize();
    }
    this.lookAll();
  }

  // the colour behind the picture: of the first ancestor that has one
  _background() {
    for (let at = this.row; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (colour && !/rgba\(.*, 0\)|transparent/.test(colour)) return colour;
    }
    return "white";
  }

  theme() {
    for (const { picture } of this.panels) picture?.theme(this._background());
  }

  dispose() {
    clearTimeout(this.resting);
    clearTimeout(this.patience);
    for (const observer of [this.resized, this.seen, this.themed]) observer.disconnect();
    for (const panel of this.panels) this._sleep(panel);
  }
}
