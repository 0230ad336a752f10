// The row below the pictures: how atoms are drawn, from where one looks, and a picture as a file.

const LOOK_NAMES = [
  ["ball-and-stick", "Ball and stick"], ["polyhedra", "Polyhedra"], ["space-filling", "Space-filling"],
];
const MEASURE = "Click two atoms for a distance, a third for the angle";

class Tools {
  constructor(model, gallery) {
    this.model = model;
    this.gallery = gallery;
    this.look = element("select", { "aria-label": "How atoms are drawn", title: "How atoms are drawn" },
      LOOK_NAMES.map(([value, text]) => element("option", { value, text })));
    this.look.addEventListener("change", () => {
      model.set("look", this.look.value);
      model.save_changes();
    });
    const button = (text, title, act) => {
      const made = element("button", { type: "button", text, title, "aria-label": title });
      made.addEventListener("click", act);
      return made;
    };
    const along = ["a", "b", "c"].map((name, k) => (
      button(name, `Look along ${name}`, () => gallery.along(k))));
    this.row = element("div", { class: "flowllm-tools", role: "group", "aria-label": "View" }, [
      this.look,
      element("span", {}, [element("span", { text: "Along" }), ...along]),
      button("Reset", "Turn and zoom back to the beginning", () => gallery.reset()),
      button("PNG", "Save the picture as a PNG file", () => this._save()),
      element("span", { class: "flowllm-hint", text: MEASURE }),
    ]);
    model.on("change:look change:tools change:renderer", () => this.state());
    this.state();
  }

  state() {
    const { model, gallery } = this;
    this.row.style.display = model.get("tools") && gallery.drawing ? "" : "none";
    this.look.value = model.get("look");
  }

  async _save() {
    const image = await this.gallery.image();
    if (!image) return;
    const link = element("a", { href: URL.createObjectURL(image), download: "crystal.png" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
}
