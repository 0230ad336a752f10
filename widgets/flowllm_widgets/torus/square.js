// Shared by both views: the unit square whose opposite edges are glued, as SVG of 1,000 units.
// The file is put in front of geodesic.js and flow.js, which are modules of their own.
const UNIT = 1000;
const NAMESPACE = "http://www.w3.org/2000/svg";
const TILES = [-1, 0, 1].flatMap((i) => [-1, 0, 1].map((j) => [i, j]));
let boards = 0;

function make(tag, attributes = {}, parent = null) {
  const node = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (parent) parent.append(node);
  return node;
}

function html(tag, attributes = {}, parent = null, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function wrap(x) {
  const inside = x - Math.floor(x);
  return inside >= 1 ? 0 : inside;
}

const across = (x) => (x * UNIT).toFixed(1);
const up = (y) => ((1 - y) * UNIT).toFixed(1);

// A board: `window` is clipped to the square and a margin of its neighbours, `copies(node)` shows a
// drawn node in the eight neighbouring tiles too, paler: it is the same point of the torus.
function board(parent, label, margin) {
  const id = `flowllm-board-${(boards += 1)}`;
  const low = -margin * UNIT;
  const size = (1 + 2 * margin) * UNIT;
  const svg = make("svg", {
    viewBox: `${low} ${low} ${size} ${size}`, role: "group", "aria-label": label, class: "board",
  }, parent);
  const clip = make("clipPath", { id: `${id}-window` }, make("defs", {}, svg));
  make("rect", { x: low, y: low, width: size, height: size, rx: 14 }, clip);
  make("rect", { x: low, y: low, width: size, height: size, rx: 14, class: "around" }, svg);
  make("rect", { x: 0, y: 0, width: UNIT, height: UNIT, class: "unit" }, svg);
  const window = make("g", { id, "clip-path": `url(#${id}-window)` }, svg);
  const edges = make("g", { class: "edges", "aria-hidden": "true" }, svg);
  make("rect", { x: 0, y: 0, width: UNIT, height: UNIT }, edges);
  // Edges with the same arrows are one edge: the usual sign for a gluing.
  for (const end of [0, UNIT]) {
    make("path", { d: `M484 ${end - 16}l20 16l-20 16` }, edges);
    for (const shift of [8, -14]) {
      make("path", { d: `M${end - 16} ${500 + shift}l16 -20l16 20` }, edges);
    }
  }
  let parts = 0;
  const copies = (node, behind = true) => {
    node.id = `${id}-${(parts += 1)}`;
    const group = make("g", { class: "copies", "aria-hidden": "true" });
    for (const [i, j] of TILES) {
      if (i || j) make("use", { href: `#${node.id}`, x: i * UNIT, y: j * UNIT }, group);
    }
    if (behind) node.before(group);
    else node.after(group);
    return group;
  };
  return { svg, window, copies };
}

// A slider of t with a button that plays; `moved(t, final)` hears of every change.
function clock(parent, start, seconds, moved) {
  const row = html("div", { class: "clock" }, parent);
  const button = html("button", { type: "button", class: "play" }, row, "Play");
  const label = html("label", {}, row, "t");
  const slider = html("input", {
    type: "range", min: 0, max: 1, step: 0.01, value: start, "aria-label": "time t",
  }, label);
  const shown = html("output", {}, row);
  let running = 0;
  const show = (t) => {
    slider.value = t;
    shown.textContent = Number(t).toFixed(2);
  };
  const stop = () => {
    if (!running) return;
    cancelAnimationFrame(running);
    running = 0;
    button.textContent = "Play";
    moved(Number(slider.value), true);
  };
  const play = () => {
    const from = Number(slider.value) >= 1 ? 0 : Number(slider.value);
    let begin = 0;
    button.textContent = "Pause";
    const frame = (now) => {
      begin = begin || now;
      const t = Math.min(1, from + (now - begin) / (1000 * seconds));
      show(t);
      moved(t, false);
      if (t < 1) running = requestAnimationFrame(frame);
      else stop();
    };
    running = requestAnimationFrame(frame);
  };
  button.addEventListener("click", () => (running ? stop() : play()));
  slider.addEventListener("input", () => {
    const wanted = Number(slider.value); // before `stop` says where the film was
    stop();
    show(wanted);
    moved(wanted, false);
  });
  slider.addEventListener("change", () => moved(Number(slider.value), true));
  show(start);
  return { show, stop, row };
}

// Sends changes to the kernel at most ten times a second, the last one always.
function sender(model) {
  let waiting = 0;
  const send = () => {
    waiting = 0;
    model.save_changes();
  };
  return (now) => {
    if (now) {
      clearTimeout(waiting);
      send();
    } else if (!waiting) waiting = setTimeout(send, 100);
  };
}
