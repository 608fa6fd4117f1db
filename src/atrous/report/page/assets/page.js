"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("script");
  const told = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  // Counts from ten million on have been rounded to four digits.
  const number = (v) => v >= 1e7 ? `≈ ${v.toExponential(3).replace("e+", "e")}`
    : v > 0 && v < 0.001 ? v.toPrecision(4)
    : Number.isInteger(v) ? v.toLocaleString("en-US") : String(Number(v.toPrecision(4)));

  // Light and dark.
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const repaints = [];
  const repaint = () => {
    at("theme").textContent = dark() ? "Light" : "Dark";
    at("theme").setAttribute("aria-label", dark() ? "Use light colours" : "Use dark colours");
    repaints.forEach((draw) => draw());
  };
  at("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    repaint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

  // Where the reader is.
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((a) => a.removeAttribute("aria-current"));
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  document.querySelectorAll("main > section").forEach((section) => seen.observe(section));

  // Tables.
  const collator = new Intl.Collator("en", { numeric: true });
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v !== undefined ? Number(cell.dataset.v) : cell.textContent;
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number"
    ? a - b : collator.compare(String(a), String(b));
  function sortable(table, rows, show) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
      const numeric = head.classList.contains("n");
      const was = head.getAttribute("aria-sort");
      const first = numeric ? "descending" : "ascending";
      const other = numeric ? "ascending" : "descending";
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      // A third click is the order of the model again.
      if (was === other) return show(rows, false);
      const way = was === first ? other : first;
      head.setAttribute("aria-sort", way);
      const sign = way === "ascending" ? 1 : -1;
      show([...rows].sort((a, b) => sign * compare(valueOf(a, column), valueOf(b, column))), true);
    }));
    return () => heads.forEach((h) => h.removeAttribute("aria-sort"));
  }
  const put = (table, rows) => table.tBodies[0].append(...rows);
  for (const id of ["stages-table", "cost-table"]) {
    const table = at(id);
    if (table) sortable(table, [...table.tBodies[0].rows], (rows) => put(table, rows));
  }

  // Nodes: a tree that folds.
  const table = at("nodes-table");
  const all = [...table.tBodies[0].rows];
  const levels = all.map((row) => Number(row.dataset.level));
  const groups = all.filter((row) => row.classList.contains("group"));
  const twist = (row) => row.querySelector(".twist");
  const isOpen = (row) => twist(row).getAttribute("aria-expanded") === "true";
  const setOpen = (row, open) => twist(row).setAttribute("aria-expanded", String(open));
  const kindOf = (row) => row.querySelector(".kind").textContent;
  let sorted = null;
  function showTree() {
    let hiddenFrom = Infinity;
    all.forEach((row, k) => {
      if (levels[k] <= hiddenFrom) hiddenFrom = Infinity;
      row.hidden = hiddenFrom < Infinity;
      if (!row.hidden && row.classList.contains("group") && !isOpen(row)) hiddenFrom = levels[k];
    });
  }
  function showNodes() {
    const words = at("filter").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const kind = at("kind").value;
    const flat = sorted !== null || words.length > 0 || kind !== "";
    table.classList.toggle("tree", !flat);
    at("in-order").hidden = !flat;
    at("fold").hidden = at("unfold").hidden = groups.length === 0;
    at("fold").disabled = at("unfold").disabled = flat;
    put(table, sorted ? [...sorted, ...groups] : all);
    if (!flat) {
      showTree();
      at("shown").textContent = "";
      return;
    }
    let count = 0;
    for (const row of all) {
      const text = row.textContent.toLowerCase();
      row.hidden = row.classList.contains("group") || !words.every((word) => text.includes(word))
        || (kind !== "" && kindOf(row) !== kind);
      count += !row.hidden;
    }
    const whole = all.length - groups.length;
    at("shown").textContent = `${count} of ${whole} node${whole === 1 ? "" : "s"}`;
  }
  const single = all.filter((row) => !row.classList.contains("group"));
  const kinds = new Map();
  single.forEach((row) => kinds.set(kindOf(row), (kinds.get(kindOf(row)) || 0) + 1));
  [...kinds].sort(([a], [b]) => collator.compare(a, b)).forEach(([kind, many]) => {
    at("kind").append(Object.assign(make("option", `${kind} (${many})`), { value: kind }));
  });
  const unsort = sortable(table, single, (rows, isSorted) => {
    sorted = isSorted ? rows : null;
    showNodes();
  });
  groups.forEach((row) => twist(row).addEventListener("click", () => {
    setOpen(row, !isOpen(row));
    showTree();
  }));
  const setAll = (open) => { groups.forEach((row) => setOpen(row, open)); showTree(); };
  at("unfold").addEventListener("click", () => setAll(true));
  at("fold").addEventListener("click", () => setAll(false));
  const reset = () => {
    at("filter").value = at("kind").value = "";
    sorted = null;
    unsort();
    showNodes();
  };
  at("in-order").addEventListener("click", reset);
  at("filter").addEventListener("input", showNodes);
  at("kind").addEventListener("change", showNodes);
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      at("filter").scrollIntoView({ block: "center" });
      at("filter").focus({ preventScroll: true });
    } else if (event.key === "Escape" && event.target === at("filter")) {
      at("filter").value = "";
      showNodes();
    }
  });
  // In the tree, as in trees of files: up and down from module to module, right opens, left closes.
  table.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr");
    if (!event.target.classList.contains("twist")) return;
    const shown = groups.filter((other) => !other.hidden);
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step) {
      const next = shown[shown.indexOf(row) + step];
      if (next) twist(next).focus();
    } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      setOpen(row, event.key === "ArrowRight");
      showTree();
    } else return;
    event.preventDefault();
  });
  // Open level by level while all fits on about a screen.
  const MOST = 40;
  if (all.length > MOST) {
    groups.forEach((row) => setOpen(row, false));
    for (let level = 0; level <= Math.max(...levels); level += 1) {
      const next = all.filter((_, k) => levels[k] <= level + 1).length;
      if (level > 0 && next > MOST) break;
      const opened = all.filter((row, k) => levels[k] === level && row.classList.contains("group"));
      if (next > MOST && opened.length > 1) break;
      opened.forEach((row) => setOpen(row, true));
    }
  }
  showNodes();
  function reveal(id) {
    const row = at(id);
    if (!row) return;
    at("filter").value = at("kind").value = "";
    sorted = null;
    unsort();
    let level = Number(row.dataset.level);
    for (let k = all.indexOf(row); k >= 0 && level > 0; k -= 1) {
      if (levels[k] < level) {
        setOpen(all[k], true);
        level = levels[k];
      }
    }
    showNodes();
    document.querySelector("tr.target")?.classList.remove("target");
    row.classList.add("target");
    row.scrollIntoView({ block: "center" });
  }
  function linkTo(id, text) {
    const link = make("a", text);
    link.href = `#${id}`;
    link.addEventListener("click", (event) => { event.preventDefault(); reveal(id); });
    return link;
  }

  // Growth.
  const chart = at("growth-chart");
  if (chart) {
    const range = at("growth-node");
    const cursor = chart.querySelector(".cursor");
    const show = () => {
      const k = Number(range.value);
      const [label, kind, row] = told.growth.nodes[k];
      const sizes = told.growth.lines.map((line) => {
        const size = line.sizes[k];
        const axes = told.growth.lines.length > 1 ? ` on axis ${line.axes.join(", ")}` : "";
        return `${size === undefined ? "reads everything, or is unknown" : `field ${size}`}${axes}`;
      });
      at("growth-told").replaceChildren(linkTo(row, label), `, ${kind}: ${sizes.join("; ")}`);
      range.setAttribute("aria-valuetext", `${label}: ${sizes.join("; ")}`);
      cursor.hidden = false;
      cursor.style.setProperty("--x", k / Math.max(Number(range.max), 1));
    };
    const plot = chart.querySelector(".plot");
    const point = (event) => {
      const box = plot.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      range.value = Math.round(share * Number(range.max));
      show();
    };
    plot.addEventListener("pointermove", point);
    plot.addEventListener("pointerdown", point);
    range.addEventListener("input", show);
    show();
  }

  // Maps.
  if (told.stages.length) maps();
  function maps() {
    const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const unpack = (packed) => {
      if (!packed) return null;
      const raw = bytes(packed.index);
      const index = packed.bytes === 1 ? raw : new Uint16Array(raw.buffer);
      return Float64Array.from(index, (k) => packed.values[k]);
    };
    const opened = new Map();
    function view(stage, k) {
      const key = `${stage}/${k}`;
      if (!opened.has(key)) {
        const found = told.stages[stage].views[k];
        const bits = bytes(found.partly);
        opened.set(key, {
          ...found,
          routes: unpack(found.routes),
          energy: unpack(found.energy),
          partly: (cell) => (bits[cell >> 3] >> (7 - (cell & 7))) & 1,
        });
      }
      return opened.get(key);
    }
    const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
    const anchors = told.ramp.map(rgb);
    const hole = rgb(told.hole);
    const pale = rgb("#e9a66b");
    function shade(share) {
      const place = (dark() ? 1 - share : share) * (anchors.length - 1);
      const k = Math.min(Math.floor(place), anchors.length - 2);
      return anchors[k].map((v, c) => v + (anchors[k + 1][c] - v) * (place - k));
    }
    const css = (colour) => `rgb(${colour.map(Math.round).join(",")})`;
    const range = at("depth");
    const choice = at("view");
    const last = told.stages.at(-1).views;
    if (last.length > 1) {
      at("view-choice").hidden = false;
      last.forEach((v, k) => choice.append(Object.assign(make("option", v.axes.join(" × ")), { value: k })));
      choice.value = last.length - 1;
    }
    const isLine = last[0].axes.length === 1;
    function scale(values, logarithmic) {
      const read = values.filter((v) => v > 0);
      const low = read.reduce((a, b) => Math.min(a, b), Infinity);
      const high = read.reduce((a, b) => Math.max(a, b), 0);
      const byLog = logarithmic && low < high;
      const of = (v) => low === high ? 0.5
        : byLog ? Math.log(v / low) / Math.log(high / low) : v / high;
      return { low, high, byLog, of };
    }
    function frame(v) {
      return at("whole").checked
        ? { start: v.lengths.map(() => 0), size: v.lengths }
        : { start: v.start, size: v.stop.map((end, k) => end - v.start[k]) };
    }
    let cursor = null;
    function draw(name) {
      const canvas = at(`${name}-map`);
      if (!canvas) return;
      const v = view(Number(range.value), Number(choice.value || 0));
      const values = name === "routes" ? v.routes : v.energy;
      const note = at(`${name}-note`);
      const context = canvas.getContext("2d");
      if (!values) {
        canvas.width = canvas.height = 1;
        note.textContent = "not measured here";
        at(`${name}-legend`).hidden = true;
        return;
      }
      at(`${name}-legend`).hidden = false;
      const floor = name === "energy" ? values.map((x) => Math.max(x, 0)) : values;
      let s = scale(floor, at("log").checked && !(name === "routes" && v.logarithmic));
      if (name === "energy" && s.byLog && s.high / s.low > 1e6) {
        // Rounding is no field: six powers of ten are told apart.
        const low = s.high / 1e6;
        s = { ...s, low, of: (x) => Math.max(0, Math.log(x / low) / Math.log(1e6)) };
      }
      const f = frame(v);
      (isLine ? drawLine : drawMap)(canvas, context, v, values, s, f, name);
      const where = f.start.map((a, k) => `axis ${v.axes[k]}: ${a} to ${a + f.size[k] - 1} of ${v.lengths[k]}`);
      const block = Math.max(...v.block) > 1 ? `; a cell is ${v.block.join(" × ")} positions` : "";
      note.textContent = `${where.join(", ")}${block}${v.note ? `; ${v.note}` : ""}`;
      canvas.setAttribute("aria-label", `${name === "routes" ? "routes to" : "share of"} each position, ${note.textContent}`);
      legend(name, v, values, s);
    }
    function legend(name, v, values, s) {
      const element = at(`${name}-legend`);
      const unlog = (x) => name === "routes" && v.logarithmic ? `1e${(x - 1).toFixed(1)}` : number(x);
      const parts = [];
      if (s.high > 0) {
        const ramp = make("span", "");
        ramp.className = "ramp";
        const stops = Array.from({ length: 9 }, (_, k) => css(shade(s.low === s.high ? 0.5 : k / 8)));
        ramp.style.background = `linear-gradient(90deg, ${stops.join(",")})`;
        const low = s.low === s.high ? [] : [make("span", s.byLog ? unlog(s.low) : "0")];
        parts.push(...low, ramp, make("span", unlog(s.high)));
      }
      const swatch = (colour, text) => {
        const mark = make("span", "");
        mark.className = "swatch";
        mark.style.background = css(colour);
        const key = make("span", text);
        key.prepend(mark);
        parts.push(key);
      };
      if (name === "routes") {
        if (values.some((x) => x === 0)) swatch(hole, "hole");
        if (values.some((_, k) => v.partly(k))) swatch(pale, "partly");
        if (v.place.length && !isLine) swatch(rgb(told.mark), "own position");
      }
      element.replaceChildren(...parts);
    }
    function colourOf(v, values, s, name, k) {
      if (name === "routes" && values[k] === 0) return hole;
      if (name === "routes" && v.partly(k)) return pale;
      return values[k] > 0 ? shade(s.of(values[k])) : null;
    }
    function drawMap(canvas, context, v, values, s, f, name) {
      const [rows, columns] = v.shape;
      const cells = new ImageData(columns, rows);
      for (let k = 0; k < rows * columns; k += 1) {
        const colour = colourOf(v, values, s, name, k);
        if (colour) cells.data.set([...colour, 255], 4 * k);
      }
      const small = document.createElement("canvas");
      small.width = columns;
      small.height = rows;
      small.getContext("2d").putImageData(cells, 0, 0);
      const unit = Math.max(1, Math.floor(640 / Math.max(...f.size))) || 1;
      const shrink = Math.min(1, 1290 / (unit * Math.max(...f.size)));
      const zoom = unit * shrink;
      canvas.width = Math.max(1, Math.round(f.size[1] * zoom));
      canvas.height = Math.max(1, Math.round(f.size[0] * zoom));
      context.imageSmoothingEnabled = false;
      const x = (v.start[1] - f.start[1]) * zoom;
      const y = (v.start[0] - f.start[0]) * zoom;
      context.drawImage(small, x, y, columns * v.block[1] * zoom, rows * v.block[0] * zoom);
      if (v.place.length && name === "routes") {
        const radius = Math.max(3, Math.min(zoom / 3, canvas.width / 60));
        context.beginPath();
        context.arc((v.place[1] + 0.5 - f.start[1]) * zoom, (v.place[0] + 0.5 - f.start[0]) * zoom, radius, 0, 7);
        context.fillStyle = told.mark;
        context.fill();
        context.lineWidth = radius / 3;
        context.strokeStyle = "#000";
        context.stroke();
      }
      if (cursor) {
        context.lineWidth = Math.max(2, canvas.width / 250);
        context.strokeStyle = dark() ? "#fff" : "#000";
        context.strokeRect((v.start[1] + cursor[1] * v.block[1] - f.start[1]) * zoom,
          (v.start[0] + cursor[0] * v.block[0] - f.start[0]) * zoom, v.block[1] * zoom, v.block[0] * zoom);
      }
    }
    function drawLine(canvas, context, v, values, s, f, name) {
      const wide = canvas.width = Math.max(300, canvas.clientWidth * devicePixelRatio) | 0;
      const tall = canvas.height = Math.round(190 * devicePixelRatio);
      const foot = 12 * devicePixelRatio;
      canvas.style.height = "190px";
      const zoom = wide / f.size[0];
      values.forEach((value, k) => {
        const colour = colourOf(v, values, s, name, k);
        // Edges on whole pixels: no stripes where bars touch.
        const edge = (cell) => Math.round((v.start[0] + cell * v.block[0] - f.start[0]) * zoom);
        const x = edge(k);
        const gap = v.block[0] * zoom > 5 ? Math.ceil(v.block[0] * zoom / 8) : 0;
        const width = Math.max(1, edge(k + 1) - x - gap);
        if (value > 0) {
          const height = (tall - 2 * foot) * Math.max(0.02, s.byLog ? 0.06 + 0.94 * s.of(value) : s.of(value));
          context.fillStyle = css(shade(dark() ? 0.65 : 0.6));
          context.fillRect(x, tall - foot - height, width, height);
        }
        if (colour === hole || colour === pale) {
          context.fillStyle = css(colour);
          context.fillRect(x, tall - foot + 2, width, foot - 4);
        }
      });
      if (v.place.length) {
        const x = (v.place[0] + 0.5 - f.start[0]) * zoom;
        context.fillStyle = dark() ? "#fff" : "#000";
        context.beginPath();
        context.moveTo(x, foot);
        context.lineTo(x - foot / 2, 1);
        context.lineTo(x + foot / 2, 1);
        context.fill();
      }
      if (cursor) {
        context.fillStyle = dark() ? "#ffffff66" : "#00000055";
        context.fillRect((v.start[0] + cursor[0] * v.block[0] - f.start[0]) * zoom, 0, Math.max(2, v.block[0] * zoom), tall);
      }
    }
    function tellCell() {
      const v = view(Number(range.value), Number(choice.value || 0));
      if (!cursor || cursor.some((c, k) => c < 0 || c >= v.shape[k])) {
        at("cell-told").textContent = "Point at a map, or focus it and use the arrow keys, to read a position.";
        return;
      }
      const k = cursor.reduce((sum, c, axis) => sum * v.shape[axis] + c, 0);
      const span = cursor.map((c, axis) => {
        const first = v.start[axis] + c * v.block[axis];
        const end = Math.min(first + v.block[axis], v.stop[axis]) - 1;
        return `${first}${end > first ? `–${end}` : ""}`;
      });
      const count = v.routes[k];
      const routes = count === 0 ? "a hole"
        : v.logarithmic ? `about 1e${(count - 1).toFixed(2)} routes`
          : `${number(count)} route${count === 1 ? "" : "s"}`;
      const most = Math.max(...v.block) > 1 && count ? " at most" : "";
      const part = v.partly(k) ? ", some positions are holes" : "";
      const weight = v.energy ? `; ${(100 * v.energy[k]).toPrecision(3)} % of the effective field` : "";
      at("cell-told").textContent = `position ${span.join(", ")}: ${routes}${most}${part}${weight}`;
    }
    function show() {
      const stage = told.stages[Number(range.value)];
      at("depth-told").replaceChildren(linkTo(stage.row, stage.label), ` (${Number(range.value) + 1} of ${told.stages.length})`);
      range.setAttribute("aria-valuetext", stage.label);
      draw("routes");
      draw("energy");
      tellCell();
    }
    const moved = () => { cursor = null; show(); };
    range.addEventListener("input", moved);
    choice.addEventListener("change", moved);
    for (const id of ["whole", "log"]) at(id).addEventListener("change", show);
    for (const name of ["routes", "energy"]) {
      const canvas = at(`${name}-map`);
      if (!canvas) continue;
      const point = (event) => {
        const v = view(Number(range.value), Number(choice.value || 0));
        const f = frame(v);
        const box = canvas.getBoundingClientRect();
        const shares = isLine ? [(event.clientX - box.left) / box.width]
          : [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
        const cell = shares.map((share, k) => Math.floor((f.start[k] + share * f.size[k] - v.start[k]) / v.block[k]));
        cursor = cell.every((c, k) => c >= 0 && c < v.shape[k]) ? cell : null;
        show();
      };
      canvas.addEventListener("pointermove", point);
      canvas.addEventListener("pointerdown", point);
      canvas.addEventListener("pointerleave", moved);
      canvas.addEventListener("keydown", (event) => {
        const v = view(Number(range.value), Number(choice.value || 0));
        const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
        const step = steps[event.key];
        if (!step) return;
        event.preventDefault();
        const middle = v.shape.map((n) => n >> 1);
        const by = isLine ? [step[1] || -step[0]] : step;
        cursor = (cursor || middle).map((c, k) => Math.min(Math.max(c + by[k], 0), v.shape[k] - 1));
        show();
      });
    }
    repaints.push(show);
    if (isLine) new ResizeObserver(() => show()).observe(at("maps"));
    at("whole").checked = false;
    show();
  }

  // Copying.
  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        // A file that is opened from disk may not be allowed to: the text is selected instead.
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
  repaint();
})();
