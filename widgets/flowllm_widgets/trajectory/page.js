// Stands behind `marks.js`, and before the script of the report's page, whose turnByKeys it uses.
window.addEventListener("DOMContentLoaded", async () => {
  const data = JSON.parse(document.getElementById("trajectory").textContent);
  const find = (name) => document.getElementById(name);
  const place = find("player");
  const curves = find("curves");
  const slider = find("frame");
  const marks = new PlotMarks(find("marks"), () => curves);
  const kinds = data.elements.length;

  function lines(segments) {
    const xyz = [[], [], []];
    for (const ends of segments) {
      for (const axis of [0, 1, 2]) xyz[axis].push(ends[0][axis], ends[1][axis], null);
    }
    return { x: xyz[0], y: xyz[1], z: xyz[2] };
  }

  function halfBonds(frame, kind) {
    const halves = [];
    for (const pair of frame.bonds) {
      const [one, other] = pair.map((index) => frame.atoms[index]);
      const middle = one.map((value, axis) => (value + other[axis]) / 2);
      if (frame.kinds[pair[0]] === kind) halves.push([one, middle]);
      if (frame.kinds[pair[1]] === kind) halves.push([other, middle]);
    }
    return lines(halves);
  }

  function balls(frame, kind) {
    const { points, faces } = data.sphere;
    const radius = data.elements[kind].radius;
    const mesh = { x: [], y: [], z: [], i: [], j: [], k: [] };
    frame.atoms.forEach((centre, index) => {
      if (frame.kinds[index] !== kind) return;
      const start = mesh.x.length;
      for (const point of points) {
        mesh.x.push(centre[0] + radius * point[0]);
        mesh.y.push(centre[1] + radius * point[1]);
        mesh.z.push(centre[2] + radius * point[2]);
      }
      for (const face of faces) {
        mesh.i.push(start + face[0]); mesh.j.push(start + face[1]); mesh.k.push(start + face[2]);
      }
    });
    return mesh;
  }

  // all polyhedra of a frame, in the colours of their middles
  function polyhedra(frame) {
    const mesh = { x: [], y: [], z: [], i: [], j: [], k: [] };
    for (const atom of frame.atoms) {
      mesh.x.push(atom[0]); mesh.y.push(atom[1]); mesh.z.push(atom[2]);
    }
    for (const face of frame.faces) {
      mesh.i.push(face[0]); mesh.j.push(face[1]); mesh.k.push(face[2]);
    }
    const tint = (middle) => data.elements[frame.kinds[middle]].colour;
    return { ...mesh, facecolor: frame.middles.map(tint) };
  }

  // one trace for the cell, one for the half bonds and one for the balls of each element
  function shapes(frame) {
    const each = [...Array(kinds).keys()];
    return [lines(frame.edges), ...each.map((kind) => halfBonds(frame, kind)),
      ...each.map((kind) => balls(frame, kind)),
      ...(data.style.polyhedra ? [polyhedra(frame)] : [])];
  }

  function traces(frame) {
    const drawn = shapes(frame);
    const line = { type: "scatter3d", mode: "lines", hoverinfo: "skip" };
    const result = [{ ...line, ...drawn[0], line: { color: data.style.cell, width: 2.5 } }];
    data.elements.forEach((element, kind) => {
      result.push({ ...line, ...drawn[1 + kind], line: { color: element.colour, width: 7 } });
    });
    data.elements.forEach((element, kind) => {
      result.push({
        type: "mesh3d", ...drawn[1 + kinds + kind], color: element.colour, name: element.symbol,
        hovertemplate: element.symbol + "<extra></extra>", lighting: data.style.lighting,
        lightposition: data.style.light, flatshading: false,
      });
    });
    if (data.style.polyhedra) {
      result.push({
        type: "mesh3d", ...drawn.at(-1), opacity: data.style.opacity, hoverinfo: "skip",
        flatshading: true, lighting: data.style.lighting, lightposition: data.style.light,
      });
    }
    return result;
  }

  // under orthographic projection the aspect ratio is the zoom: all of it is seen, also where the
  // place is narrower than high
  function zoom() {
    const size = 1.75 * Math.min(1, place.clientWidth / (place.clientHeight || 1));
    return { x: size, y: size, z: size };
  }

  const scene = {
    aspectmode: "manual", aspectratio: zoom(), dragmode: "orbit",
    camera: { eye: { x: 1.25, y: 0.75, z: 0.5 }, projection: { type: "orthographic" } },
  };
  ["x", "y", "z"].forEach((axis, index) => {
    scene[axis + "axis"] = { visible: false, range: data.ranges[index], autorange: false };
  });
  const layout = {
    scene, autosize: true, showlegend: false, margin: { l: 0, r: 0, t: 0, b: 0 },
    paper_bgcolor: "rgba(0,0,0,0)",
  };

  let shown = 0;
  let playing = false;
  let runs = 0;

  // draws a frame and everything that belongs to it; resolves when it is on screen
  async function show(frame) {
    shown = frame;
    slider.value = String(frame);
    slider.setAttribute("aria-valuetext", data.says[frame]);
    find("says").textContent = data.says[frame];
    const change = {};
    const drawn = shapes(data.frames[frame]);
    const keys = ["x", "y", "z", "i", "j", "k", ...(data.style.polyhedra ? ["facecolor"] : [])];
    for (const key of keys) {
      change[key] = drawn.map((part) => part[key]);
    }
    marks.show(data.marks, frame);
    await Plotly.restyle(place, change);
  }

  async function play() {
    const mine = (runs += 1); // one that was paused may still wait for its next frame
    playing = true;
    find("play").textContent = "Pause";
    if (shown === data.frames.length - 1) await show(0);
    while (playing && mine === runs) {
      const due = performance.now() + 1000 / Number(find("speed").value);
      const last = shown === data.frames.length - 1;
      if (last && !find("loop").checked) break;
      await show(last ? 0 : shown + 1);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    }
    if (mine !== runs) return;
    playing = false;
    find("play").textContent = "Play";
  }

  find("play").addEventListener("click", () => { if (playing) playing = false; else play(); });
  slider.addEventListener("input", () => { playing = false; show(Number(slider.value)); });
  new MutationObserver((_, observer) => {
    if (!curves.dataset.drawn) return;
    observer.disconnect();
    curves.on("plotly_click", (event) => { playing = false; show(event.points[0].pointIndex); });
  }).observe(curves, { attributes: true });

  find("says").textContent = data.says[0];
  marks.show(data.marks, 0);
  try {
    const config = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false };
    await Plotly.newPlot(place, traces(data.frames[0]), layout, config);
    turnByKeys(place);
    window.addEventListener("resize", () => Plotly.relayout(place, { "scene.aspectratio": zoom() }));
    place.dataset.drawn = "true";
  } catch (error) {
    place.textContent = "This browser cannot draw the crystal: " + error.message;
  }
});
