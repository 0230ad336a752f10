"use strict";
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const drawn = [];
const ZOOM = { "+": 1.15, "=": 1.15, "-": 1 / 1.15 };
const FONT = getComputedStyle(document.body).fontFamily;

function tint(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function theme(layout) {
  const change = {
    "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font.color": tint("--ink"),
  };
  for (const axis of ["xaxis", "yaxis"]) {
    if (layout[axis]) {
      change[axis + ".gridcolor"] = tint("--line");
      change[axis + ".zerolinecolor"] = tint("--line");
      change[axis + ".linecolor"] = tint("--line");
    }
  }
  return change;
}

// The arrow keys turn a 3-D view that has the focus, + and - zoom it, as Ctrl and the wheel do: the
// wheel alone scrolls the page.
function turnByKeys(place) {
  const steps = { ArrowLeft: [0.12, 0], ArrowRight: [-0.12, 0], ArrowUp: [0, 0.12], ArrowDown: [0, -0.12] };
  const zoom = (factor) => {
    const { x, y, z } = place.layout.scene.aspectratio;
    Plotly.relayout(place, { "scene.aspectratio": { x: x * factor, y: y * factor, z: z * factor } });
  };
  place.addEventListener("wheel", (event) => {
    event.stopPropagation(); // plotly's own would keep the page from scrolling
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400));
  }, { passive: false, capture: true });
  place.addEventListener("keydown", (event) => {
    if (!place.layout?.scene || event.ctrlKey || event.metaKey) return;
    if (event.key in ZOOM) { event.preventDefault(); zoom(ZOOM[event.key]); }
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const camera = JSON.parse(JSON.stringify(place.layout.scene.camera));
    const { x, y, z } = camera.eye;
    const radius = Math.hypot(x, y, z);
    const around = Math.atan2(y, x) + step[0];
    const above = Math.max(-1.5, Math.min(1.5, Math.asin(z / radius) + step[1]));
    camera.eye = {
      x: radius * Math.cos(above) * Math.cos(around),
      y: radius * Math.cos(above) * Math.sin(around),
      z: radius * Math.sin(above),
    };
    camera.up = { x: 0, y: 0, z: 1 };
    Plotly.relayout(place, { "scene.camera": camera });
  });
}

async function draw(place) {
  const source = document.querySelector(`script[data-figure="${place.id}"]`);
  const figure = JSON.parse(source.textContent);
  Object.assign(figure.layout, { autosize: true, font: { family: FONT, size: 13 } });
  for (const [path, value] of Object.entries(theme(figure.layout))) {
    const steps = path.split(".");
    const last = steps.pop();
    steps.reduce((part, step) => (part[step] ??= {}), figure.layout)[last] = value;
  }
  const config = { responsive: true, displaylogo: false, displayModeBar: false };
  try {
    await Plotly.newPlot(place, figure.data, figure.layout, config);
    drawn.push(place);
    place.dataset.drawn = "true";
  } catch (error) {
    place.textContent = "This browser cannot draw the figure: " + error.message;
  }
}

// one after the other, so that the page answers while it draws
let queue = Promise.resolve();
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    queue = queue.then(() => new Promise(requestAnimationFrame)).then(() => draw(entry.target));
  }
}, { rootMargin: "300px" });
document.querySelectorAll(".figure").forEach((place) => seen.observe(place));
// paper shows all of them, also what was never scrolled to
addEventListener("beforeprint", () => document.querySelectorAll(".figure:not([data-drawn])").forEach(draw));
dark.addEventListener("change", () => {
  for (const place of drawn) Plotly.relayout(place, theme(place.layout));
});

function sortBy(header) {
  const table = header.closest("table");
  const body = table.tBodies[0];
  const column = [...header.parentNode.children].indexOf(header);
  const rising = header.getAttribute("aria-sort") !== "ascending";
  const order = new Intl.Collator("en", { numeric: true });
  const rows = [...body.rows].sort((one, other) =>
    order.compare(one.cells[column].textContent, other.cells[column].textContent));
  if (!rising) rows.reverse();
  table.querySelectorAll("th").forEach((cell) => cell.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", rising ? "ascending" : "descending");
  body.append(...rows);
}
// a table that sorts itself says so
document.querySelectorAll(".sortable:not([data-sorts]) th button").forEach((button) =>
  button.addEventListener("click", () => sortBy(button.parentNode)));
