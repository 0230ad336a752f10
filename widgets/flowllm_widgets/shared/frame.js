// For the widget around it: keys, and plots that fit.
const SLIDER = ".widget-slider, .jupyter-widget-slider";
const FOLD = ".jupyter-widget-Collapse-header";
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
    if (!modified) {
      type(event);
      unfold(event);
    }
  };
  // A slider and its number are one stop of the Tab key: Enter goes from the one to the other.
  const type = (event) => {
    const slider = event.target.closest(SLIDER);
    const number = slider?.querySelector(".widget-readout");
    if (!number || !["Enter", "Escape"].includes(event.key)) return;
    if (event.target !== number) {
      if (event.key === "Escape" || !event.target.matches("[role=slider]")) return;
      event.preventDefault();
      before = number.textContent;
      number.focus();
      window.getSelection().selectAllChildren(number);
      return;
    }
    if (event.key === "Escape") number.textContent = before || number.textContent;
    // after ipywidgets, which reads the number at Enter and when the focus leaves
    setTimeout(() => slider.querySelector("[role=slider]")?.focus());
  };
  let before = "";
  // The headings of ipywidgets' accordions answer the mouse only.
  const unfold = (event) => {
    if (!event.target.matches(FOLD) || !["Enter", " "].includes(event.key)) return;
    event.preventDefault();
    event.target.click();
  };
  window.addEventListener("keydown", onKey, true);
  // The handles and numbers of ipywidgets' sliders have no names of their own.
  let naming = 0;
  const name = () => {
    naming = 0;
    folds();
    for (const slider of root.querySelectorAll(SLIDER)) {
      const label = slider.querySelector(".widget-label")?.textContent.trim();
      if (!label) continue;
      const handles = [...slider.querySelectorAll("[role=slider]")];
      handles.forEach((handle, k) => {
        const end = handles.length > 1 ? `, ${k ? "to" : "from"}` : "";
        handle.setAttribute("aria-label", label + end);
      });
      const number = slider.querySelector(".widget-readout");
      if (!number?.isContentEditable) continue;
      number.setAttribute("role", "textbox");
      number.setAttribute("aria-label", `${label}, as a number`);
      number.setAttribute("tabindex", "-1");
      number.title = "On the slider, Enter goes here; here, Enter takes the number";
      handles.forEach((handle) => handle.setAttribute("aria-keyshortcuts", "Enter"));
    }
  };
  const folds = () => {
    for (const heading of root.querySelectorAll(FOLD)) {
      heading.setAttribute("tabindex", "0");
      heading.setAttribute("role", "button");
      const open = heading.parentElement.classList.contains("jupyter-widget-Collapse-open");
      heading.setAttribute("aria-expanded", String(open));
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
    changed.observe(root, {
      subtree: true, childList: true, attributes: true, attributeFilter: ["class"],
    });
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
