// One page of a table that lives in Python: shows `view`, and tells what a person did.
// A message waits until Python has answered the one before; moves that come meanwhile add up.

function render({ model, el }) {
  el.classList.add("flowllm-table");
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  const table = document.createElement("table");
  table.tabIndex = 0;
  table.setAttribute("role", "grid");
  table.setAttribute("data-lm-suppress-shortcuts", ""); // arrow keys are JupyterLab's, else
  const head = table.createTHead();
  const body = table.createTBody();
  scroll.append(table);
  const foot = document.createElement("div");
  foot.className = "foot";
  el.append(scroll, foot);

  let waiting = [];
  let busy = false;

  function tell(what, value) {
    const last = waiting[waiting.length - 1];
    if (last && last.do === what && (what === "move" || what === "page")) last.with += value;
    else if (last && last.do === what && what === "select") last.with = value;
    else waiting.push({ do: what, with: value });
    next();
  }
  function next() {
    if (busy || !waiting.length) return;
    busy = true;
    model.send({ ...waiting.shift(), number: model.get("answered") + 1 });
  }

  function turn(symbol, label, by, possible) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = symbol;
    button.setAttribute("aria-label", label);
    button.disabled = !possible;
    button.addEventListener("click", () => tell("page", by));
    return button;
  }

  let headed = "";
  function drawHead(view) {
    const key = JSON.stringify([view.columns, view.pickable]);
    if (key !== headed) {
      headed = key;
      head.replaceChildren();
      const row = head.insertRow();
      if (view.pickable) {
        const cell = document.createElement("th");
        cell.scope = "col";
        cell.textContent = "pick";
        row.append(cell);
      }
      for (const column of view.columns) {
        const cell = document.createElement("th");
        cell.scope = "col";
        cell.dataset.column = column.name;
        if (column.number) cell.classList.add("number");
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = column.label;
        button.addEventListener("click", () => tell("sort", column.name));
        cell.append(button);
        row.append(cell);
      }
    }
    for (const cell of head.querySelectorAll("th[data-column]")) {
      const sorted = cell.dataset.column === view.sort;
      cell.setAttribute("aria-sort", sorted ? (view.falling ? "descending" : "ascending") : "none");
    }
  }

  function drawBody(view) {
    const rows = view.rows.map((row, index) => {
      const line = document.createElement("tr");
      line.dataset.place = row.place;
      line.id = `${name}-${row.place}`;
      line.setAttribute("aria-rowindex", view.first + index + 2);
      line.setAttribute("aria-selected", row.place === view.selected);
      if (view.pickable) {
        const box = document.createElement("input");
        box.type = "checkbox";
        box.checked = row.picked;
        box.tabIndex = -1; // Space in the table does it
        box.setAttribute("aria-label", `pick ${row.texts[0]}`);
        line.insertCell().append(box);
      }
      row.texts.forEach((text, column) => {
        const cell = line.insertCell();
        cell.textContent = text;
        cell.title = text;
        if (view.columns[column].number) cell.classList.add("number");
      });
      return line;
    });
    while (rows.length < Math.min(view.size, view.all)) { // the height stays from page to page
      const line = document.createElement("tr");
      line.className = "filler";
      line.setAttribute("aria-hidden", "true");
      const cell = line.insertCell();
      cell.colSpan = view.columns.length + (view.pickable ? 1 : 0);
      if (!rows.length && !view.total) {
        cell.textContent = "No crystal passes.";
        line.removeAttribute("aria-hidden");
      } else cell.textContent = "\u00a0";
      rows.push(line);
    }
    body.replaceChildren(...rows);
  }

  function drawFoot(view) {
    const focused = foot.contains(document.activeElement)
      ? document.activeElement.getAttribute("aria-label") : "";
    const last = Math.min(view.first + view.size, view.total);
    const text = document.createElement("span");
    text.setAttribute("role", "status");
    const where = view.total ? `${view.first + 1} to ${last} of ${view.total.toLocaleString("en")}` : "0";
    text.textContent = view.total < view.all
      ? `${where} (of ${view.all.toLocaleString("en")})` : where;
    const pages = Math.ceil(view.total / view.size);
    const buttons = [
      turn("«", "first page", -pages, view.first > 0),
      turn("‹", "previous page", -1, view.first > 0),
      turn("›", "next page", 1, last < view.total),
      turn("»", "last page", pages, last < view.total),
    ];
    foot.replaceChildren(...(pages > 1 ? [...buttons.slice(0, 2), text, ...buttons.slice(2)] : [text]));
    if (focused) foot.querySelector(`[aria-label="${focused}"]`)?.focus();
  }

  const name = `flowllm-table-${Math.random().toString(36).slice(2)}`;
  function draw() {
    const view = model.get("view");
    if (!view.columns) return;
    table.setAttribute("aria-label", view.label);
    table.setAttribute("aria-rowcount", view.total + 1);
    drawHead(view);
    drawBody(view);
    drawFoot(view);
    const chosen = body.querySelector('tr[aria-selected="true"]');
    if (chosen) table.setAttribute("aria-activedescendant", chosen.id);
    else table.removeAttribute("aria-activedescendant");
  }

  body.addEventListener("click", (event) => {
    const line = event.target.closest("tr[data-place]");
    if (!line) return;
    const place = Number(line.dataset.place);
    if (event.target.type === "checkbox") {
      tell("pick", place);
      table.focus({ preventScroll: true });
      return;
    }
    for (const other of body.rows) other.setAttribute("aria-selected", other === line);
    table.focus({ preventScroll: true });
    tell("select", place);
  });

  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: "size", PageUp: "-size" };
  table.addEventListener("keydown", (event) => {
    if (event.target !== table || event.ctrlKey || event.metaKey || event.altKey) return;
    const view = model.get("view");
    const { key } = event;
    if (key in moves) {
      const by = { size: view.size, "-size": -view.size }[moves[key]] ?? moves[key];
      tell("move", by);
    } else if (key === "Home" || key === "End") {
      if (view.total) tell("edge", key === "Home" ? "first" : "last");
    } else if (key === " " && view.pickable) {
      tell("pick", -1); // the one chosen by then
    } else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab would move to the next cell
  });

  function answered() {
    busy = false;
    next();
  }
  model.on("change:view", draw);
  model.on("change:answered", answered);
  draw();
  return () => {
    model.off("change:view", draw);
    model.off("change:answered", answered);
  };
}

export default { render };
