// Panels with layers of points, lines and arrows that move with t. All frames are here: moving t asks
// the kernel for nothing. A layer that several panels have is switched on and off in all of them.
const MARGIN = 0.12;
const HEAD = 0.32; // length of an arrow's head over that of the arrow
const SPREAD = 0.45; // half its opening, in radians
const WIDTH_OF = { points: 2, lines: 4, arrows: 4 };

function numbers(layer) {
  const { buffer, byteOffset, byteLength } = layer.data;
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

// A layer's drawing at time t, as the path of an SVG: one node however many points there are.
function outline(layer, values, t) {
  const size = values.length / layer.frames;
  const position = t * (layer.frames - 1);
  const parts = [];
  if (layer.kind === "points") {
    const first = Math.min(Math.floor(position), Math.max(layer.frames - 2, 0));
    const share = layer.frames > 1 ? position - first : 0;
    const at = (index) => {
      const from = values[first * size + index];
      if (!share) return from;
      const step = values[(first + 1) * size + index] - from;
      const way = from + share * (step - (layer.wrap ? Math.round(step) : 0));
      return layer.wrap ? wrap(way) : way;
    };
    for (let k = 0; k < size; k += 2) parts.push(`M${across(at(k))} ${up(at(k + 1))}h0`);
    return parts.join("");
  }
  const offset = Math.round(position) * size;
  for (let k = offset; k < offset + size; k += 4) {
    const [x, y, a, b] = values.subarray(k, k + 4);
    if (Number.isNaN(x + y + a + b)) continue;
    if (layer.kind === "lines") {
      parts.push(`M${across(x)} ${up(y)}L${across(a)} ${up(b)}`);
      continue;
    }
    const length = Math.hypot(a, b);
    if (length < 1e-4) continue;
    const tip = `${across(x + a)} ${up(y + b)}`;
    const direction = Math.atan2(b, a);
    const side = (turn) => {
      const angle = direction + Math.PI + turn;
      const head = HEAD * length;
      return `${across(x + a + head * Math.cos(angle))} ${up(y + b + head * Math.sin(angle))}`;
    };
    parts.push(`M${across(x)} ${up(y)}L${tip}M${side(SPREAD)}L${tip}L${side(-SPREAD)}`);
  }
  return parts.join("");
}

function render({ model, el }) {
  const root = html("div", { class: "torus flow", "data-lm-suppress-shortcuts": "true" }, el);
  const legend = html("div", { class: "legend", role: "group", "aria-label": "Layers" }, root);
  const row = html("div", { class: "panels" }, root);
  const send = sender(model);
  const time = clock(root, model.get("t"), model.get("seconds"), (t, final) => {
    model.set("t", t);
    draw();
    if (final) send(true);
  });
  let drawn = [];
  let known = "";

  function build() {
    const panels = model.get("panels");
    row.replaceChildren();
    drawn = panels.flatMap((panel) => {
      const figure = html("figure", {}, row);
      html("figcaption", {}, figure, panel.title);
      const { window: inside, copies } = board(figure, panel.title || "The square", MARGIN);
      return panel.layers.map((layer) => {
        const node = make("path", {
          class: `layer ${layer.kind}`, "data-layer": layer.name, stroke: layer.colour,
          "stroke-width": layer.size, "stroke-opacity": layer.opacity,
        }, inside);
        return { layer, node, ghosts: layer.copies ? copies(node) : null,
          values: numbers(layer), last: null };
      });
    });
    const labels = new Map(panels.flatMap((p) => p.layers).map((l) => [l.name, l]));
    const key = JSON.stringify([...labels].map(([name, l]) => [name, l.label, l.colour]));
    if (key !== known) {
      known = key;
      legend.replaceChildren();
      for (const [name, layer] of labels) {
        const label = html("label", {}, legend);
        const box = html("input", { type: "checkbox", "data-toggles": name }, label);
        const sign = make("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, label);
        make("path", {
          d: { points: "M7 6h0M19 6h0", lines: "M2 6h22", arrows: "M2 6h22M17 1.5L24 6L17 10.5" }[
            layer.kind], stroke: layer.colour, "stroke-width": layer.kind === "points" ? 8 : 2.2,
        }, sign);
        label.append(layer.label);
        box.addEventListener("change", () => {
          const others = model.get("hidden").filter((hidden) => hidden !== name);
          model.set("hidden", box.checked ? others : [...others, name]);
          model.save_changes();
        });
      }
    }
    draw();
  }

  function draw() {
    const t = model.get("t");
    const hidden = model.get("hidden");
    for (const part of drawn) {
      const off = hidden.includes(part.layer.name);
      for (const node of [part.node, part.ghosts]) if (node) node.style.display = off ? "none" : "";
      const { frames, kind } = part.layer;
      const frame = frames === 1 ? 0 : kind === "points" ? t : Math.round(t * (frames - 1));
      if (off || frame === part.last) continue;
      part.node.setAttribute("d", outline(part.layer, part.values, t));
      part.last = frame;
    }
    for (const box of legend.querySelectorAll("input")) {
      box.checked = !hidden.includes(box.dataset.toggles);
    }
  }

  const changed = () => {
    time.show(model.get("t"));
    draw();
  };
  model.on("change:panels", build);
  model.on("change:t change:hidden", changed);
  build();
  return () => {
    time.stop();
    model.off("change:panels", build);
    model.off("change:t change:hidden", changed);
  };
}

export default { render };
