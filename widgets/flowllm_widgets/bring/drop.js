// A field for a file: drop it there, or press Enter or click to pick one.

function render({ model, el }) {
  el.classList.add("flowllm-drop");
  const field = document.createElement("label");
  const input = document.createElement("input");
  input.type = "file";
  const text = document.createElement("span");
  field.append(input, text);
  const note = document.createElement("div");
  note.setAttribute("aria-live", "polite");
  el.append(field, note);

  const draw = () => {
    text.textContent = model.get("label");
    note.textContent = model.get("note");
    note.className = model.get("fault") ? "flowllm-message error" : "flowllm-message";
    note.setAttribute("role", model.get("fault") ? "alert" : "status");
  };
  const refuse = (words) => {
    note.textContent = words;
    note.className = "flowllm-message error";
    note.setAttribute("role", "alert");
  };
  const bring = async (files) => {
    const [file] = files;
    if (!file) return;
    const largest = model.get("largest");
    if (file.size > largest) {
      const size = (file.size / 1e6).toFixed(1);
      refuse(`${file.name} has ${size} MB; at most ${largest / 1e6} MB can be read here`);
      return;
    }
    note.className = "flowllm-message";
    note.textContent = `reading ${file.name} …`;
    try {
      const content = await file.arrayBuffer();
      model.send({ do: "bring", name: file.name }, undefined, [new DataView(content)]);
    } catch (error) { // a folder, or a file that is gone
      refuse(`${file.name} cannot be read: ${error.message}`);
    }
  };
  input.addEventListener("change", async () => {
    await bring(input.files);
    input.value = ""; // the same file, changed, can be picked again
  });
  const over = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = "copy";
    field.classList.add("over");
  };
  field.addEventListener("dragenter", over);
  field.addEventListener("dragover", over);
  field.addEventListener("dragleave", () => field.classList.remove("over"));
  field.addEventListener("drop", (event) => {
    field.classList.remove("over");
    event.preventDefault();
    event.stopPropagation(); // JupyterLab would open the file or upload it
    bring(event.dataTransfer.files);
  });
  for (const name of ["label", "note", "fault"]) model.on(`change:${name}`, draw);
  draw();
}

export default { render };
