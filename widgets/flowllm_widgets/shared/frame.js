// For the widget around it: keys, and plots that fit.
function render({ el }) {
  el.style.display = "none";
  let root = null;
  let observer = null;
  // JupyterLab's shortcuts win over a menu, a list or a slider that has the focus: an arrow key goes
  // to another cell, unless the element with the focus itself says no. Those with a modifier, such
  // as Ctrl+S, are let through.
  const onKey = (event) => {
    root = root ?? el.closest(".flowllm");
    if (!root?.contains(event.target)) return;
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    event.target.toggleAttribute("data-lm-suppress-shortcuts", !modified);
  };
  window.addEventListener("keydown", onKey, true);
  // The handles and numbers of ipywidgets' sliders have no names of their own.
  let naming = 0;
  const name = () => {
    naming = 0;
    for (const slider of root.querySelectorAll(".widget-slider, .jupyter-widget-slider")) {
      const label = slider.querySelector(".widget-label")?.textContent.trim();
      if (!label) continue;
      const handles = [...slider.querySelectorAll("[role=slider]")];
      handles.forEach((handle, k) => {
        const end = handles.length > 1 ? `, ${k ? "to" : "from"}` : "";
        handle.setAttribute("aria-label", label + end);
      });
      const number = slider.querySelector(".widget-readout");
      number?.setAttribute("role", "textbox");
      number?.setAttribute("aria-label", `${label}, as a number`);
    }
  };
  const changed = new MutationObserver(() => {
    naming ||= setTimeout(name, 300);
  });
  // plotly measures its place once, when what stands beside it may not be there yet
  const fit = () => window.dispatchEvent(new Event("resize"));
  const timer = setInterval(() => {
    root = el.closest(".flowllm");
    if (!root) return;
    clearInterval(timer);
    changed.observe(root, { subtree: true, childList: true });
    name();
    observer = new ResizeObserver(fit);
    root.querySelectorAll(".flowllm-fit").forEach((place) => observer.observe(place));
  }, 100);
  return () => {
    window.removeEventListener("keydown", onKey, true);
    clearInterval(timer);
    observer?.disconnect();
    changed.disconnect();
    clearTimeout(naming);
  };
}
export default { render };
