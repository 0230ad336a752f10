// A link that saves bytes of the kernel as a file, without a way through the server's folders.
function render({ model, el }) {
  const link = document.createElement("a");
  let url = "";
  function refresh() {
    if (url) URL.revokeObjectURL(url);
    url = "";
    const name = model.get("name");
    const content = model.get("content");
    link.hidden = !name;
    if (!name) return;
    url = URL.createObjectURL(new Blob([content], { type: model.get("mime") }));
    link.href = url;
    link.download = name;
    link.textContent = "Download " + name;
  }
  model.on("change:content", refresh);
  model.on("change:name", refresh);
  refresh();
  el.classList.add("flowllm-download");
  el.append(link);
  return () => URL.revokeObjectURL(url);
}
export default { render };
