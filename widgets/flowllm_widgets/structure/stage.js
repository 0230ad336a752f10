// One 3-D picture: an NGL stage with atoms, bonds and the cell as components. Everything of a
// scene is handed to the graphics card once; a frame only moves it, and colours it anew where species
// change.

const GREY = [0x8a, 0x94, 0xa6].map((x) => x / 255); // of the cell: legible on light and on dark
const LINE = { linewidth: 2 }; // pixels
const BOND_RADIUS = 0.11; // Å
const LOOKS = { // how large the balls are, and what else is seen
  "ball-and-stick": { size: 1, bonds: true, faces: false },
  polyhedra: { size: 0.8, bonds: true, faces: true },
  "space-filling": { bonds: false, faces: false }, // balls of the covalent radii
};
const FACES = { opacity: 0.45, side: "double", depthWrite: false };
const CREASE = { linewidth: 1.5, opacity: 0.8 };
const PICKED = [1, 0.75, 0.1];
const LABEL = 1.7; // size of the letters
const MARGIN = 1.03; // of the picture around what it holds
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
    this.overlay = new Overlay(host);
    this.picked = []; // atoms, whose distance and angle are shown
    this.stage.signals.clicked.add((picked) => this._pick(picked));
    this.stage.mouseObserver.handleScroll = false; // the page scrolls, until the picture has focus
    this.scene = null;
  }

  load(scene, labels, look) {
    const old = [...this.stage.compList];
    this.scene = scene;
    this.picked = [];
    this.look = look;
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
    if (scene.faceCount) {
      const faces = new NGL.Shape("faces");
      faces.addBuffer(new NGL.MeshBuffer(scene.faces(0, colours), FACES));
      this.parts.faces = this._add(faces, FACES);
      const creases = new NGL.Shape("creases");
      const ends = scene.creaseEnds(0);
      const tint = { color: ends.position1.map(() => 0.35), color2: ends.position1.map(() => 0.35) };
      creases.addBuffer(new NGL.WidelineBuffer({ ...ends, ...tint }, CREASE));
      this.parts.creases = this._add(creases, CREASE);
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
    this.setLook(look);
    this._reach();
    this.measure();
  }

  setLook(look) {
    this.look = look;
    const { bonds, faces } = LOOKS[look];
    this._move("atoms", { radius: this._radii() });
    if (faces && this.parts.faces) this.show(this._frame); // they stayed behind while hidden
    this.parts.bonds?.setVisibility(bonds);
    this.parts.faces?.setVisibility(faces);
    this.parts.creases?.setVisibility(faces);
    this._mark();
    this.stage.viewer.requestRender();
  }

  _radii() {
    const size = LOOKS[this.look].size ?? this.scene.data.filling;
    return this.appearance.radii.map((radius) => size * radius);
  }

  // Two atoms that are clicked give a distance, a third the angle at the second.
  _pick(picked) {
    const atom = picked?.sphere && Number(picked.sphere.name);
    if (Number.isInteger(atom)) {
      if (this.picked.length === 3) this.picked = [];
      if (this.picked.at(-1) !== atom) this.picked.push(atom);
    } else this.picked = [];
    this._mark();
    this.measure();
  }

  // yellow around the atoms that are measured
  _mark() {
    if (this.parts.picked) this.stage.removeComponent(this.parts.picked);
    delete this.parts.picked;
    if (!this.picked.length) return;
    const shape = new this.NGL.Shape("picked");
    const radii = this._radii();
    shape.addBuffer(new this.NGL.SphereBuffer({
      position: this._pickedPlaces(),
      color: new Float32Array(this.picked.flatMap(() => PICKED)),
      radius: new Float32Array(this.picked.map((atom) => 1.15 * radii[atom] + 0.05)),
    }));
    this.parts.picked = this._add(shape, { opacity: 0.5, depthWrite: false });
    this._reach();
  }

  _pickedPlaces() {
    const place = this.scene.atoms(Math.min(this._frame, this.scene.frames - 1));
    return new Float32Array(this.picked.flatMap((k) => [...place.subarray(3 * k, 3 * k + 3)]));
  }

  measure() {
    const names = this.picked.map((atom) => this.appearance.labels[atom]);
    const at = this._pickedPlaces();
    const points = names.map((_, k) => [...at.subarray(3 * k, 3 * k + 3)]);
    this.overlay.say(measured(names, points));
  }

  _name(picked) {
    const name = picked?.sphere && this.appearance.labels[Number(picked.sphere.name)];
    this.tip.textContent = name ?? "";
    this.tip.style.display = name ? "" : "none";
    if (!name) return;
    const { x, y } = this.stage.mouseObserver.canvasPosition; // y from below
    Object.assign(this.tip.style, { left: `${x + 10}px`, bottom: `${y + 8}px` });
  }

  _add(shape, parameters = {}) {
    const component = this.stage.addComponentFromObject(shape);
    component.addRepresentation("buffer", parameters);
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
      const count = scene.data.labelled;
      shape.addBuffer(new NGL.TextBuffer({
        position: scene.labelled(Math.min(this._frame, scene.frames - 1)),
        text: this.appearance.labels.slice(0, count),
        size: new Float32Array(count).fill(LABEL),
        color: new Float32Array(3 * count).fill(0.08),
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
      const { colours } = this.appearance;
      Object.assign(atoms, { color: colours, radius: this._radii() });
      Object.assign(bonds, this.scene.bondColours(colours));
    }
    this._move("atoms", atoms);
    this._move("cell", this.scene.edges(k));
    this._move("bonds", bonds);
    if (this.parts.faces && LOOKS[this.look].faces) {
      this._move("faces", this.scene.faces(k, this.appearance.colours));
      this._move("creases", this.scene.creaseEnds(k));
    }
    if (this.picked.length) {
      this._move("picked", { position: this._pickedPlaces() });
      this.measure();
    }
    this.overlay.turn(this.camera.rows, this.scene.axes(k));
    if (changed && this.parts.labels) this.setLabels(true); // at their places at this frame
    else this._move("labels", { position: this.scene.labelled(k) });
    this.stage.viewer.requestRender();
  }

  _move(part, attributes) {
    const buffers = this.parts[part]?.reprList[0].repr.bufferList ?? [];
    for (const buffer of buffers) buffer.setAttributes(attributes);
  }

  // ---- camera -----------------------------------------------------------------------------------

  // the distance at which half this width and half this height fill the picture
  fit([width, height]) {
    const { clientWidth, clientHeight } = this.host;
    const aspect = clientHeight ? clientWidth / clientHeight : 1;
    return (2 * MARGIN * Math.max(height, width / aspect)) / FIELD;
  }

  turnTo(rows, distance, shift = [0, 0, 0]) {
    const elements = new Array(16).fill(0);
    for (let r = 0; r < 3; r++) {
      for (let c = 0; c < 3; c++) elements[4 * c + r] = TURN[r] * rows[3 * r + c] * distance;
      elements[12 + r] = shift[r];
    }
    elements[15] = 1;
    this.stage.viewerControls.orient(elements);
    this.turned();
  }

  // the axes in the corner follow
  turned() {
    const { scene } = this;
    if (scene) this.overlay.turn(this.camera.rows, scene.axes(Math.min(this._frame, scene.frames - 1)));
  }

  // a PNG of it, twice as fine as the screen
  image() {
    return this.stage.makeImage({ factor: 2, antialias: true, trim: false, transparent: true });
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
    const items = {
      atoms: count, cell: data.edges.length / 2, bonds: bonds.length / 2,
      faces: 3 * this.scene.faceCount, creases: this.scene.creaseCount,
    }[part];
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
