// A chart by plotly's own front end, whose 5 MB of code are loaded once for a page, not once for a
// chart, and however long that takes: what the kernel says meanwhile is kept.

const HERE = "flowllm-plotly"; // where the page keeps it, by version

// What the kernel says of a chart that is there.
const CHANGES = [
  "addTraces", "restyle", "relayout", "update", "animate", "deleteTraces", "moveTraces",
  "removeLayoutProps", "removeTraceProps",
];

// plotly tells the kernel of clicks and of every move of the pointer through one variable, in which
// ipywidgets keeps only the last while the kernel is busy: a move takes the place of the click
// before it. No chart listens to moves, so they are not told.
const MOVES = new Set(["plotly_hover", "plotly_unhover"]);

const ARRAYS = {
  int8: Int8Array, int16: Int16Array, int32: Int32Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array,
  float32: Float32Array, float64: Float64Array,
};

// Values as the kernel sends them become plotly's: a copy with typed arrays.
function received(value) {
  if (Array.isArray(value)) return value.map(received);
  if (value === "_undefined_") return undefined;
  if (!value || Object.getPrototypeOf(value) !== Object.prototype) return value;
  const bytes = value.value ?? value.buffer;
  if (ARRAYS[value.dtype] && value.shape && bytes) {
    const { buffer, byteOffset = 0, byteLength } = bytes;
    const own = (buffer ?? bytes).slice(byteOffset, byteOffset + (byteLength ?? bytes.byteLength));
    return new ARRAYS[value.dtype](own);
  }
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, received(one)]));
}

// And the other way round.
function sent(value) {
  if (value === undefined) return "_undefined_";
  if (Array.isArray(value)) return value.map(sent);
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    const dtype = Object.keys(ARRAYS).find((name) => value instanceof ARRAYS[name]);
    return dtype ? { dtype, shape: [value.length], value: value.buffer } : value;
  }
  if (!value || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, sent(one)]));
}

function load(model) {
  const loaded = (globalThis[HERE] ??= {});
  const version = model.get("_version");
  loaded[version] ??= (async () => {
    const library = await model.widget_manager.get_model(model.get("_library").split("_MODEL_")[1]);
    const code = new Blob([library.get("code")], { type: "text/javascript" });
    const url = URL.createObjectURL(code);
    try {
      return await import(url);
    } finally {
      URL.revokeObjectURL(url);
    }
  })();
  loaded[version].catch(() => delete loaded[version]); // the next chart tries again
  return loaded[version];
}

// What a chart shows now. plotly's own model reads a copy of what the kernel said first and changes
// that, so a view that comes after a change would not show it; this one keeps the changes.
class Chart {
  constructor(model) {
    this.model = model;
    this.early = []; // changes from before plotly was there: [method, variable, value]
    this.views = new Set();
    this._begin();
    for (const name of CHANGES) {
      const variable = `_py2js_${name}`;
      model.on(`change:${variable}`, () => this._change(`do_${name}`, variable));
    }
    // all of it anew, as when the kernel was asked for what was missed
    model.on("change:_widget_data change:_widget_layout", () => {
      if (this.beginning) return;
      this.beginning = true;
      queueMicrotask(() => {
        this.beginning = false;
        this._begin();
        for (const view of this.views) view.redraw();
      });
    });
    this.ready = load(model).then((plotly) => this._use(plotly));
    this.ready.catch(() => {}); // whoever draws says so
  }

  _begin() {
    this.early.length = 0;
    this.data = received(this.model.get("_widget_data"));
    this.layout = received(this.model.get("_widget_layout"));
  }

  _change(method, variable) {
    const value = this.model.get(variable);
    if (!value) return;
    if (this.plotly) this.plotly[method]();
    else this.early.push([method, variable, value]);
  }

  _use({ FigureModel, FigureView }) {
    const plotly = new FigureModel(this, {});
    for (const [method, variable, value] of this.early) {
      this.repeated = [variable, value];
      plotly[method]();
    }
    this.repeated = null;
    this.plotly = plotly;
    this.View = FigureView;
  }

  // ---- what plotly takes for the model --------------------------------------------------------

  get(name) {
    if (name === "_widget_data") return this.data;
    if (name === "_widget_layout") return this.layout;
    if (this.repeated?.[0] === name) return received(this.repeated[1]);
    return received(this.model.get(name));
  }

  set(name, value) {
    if (!MOVES.has(value?.event_type)) this.model.set(name, sent(value));
  }

  save_changes() {
    this.model.save_changes();
  }
}

// One place where a chart is drawn.
class Place {
  constructor(chart, { model, el }) {
    Object.assign(this, { chart, model, el, listeners: [] });
    this._draw();
    chart.views.add(this);
  }

  _draw() {
    const on = (name, listener) => {
      this.model.on(name, listener);
      this.listeners.push([name, listener]);
    };
    this.drawn = new this.chart.View(Object.assign(Object.create(this.chart.plotly), { on }), this.el);
    this.drawn.perform_render();
  }

  redraw() {
    this._clear();
    this._draw();
  }

  _clear() {
    for (const [name, listener] of this.listeners.splice(0)) this.model.off(name, listener);
    this.drawn.remove();
  }

  remove() {
    this.chart.views.delete(this);
    this._clear();
  }
}

// The wheel scrolls the page, where plotly would zoom a view in space, until that is clicked; with
// Ctrl it zooms. Gives a function that ends this.
function scrolls(el) {
  let active = false;
  const pressed = (event) => {
    active = el.contains(event.target);
  };
  const turned = (event) => {
    if (!active && !event.ctrlKey && !event.metaKey) event.stopPropagation();
  };
  window.addEventListener("pointerdown", pressed, true);
  el.addEventListener("wheel", turned, { capture: true, passive: true });
  return () => {
    window.removeEventListener("pointerdown", pressed, true);
    el.removeEventListener("wheel", turned, { capture: true });
  };
}

export default () => {
  let chart;
  return {
    initialize({ model }) {
      chart = new Chart(model);
    },
    async render(context) {
      await chart.ready;
      const place = new Place(chart, context);
      const free = scrolls(context.el);
      return () => {
        free();
        place.remove();
      };
    },
  };
};
