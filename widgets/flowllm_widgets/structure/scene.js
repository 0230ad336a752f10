// What a picture shows, as the kernel sent it: positions, bonds and polyhedra at each frame.

// Buffers arrive as DataViews that need not start at a multiple of four bytes.
function numbers(view, Type) {
  return new Type(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

class Scene {
  constructor(data) {
    this.data = data;
    this.frames = data.frames;
    this.positions = numbers(data.positions, Float32Array);
    this.corners = numbers(data.corners, Float32Array);
    this.colours = numbers(data.colours, Float32Array);
    this.radii = numbers(data.radii, Float32Array);
    this.bonds = numbers(data.bonds, Int32Array);
    this.bonded = numbers(data.bonded, Uint8Array);
    this.count = this.radii.length;
    this.triangles = numbers(data.triangles, Int32Array);
    this.middles = numbers(data.middles, Int32Array);
    this.creases = numbers(data.creases, Int32Array);
    this.faceCount = this.middles.length / this.frames;
    this.creaseCount = this.creases.length / this.frames / 2;
    this.kinds = data.kinds ? numbers(data.kinds, Uint8Array) : null; // only if species change
  }

  // colours, radii and labels of the atoms; those of the first frame were sent as they are
  appearance(frame) {
    const { kinds, count, data } = this;
    if (!kinds) return { colours: this.colours, radii: this.radii, labels: data.labels };
    const elements = Array.from(kinds.subarray(frame * count, (frame + 1) * count),
      (kind) => data.elements[kind]);
    return {
      colours: new Float32Array(elements.flatMap((element) => element.colour)),
      radii: new Float32Array(elements.map((element) => element.radius)),
      labels: elements.map((element, k) => element.symbol + (data.source[k] + 1)),
    };
  }

  sameSpecies(one, other) {
    const { kinds, count } = this;
    for (let k = 0; kinds && k < count; k++) {
      if (kinds[one * count + k] !== kinds[other * count + k]) return false;
    }
    return true;
  }

  // the colours at both ends of the bonds
  bondColours(colours) {
    const ends = [0, 1].map((end) => new Float32Array(1.5 * this.bonds.length));
    this.bonds.forEach((atom, k) => {
      ends[k % 2].set(colours.subarray(3 * atom, 3 * atom + 3), 3 * (k >> 1));
    });
    return { color: ends[0], color2: ends[1] };
  }

  atoms(frame) {
    return this.positions.subarray(frame * this.count * 3, (frame + 1) * this.count * 3);
  }

  // places of the atoms that carry a label; they come first
  labelled(frame) {
    return this.atoms(frame).subarray(0, 3 * this.data.labelled);
  }

  edges(frame) {
    const size = this.corners.length / this.frames;
    return pairs(this.corners.subarray(frame * size, (frame + 1) * size), this.data.edges);
  }

  // a bond that a frame lacks hides inside its first atom
  bondEnds(frame) {
    const count = this.bonds.length / 2;
    const ends = pairs(this.atoms(frame), this.bonds);
    for (let k = 0; k < count; k++) {
      if (this.bonded[frame * count + k]) continue;
      for (let axis = 3 * k; axis < 3 * k + 3; axis++) ends.position2[axis] = ends.position1[axis];
      ends.position2[3 * k] += 1e-3; // a cylinder of no length has no direction
    }
    return centred(ends);
  }

  // The triangles of the polyhedra: corners, normals and the colours of their cations, nine numbers
  // each. One that a frame lacks is a point.
  faces(frame, colours) {
    const { count, faceCount, positions } = this;
    const made = ["position", "normal", "color"].map((name) => [name, new Float32Array(9 * faceCount)]);
    const { position, normal, color } = Object.fromEntries(made);
    const first = 3 * frame * count;
    for (let k = 0; k < faceCount; k++) {
      const middle = this.middles[frame * faceCount + k];
      if (middle < 0) continue;
      for (let corner = 0; corner < 3; corner++) {
        const atom = this.triangles[3 * (frame * faceCount + k) + corner];
        for (let axis = 0; axis < 3; axis++) {
          position[9 * k + 3 * corner + axis] = positions[first + 3 * atom + axis];
          color[9 * k + 3 * corner + axis] = colours[3 * middle + axis];
        }
      }
      const [a, b, c] = [0, 3, 6].map((at) => position.subarray(9 * k + at, 9 * k + at + 3));
      const across = unit(cross(minus(b, a), minus(c, a)));
      for (let corner = 0; corner < 3; corner++) normal.set(across, 9 * k + 3 * corner);
    }
    return { position, normal, color };
  }

  creaseEnds(frame) {
    const size = 2 * this.creaseCount;
    const ends = this.creases.subarray(frame * size, (frame + 1) * size).map((at) => Math.max(0, at));
    return pairs(this.atoms(frame), ends); // one that a frame lacks begins and ends in one atom
  }

  // the directions of a, b and c
  axes(frame) {
    const size = this.corners.length / this.frames;
    const corner = (k) => this.corners.subarray(frame * size + 3 * k, frame * size + 3 * k + 3);
    const [origin, ...ends] = this.data.axes.map(corner);
    return ends.map((end) => unit(minus(end, origin)));
  }
}

const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [
  a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0],
];
const unit = (a) => {
  const length = Math.hypot(...a) || 1;
  return [a[0] / length, a[1] / length, a[2] / length];
};

// Starts and ends of lines between points, as an NGL cylinder buffer wants them.
function pairs(points, indices) {
  const count = indices.length / 2;
  const position1 = new Float32Array(3 * count);
  const position2 = new Float32Array(3 * count);
  for (let k = 0; k < count; k++) {
    for (let axis = 0; axis < 3; axis++) {
      position1[3 * k + axis] = points[3 * indices[2 * k] + axis];
      position2[3 * k + axis] = points[3 * indices[2 * k + 1] + axis];
    }
  }
  return centred({ position1, position2 });
}

function centred({ position1, position2 }) {
  const position = position1.map((x, k) => (x + position2[k]) / 2);
  return { position, position1, position2 };
}
