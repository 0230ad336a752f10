"use strict";
// A crystal in 3-D that plays: frames of fractional coordinates and cells, as
// `flowllm.viz.crystal_data` packs them, become plotly's traces. Without WebGL it is a still.
class CrystalView {
  // place: an element; drawing: elements, sphere, colour of cells, light of the page
  constructor(place, drawing) {
    this.place = place;
    this.drawing = drawing;
    this.crystal = null;
    this.frame = 0;
    this.enlarged = 1;
    this.turn = Promise.resolve();
  }

  static unpack(crystal, step) {
    if (crystal.frames) return crystal;
    const bytes = Uint8Array.from(atob(crystal.coords), (char) => char.charCodeAt(0));
    const words = new DataView(bytes.buffer);
    const atoms = crystal.numbers.length;
    crystal.frames = crystal.cells.map((cell, t) => ({
      cell,
      coords: crystal.numbers.map((_, n) => [0, 1, 2].map((axis) =>
        step * words.getInt16(2 * (3 * (t * atoms + n) + axis), true))),
    }));
    return crystal;
  }

  // positions of the drawn atoms and corners of the cell, displacements from the end enlarged
  static points(crystal, frame, enlarged) {
    const now = crystal.frames[frame];
    const end = crystal.frames[crystal.frames.length - 1];
    const away = (value, last) => last + enlarged * (value - last);
    const cell = now.cell.map((value, k) => away(value, end.cell[k]));
    const place = (f) => [0, 1, 2].map((k) => f[0] * cell[k] + f[1] * cell[3 + k] + f[2] * cell[6 + k]);
    const atoms = crystal.source.map((n, i) => place([0, 1, 2].map((axis) =>
      away(now.coords[n][axis], end.coords[n][axis]) + crystal.shift[i][axis])));
    return { atoms, edges: CrystalView.edges().map((ends) => ends.map(place)) };
  }

  static edges() {
    const edges = [];
    for (const axis of [0, 1, 2]) {
      for (const [one, other] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
        const start = [one, other];
        start.splice(axis, 0, 0);
        const stop = start.slice();
        stop[axis] = 1;
        edges.push([start, stop]);
      }
    }
    return edges;
  }

  // every element of a crystal, of all frames where species change
  static kinds(crystal) {
    return [...new Set((crystal.species ?? [crystal.numbers]).flat())].sort((a, b) => a - b);
  }

  // symbol, colour and radius; of two elements that look alike one has another colour in a crystal
  static element(crystal, drawing, kind) {
    const [symbol, colour, radius] = drawing.elements[kind];
    return [symbol, crystal.tints?.[kind] ?? colour, radius];
  }

  // The coordination polyhedra, which are those of the end; before it they are folded away.
  static polyhedra(crystal, frame, atoms) {
    const last = frame === crystal.frames.length - 1;
    const corner = (k) => crystal.triangles.map((triangle) => (last ? triangle[k] : 0));
    const axes = [0, 1, 2].map((k) => atoms.map((atom) => atom[k]));
    return { x: axes[0], y: axes[1], z: axes[2], i: corner(0), j: corner(1), k: corner(2) };
  }

  shapes(crystal, frame) {
    const { atoms, edges } = CrystalView.points(crystal, frame, this.enlarged);
    const numbers = crystal.species?.[frame] ?? crystal.numbers;
    const of = crystal.source.map((n) => numbers[n]);
    const kinds = CrystalView.kinds(crystal);
    return [
      CrystalView.lines(edges),
      ...kinds.map((kind) => CrystalView.lines(crystal.bonds.flatMap((pair) => {
        const middle = atoms[pair[0]].map((x, k) => (x + atoms[pair[1]][k]) / 2);
        return pair.filter((n) => of[n] === kind).map((n) => [atoms[n], middle]);
      }))),
      ...kinds.map((kind) => this.balls(atoms.filter((_, n) => of[n] === kind), kind)),
      ...(crystal.triangles?.length ? [CrystalView.polyhedra(crystal, frame, atoms)] : []),
    ];
  }

  static lines(segments) {
    const axes = [[], [], []];
    for (const [from, to] of segments) {
      for (const k of [0, 1, 2]) axes[k].push(from[k], to[k], null);
    }
    return { x: axes[0], y: axes[1], z: axes[2] };
  }

  balls(centres, kind) {
    const [points, faces] = this.drawing.sphere;
    const radius = this.drawing.elements[kind][2];
    const mesh = { x: [], y: [], z: [], i: [], j: [], k: [] };
    centres.forEach((centre, ball) => {
      for (const point of points) {
        mesh.x.push(centre[0] + radius * point[0]);
        mesh.y.push(centre[1] + radius * point[1]);
        mesh.z.push(centre[2] + radius * point[2]);
      }
      const first = ball * points.length;
      for (const face of faces) {
        mesh.i.push(first + face[0]); mesh.j.push(first + face[1]); mesh.k.push(first + face[2]);
      }
    });
    return mesh;
  }

  traces(crystal, frame) {
    const kinds = CrystalView.kinds(crystal);
    const shapes = this.shapes(crystal, frame);
    const element = (kind) => CrystalView.element(crystal, this.drawing, kind);
    const line = { type: "scatter3d", mode: "lines", hoverinfo: "skip" };
    return [
      { ...line, ...shapes[0], line: { color: this.drawing.cell, width: 2.5 } },
      ...kinds.map((kind, k) => (
        { ...line, ...shapes[1 + k], line: { color: element(kind)[1], width: 7 } })),
      ...kinds.map((kind, k) => ({
        type: "mesh3d", ...shapes[1 + kinds.length + k], color: element(kind)[1],
        name: element(kind)[0], flatshading: false,
        hovertemplate: element(kind)[0] + "<extra></extra>",
        lighting: this.drawing.lighting, lightposition: this.drawing.light,
      })),
      ...shapes.slice(1 + 2 * kinds.length).map((faces) => ({
        type: "mesh3d", ...faces, opacity: 0.35, flatshading: true, hoverinfo: "skip", name: "polyhedra",
        facecolor: crystal.middles.map((n) => element(crystal.numbers[crystal.source[n]])[1]),
        lighting: this.drawing.lighting, lightposition: this.drawing.light,
      })),
    ];
  }

  // a box that holds every frame, however the crystal is turned
  ranges(crystal) {
    const points = crystal.frames.flatMap((_, frame) => {
      const { atoms, edges } = CrystalView.points(crystal, frame, this.enlarged);
      return [...atoms, ...edges.flat()];
    });
    const middle = [0, 1, 2].map((k) => {
      const values = points.map((point) => point[k]);
      return (Math.min(...values) + Math.max(...values)) / 2;
    });
    const half = 0.8 + Math.max(...points.map((p) => Math.hypot(...p.map((x, k) => x - middle[k]))));
    return middle.map((x) => [x - half, x + half]);
  }

  // Draw a crystal; resolves when it is on the screen. The camera stays as it was turned.
  show(crystal, frame) {
    this.crystal = CrystalView.unpack(crystal, this.drawing.step);
    this.frame = frame ?? crystal.frames.length - 1;
    return this.redraw();
  }

  redraw() {
    const { crystal, place } = this;
    const still = stillOf(crystal, this.frame, this.drawing, this.enlarged);
    this.turn = this.turn.then(async () => {
      if (!hasWebGL()) { place.replaceChildren(still); return; }
      const ranges = this.ranges(crystal);
      const zoom = { x: 1.9, y: 1.9, z: 1.9 };
      const scene = {
        aspectmode: "manual", dragmode: "orbit",
        aspectratio: place.layout?.scene?.aspectratio ?? zoom,
        camera: place.layout?.scene?.camera ??
          { eye: { x: 1.25, y: 0.75, z: 0.5 }, projection: { type: "orthographic" } },
      };
      ["x", "y", "z"].forEach((axis, k) => {
        scene[axis + "axis"] = { visible: false, range: ranges[k], autorange: false };
      });
      const layout = {
        scene, autosize: true, showlegend: false, margin: { l: 0, r: 0, t: 0, b: 0 },
        paper_bgcolor: "rgba(0,0,0,0)",
      };
      const config = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false };
      const first = !place.layout;
      await Plotly.react(place, this.traces(crystal, this.frame), layout, config);
      if (first) turnByKeys(place);
    }).catch((error) => { place.textContent = "This browser cannot draw the crystal: " + error.message; });
    return this.turn;
  }

  // Another frame of the same crystal.
  move(frame) {
    this.frame = frame;
    if (!this.place.layout) return this.redraw();
    const shapes = this.shapes(this.crystal, frame);
    const change = {};
    for (const key of ["x", "y", "z", "i", "j", "k"]) change[key] = shapes.map((part) => part[key]);
    this.turn = this.turn.then(() => Plotly.restyle(this.place, change));
    return this.turn;
  }
}

const hasWebGL = (() => {
  let known;
  return () => {
    if (known === undefined) {
      const canvas = document.createElement("canvas");
      const context = canvas.getContext("webgl2") || canvas.getContext("webgl");
      known = Boolean(context);
      context?.getExtension("WEBGL_lose_context")?.loseContext(); // browsers allow only some 16
    }
    return known;
  };
})();
