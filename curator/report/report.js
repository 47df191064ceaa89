"use strict";
// What can be moved, pointed at or filtered on the page. Everything is there without it; it only sets texts, never HTML.

document.documentElement.classList.add("js");

const within = (root, selector) => root.querySelector(selector);
const json = (id) => {
  const block = document.getElementById(id);
  return block && JSON.parse(block.textContent);
};
const whole = new Intl.NumberFormat("en").format;

// The contents: the section that is being read is marked.
function followContents() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...document.querySelectorAll("main > section")].filter((section) => links.has(section.id));
  const mark = () => {
    const atEnd = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 2;
    const passed = sections.filter((section) => section.getBoundingClientRect().top < window.innerHeight / 3);
    const now = atEnd && window.scrollY > 0 ? sections.at(-1) : passed.at(-1);
    for (const [id, link] of links) {
      if (now && id === now.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, { passive: true });
  mark();
}

// The map: the point nearest to the pointer, or the next one in the direction of an arrow key, is read in the panel.
function readMap(plot, panel, { groups, points }) {
  const svg = within(plot, "svg"), ring = within(plot, ".ring"), shown = within(panel, ".shown");
  const hidden = new Set();
  let at = null, held = false;

  const visible = (point) => !hidden.has(point[2]);
  const set = (selector, text) => {
    const element = within(shown, selector);
    element.textContent = text ?? "";
    element.hidden = text === null || text === undefined || text === "";
  };

  function read(index) {
    at = index;
    const [x, y, group, key, label, text, cut, why] = points[index];
    const { kind, stage } = groups[group];
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    ring.setAttribute("visibility", "visible");
    set(".chip", stage ? `${kind} by ${stage}` : kind);
    within(shown, ".chip").className = `chip ${kind}`;
    set(".label", label);
    set("code", key);
    set("blockquote", text);
    set(".cut", cut ? `… and ${whole(cut)} characters more` : "");
    set(".sentence", why);
    shown.hidden = false;
    within(panel, ".hint").hidden = true;
  }

  function clear() {
    at = null;
    held = false;
    ring.setAttribute("visibility", "hidden");
    shown.hidden = true;
    within(panel, ".hint").hidden = false;
  }

  function nearest(event, reach) {
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    let best = null, least = (reach * scale) ** 2;
    points.forEach((point, index) => {
      const distance = (point[0] - x) ** 2 + (point[1] - y) ** 2;
      if (distance <= least && visible(point)) [best, least] = [index, distance];
    });
    return best;
  }

  plot.addEventListener("pointermove", (event) => {
    const found = held || event.pointerType === "touch" ? null : nearest(event, 16);
    if (found !== null && found !== at) read(found);
  });
  plot.addEventListener("click", (event) => {
    const found = nearest(event, 24);
    held = found !== null && !(held && found === at);
    if (found !== null) read(found);
  });

  const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  function beside([dx, dy]) {
    const [x, y] = points[at];
    let best = null, least = Infinity;
    points.forEach((point, index) => {
      const along = (point[0] - x) * dx + (point[1] - y) * dy;
      const across = Math.abs((point[0] - x) * dy) + Math.abs((point[1] - y) * dx);
      if (along <= 0 || across > 2 * along || !visible(point)) return;
      const cost = along + 2 * across;
      if (cost < least) [best, least] = [index, cost];
    });
    return best;
  }
  const first = () => points.findIndex(visible);

  plot.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return clear();
    if (event.key !== "Home" && !(event.key in directions)) return;
    event.preventDefault();
    const fresh = event.key === "Home" || at === null || !visible(points[at]);
    const found = fresh ? first() : beside(directions[event.key]);
    if (found !== null && found >= 0) read(found);
  });

  for (const box of document.querySelectorAll(".legend input")) {
    const group = Number(box.dataset.group);
    const layer = within(svg, `g[data-group="${group}"]`);
    box.addEventListener("change", () => {
      if (box.checked) hidden.delete(group);
      else hidden.add(group);
      layer.setAttribute("visibility", box.checked ? "visible" : "hidden");
      if (at !== null && !visible(points[at])) clear();
    });
  }
}

// A threshold: the slider's place says which value, and the count there was made from the whole ledger.
function moveThreshold(figure) {
  const { values, counts, own, decimals, left, width } = json(`${figure.id}-data`);
  const slider = within(figure, "input"), edge = within(figure, ".edge"), cover = within(figure, "svg.left");
  const told = within(figure, ".value-at").textContent; // the recipe's own, as it was written
  const move = () => {
    const at = Number(slider.value), value = values[at];
    const text = at === own ? told : value.toFixed(decimals).replace("-", "−");
    const x = left + (value - values[0]) / (values.at(-1) - values[0]) * width;
    edge.setAttribute("transform", `translate(${x})`);
    cover.setAttribute("width", x);
    within(figure, ".kept-at").textContent = whole(counts[at]);
    within(figure, ".value-at").textContent = text;
    slider.setAttribute("aria-valuetext", `${text}: ${whole(counts[at])} kept`);
    within(figure, "button").disabled = at === own;
  };
  slider.addEventListener("input", move);
  within(figure, "button").addEventListener("click", () => {
    slider.value = own;
    move();
    slider.focus();
  });
  slider.value = own; // browsers remember where it was when the page is opened again
  move();
}

// The table: rows that every filter lets through.
function filterTable(form, table, output) {
  const rows = [...table.tBodies[0].rows], fields = [...form.querySelectorAll("[data-filter]")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const filter = () => {
    const wanted = fields.filter((field) => field.value !== "").map((field) => [field.dataset.filter, field.value]);
    rows.forEach((row, number) => {
      row.hidden = !wanted.every(([name, value]) =>
        name === "text" ? texts[number].includes(value.toLowerCase()) : row.dataset[name] === value);
    });
    output.textContent = `${whole(rows.filter((row) => !row.hidden).length)} of ${whole(rows.length)} rows`;
  };
  for (const happened of ["input", "change"]) form.addEventListener(happened, filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.reset();
}

followContents();
const plot = document.getElementById("map-plot");
if (plot) readMap(plot, document.getElementById("map-panel"), json("map-points"));
document.querySelectorAll("figure.movable").forEach(moveThreshold);
const form = document.getElementById("documents-filters");
if (form) filterTable(form, document.getElementById("documents-table"), document.getElementById("documents-shown"));
