// Two points that one drags, the geodesic between them and the straight line that ignores the wrap.
const MARGIN = 0.24;
// Copies of a node do not see the rules of a style sheet, so what is copied carries its colours.
const COLOUR = { x: "#1d9a76", y: "#b0489b", t: "#e08a1e" };
const STEP = 0.01;

// log_x(y) per coordinate, as flowllm.manifolds.FlatTorus.logmap
function logarithm(x, y) {
  return x.map((value, k) => {
    const angle = 2 * Math.PI * (y[k] - value);
    return Math.atan2(Math.sin(angle), Math.cos(angle)) / (2 * Math.PI);
  });
}

const digits = (value, count = 4) => {
  const text = value.toFixed(count).replace("-", "−");
  return Number(value.toFixed(count)) === 0 ? text.replace("−", "") : text;
};
const vector = (v, count = 4) => `(${v.map((value) => digits(value, count)).join(", ")})`;

function render({ model, el }) {
  const root = html("div", { class: "torus geodesic", "data-lm-suppress-shortcuts": "true" }, el);
  const left = html("div", { class: "picture" }, root);
  const right = html("div", { class: "readout" }, root);
  const { svg, window: inside, copies } = board(left, "The torus, cut open to a square", MARGIN);
  const defs = svg.querySelector("defs");
  const naive = make("path", { class: "naive" }, inside);
  // One line from x to the nearest image of y, in all tiles: inside the square it is the pieces that
  // leave one edge and enter the opposite one.
  const way = make("path", { id: `${inside.id}-way` }, defs);
  const clip = make("clipPath", { id: `${inside.id}-unit` }, defs);
  make("rect", { x: 0, y: 0, width: UNIT, height: UNIT }, clip);
  const outside = make("g", { class: "outside" }, inside);
  const pieces = make("g", { class: "pieces", "clip-path": `url(#${clip.id})` }, inside);
  for (const group of [outside, pieces]) {
    for (const [i, j] of TILES) {
      make("use", { href: `#${way.id}`, x: i * UNIT, y: j * UNIT }, group);
    }
  }
  const marker = make("circle", { r: 17, fill: COLOUR.t, class: "at-t" }, inside);
  copies(marker);
  const handles = ["x", "y"].map((name) => {
    const handle = make("g", {
      class: `handle ${name}`, tabindex: 0, role: "slider", "data-point": name,
      "aria-roledescription": "point in two dimensions", "aria-valuemin": 0, "aria-valuemax": 1,
    }, inside);
    const face = make("g", {}, handle); // of which the copies are made: they take no focus
    make("circle", { r: 32, fill: COLOUR[name] }, face);
    make("text", {
      dy: 13, fill: "#ffffff", "text-anchor": "middle", "font-family": "serif",
      "font-size": 42, "font-style": "italic",
    }, face).textContent = name;
    copies(face);
    return handle;
  });

  const rows = {};
  const add = (name, symbol, explanation) => {
    const row = html("div", { class: `row ${name}` }, right);
    const label = html("span", {}, row);
    html("span", { class: "symbol" }, label).innerHTML = symbol;
    html("span", { class: "explanation" }, label, explanation);
    rows[name] = html("span", { class: "value", "data-value": name }, row);
  };
  const log = "log<sub><i>x</i></sub>(<i>y</i>)";
  add("x", "<i>x</i>", "start");
  add("y", "<i>y</i>", "end");
  add("log", log, "the shortest path");
  add("length", `|${log}|`, "its length");
  add("edges", "edges", "that it crosses");
  add("difference", "<i>y</i> − <i>x</i>", "the path without wrapping");
  add("straight", "|<i>y</i> − <i>x</i>|", "its length");
  add("point", `exp<sub><i>x</i></sub>(<i>t</i> ${log})`, "where one is at t");
  const send = sender(model);
  const time = clock(left, model.get("t"), 2, (t, final) => {
    model.set("t", t);
    draw();
    if (final) send(true);
    else send(false);
  });

  function draw() {
    const x = model.get("x");
    const y = model.get("y");
    const t = model.get("t");
    const log = logarithm(x, y);
    const place = (p) => `${across(p[0])} ${up(p[1])}`;
    const end = [x[0] + log[0], x[1] + log[1]];
    way.setAttribute("d", `M${place(x)}L${place(end)}`);
    naive.setAttribute("d", `M${place(x)}L${place(y)}`);
    const at = x.map((value, k) => wrap(value + t * log[k]));
    marker.setAttribute("cx", across(at[0]));
    marker.setAttribute("cy", up(at[1]));
    [x, y].forEach((point, k) => {
      const name = "xy"[k];
      handles[k].lastChild.setAttribute("transform", `translate(${place(point)})`);
      handles[k].setAttribute("aria-valuenow", point[0].toFixed(2));
      handles[k].setAttribute("aria-valuetext", vector(point, 2));
      handles[k].setAttribute(
        "aria-label", `Point ${name} at ${vector(point, 2)}; arrow keys move it`,
      );
    });
    const difference = [y[0] - x[0], y[1] - x[1]];
    rows.x.textContent = vector(x);
    rows.y.textContent = vector(y);
    rows.log.textContent = vector(log);
    rows.length.textContent = digits(Math.hypot(...log));
    rows.difference.textContent = vector(difference);
    rows.straight.textContent = digits(Math.hypot(...difference));
    rows.point.textContent = vector(at);
    const sides = [["left", "right"], ["bottom", "top"]].flatMap((names, k) => {
      if (end[k] < 0) return [names[0]];
      return end[k] >= 1 ? [names[1]] : [];
    });
    rows.edges.textContent = sides.join(" and ") || "none";
  }

  const move = (name, point, final) => {
    model.set(name, point.map((value) => Number(wrap(value).toFixed(4)) % 1));
    draw();
    send(final);
  };
  handles.forEach((handle, k) => {
    const name = "xy"[k];
    let held = null;
    const spot = (event) => {
      const p = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(svg.getScreenCTM().inverse());
      return [p.x / UNIT, 1 - p.y / UNIT];
    };
    handle.addEventListener("pointerdown", (event) => {
      const at = spot(event);
      const now = model.get(name);
      held = [now[0] - at[0], now[1] - at[1]];
      handle.setPointerCapture(event.pointerId);
      handle.focus();
      event.preventDefault();
    });
    handle.addEventListener("pointermove", (event) => {
      if (!held) return;
      const at = spot(event);
      move(name, [at[0] + held[0], at[1] + held[1]], false);
    });
    const release = () => {
      if (held) send(true);
      held = null;
    };
    handle.addEventListener("pointerup", release);
    handle.addEventListener("pointercancel", release);
    handle.addEventListener("keydown", (event) => {
      const far = event.shiftKey ? 10 * STEP : STEP;
      const by = {
        ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, far], ArrowDown: [0, -far],
      }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      const now = model.get(name);
      move(name, [now[0] + by[0], now[1] + by[1]], false);
    });
  });
  const changed = () => {
    time.show(model.get("t"));
    draw();
  };
  model.on("change:x change:y change:t", changed);
  draw();
  return () => {
    time.stop();
    model.off("change:x change:y change:t", changed);
  };
}

export default { render };
