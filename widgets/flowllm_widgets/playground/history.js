// A table of which one row can be chosen: by a click, or with the arrow keys and Enter.

function render({ model, el }) {
  el.classList.add("flowllm-history");
  const table = document.createElement("table");
  table.setAttribute("role", "grid");
  el.append(table);
  let current = 0;

  const rows = () => [...table.querySelectorAll("tbody tr")];
  const choose = (place) => {
    model.set("selected", place);
    model.save_changes();
  };
  const focus = (place) => {
    const all = rows();
    current = Math.max(0, Math.min(place, all.length - 1));
    all.forEach((row, index) => row.setAttribute("tabindex", index === current ? "0" : "-1"));
    all[current]?.focus();
  };
  const mark = () =>
    rows().forEach((row, place) =>
      row.setAttribute("aria-selected", String(place === model.get("selected"))),
    );
  const draw = () => {
    const focused = table.contains(document.activeElement);
    table.setAttribute("aria-label", model.get("label"));
    table.replaceChildren();
    const head = table.createTHead().insertRow();
    for (const name of model.get("columns")) {
      const cell = document.createElement("th");
      cell.setAttribute("scope", "col");
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    model.get("rows").forEach((cells, place) => {
      const row = body.insertRow();
      row.setAttribute("tabindex", place === current ? "0" : "-1");
      row.addEventListener("click", () => {
        focus(place);
        choose(place);
      });
      for (const text of cells) row.insertCell().textContent = text;
    });
    mark();
    if (focused) focus(current);
  };
  table.addEventListener("keydown", (event) => {
    const moves = { ArrowDown: current + 1, ArrowUp: current - 1, Home: 0, End: rows().length - 1 };
    if (event.key in moves) focus(moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") choose(current);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  for (const name of ["rows", "columns", "label"]) model.on(`change:${name}`, draw);
  model.on("change:selected", mark);
  draw();
}

export default { render };
