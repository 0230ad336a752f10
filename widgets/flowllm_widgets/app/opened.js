// Tells the kernel that a page draws this: what is made from then on reaches that page.
function render({ model, el }) {
  el.style.display = "none";
  model.send({ do: "opened" });
}
export default { render };
