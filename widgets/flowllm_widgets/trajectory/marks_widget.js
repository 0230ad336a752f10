// `marks.js` stands before this text in the module that the browser loads.
function render({ model, el }) {
  el.classList.add("flowllm-marks");
  let drawn = null;
  let attach = 0;
  function start() {
    if (!el.parentElement) return; // not placed in the page yet
    clearInterval(attach);
    const panel = el.parentElement;
    drawn = new PlotMarks(el, () => panel.querySelector(".js-plotly-plot"));
    drawn.show(model.get("marks"), model.get("frame"));
  }
  attach = setInterval(start, 50);
  model.on("change:marks change:frame", () => drawn?.show(model.get("marks"), model.get("frame")));
  return () => {
    clearInterval(attach);
    drawn?.dispose();
  };
}
export default { render };
