// One 3-D picture: an NGL stage with atoms, bonds and the cell as three components. Everything of a
// scene is handed to the graphics card once; a frame only moves it, and colours it anew where species
// change.

const GREY = [0x8a, 0x94, 0xa6].map((x) => x / 255); // of the cell: legible on light and on dark
const LINE = { linewidth: 2 }; // pixels
const BOND_RADIUS = 0.11; // Å
const LABEL = 1.7; // size of the letters
const MARGIN = 1.0; // of the picture around what it holds
const FIELD = 2 * Math.tan((40 / 2) * (Math.PI / 180)); // visible height over the camera's distance

class NoPicture extends Error {
  // status: "no-webgl" or "no-extension"
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

function hasWebGL() {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("webgl2") || canvas.getContext("webgl");
  context?.getExtension("WEBGL_lose_context")?.loseContext(); // browsers allow only some 16 of them
  return Boolean(context);
}

// The NGL library that nglview brings to the front end. Its widget is left aside: it sends each
// turn of the camera to the kernel, starts four threads there, and never gives WebGL contexts back.
async function loadNGL(manager, module) {
  if (!hasWebGL()) throw new NoPicture("no-webgl", "this browser offers no WebGL");
  try {
    return await manager.loadClass("NGL", module, "*");
  } catch (error) {
    throw new NoPicture("no-extension", String(error?.message ?? error));
  }
}

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
}

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

// Rotations as nine numbers, rows: what is right, up and towards the viewer, in the crystal's axes.
// NGL's camera looks along +z, so its x and z run the other way.
const TURN = [-1, 1, -1];

class Picture {
  constructor(NGL, host) {
    this.NGL = NGL;
    this.host = host;
    this.stage = new NGL.Stage(host, {
      cameraType: "orthographic", fogNear: 45, fogFar: 150,
      clipDist: 0, // else what is nearer than 10 Å is cut, and cells are small
    });
    if (!this.stage.viewer.renderer) throw new NoPicture("no-webgl", "NGL could not start WebGL");
    this.canvas = this.stage.viewer.renderer.domElement;
    this.canvas.setAttribute("aria-hidden", "true"); // the host carries the description
    this.stage.mouseControls.remove("clickPick-left"); // it would move the view of one panel only
    this.stage.keyControls.clear();
    this.stage.mouseControls.remove("hoverPick"); // its tip is misplaced in JupyterLab
    this.tip = document.createElement("div");
    this.tip.className = "flowllm-tip";
    host.append(this.tip);
    this.stage.signals.hovered.add((picked) => this._name(picked));
    this.stage.mouseObserver.handleScroll = false; // the page scrolls, until the picture has focus
    this.scene = null;
  }

  load(scene, labels) {
    const old = [...this.stage.compList];
    this.scene = scene;
    const { NGL } = this;
    this.appearance = scene.appearance(0);
    const { colours, radii } = this.appearance;
    const atoms = new NGL.Shape("atoms");
    const place = scene.atoms(0);
    for (let k = 0; k < scene.count; k++) {
      const [at, colour] = [place, colours].map((a) => [...a.subarray(3 * k, 3 * k + 3)]);
      atoms.addSphere(at, colour, radii[k], `${k}`); // its name is found by this number
    }
    const cell = new NGL.Shape("cell");
    const edges = scene.edges(0);
    const grey = edges.position1.map((_, k) => GREY[k % 3]);
    cell.addBuffer(new NGL.WidelineBuffer({ ...edges, color: grey, color2: grey }, LINE));
    this.parts = { atoms: this._add(atoms), cell: this._add(cell) };
    if (scene.bonds.length) {
      const shape = new NGL.Shape("bonds");
      shape.addBuffer(new NGL.CylinderBuffer({
        ...scene.bondEnds(0), ...scene.bondColours(colours),
        radius: new Float32Array(scene.bonds.length / 2).fill(BOND_RADIUS),
      }));
      this.parts.bonds = this._add(shape);
    }
    this._frame = 0;
    this._coloured = 0; // the frame whose species are drawn
    this.setLabels(labels);
    if (old.length) {
      // drawn once together, or the shaders are thrown away with the old and compiled again
      this.stage.viewer.render();
      for (const component of old) this.stage.removeComponent(component);
      this.stage.viewer.render();
    }
    this._reach();
  }

  _name(picked) {
    const name = picked?.sphere && this.appearance.labels[Number(picked.sphere.name)];
    this.tip.textContent = name ?? "";
    this.tip.style.display = name ? "" : "none";
    if (!name) return;
    const { x, y } = this.stage.mouseObserver.canvasPosition; // y from below
    Object.assign(this.tip.style, { left: `${x + 10}px`, bottom: `${y + 8}px` });
  }

  _add(shape) {
    const component = this.stage.addComponentFromObject(shape);
    component.addRepresentation("buffer");
    return component;
  }

  // what is clipped and fogged goes by the scene's size, at all frames
  _reach() {
    const { viewer } = this.stage;
    const radius = this.scene.data.extent;
    viewer.boundingBox.min.setScalar(-radius);
    viewer.boundingBox.max.setScalar(radius);
    viewer.boundingBox.getSize(viewer.boundingBoxSize);
    viewer.boundingBoxLength = viewer.boundingBoxSize.length();
    viewer.requestRender();
  }

  setLabels(shown) {
    if (this.parts.labels) this.stage.removeComponent(this.parts.labels);
    delete this.parts.labels;
    if (shown) {
      const { scene, NGL } = this;
      const shape = new NGL.Shape("labels");
      shape.addBuffer(new NGL.TextBuffer({
        position: scene.atoms(Math.min(this._frame, scene.frames - 1)),
        text: this.appearance.labels,
        size: new Float32Array(scene.count).fill(LABEL),
        color: new Float32Array(3 * scene.count).fill(0.08),
      }, {
        attachment: "bottom-center", yOffset: 0.15, zOffset: 1.2, showBorder: true,
        borderColor: "#ffffff", borderWidth: 0.3,
      }));
      this.parts.labels = this._add(shape);
    }
    this._reach();
  }

  show(frame) {
    this._frame = frame;
    const k = Math.min(frame, this.scene.frames - 1);
    const position = this.scene.atoms(k);
    const [atoms, bonds] = [{ position }, this.scene.bondEnds(k)];
    const changed = !this.scene.sameSpecies(k, this._coloured);
    if (changed) {
      this._coloured = k;
      this.appearance = this.scene.appearance(k);
      const { colours, radii } = this.appearance;
      Object.assign(atoms, { color: colours, radius: radii });
      Object.assign(bonds, this.scene.bondColours(colours));
    }
    this._move("atoms", atoms);
    this._move("cell", this.scene.edges(k));
    this._move("bonds", bonds);
    if (changed && this.parts.labels) this.setLabels(true); // at their places at this frame
    else this._move("labels", { position });
    this.stage.viewer.requestRender();
  }

  _move(part, attributes) {
    const buffers = this.parts[part]?.reprList[0].repr.bufferList ?? [];
    for (const buffer of buffers) buffer.setAttributes(attributes);
  }

  // ---- camera -----------------------------------------------------------------------------------

  // the distance at which a ball of this radius fills the picture
  fit(radius) {
    const { clientWidth, clientHeight } = this.host;
    const aspect = clientHeight ? Math.min(1, clientWidth / clientHeight) : 1;
    return (2 * radius * MARGIN) / (FIELD * aspect);
  }

  turnTo(rows, distance, shift = [0, 0, 0]) {
    const elements = new Array(16).fill(0);
    for (let r = 0; r < 3; r++) {
      for (let c = 0; c < 3; c++) elements[4 * c + r] = TURN[r] * rows[3 * r + c] * distance;
      elements[12 + r] = shift[r];
    }
    elements[15] = 1;
    this.stage.viewerControls.orient(elements);
  }

  get camera() {
    this.stage.viewer.rotationGroup.updateMatrix(); // NGL would give the one of the last rendering
    const { elements } = this.stage.viewerControls.getOrientation();
    const distance = Math.hypot(elements[0], elements[1], elements[2]);
    const rows = [];
    for (let r = 0; r < 3; r++) {
      for (let c = 0; c < 3; c++) rows.push((TURN[r] * elements[4 * c + r]) / distance);
    }
    return { rows, distance, shift: [elements[12], elements[13], elements[14]] };
  }

  theme(background) {
    this.stage.setParameters({ backgroundColor: background }); // fog takes this colour
    this.canvas.style.backgroundColor = "transparent";
  }

  // ---- for tests: what the graphics card was given ----------------------------------------------

  drawn(part, attribute = "position") {
    const { geometry } = this.parts[part].reprList[0].repr.bufferList[0];
    const { array } = geometry.attributes[attribute];
    const { count, data, bonds } = this.scene;
    const items = { atoms: count, cell: data.edges.length / 2, bonds: bonds.length / 2 }[part];
    const { itemSize } = geometry.attributes[attribute];
    const copies = array.length / itemSize / items; // a flat box for each ball, of several points
    const item = (_, k) => [...array.subarray(itemSize * k * copies, itemSize * (k * copies + 1))];
    return Array.from({ length: items }, item);
  }

  dispose() {
    this.stage.removeAllComponents();
    const { renderer } = this.stage.viewer;
    this.stage.dispose();
    if (!renderer.getContext().isContextLost()) renderer.forceContextLoss();
    this.host.replaceChildren();
  }
}
