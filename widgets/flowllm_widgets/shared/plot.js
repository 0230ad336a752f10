// plotly's own front end for a chart, its 5 MB of code loaded once for a page, not once for a chart.

const HERE = "flowllm-plotly"; // where the page keeps it, by version
const PATIENCE = 1000; // ms that a model may take; anywidget gives up after 2 s

// What the kernel tells a chart; plotly listens when it is loaded, and must not miss what came before.
const TOLD = [
  "addTraces", "restyle", "relayout", "update", "animate", "deleteTraces", "moveTraces",
  "removeLayoutProps", "removeTraceProps",
].map((name) => `_py2js_${name}`);

// plotly tells the kernel of clicks and of every move of the pointer through one variable, in which
// ipywidgets keeps only the last while the kernel is busy: a move takes the place of the click
// before it. No chart listens to moves, so they are not told.
const MOVES = new Set(["plotly_hover", "plotly_unhover"]);

function withoutMoves(context) {
  const { model } = context;
  const set = (name, value) => {
    if (!MOVES.has(value?.event_type)) model.set(name, value);
  };
  return { ...context, model: { ...model, set } };
}

function load(model) {
  const loaded = (globalThis[HERE] ??= {});
  const version = model.get("_version");
  loaded[version] ??= (async () => {
    const library = await model.widget_manager.get_model(model.get("_library").split("_MODEL_")[1]);
    const code = new Blob([library.get("code")], { type: "text/javascript" });
    const url = URL.createObjectURL(code);
    try {
      return (await import(url)).default;
    } finally {
      URL.revokeObjectURL(url);
    }
  })();
  loaded[version].catch(() => delete loaded[version]); // the next chart tries again
  return loaded[version];
}

export default () => {
  let plot;
  let ready;

  async function start(context) {
    const { model } = context;
    const missed = [];
    const listeners = TOLD.map((name) => {
      const listener = () => model.get(name) && missed.push([name, model.get(name)]);
      model.on(`change:${name}`, listener);
      return [name, listener];
    });
    plot = (await load(model))();
    for (const [name, listener] of listeners) model.off(`change:${name}`, listener);
    plot.initialize(withoutMoves(context));
    for (const [name, message] of missed) {
      model.set(name, null);
      model.set(name, message);
      model.set(name, null);
    }
  }

  return {
    async initialize(context) {
      ready = start(context);
      await Promise.race([ready, new Promise((done) => setTimeout(done, PATIENCE))]);
    },
    async render(context) {
      await ready;
      return plot.render(withoutMoves(context));
    },
  };
};
