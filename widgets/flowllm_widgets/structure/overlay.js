// What lies over a picture: the directions of a, b and c in a corner, and what was measured.

const AXES = [["a", "#d0453f"], ["b", "#2e9a4f"], ["c", "#3f74d6"]]; // as everywhere: red, green, blue
const ARM = 22; // pixels

class Overlay {
  constructor(host) {
    const draw = (tag, attributes) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      return made;
    };
    this.axes = draw("svg", {
      class: "flowllm-axes", viewBox: "-36 -36 72 72", width: 72, height: 72, "aria-hidden": "true",
    });
    this.arms = AXES.map(([name, colour]) => {
      const line = draw("line", { stroke: colour, "stroke-width": 2.5, "stroke-linecap": "round" });
      const letter = draw("text", { fill: colour, "text-anchor": "middle", dy: "0.35em" });
      letter.textContent = name;
      const group = draw("g", {});
      group.append(line, letter);
      this.axes.append(group);
      return { line, letter, group };
    });
    this.measured = document.createElement("div");
    this.measured.className = "flowllm-measured";
    this.measured.setAttribute("role", "status");
    host.append(this.axes, this.measured);
  }

  // rows: what is right, up and towards the viewer; directions: of a, b and c
  turn([...rows], directions) {
    const seen = directions.map((axis, k) => {
      const [x, y, z] = [0, 3, 6].map((at) => dot(rows.slice(at, at + 3), axis));
      const { line, letter, group } = this.arms[k];
      line.setAttribute("x2", (ARM * x).toFixed(1));
      line.setAttribute("y2", (-ARM * y).toFixed(1));
      const out = 8 / (Math.hypot(x, y) || 1); // the letter stays outside, whatever the turn
      letter.setAttribute("x", (ARM * x + Math.min(8, out) * x).toFixed(1));
      letter.setAttribute("y", (-ARM * y - Math.min(8, out) * y).toFixed(1));
      return [z, group];
    });
    seen.sort(([one], [other]) => one - other).forEach(([, group]) => this.axes.append(group));
  }

  say(text) {
    if (this.measured.textContent !== text) this.measured.textContent = text;
  }
}

// As in "O1\u2013Ti2\u2013O3 90.0\u00b0": the angle at the second atom, or the distance of two.
function measured(names, points) {
  if (!names.length) return "";
  if (names.length === 1) return `${names[0]}: click another atom for the distance`;
  const text = names.join("\u2013");
  const [one, middle, other] = points;
  const from = minus(one, middle);
  if (names.length === 2) return `${text} ${Math.hypot(...from).toFixed(3)} \u00c5`;
  const cosine = dot(unit(from), unit(minus(other, middle)));
  const angle = (Math.acos(Math.min(1, Math.max(-1, cosine))) * 180) / Math.PI;
  return `${text} ${angle.toFixed(1)}\u00b0`;
}
