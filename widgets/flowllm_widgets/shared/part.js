// Stands before and around the module of every part of a widget, so that a part which a slow page
// starts late is drawn all the same, with all that the kernel said meanwhile.
//
// anywidget gives a model two seconds from its creation to load its module and to initialize. After
// that it refuses every message of the kernel for as long as the page lives: a crystal or a table
// that is exchanged after the start, or a trace that is added, never arrives. So a part initializes
// at once (whatever must be waited for is awaited where it is drawn), and one that comes late
// nevertheless reads the kernel's messages itself and asks once for all that it missed.

const GAVE_UP = /\[anywidget\] Failed to initialize model/;

// anywidget's report of a late start, which nobody awaits: what it reports is mended below.
if (!globalThis.flowllmMendsLateParts) {
  globalThis.flowllmMendsLateParts = true;
  globalThis.addEventListener?.("unhandledrejection", (event) => {
    if (GAVE_UP.test(event.reason?.message)) event.preventDefault();
  });
}

// The model itself behind what anywidget shows of it: it comes with the event of a change.
function itself(model) {
  let found = null;
  const listener = (changed) => {
    found = changed;
  };
  model.on("change:_flowllm_started", listener);
  model.set("_flowllm_started", true);
  model.off("change:_flowllm_started", listener);
  delete found?._buffered_state_diff?._flowllm_started; // it is none of the kernel's variables
  return found;
}

async function mend(model) {
  const real = itself(model);
  if (!real?.comm || !real._handle_comm_msg) return; // a page without a kernel
  try {
    await real._handle_comm_msg({ content: { data: { method: "" } } }); // says nothing
  } catch (error) {
    if (!GAVE_UP.test(error?.message)) throw error;
    let kind = Object.getPrototypeOf(real);
    while (kind && !Object.hasOwn(kind, "_handle_comm_msg")) kind = Object.getPrototypeOf(kind);
    const usual = Object.getPrototypeOf(kind)._handle_comm_msg; // that of every other widget
    real.comm.on_msg(usual.bind(real));
    real.comm.send({ method: "request_state" }, real.callbacks());
  }
}

// eslint-disable-next-line no-unused-vars -- the module that follows is given to it
function part(made) {
  return async () => {
    const own = typeof made === "function" ? await made() : made;
    return {
      initialize(context) {
        mend(context.model).catch((error) => console.error(error));
        return own.initialize?.(context);
      },
      async render(context) {
        try {
          const done = await own.render(context);
          context.el.classList.add("flowllm-drawn");
          return done;
        } catch (error) {
          console.error(error);
          context.el.replaceChildren(failure(error));
          return undefined;
        }
      },
    };
  };
}

function failure(error) {
  const line = document.createElement("div");
  line.className = "flowllm-message error";
  line.setAttribute("role", "alert");
  line.textContent = "This part could not be loaded; run the cell again. "
    + `(${error?.message ?? error})`;
  return line;
}
