"use strict";
// The table of crystals: sorted, filtered and paged here; a click draws the crystal.
(() => {
  const data = JSON.parse(document.getElementById("crystal-data").textContent);
  const table = document.getElementById("crystal-table");
  const filter = document.getElementById("crystal-filter");
  const flag = document.getElementById("crystal-flag");
  const view = document.getElementById("crystal-view");
  const pages = document.getElementById("crystal-pages");
  const PAGE = 100;
  const order = new Intl.Collator("en", { numeric: true });
  const state = { column: "id", rising: true, page: 0, chosen: null, rows: [] };
  const count = (data.values.id || []).length;
  const texts = Array.from({ length: count }, (_, row) =>
    ["id", "formula", "reason"].map((c) => (data.values[c] || [])[row] ?? "").join(" ").toLowerCase());

  for (const column of data.columns) {
    if (!data.values[column].some((value) => typeof value === "boolean")) continue;
    for (const wanted of ["true", "false"]) {
      const option = document.createElement("option");
      option.value = column + "=" + wanted;
      option.textContent = (wanted === "true" ? "" : "not ") + column.replaceAll("_", " ");
      flag.append(option);
    }
  }

  const head = table.tHead.insertRow();
  for (const column of data.columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = column.replaceAll("_", " ");
    button.addEventListener("click", () => {
      state.rising = state.column === column ? !state.rising : true;
      state.column = column;
      state.page = 0;
      update();
    });
    cell.append(button);
    head.append(cell);
  }

  function compare(one, other) {
    const values = data.values[state.column];
    const [a, b] = [values[one], values[other]];
    if (a === null || b === null) return (a === null) - (b === null); // empty ones last, always
    const sign = state.rising ? 1 : -1;
    if (typeof a === "string") return sign * order.compare(a, b);
    return sign * (a - b);
  }

  function update() {
    const wanted = filter.value.trim().toLowerCase();
    const [column, value] = flag.value.split("=");
    state.rows = [];
    for (let row = 0; row < count; row++) {
      if (wanted && !texts[row].includes(wanted)) continue;
      if (column && data.values[column][row] !== (value === "true")) continue;
      state.rows.push(row);
    }
    state.rows.sort(compare);
    const last = Math.max(0, Math.ceil(state.rows.length / PAGE) - 1);
    state.page = Math.min(state.page, last);
    [...head.cells].forEach((cell, place) => {
      if (data.columns[place] === state.column) cell.setAttribute("aria-sort", state.rising ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
    });
    const body = document.createElement("tbody");
    for (const row of state.rows.slice(state.page * PAGE, (state.page + 1) * PAGE)) {
      const line = body.insertRow();
      line.tabIndex = 0;
      line.dataset.row = row;
      line.setAttribute("aria-selected", String(row === state.chosen));
      for (const name of data.columns) cellOf(line.insertCell(), data.values[name][row]);
    }
    table.tBodies[0].replaceWith(body);
    turn(last);
  }

  function cellOf(cell, value) {
    if (typeof value === "boolean") {
      cell.innerHTML = value ? '<span class="yes">✓ yes</span>' : '<span class="no">✗ no</span>';
    } else if (value !== null) {
      cell.textContent = value;
    }
  }

  function turn(last) {
    pages.replaceChildren(`${state.rows.length} crystals. `);
    if (!last) return;
    const step = (label, change) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.disabled = state.page + change < 0 || state.page + change > last;
      button.addEventListener("click", () => { state.page += change; update(); });
      return button;
    };
    pages.append(step("Previous", -1), ` page ${state.page + 1} of ${last + 1} `, step("Next", 1));
  }

  function show(row) {
    state.chosen = row;
    for (const line of table.tBodies[0].rows) {
      line.setAttribute("aria-selected", String(Number(line.dataset.row) === row));
    }
    view.querySelector("h3").textContent = `${data.values.formula[row] ?? ""} · ${data.values.id[row]}`;
    const legend = view.querySelector(".legend");
    const place = view.querySelector(".figure3d");
    const drawing = data.drawings[row];
    legend.replaceChildren();
    Plotly.purge(place); // before its content goes: plotly would draw on into what is gone
    place.textContent = "";
    if (!drawing) {
      place.textContent = "Not drawn: it could not be read, spans no volume, or is too large.";
      return;
    }
    const [positions, numbers, bonds, edges] = drawing;
    for (const number of new Set(numbers)) {
      const [symbol, colour] = data.elements[number];
      const key = document.createElement("span");
      const spot = document.createElement("i");
      spot.style.background = colour;
      key.append(spot, symbol);
      legend.append(key);
    }
    const axis = { visible: false };
    const layout = {
      height: 360, margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false,
      paper_bgcolor: "rgba(0,0,0,0)",
      scene: {
        xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: "data", dragmode: "orbit",
        camera: { eye: { x: 1.25, y: 0.75, z: 0.5 }, projection: { type: "orthographic" } },
      },
    };
    const traces = [lines(edges, data.cell, 2.5)];
    for (const number of new Set(numbers)) {
      const halves = [];
      for (const [one, other] of bonds) {
        for (const [from, to] of [[one, other], [other, one]]) {
          if (numbers[from] !== number) continue;
          const [a, b] = [positions[from], positions[to]];
          halves.push([...a, ...a.map((x, k) => (x + b[k]) / 2)]);
        }
      }
      if (halves.length) traces.push(lines(halves, data.elements[number][1], 6));
      traces.push(balls(positions.filter((_, k) => numbers[k] === number), number));
    }
    Plotly.newPlot(place, traces, layout, { displayModeBar: false, responsive: true, scrollZoom: true })
      .then(() => { place.dataset.drawn = String(row); })
      .catch((error) => { place.textContent = "This browser cannot draw it: " + error.message; });
  }

  function lines(segments, colour, width) {
    const axes = [[], [], []];
    for (const s of segments) {
      for (let k = 0; k < 3; k++) axes[k].push(s[k], s[k + 3], null);
    }
    return {
      type: "scatter3d", mode: "lines", x: axes[0], y: axes[1], z: axes[2],
      line: { color: colour, width }, hoverinfo: "skip",
    };
  }

  function balls(centres, number) {
    const [symbol, colour, radius] = data.elements[number];
    const [points, faces] = data.sphere;
    const mesh = {
      type: "mesh3d", x: [], y: [], z: [], i: [], j: [], k: [], color: colour, name: symbol,
      hovertemplate: symbol + "<extra></extra>",
      lighting: data.lighting, lightposition: data.light,
    };
    centres.forEach((centre, ball) => {
      const shift = ball * points.length;
      for (const p of points) {
        mesh.x.push(centre[0] + radius * p[0]);
        mesh.y.push(centre[1] + radius * p[1]);
        mesh.z.push(centre[2] + radius * p[2]);
      }
      for (const f of faces) {
        mesh.i.push(f[0] + shift);
        mesh.j.push(f[1] + shift);
        mesh.k.push(f[2] + shift);
      }
    });
    return mesh;
  }

  table.addEventListener("click", (event) => {
    const line = event.target.closest("tr[data-row]");
    if (line) show(Number(line.dataset.row));
  });
  table.addEventListener("keydown", (event) => {
    const line = event.target.closest("tr[data-row]");
    if (!line) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); show(Number(line.dataset.row)); }
    const next = { ArrowDown: line.nextElementSibling, ArrowUp: line.previousElementSibling }[event.key];
    if (next) { event.preventDefault(); next.focus(); show(Number(next.dataset.row)); }
  });
  filter.addEventListener("input", () => { state.page = 0; update(); });
  flag.addEventListener("change", () => { state.page = 0; update(); });
  update();
  const first = state.rows.find((row) => data.drawings[row]);
  if (first !== undefined) show(first);
})();
