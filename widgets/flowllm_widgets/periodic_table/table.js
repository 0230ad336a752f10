// A periodic table: a click, Space or Enter chooses an element, arrow keys move; colours are shares.

function render({ model, el }) {
  el.classList.add("flowllm-elements");
  const heading = document.createElement("div");
  heading.className = "flowllm-heading";
  const frame = document.createElement("div");
  frame.className = "frame";
  const grid = document.createElement("div");
  grid.className = "grid";
  frame.append(grid);
  const told = document.createElement("div"); // what the element under pointer or focus is
  told.className = "flowllm-caption told";
  const legend = document.createElement("div");
  legend.className = "legend";
  el.append(heading, frame, legend, told);

  const cells = new Map();
  const at = new Map(); // "row,column" -> symbol
  let current = "H";

  const digits = (share) => {
    const value = 100 * share;
    return value >= 10 ? value.toFixed(0) : String(Number(value.toPrecision(2)));
  };
  const percent = (share) => `${digits(share)} %`;
  const part = (share) => {
    const [low, high] = model.get("scale").map(Math.log);
    return Math.min(1, Math.max(0, (Math.log(share) - low) / (high - low)));
  };
  // no more than 75 %: text stays legible on it in light and dark themes
  const fill = (share) => `color-mix(in srgb, ${model.get("colour")} ${6 + 69 * part(share)}%, transparent)`;
  const can = (symbol) => {
    const allowed = model.get("allowed");
    return model.get("picks") && (!allowed.length || allowed.includes(symbol));
  };
  const describe = ({ symbol, number }) => {
    const shares = model.get("shares");
    const words = [`${symbol}, ${number}`];
    if (Object.keys(shares).length) {
      words.push(symbol in shares ? `in ${percent(shares[symbol])} of the crystals` : "in none");
    }
    return words.join(", ");
  };
  const choose = (symbol) => {
    if (!can(symbol)) return;
    const selected = model.get("selected");
    model.set("selected", selected.includes(symbol)
      ? selected.filter((one) => one !== symbol) : [...selected, symbol]);
    model.save_changes();
  };
  const focus = (symbol) => {
    cells.get(current).tabIndex = -1;
    current = symbol;
    const cell = cells.get(symbol);
    cell.tabIndex = 0;
    cell.focus();
  };
  // the next element in a direction, over gaps
  const beside = (element, down, right) => {
    let { row, column } = element;
    for (let steps = 0; steps < 20; steps += 1) {
      row += down;
      column += right;
      if (row < 1 || row > 10 || column < 1 || column > 18) return null;
      const found = at.get(`${row},${column}`);
      if (found) return found;
    }
    return null;
  };

  for (const element of model.get("elements")) {
    const { symbol, number, row, column } = element;
    const cell = document.createElement("button");
    cell.type = "button";
    cell.style.gridRow = row;
    cell.style.gridColumn = column;
    cell.dataset.symbol = symbol;
    cell.tabIndex = symbol === current ? 0 : -1;
    const small = document.createElement("small");
    small.textContent = number;
    const name = document.createElement("span");
    name.textContent = symbol;
    const share = document.createElement("i");
    cell.append(small, name, share);
    cell.addEventListener("click", () => {
      focus(symbol);
      choose(symbol);
    });
    const tell = () => {
      told.textContent = describe(element);
    };
    cell.addEventListener("pointerenter", tell);
    cell.addEventListener("focus", tell);
    cell.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const ends = model.get("elements");
      const to = {
        ArrowLeft: () => beside(element, 0, -1), ArrowRight: () => beside(element, 0, 1),
        ArrowUp: () => beside(element, -1, 0), ArrowDown: () => beside(element, 1, 0),
        Home: () => ends[0].symbol, End: () => ends[ends.length - 1].symbol,
      }[event.key];
      if (!to) return; // Space and Enter press the button
      event.preventDefault();
      event.stopPropagation();
      const found = to();
      if (found) focus(found);
    });
    cells.set(symbol, cell);
    at.set(`${row},${column}`, symbol);
    grid.append(cell);
  }

  const draw = () => {
    const selected = model.get("selected");
    const shares = model.get("shares");
    const mapped = Object.keys(shares).length > 0;
    el.classList.toggle("mapped", mapped);
    heading.textContent = model.get("heading");
    heading.hidden = !heading.textContent;
    grid.setAttribute("role", "group");
    grid.setAttribute("aria-label", model.get("label"));
    for (const element of model.get("elements")) {
      const cell = cells.get(element.symbol);
      const share = shares[element.symbol];
      cell.style.setProperty("--fill", share > 0 ? fill(share) : "transparent");
      cell.lastChild.textContent = share > 0 ? digits(share) : "";
      cell.setAttribute("aria-label", describe(element));
      cell.setAttribute("aria-disabled", String(model.get("picks") && !can(element.symbol)));
      if (model.get("picks")) {
        cell.setAttribute("aria-pressed", String(selected.includes(element.symbol)));
      } else cell.removeAttribute("aria-pressed");
    }
    legend.replaceChildren();
    legend.hidden = !mapped;
    if (!mapped) return;
    const [low, high] = model.get("scale");
    const bar = document.createElement("span");
    bar.className = "bar";
    bar.style.background = `linear-gradient(to right, ${fill(low)}, ${fill(high)})`;
    const marks = document.createElement("span");
    marks.className = "marks";
    const places = [high]; // and powers of ten that leave it room
    for (let share = low; part(share) < 0.84; share *= 10) places.push(share);
    const rarer = Object.values(shares).some((share) => share < low);
    for (const share of places) {
      const mark = document.createElement("span");
      mark.textContent = `${share === low && rarer ? "≤ " : ""}${percent(share)}`;
      mark.style.left = `${100 * part(share)}%`;
      marks.append(mark);
    }
    const scaleBox = document.createElement("span");
    scaleBox.className = "scale";
    scaleBox.append(bar, marks);
    const words = document.createElement("span");
    words.textContent = "% of the crystals that hold the element";
    legend.append(scaleBox, words);
  };
  for (const name of ["selected", "shares", "scale", "heading", "label", "allowed", "picks", "colour"]) {
    model.on(`change:${name}`, draw);
  }
  told.textContent = "\u00a0";
  draw();
  return () => model.off(null, draw);
}

export default { render };
