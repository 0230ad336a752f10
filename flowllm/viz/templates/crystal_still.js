"use strict";
// A still of a crystal as SVG: for buttons, for paper, and for browsers without WebGL.
const SVG = "http://www.w3.org/2000/svg";

// right, up and towards the eye, of the camera that the 3-D views begin with
const AXES = (() => {
  const unit = (v) => v.map((x) => x / Math.hypot(...v));
  const cross = (a, b) => [0, 1, 2].map((k) => a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3]);
  const eye = unit([1.25, 0.75, 0.5]);
  const right = unit(cross([0, 0, 1], eye));
  return [right, cross(eye, right), eye];
})();

function stillOf(crystal, frame, drawing, enlarged = 1) {
  CrystalView.unpack(crystal, drawing.step);
  const { atoms, edges } = CrystalView.points(crystal, frame ?? crystal.frames.length - 1, enlarged);
  const seen = (point) => AXES.map((axis) => axis.reduce((sum, x, k) => sum + x * point[k], 0));
  const balls = atoms.map((point, n) => {
    const [x, y, depth] = seen(point);
    const [symbol, colour, radius] = CrystalView.element(crystal, drawing, crystal.numbers[crystal.source[n]]);
    return { x, y: -y, depth, symbol, colour, radius };
  });
  const picture = document.createElementNS(SVG, "svg");
  const make = (name, values) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    return element;
  };
  const round = (x) => Math.round(100 * x) / 100;
  const line = ([x1, y1], [x2, y2], colour, width) => make("line", {
    x1: round(x1), y1: round(y1), x2: round(x2), y2: round(y2), stroke: colour, "stroke-width": width,
    "stroke-linecap": "round",
  });
  const flat = ([x, y]) => [x, -y];
  const parts = edges.map(([from, to]) => {
    const ends = [seen(from), seen(to)];
    return { depth: Math.min(ends[0][2], ends[1][2]) - 1e3, shape: line(flat(ends[0]), flat(ends[1]), drawing.cell, 0.06) };
  });
  for (const pair of crystal.bonds) {
    const [one, other] = pair.map((n) => balls[n]);
    const middle = [(one.x + other.x) / 2, (one.y + other.y) / 2];
    for (const ball of [one, other]) {
      parts.push({ depth: (one.depth + other.depth) / 2, shape: line([ball.x, ball.y], middle, ball.colour, 0.22) });
    }
  }
  for (const ball of balls) {
    parts.push({ depth: ball.depth, shape: make("circle", {
      cx: round(ball.x), cy: round(ball.y), r: ball.radius, fill: ball.colour,
      stroke: "rgb(0 0 0 / 35%)", "stroke-width": 0.04,
    }) });
  }
  parts.sort((a, b) => a.depth - b.depth);
  picture.append(...parts.map((part) => part.shape));
  const corners = edges.flat().map(seen).map(flat);
  const xs = [...balls.flatMap((b) => [b.x - b.radius, b.x + b.radius]), ...corners.map((c) => c[0])];
  const ys = [...balls.flatMap((b) => [b.y - b.radius, b.y + b.radius]), ...corners.map((c) => c[1])];
  const [left, top] = [Math.min(...xs) - 0.2, Math.min(...ys) - 0.2];
  picture.setAttribute("viewBox", [left, top, Math.max(...xs) + 0.2 - left, Math.max(...ys) + 0.2 - top].map(round).join(" "));
  picture.setAttribute("aria-hidden", "true"); // the words are where it stands
  picture.classList.add("still");
  return picture;
}
