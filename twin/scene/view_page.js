"use strict";
// Draws the content that stands in the page: layers, access points, receivers, map and paths.
(function () {
  const content = JSON.parse(document.getElementById("content").textContent);
  const plot = document.getElementById("plot");
  const byId = (id) => document.getElementById(id);
  const PATH_LEVELS = ["#fdae6b", "#f57750", "#e55038", "#cd2316", "#ab0000", "#7f0000"];
  const KINDS = { 1: "reflection", 4: "wall crossed", 8: "diffraction" };
  const SYMBOLS = { 1: "circle", 4: "square", 8: "diamond" };
  const INK = "#1a1a1a";

  // Marks are smaller where the picture is.
  const grain = plot.clientWidth < 600 ? 0.7 : 1;
  const bounds = extent();
  const reach = Math.max(...bounds.map(([low, high]) => high - low));
  const state = { receiver: null, from: "all", many: 10, only: null };
  const traces = [];
  const place = {};

  function extent() {
    const axes = [0, 1, 2].map((axis) => {
      let low = Infinity;
      let high = -Infinity;
      const take = (value) => {
        if (value !== null) {
          low = Math.min(low, value);
          high = Math.max(high, value);
        }
      };
      content.layers.forEach((layer) => layer.vertices[axis].forEach(take));
      content.access_points.forEach((ap) => take(ap.place[axis]));
      (content.receivers.places[axis] || []).forEach(take);
      return [low, high];
    });
    const longest = Math.max(...axes.map(([low, high]) => high - low), 0.1);
    return axes.map(([low, high]) => {
      const spare = Math.max(0, 0.05 * longest - (high - low)) / 2 + 0.005 * longest;
      return [low - spare, high + spare];
    });
  }

  function add(name, trace) {
    place[name] = traces.length;
    traces.push(trace);
  }

  function buildLayers() {
    content.layers.forEach((layer, index) => {
      const [x, y, z] = layer.vertices;
      const [i, j, k] = layer.faces;
      add(`mesh ${index}`, {
        type: "mesh3d", x, y, z, i, j, k,
        color: layer.colour, opacity: layer.opacity, visible: layer.visible,
        flatshading: true, hoverinfo: "skip",
        lighting: { ambient: 0.75, diffuse: 0.45, specular: 0, fresnel: 0 },
        lightposition: { x: 2000, y: -4000, z: 9000 },
      });
    });
    content.layers.forEach((layer, index) => {
      const [x, y, z] = layer.lines;
      add(`lines ${index}`, {
        type: "scatter3d", mode: "lines", x, y, z, visible: layer.visible, hoverinfo: "skip",
        line: { color: layer.line, width: 2 },
      });
    });
  }

  function buildDevices() {
    const aps = content.access_points;
    const stems = { x: [], y: [], z: [] };
    aps.forEach(({ place: [x, y, z] }) => {
      stems.x.push(x, x, null);
      stems.y.push(y, y, null);
      // Short of the mark, or the pointer would find the stem instead.
      stems.z.push(z - 0.06 * (z - bounds[2][0]), bounds[2][0], null);
    });
    add("stems", {
      type: "scatter3d", mode: "lines", ...stems, hoverinfo: "skip",
      line: { color: "#777777", width: 1.5 },
    });
    add("access points", {
      type: "scatter3d",
      mode: aps.length <= 60 ? "markers+text" : "markers",
      x: aps.map((ap) => ap.place[0]), y: aps.map((ap) => ap.place[1]),
      z: aps.map((ap) => ap.place[2]),
      text: aps.map((ap) => ap.name), textposition: "top center",
      textfont: { size: 14, color: INK, weight: 700 },
      hovertext: aps.map((ap) => ap.text), hoverinfo: "text",
      marker: { symbol: "diamond", size: 6 * grain, color: INK, line: { color: "#ffffff", width: 1 } },
    });
    const [x, y, z] = content.receivers.places;
    add("receivers", {
      type: "scatter3d", mode: "markers", x, y, z, hoverinfo: "skip",
      marker: { size: 1.8 * grain, color: "#666666", opacity: 0.55 },
    });
    const linked = content.receivers.linked;
    const number = linked.length ? linked[0].length : 0;
    add("linked", {
      type: "scatter3d", mode: "markers", x: linked[0] || [], y: linked[1] || [],
      z: linked[2] || [],
      customdata: Array.from({ length: number }, (_, i) => nameOf(i)),
      hovertemplate: "%{customdata}<br>(%{x:.2f}, %{y:.2f}, %{z:.2f}) m<extra></extra>",
      marker: { size: 3.2 * grain, color: "#0072B2", line: { color: "#ffffff", width: 0.5 } },
    });
  }

  // Receivers with paths go by their number among all receivers of the scene.
  function nameOf(index) {
    const area = content.links.areas[index];
    return `receiver ${content.links.numbers[index]}${area ? ` (${area})` : ""}`;
  }

  // Cells of the map as pairs of triangles, coloured one by one.
  function buildMap() {
    add("map", {
      type: "mesh3d", x: [0], y: [0], z: [0], i: [], j: [], k: [], visible: false,
      hoverinfo: "skip", lighting: { ambient: 1, diffuse: 0, specular: 0, fresnel: 0 },
      flatshading: true,
    });
  }

  function buildPaths() {
    add("paths", {
      type: "scatter3d", mode: "lines", x: [], y: [], z: [], visible: false, hoverinfo: "text",
      line: { width: 5 * grain },
    });
    add("corners", {
      type: "scatter3d", mode: "markers", x: [], y: [], z: [], visible: false,
      hoverinfo: "text", marker: { size: 3.5 * grain, color: INK },
    });
    add("chosen", {
      type: "scatter3d", mode: "markers", x: [], y: [], z: [], visible: false,
      hoverinfo: "skip", marker: { size: 9, color: "#ffffff", line: { color: INK, width: 3 } },
    });
  }

  function mixed(levels, share) {
    const at = Math.min(Math.max(share, 0), 1) * (levels.length - 1);
    const below = Math.min(Math.floor(at), levels.length - 2);
    const parts = [1, 3, 5].map((start) => {
      const [a, b] = [0, 1].map((next) =>
        parseInt(levels[below + next].slice(start, start + 2), 16));
      return Math.round(a + (b - a) * (at - below));
    });
    return `rgb(${parts.join(",")})`;
  }

  function shareOf(field, value) {
    const scaled = field.logarithmic ? Math.log10 : (number) => number;
    const [low, high] = [scaled(field.low), scaled(field.high)];
    return (scaled(value) - low) / (high - low);
  }

  function colourOf(field, value) {
    return field.names.length
      ? field.colours[value]
      : mixed(content.levels, shareOf(field, value));
  }

  function drapeMap(key) {
    const map = content.map;
    const field = map.fields.find((item) => item.key === key);
    byId("map-scale").replaceChildren();
    byId("map-note").textContent = "";
    if (!field) {
      return Plotly.restyle(plot, { visible: false }, [place.map]);
    }
    const mesh = { x: [], y: [], z: [], i: [], j: [], k: [], facecolor: [] };
    const half = map.pitch / 2;
    const height = map.floor + Math.max(0.02, 0.002 * reach);
    map.cells.forEach((cell, order) => {
      const value = field.values[order];
      if (value === null) {
        return;
      }
      const x = map.x[cell % map.x.length];
      const y = map.y[Math.floor(cell / map.x.length)];
      const first = mesh.x.length;
      mesh.x.push(x - half, x + half, x + half, x - half);
      mesh.y.push(y - half, y - half, y + half, y + half);
      mesh.z.push(height, height, height, height);
      mesh.i.push(first, first);
      mesh.j.push(first + 1, first + 2);
      mesh.k.push(first + 2, first + 3);
      const colour = colourOf(field, value);
      mesh.facecolor.push(colour, colour);
    });
    const some = mesh.i.length > 0;
    byId("map-scale").append(some ? scaleOf(field) : "");
    byId("map-note").textContent = some
      ? `${map.storey ? `Storey ${map.storey}, ` : "At "}${number(map.height - map.floor)} m` +
        `${map.storey ? " above its floor" : ""}, drawn on the floor; cells of ` +
        `${number(map.pitch)} m.`
      : "No cell has a value of this quantity.";
    const changes = Object.fromEntries(Object.entries(mesh).map(([name, list]) => [name, [list]]));
    return Plotly.restyle(plot, { ...changes, visible: some }, [place.map]);
  }

  function number(value) {
    return String(Number(value.toPrecision(3)));
  }

  function element(tag, text, className) {
    const made = document.createElement(tag);
    if (text !== undefined) {
      made.textContent = text;
    }
    if (className) {
      made.className = className;
    }
    return made;
  }

  function scaleOf(field) {
    const box = element("div");
    if (field.names.length) {
      box.className = "names";
      field.names.forEach((name, index) => {
        const entry = element("span");
        const swatch = element("i", undefined, "swatch");
        swatch.style.background = swatch.style.borderColor = field.colours[index];
        entry.append(swatch, name);
        box.append(entry);
      });
      return box;
    }
    box.append(bar(content.levels));
    const middle = field.logarithmic
      ? Math.sqrt(field.low * field.high)
      : (field.low + field.high) / 2;
    box.append(ends([field.low, middle, field.high].map(number), field.unit));
    return box;
  }

  function bar(levels) {
    const made = element("div", undefined, "bar");
    made.style.background = `linear-gradient(to right, ${levels.join(", ")})`;
    return made;
  }

  function ends(texts, unit) {
    const made = element("div", undefined, "ends");
    made.append(...texts.map((text) => element("span", unit ? `${text} ${unit}` : text)));
    return made;
  }

  function shownPaths() {
    const all = content.links.paths[state.receiver];
    const counted = {};
    return all.filter((path) => {
      counted[path.ap] = (counted[path.ap] || 0) + 1;
      const wanted = state.from === "all" || Number(state.from) === path.ap;
      return wanted && counted[path.ap] <= state.many;
    }).sort((one, other) => other.dbm - one.dbm);
  }

  function wayOf(kinds) {
    if (!kinds.length) {
      return "line of sight";
    }
    const words = { 1: ["reflection", "reflections"], 4: ["wall", "walls"],
      8: ["diffraction", "diffractions"] };
    return [1, 8, 4].map((kind) => [kinds.filter((item) => item === kind).length, words[kind]])
      .filter(([many]) => many)
      .map(([many, [one, several]]) => `${many} ${many === 1 ? one : several}`)
      .join(", ");
  }

  function drawPaths() {
    const hidden = { visible: false };
    const which = [place.paths, place.corners, place.chosen];
    byId("paths-scale").replaceChildren();
    byId("paths").hidden = true;
    if (state.receiver === null) {
      byId("paths-note").textContent =
        "Click a blue point, or choose a receiver, to see its paths.";
      return Plotly.restyle(plot, hidden, which);
    }
    const listed = shownPaths();
    const drawn = state.only === null ? listed : [listed[state.only]];
    const [low, high] = levelsOf(listed);
    const lines = { x: [], y: [], z: [], color: [], text: [] };
    const corners = { x: [], y: [], z: [], symbol: [], text: [] };
    // Weak ones first, so that strong ones lie over them.
    [...drawn].reverse().forEach((path) => {
      const colour = mixed(PATH_LEVELS, (path.dbm - low) / (high - low));
      const title = `${content.links.access_points[path.ap]}, ${wayOf(path.kinds)}: ` +
        `${path.dbm} dBm, ${path.ns} ns, ${path.m} m`;
      path.corners.forEach(([x, y, z], index) => {
        lines.x.push(x);
        lines.y.push(y);
        lines.z.push(z);
        lines.color.push(colour);
        lines.text.push(title);
        const kind = path.kinds[index - 1];
        if (kind && index < path.corners.length - 1) {
          corners.x.push(x);
          corners.y.push(y);
          corners.z.push(z);
          corners.symbol.push(SYMBOLS[kind]);
          corners.text.push(`${KINDS[kind]}<br>${title}`);
        }
      });
      ["x", "y", "z"].forEach((axis) => lines[axis].push(null));
      lines.color.push(colour);
      lines.text.push("");
    });
    writeTable(listed, low, high);
    const [x, y, z] = content.receivers.linked.map((axis) => axis[state.receiver]);
    return Plotly.update(plot, {
      x: [lines.x, corners.x, [x]], y: [lines.y, corners.y, [y]], z: [lines.z, corners.z, [z]],
      hovertext: [lines.text, corners.text, ""],
      "line.color": [lines.color, undefined, undefined],
      "marker.symbol": [undefined, corners.symbol, "circle"],
      visible: true,
    }, {}, which);
  }

  function levelsOf(paths) {
    if (!paths.length) {
      return [0, 1];
    }
    const powers = paths.map((path) => path.dbm);
    const high = Math.max(...powers);
    // What is far weaker than the rest must not make the rest look alike.
    return [Math.min(Math.max(Math.min(...powers), high - 40), high - 1), high];
  }

  function writeTable(paths, low, high) {
    const [x, y, z] = content.receivers.linked.map((axis) => axis[state.receiver]);
    const name = nameOf(state.receiver);
    byId("paths-note").textContent = `${name[0].toUpperCase()}${name.slice(1)} at (${number(x)}, ` +
      `${number(y)}, ${number(z)}) m: ` + (paths.length
      ? `${paths.length} path${paths.length === 1 ? "" : "s"} shown. Choose a row to see it alone.`
      : "no path.");
    if (!paths.length) {
      return;
    }
    byId("paths-scale").append(bar(PATH_LEVELS), ends([low, high].map(number), "dBm"));
    const rows = paths.map((path, index) => {
      const row = element("tr", undefined, state.only === index ? "only" : "");
      row.append(
        element("td", content.links.access_points[path.ap]),
        element("td", wayOf(path.kinds)),
        element("td", path.dbm.toFixed(1), "number"),
        element("td", path.ns.toFixed(1), "number"),
        element("td", path.m.toFixed(2), "number"),
      );
      row.addEventListener("click", () => {
        state.only = state.only === index ? null : index;
        drawPaths();
      });
      return row;
    });
    byId("paths").tBodies[0].replaceChildren(...rows);
    byId("paths").hidden = false;
  }

  function choose(receiver) {
    const many = content.links.paths.length;
    state.receiver = receiver === null ? null : Math.min(Math.max(receiver, 0), many - 1);
    state.only = null;
    byId("receiver").value = state.receiver === null ? "" : String(state.receiver);
    byId("previous").disabled = state.receiver === 0;
    byId("next").disabled = state.receiver === many - 1;
    remember();
    return drawPaths();
  }

  // The receiver that the address names; another must not be shown in its place.
  function chooseNamed(text) {
    const { numbers } = content.links;
    const index = /^[0-9]+$/.test(text) ? numbers.indexOf(Number(text)) : -1;
    if (index >= 0) {
      return choose(index);
    }
    byId("paths-note").textContent = `No paths of a receiver ${text} in this page: it has those ` +
      `of ${numbers.length} of the scene's ${content.receivers.total} receivers. ` +
      "Choose one from the list.";
    return undefined;
  }

  function remember() {
    const parts = [];
    if (state.receiver !== null) {
      parts.push(`receiver=${content.links.numbers[state.receiver]}`);
    }
    if (content.map) {
      parts.push(`map=${byId("map-field").value}`);
    }
    history.replaceState(null, "", `#${parts.join("&")}`);
  }

  function toggle(label, swatches, checked, indices, title) {
    const item = element("li");
    const row = element("label");
    const box = element("input");
    box.type = "checkbox";
    box.checked = checked;
    box.addEventListener("change", () => Plotly.restyle(plot, { visible: box.checked }, indices));
    const swatch = element("i", undefined, "swatch");
    [swatch.style.background, swatch.style.borderColor] = swatches;
    const text = element("span", label);
    if (title) {
      text.append(element("span", ` · ${title}`, "part"));
    }
    row.append(box, swatch, text);
    item.append(row);
    byId("layers").append(item);
  }

  function controls(asked) {
    content.layers.forEach((layer, index) =>
      toggle(layer.material, [layer.colour, layer.line], layer.visible,
        [place[`mesh ${index}`], place[`lines ${index}`]], layer.part));
    toggle("access points", [INK, INK], true, [place.stems, place["access points"]]);
    const receivers = content.receivers;
    const shown = (receivers.places[0] || []).length;
    toggle(shown < receivers.total ? `receivers, ${shown} of ${receivers.total}` : "receivers",
      ["#666666", "#666666"], true, [place.receivers]);
    byId("count").textContent =
      `${receivers.total} receiver${receivers.total === 1 ? "" : "s"}`;
    if (content.map) {
      const field = byId("map-field");
      content.map.fields.forEach((item) => field.append(new Option(item.title, item.key)));
      field.append(new Option("none", "none"));
      if ([...field.options].some((option) => option.value === asked.get("map"))) {
        field.value = asked.get("map");
      }
      field.addEventListener("change", () => {
        remember();
        drapeMap(field.value);
      });
      byId("map-section").hidden = false;
    }
    if (content.links) {
      const choice = byId("receiver");
      choice.append(new Option("no receiver", ""));
      content.links.paths.forEach((_, index) =>
        choice.append(new Option(nameOf(index), String(index))));
      choice.addEventListener("change", () =>
        choose(choice.value === "" ? null : Number(choice.value)));
      byId("previous").addEventListener("click", () =>
        choose(state.receiver === null ? 0 : state.receiver - 1));
      byId("next").addEventListener("click", () =>
        choose(state.receiver === null ? 0 : state.receiver + 1));
      const from = byId("from");
      from.append(new Option("all access points", "all"));
      content.links.access_points.forEach((name, index) =>
        from.append(new Option(name, String(index))));
      [from, byId("many")].forEach((box) => box.addEventListener("change", () => {
        [state.from, state.many, state.only] = [from.value, Number(byId("many").value), null];
        drawPaths();
      }));
      byId("links-section").hidden = false;
    }
  }

  function axis(title, range, ticks) {
    return {
      title: { text: title, font: { size: 13 } }, range, nticks: ticks,
      showbackground: false, showspikes: false, zeroline: false, gridcolor: "#e6e6e6",
      linecolor: "#9a9a9a", tickfont: { size: 12, color: "#333333" },
    };
  }

  // Where to look from: the side from which the place fills most of the window. Plotly measures
  // in the aspect ratio's units from the middle of the axes, and sees an eighth of a turn upwards.
  function camera(ratio) {
    const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) =>
      ratio.map((size, axis) => (bits & (1 << axis) ? size / 2 : -size / 2)));
    const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    const tall = Math.tan(Math.PI / 8) * 0.86;
    const wide = tall * plot.clientWidth / Math.max(plot.clientHeight, 1);
    // Steeper over what is flat, whose middle would else be hidden by its rim.
    const elevation = ratio[2] < 0.12 ? 0.95 : 0.72;
    let best = null;
    [-115, -65, -150, -30].forEach((degrees) => {
      const turn = degrees * Math.PI / 180;
      const [c, s] = [Math.cos(turn), Math.sin(turn)];
      const [low, up] = [Math.cos(elevation), Math.sin(elevation)];
      const towards = [low * c, low * s, up];
      const right = [-s, c, 0];
      const top = [-up * c, -up * s, low];
      let centre = [0, 0, 0];
      let distance = 2;
      for (let round = 0; round < 40; round += 1) {
        const seen = corners.map((corner) => {
          const from = corner.map((value, axis) => value - centre[axis]);
          const depth = Math.max(distance - dot(from, towards), 0.05);
          return [dot(from, right) / depth, dot(from, top) / depth];
        });
        const [x, y] = [0, 1].map((axis) => {
          const values = seen.map((place) => place[axis]);
          return [Math.min(...values), Math.max(...values)];
        });
        const shift = [(x[0] + x[1]) / 2, (y[0] + y[1]) / 2];
        centre = centre.map((value, axis) =>
          value + 0.7 * distance * (shift[0] * right[axis] + shift[1] * top[axis]));
        distance *= (1 + Math.max((x[1] - x[0]) / (2 * wide), (y[1] - y[0]) / (2 * tall))) / 2;
      }
      if (!best || distance < 0.85 * best.distance) {
        best = { distance, centre, towards };
      }
    });
    const [x, y, z] = best.centre;
    const eye = best.centre.map((value, axis) => value + best.distance * best.towards[axis]);
    return { eye: { x: eye[0], y: eye[1], z: eye[2] }, center: { x, y, z } };
  }

  function layout() {
    const ratio = bounds.map(([low, high]) => (high - low) / reach);
    const scene = {
      aspectmode: "manual", aspectratio: { x: ratio[0], y: ratio[1], z: ratio[2] },
      dragmode: "turntable", camera: camera(ratio),
      xaxis: axis("x [m]", bounds[0], 8), yaxis: axis("y [m]", bounds[1], 8),
      zaxis: axis("z [m]", bounds[2], 3),
    };
    return {
      scene, showlegend: false, margin: { l: 0, r: 0, t: 0, b: 0 },
      paper_bgcolor: "#ffffff", font: { family: "system-ui, sans-serif", color: INK },
      hoverlabel: { bgcolor: "#ffffff", bordercolor: "#9a9a9a", font: { color: INK, size: 13 } },
    };
  }

  // Plotly lets a clear wall catch the pointer for points behind it, and has no option against it.
  function letThrough() {
    const drawn = plot._fullLayout?.scene?._scene?.traces ?? {};
    Object.values(drawn).forEach((trace) => {
      if (trace.mesh?.drawPick) {
        trace.mesh.drawPick = () => {};
      }
    });
  }

  async function start() {
    buildLayers();
    buildMap();
    buildDevices();
    buildPaths();
    const asked = new URLSearchParams(location.hash.slice(1));
    controls(asked);
    await Plotly.newPlot(plot, traces, layout(), {
      responsive: true, displaylogo: false,
      modeBarButtonsToRemove: ["zoom3d", "pan3d", "orbitRotation", "tableRotation",
        "resetCameraLastSave3d", "hoverClosest3d"],
    });
    letThrough();
    plot.on("plotly_click", ({ points }) => {
      const point = points.find((item) => item.curveNumber === place.linked);
      if (point) {
        choose(point.pointNumber);
      }
    });
    if (content.map) {
      await drapeMap(byId("map-field").value);
    }
    if (content.links && asked.has("receiver")) {
      await chooseNamed(asked.get("receiver"));
    }
  }

  start().catch((error) => {
    const failure = element("div", `This browser could not draw the scene: ${error.message}. ` +
      "It needs WebGL.");
    failure.id = "failure";
    byId("view").append(failure);
  });
})();
