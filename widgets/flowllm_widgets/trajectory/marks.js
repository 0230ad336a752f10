// The current frame in plotly's plots: a line, a dot on each curve and the value in the title. Drawn
// over the plots, not by plotly, which would take tens of milliseconds for each frame.

class PlotMarks {
  // layer: an element that lies over the plots; plot(): plotly's element, or null before it is there
  constructor(layer, plot) {
    this.layer = layer;
    this.plot = plot;
    this.marks = null;
    this.frame = 0;
    this.svg = this._add("svg", layer);
    this.svg.setAttribute("aria-hidden", "true");
    this.svg.style.cssText = "position:absolute;inset:0;width:100%;height:100%;overflow:visible";
    this.groups = [];
    this.asked = 0;
    // plotly draws anew for another width and other curves; also the first time
    this.observer = new MutationObserver(() => this.draw());
    this.observer.observe(layer.parentElement, {
      subtree: true, childList: true, attributes: true, attributeFilter: ["d", "width", "transform"],
    });
  }

  show(marks, frame) {
    this.marks = marks;
    this.frame = frame;
    this.draw();
  }

  draw() {
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      this._draw();
    });
  }

  dispose() {
    this.observer.disconnect();
    cancelAnimationFrame(this.asked);
  }

  _draw() {
    const plot = this.plot();
    const layout = plot?._fullLayout;
    if (!this.marks || !layout?.xaxis?.c2p) return;
    const [here, there] = [this.layer, plot].map((element) => element.getBoundingClientRect());
    const [left, top] = [there.left - here.left, there.top - here.top];
    const frame = Math.min(this.frame, this.marks.times.length - 1);
    this.marks.plots.forEach((mark, index) => {
      const [x, y] = [layout[mark.x], layout[mark.y]];
      if (!x?.c2p || !y?.c2p) return;
      const group = (this.groups[index] ??= this._group());
      const at = left + x._offset + x.c2p(this.marks.times[frame]);
      const value = mark.values[frame];
      this._set(group.line, { x1: at, x2: at, y1: top + y._offset, y2: top + y._offset + y._length });
      group.dot.style.display = value === null ? "none" : "";
      if (value !== null) this._set(group.dot, { cx: at, cy: top + y._offset + y.c2p(value) });
      this._set(group.text, { x: left + x._offset, y: top + y._offset - 7 });
      group.title.textContent = mark.title + "\u2002";
      group.value.textContent = mark.texts[frame];
      group.text.setAttribute("font-size", 12);
      const room = (x._length + 8) / (group.text.getComputedTextLength() || 1);
      if (room < 1) group.text.setAttribute("font-size", Math.max(8.5, 12 * room).toFixed(1));
    });
  }

  _group() {
    const { colour } = this.marks;
    const line = this._add("line", this.svg, { stroke: colour, "stroke-width": 1.5 });
    const dot = this._add("circle", this.svg, { r: 4, fill: colour });
    const text = this._add("text", this.svg, { fill: "currentColor", "font-size": 12 });
    const title = this._add("tspan", text);
    const value = this._add("tspan", text, { "font-weight": 600 });
    return { line, dot, text, title, value };
  }

  _add(name, parent, attributes = {}) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    this._set(element, attributes);
    parent.append(element);
    return element;
  }

  _set(element, attributes) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  }
}
