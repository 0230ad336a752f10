// Tokens coloured by the probability with which they were drawn. Pointing at one, or moving to it
// with the arrow keys, shows what else could have stood there.

const percent = (p) => (p > 0 && p < 0.0005 ? "< 0.1 %" : `${(100 * p).toFixed(p < 0.0995 ? 1 : 0)} %`);
const isEnd = (text) => /^<[^\s<>]+>$/.test(text); // "</s>" and what other tokenizers call it
const drawn = (p) => (p > 0 ? percent(p) : "–"); // outside the nucleus
const legible = (text) => (isEnd(text) ? "end" : text.trim() || "␣");

function describe([, text, probability, raw, others, note]) {
  const rest = others
    .filter(([other]) => other !== text)
    .map(([other, p, r]) => `${legible(other)} ${p > 0 ? percent(p) : "outside the nucleus"}, by the model itself ${percent(r)}`);
  return (
    `${legible(text)}${note ? `, site symmetry ${note}` : ""}: drawn with ${percent(probability)}, by the model itself ${percent(raw)}. ` +
    (rest.length ? `Alternatives: ${rest.join("; ")}` : "No alternative.")
  );
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function chart([, text, , , others]) {
  const grid = element("div", "flowllm-alternatives");
  grid.append(
    element("span", "head", ""),
    element("span", "head", "drawn with"),
    element("span", "head raw", "model itself"),
  );
  for (const [other, p, raw] of others) {
    const bar = (value, className, words) => {
      const cell = element("span", `bar ${className}`);
      const fill = element("i", "");
      fill.style.width = `${100 * value}%`;
      cell.append(fill, element("b", "", words));
      return cell;
    };
    grid.append(
      element("span", other === text ? "word own" : "word", legible(other)),
      bar(p, "drawn", drawn(p)),
      bar(raw, "raw", percent(raw)),
    );
  }
  return grid;
}

function render({ model, el }) {
  el.classList.add("flowllm-tokens");
  const legend = element("div", "legend");
  legend.append(
    element("span", "", "Probability of what was drawn:"),
    element("span", "", "0 %"),
    element("span", "scale"),
    element("span", "", "100 %"),
  );
  const text = element("div", "text");
  text.setAttribute("role", "listbox");
  text.setAttribute("aria-orientation", "horizontal");
  text.setAttribute(
    "aria-label",
    "The text, token by token, with probabilities; arrow keys move from one to the next",
  );
  // the top layer: no box around the widget can cut it off
  const tip = element("div", "flowllm-token-tip");
  tip.setAttribute("popover", "manual");
  tip.setAttribute("aria-hidden", "true"); // a token's label says the same
  el.append(legend, text, tip);

  let key = null;
  let tokens = [];
  let spans = [];
  let line = null;
  let current = 0;
  let pointed = -1;

  const hide = () => {
    pointed = -1;
    if (tip.matches(":popover-open")) tip.hidePopover();
  };
  const show = (index) => {
    if (!spans[index]) return;
    pointed = index;
    tip.replaceChildren(chart(tokens[index]));
    if (!tip.matches(":popover-open")) tip.showPopover();
    const at = spans[index].getBoundingClientRect();
    const { width, height } = tip.getBoundingClientRect();
    const below = at.bottom + 4 + height <= window.innerHeight;
    tip.style.left = `${Math.max(4, Math.min(at.left, window.innerWidth - width - 4))}px`;
    tip.style.top = `${below ? at.bottom + 4 : Math.max(4, at.top - height - 4)}px`;
  };
  const go = (index) => {
    if (!spans.length) return;
    spans[current]?.setAttribute("tabindex", "-1");
    current = Math.max(0, Math.min(index, spans.length - 1));
    spans[current].setAttribute("tabindex", "0");
    spans[current].focus();
  };

  const append = (token) => {
    const [stem, word, probability, , , note] = token;
    const place = tokens.length;
    const last = tokens[place - 1];
    if (!last || last[0] !== stem) {
      line = element("div", stem ? "sentence" : "crystal");
      if (stem) line.append(element("span", "stem", stem));
      text.append(line);
    }
    if (word.startsWith("\n")) line.append(document.createElement("br"));
    else if (word.startsWith(" ")) line.append(" ");
    const span = element("span", "token", legible(word));
    if (isEnd(word)) span.classList.add("end");
    span.setAttribute("role", "option");
    span.setAttribute("aria-label", describe(token));
    span.setAttribute("tabindex", place === current ? "0" : "-1");
    span.style.setProperty("--surprise", `${Math.round(75 * (1 - probability))}%`);
    span.dataset.place = place;
    line.append(span);
    if (note) line.append(element("span", "stem", ` (${note})`));
    tokens.push(token);
    spans.push(span);
  };

  const update = () => {
    const shown = model.get("shown");
    if (shown.key !== key || shown.tokens.length < tokens.length) {
      hide();
      text.replaceChildren();
      [key, tokens, spans, line, current] = [shown.key, [], [], null, 0];
    }
    for (const token of shown.tokens.slice(tokens.length)) append(token);
    el.classList.toggle("empty", !tokens.length);
  };

  const placeOf = (event) => event.target.closest?.(".token")?.dataset.place;
  text.addEventListener("pointerover", (event) => {
    const place = placeOf(event);
    if (place !== undefined) show(Number(place));
    else hide();
  });
  text.addEventListener("pointerleave", () => {
    const focused = text.contains(document.activeElement);
    if (focused) show(current);
    else hide();
  });
  text.addEventListener("focusin", (event) => {
    const place = placeOf(event);
    if (place === undefined) return;
    spans[current]?.setAttribute("tabindex", "-1");
    current = Number(place);
    spans[current].setAttribute("tabindex", "0");
    show(current);
  });
  text.addEventListener("focusout", hide);
  text.addEventListener("keydown", (event) => {
    const moves = {
      ArrowRight: current + 1,
      ArrowLeft: current - 1,
      ArrowDown: neighbour(1),
      ArrowUp: neighbour(-1),
      Home: 0,
      End: spans.length - 1,
    };
    if (event.key === "Escape") hide();
    else if (event.key in moves) go(moves[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has meanings of its own for these keys
  });
  // the nearest token one line further down or up
  function neighbour(direction) {
    const at = spans[current]?.getBoundingClientRect();
    if (!at) return 0;
    let best = current;
    let nearest = Infinity;
    spans.forEach((span, place) => {
      const there = span.getBoundingClientRect();
      const down = direction * (there.top - at.top);
      if (down < 2) return;
      const distance = 10 * down + Math.abs(there.left - at.left);
      if (distance < nearest) [nearest, best] = [distance, place];
    });
    return best;
  }
  // keys scroll to a token out of sight, so the tip of the one with the focus goes along
  const scrolled = (event) => {
    if (pointed < 0 || !event.target.contains(text)) return;
    const { top, bottom } = spans[pointed].getBoundingClientRect();
    const inSight = bottom > 0 && top < window.innerHeight;
    if (inSight && spans[pointed] === document.activeElement) show(pointed);
    else hide();
  };
  document.addEventListener("scroll", scrolled, true);
  model.on("change:shown", update);
  update();
  return () => {
    document.removeEventListener("scroll", scrolled, true);
    model.off("change:shown", update);
  };
}

export default { render };
