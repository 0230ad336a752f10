"use strict";
// The table of crystals: sorted, filtered and paged here; a click shows the crystal large.
(() => {
  const data = JSON.parse(document.getElementById("crystal-data").textContent);
  const find = (name) => document.getElementById(name);
  const table = find("crystal-table");
  const filter = find("crystal-filter");
  const flag = find("crystal-flag");
  const more = find("crystal-more");
  const box = find("crystal-view");
  const pages = find("crystal-pages");
  const PAGE = 100;
  const order = new Intl.Collator("en", { numeric: true });
  const state = { column: "id", rising: true, page: 0, chosen: null, rows: [] };
  const count = Math.max(0, ...Object.values(data.values).map((values) => values.length));
  const texts = Array.from({ length: count }, (_, row) =>
    ["id", "formula", "symbol", "nearest", "known_as", "reason"]
      .map((c) => (data.values[c] || [])[row] ?? "").join(" ").normalize("NFKC").toLowerCase());
  const view = new CrystalView(box.querySelector(".figure3d"), data);
  const player = new CrystalPlayer(box.querySelector(".player"), view);

  for (const column of data.columns) {
    if (!data.values[column.name].some((value) => typeof value === "boolean")) continue;
    for (const wanted of ["true", "false"]) {
      const option = document.createElement("option");
      option.value = column.name + "=" + wanted;
      option.textContent = (wanted === "true" ? "" : "not: ") + column.heading;
      flag.append(option);
    }
  }
  more.closest("label").hidden = data.columns.every((column) => column.essential);

  const columns = () => data.columns.filter((column) => column.essential || more.checked);

  function headings() {
    const head = document.createElement("tr");
    for (const column of columns()) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.dataset.column = column.name;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column.heading;
      if (column.unit) button.append(Object.assign(document.createElement("small"), { textContent: column.unit }));
      button.title = column.meaning;
      button.addEventListener("click", () => {
        state.rising = state.column === column.name ? !state.rising : true;
        state.column = column.name;
        state.page = 0;
        update();
      });
      cell.append(button);
      if (state.column === column.name) cell.setAttribute("aria-sort", state.rising ? "ascending" : "descending");
      head.append(cell);
    }
    table.tHead.replaceChildren(head);
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
    const wanted = filter.value.trim().normalize("NFKC").toLowerCase();
    const [column, value] = flag.value.split("=");
    state.rows = [];
    for (let row = 0; row < count; row++) {
      if (wanted && !texts[row].includes(wanted)) continue;
      if (column && data.values[column][row] !== (value === "true")) continue;
      state.rows.push(row);
    }
    if (data.values[state.column]) state.rows.sort(compare);
    const last = Math.max(0, Math.ceil(state.rows.length / PAGE) - 1);
    state.page = Math.min(state.page, last);
    headings();
    const body = document.createElement("tbody");
    for (const row of state.rows.slice(state.page * PAGE, (state.page + 1) * PAGE)) {
      const line = body.insertRow();
      line.tabIndex = 0;
      line.dataset.row = row;
      line.setAttribute("aria-selected", String(row === state.chosen));
      for (const { name } of columns()) cellOf(line.insertCell(), name, data.values[name][row]);
    }
    table.tBodies[0].replaceWith(body);
    turnPages(last);
  }

  function cellOf(cell, name, value) {
    cell.dataset.column = name;
    if (typeof value === "boolean") {
      cell.innerHTML = value ? '<span class="yes">✓ yes</span>' : '<span class="no">✗ no</span>';
    } else if (["formula", "nearest"].includes(name) && value) {
      const [formula, ...rest] = String(value).split(" (");
      cell.append(...formulaOf(formula), rest.length ? " (" + rest.join(" (") : "");
    } else if (typeof value === "number" && !Number.isInteger(value)) {
      cell.textContent = value.toFixed(Math.abs(value) < 1 ? 3 : 2);
    } else if (value !== null) {
      cell.textContent = value;
    }
  }

  // SrTiO3 with its numbers as subscripts
  function formulaOf(text) {
    return String(text).split(/([\d.]+)/).filter(Boolean).map((part) => {
      if (!/^[\d.]+$/.test(part)) return part;
      return Object.assign(document.createElement("sub"), { textContent: part });
    });
  }

  function turnPages(last) {
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

  function legend(drawing) {
    return CrystalView.kinds(drawing).map((number) => {
      const [symbol, colour] = CrystalView.element(drawing, data, number);
      const key = document.createElement("span");
      const spot = document.createElement("i");
      spot.style.background = colour;
      key.append(spot, symbol);
      return key;
    });
  }

  // a piece of the text: its white space, and a word coloured by its surprise
  function tokenOf(piece, share) {
    const [, before, word, after] = piece.match(/^(\s*)([^]*?)(\s*)$/);
    const span = document.createElement("span");
    span.textContent = word;
    if (share === null) {
      span.className = "given";
    } else {
      span.style.setProperty("--surprise", `${Math.round(75 * (1 - share))}%`);
      span.title = share < 0.0005 ? "below 0.1 %" : `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
    }
    return [before, span, after];
  }

  async function show(row, plays = false) {
    state.chosen = row;
    for (const line of table.tBodies[0].rows) {
      line.setAttribute("aria-selected", String(Number(line.dataset.row) === row));
    }
    const { drawing, facts = [], beside, text = [] } = data.shown[row] ?? {};
    const heading = box.querySelector("h3");
    heading.replaceChildren(...formulaOf((data.values.formula ?? [])[row] ?? ""), " ",
      Object.assign(document.createElement("small"), { textContent: (data.values.id ?? [])[row] ?? "" }));
    box.querySelector(".legend").replaceChildren(...(drawing ? legend(drawing) : []));
    box.querySelector(".facts").replaceChildren(...facts.flatMap(([name, value]) => [
      Object.assign(document.createElement("dt"), { textContent: name }),
      Object.assign(document.createElement("dd"), { textContent: value }),
    ]));
    const told = box.querySelector(".token-text");
    told.hidden = !text.length;
    told.querySelector(".tokens").replaceChildren(...text.flatMap(([piece, share]) => tokenOf(piece, share)));
    const near = box.querySelector(".beside");
    near.hidden = !beside;
    if (beside) {
      near.querySelector("h4").textContent = beside[0];
      near.querySelector("p").textContent = beside[1];
      near.querySelector(".figure-still").replaceChildren(
        ...(beside[2] ? [stillOf(beside[2], null, data)] : []));
    }
    if (drawing) {
      await player.take(drawing, plays);
    } else {
      player.stop();
      player.box.hidden = true;
      if (view.place.layout) Plotly.purge(view.place);
      view.place.textContent = row in data.shown
        ? "Not drawn: it could not be read, spans no volume, or is too large."
        : "Not drawn: the page holds the first crystals only; its file has it.";
    }
    if (state.chosen === row) view.place.dataset.drawn = String(row);
  }

  for (const row of data.chosen) {
    const { drawing } = data.shown[row] ?? {};
    if (!drawing) continue;
    const button = document.createElement("button");
    button.type = "button";
    const caption = document.createElement("span");
    caption.append(...formulaOf(data.values.formula[row]));
    button.append(stillOf(drawing, null, data), caption);
    button.addEventListener("click", () => show(row, true));
    document.querySelector(".strip").append(button);
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
  more.addEventListener("change", update);

  // paper has no third dimension: a still stands for the view
  addEventListener("beforeprint", () => {
    if (!view.crystal) return;
    const still = stillOf(view.crystal, view.frame, data, view.enlarged);
    still.classList.add("print-only");
    view.place.after(still);
  });
  addEventListener("afterprint", () => box.querySelectorAll(".print-only").forEach((part) => part.remove()));

  update();
  const first = data.first ?? state.rows.find((row) => data.shown[row]?.drawing);
  // page.js, which has the keys, runs after this script
  if (first !== undefined) addEventListener("DOMContentLoaded", () => show(first, true));
})();
