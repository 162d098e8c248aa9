"use strict";
// Tables made of the data files: a code for each row and column, what can be searched in it, its facets and orders.
civitai.room("columns", ["query"], ({ query }) => {
  const LORAS = new Set(["lora", "locon", "dora"]);
  const BUCKETS = ["..0.5", "0.5..1", "1..1.5", "1.5..2", "2..4", "4..8", "8.."];
  const GAP = "\0";

  /** Returns the values of a column, which is written in one of four forms. */
  const unpack = (column, rows) => {
    if (Array.isArray(column)) return column;
    if (typeof column === "string") return column.split(" ");
    if (column.t) return column.i ? column.i.map((k) => column.t[k]) : Array(rows).fill(column.t[0]);
    let sum = 0;
    return column.d.map((step) => (sum += step));
  };

  const unpackAll = ({ rows, columns }) =>
    Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, unpack(column, rows)]));

  // ---------------------------------------------------------------------------------------------------- columns
  // A column has a code for each row, and the key of each code; equal keys have one code.
  const makeColumn = (rows) => ({ codes: new Uint32Array(rows), keys: [], index: new Map() });

  const put = (column, row, key) => {
    let code = column.index.get(key);
    if (code === undefined) {
      code = column.keys.push(key) - 1;
      column.index.set(key, code);
    }
    column.codes[row] = code;
  };

  // What can be searched: texts, and for each code of a column which of them it has (null: code and text are one).
  const makeText = (column) => ({ column, texts: column.keys, sets: null, cache: new Map(), stamp: -1 });

  const one = (key) => (key ? [key] : []);
  const many = (key) => (key ? key.split(GAP) : []);

  /** A facet: what is known of a key as values; `has` judges values that are ranges, `order` lists all that can be. */
  const makeFacet = (column, valuesOf = one, { has = null, order = null, latest = false } = {}) => ({
    column, valuesOf, has, order, latest, names: [], texts: [], sets: [], index: new Map(), cache: new Map(), stamp: -1,
  });

  const refresh = (facet, stamp) => {
    if (facet.stamp === stamp) return facet;
    Object.assign(facet, { stamp, names: [], index: new Map(), cache: new Map() });
    if (!facet.valuesOf) return facet;
    const codeOf = (name) => {
      if (!facet.index.has(name)) facet.index.set(name, facet.names.push(name) - 1);
      return facet.index.get(name);
    };
    facet.order?.forEach(codeOf);
    facet.sets = facet.column.keys.map((key) => [...new Set(facet.valuesOf(key).map(codeOf))]);
    facet.texts = facet.names.map(query.fold);
    return facet;
  };

  const makeTable = (rows, columns) => ({ rows, columns, alive: new Uint8Array(rows), stamp: 0, orders: new Map() });

  /** Forgets what was worked out before further rows came. */
  const changed = (table) => {
    table.stamp += 1;
    table.orders.clear();
  };

  const columnsNamed = (rows, names) => Object.fromEntries(names.split(" ").map((name) => [name, makeColumn(rows)]));

  const numbersNamed = (rows, names) =>
    Object.fromEntries(names.split(" ").map((name) => [name, new Float64Array(rows)]));

  // --------------------------------------------------------------------------------------------------- pictures
  const dayOf = (time) => (time ? new Date(time).toISOString().slice(0, 10) : "");
  const datesOf = (day) => (day ? [day.slice(0, 4), day.slice(0, 7)] : []);
  const sizeOf = (key) => key.split("x").map(Number);
  const pixelsOf = (key) => (key ? sizeOf(key).reduce((width, height) => width * height) / 1e6 : NaN);

  const isDay = (value, day) => {
    const span = query.range(value);
    if (!span) return day.startsWith(value) && (day[value.length] ?? "-") === "-";
    return day !== "" && day >= span.from && (!span.to || day.slice(0, span.to.length) <= span.to);
  };

  const isSize = (value, key) => {
    const span = query.range(value) ?? { from: value, to: value };
    const pixels = pixelsOf(key);
    return pixels >= Number(span.from) && (!span.to || pixels <= Number(span.to));
  };

  const shapeOf = (key) => {
    if (!key) return [];
    const [width, height] = sizeOf(key);
    if (width === height) return ["square"];
    return [width > height ? "landscape" : "portrait"];
  };

  /** What pictures were made with: names come from the models that are here, or from any picture that names them. */
  const makeThings = () => {
    const list = [];
    const index = new Map();
    const ours = new Map();
    const heard = new Map();
    const known = (version) => ours.get(version) ?? heard.get(version);
    const add = (thing) => {
      const [kind, name, , version, , base] = thing;
      if (name && version && !heard.has(version)) heard.set(version, { name, kind, base });
      const key = `${version}${GAP}${version && name ? "" : name}${GAP}${kind}${GAP}${base}`;
      if (!index.has(key)) index.set(key, list.push({ kind, name, version, base }) - 1);
      return index.get(key);
    };
    const nameOf = ({ name, version }) => known(version)?.name || name || (version ? String(version) : "");
    const isLora = ({ kind, version }) => LORAS.has(kind || known(version)?.kind);
    const baseOf = ({ base, version }) => base || known(version)?.base || "";
    return { list, ours, add, nameOf, isLora, baseOf };
  };

  const usedBy = (key, things) => many(key).slice(1).map((k) => things.list[k]);

  const modelsOf = (key, things) => {
    const names = usedBy(key, things).filter((thing) => !things.isLora(thing)).map(things.nameOf).filter(Boolean);
    return names.length ? names : one(many(key)[0]);
  };

  const makePictures = (rows, things) => {
    const names = "prompt negative creator sampler level kind tool tag day size used known folder";
    const columns = { ...columnsNamed(rows, names), ...numbersNamed(rows, "id created likes pixels post rating") };
    const c = columns;
    const lorasOf = (key) => usedBy(key, things).filter(things.isLora).map(things.nameOf).filter(Boolean);
    const basesOf = (key) => usedBy(key, things).map(things.baseOf).filter(Boolean);
    const facets = {
      kind: makeFacet(c.kind, one, { order: ["image", "video"] }),
      creator: makeFacet(c.creator),
      base: makeFacet(c.used, basesOf),
      model: makeFacet(c.used, (key) => modelsOf(key, things)),
      lora: makeFacet(c.used, lorasOf),
      sampler: makeFacet(c.sampler),
      tool: makeFacet(c.tool, many),
      level: makeFacet(c.level, one, { order: query.LEVELS }),
      date: makeFacet(c.day, datesOf, { has: isDay, latest: true }),
      resolution: makeFacet(c.size, (key) => BUCKETS.filter((value) => isSize(value, key)), { has: isSize, order: BUCKETS }),
      aspect: makeFacet(c.size, shapeOf, { order: ["portrait", "square", "landscape"] }),
      prompt: makeFacet(c.known, one, { order: ["yes", "no"] }),
    };
    const prompt = makeText(c.prompt);
    const negative = makeText(c.negative);
    const checkpoint = makeFacet(c.used, (key) => one(many(key)[0]));
    const tag = makeFacet(c.tag, many);
    const { model, lora, creator, sampler } = facets;
    const fields = {
      "": [prompt, negative, model, checkpoint, lora, tag, creator],
      prompt: [prompt], negative: [negative], model: [model, checkpoint], lora: [lora], tag: [tag], creator: [creator],
      sampler: [sampler],
    };
    return { ...makeTable(rows, columns), facets, fields, named: { model, lora, tag, creator, sampler } };
  };

  const putPicture = (c, row, v, k, usedThings) => {
    const size = v.width[k] && v.height[k] ? `${v.width[k]}x${v.height[k]}` : "";
    const texts = {
      prompt: query.fold(v.prompt[k] ?? ""), negative: query.fold(v.negative[k] ?? ""), known: v.prompt[k] ? "yes" : "no",
      creator: v.creator[k], sampler: v.sampler[k], level: v.level[k], kind: v.kind[k], tool: v.tools[k].join(GAP),
      tag: "", day: dayOf(v.created[k]), size, used: [v.checkpoint[k], ...usedThings].join(GAP),
      folder: [v.folder[k], ...v.also[k]].join(GAP),
    };
    for (const [name, key] of Object.entries(texts)) put(c[name], row, key);
    c.id[row] = v.id[k];
    c.created[row] = v.created[k];
    c.likes[row] = v.likes[k] ?? -1;
    c.pixels[row] = size ? v.width[k] * v.height[k] : -1;
    c.post[row] = v.post[k] ?? 0;
  };

  const loadPictures = (table, things, first, chunk) => {
    const values = unpackAll(chunk);
    const places = chunk.things.map(things.add);
    for (let k = 0; k < chunk.rows; k += 1) {
      const used = values.used[k].map(([thing]) => places[thing]);
      putPicture(table.columns, first + k, values, k, used);
    }
    return looks(chunk.rows, values);
  };

  const coded = (values) => {
    const texts = [...new Set(values)];
    const index = new Map(texts.map((text, k) => [text, k]));
    return { texts, codes: Uint16Array.from(values, (value) => index.get(value)) };
  };

  /** What the page itself must know of pictures in order to show them. */
  const looks = (rows, v) => ({
    rows,
    id: Float64Array.from(v.id), created: Float64Array.from(v.created), post: Float64Array.from(v.post, Number),
    width: Uint32Array.from(v.width, Number), height: Uint32Array.from(v.height, Number),
    likes: Float64Array.from(v.likes, (likes) => likes ?? -1), txt: Uint8Array.from(v.txt),
    level: Uint8Array.from(v.level, (level) => query.LEVELS.indexOf(query.LEVELS.includes(level) ? level : "unrated")),
    kind: coded(v.kind), folder: coded(v.folder), ext: coded(v.ext), thumb: coded(v.thumb), creator: coded(v.creator),
    hash: v.hash.join(" "),
  });

  // ----------------------------------------------------------------------------------------------------- models
  const makeModels = (rows) => {
    const names = "name creator type base tag words level complete update lora";
    const columns = { ...columnsNamed(rows, names), ...numbersNamed(rows, "id created likes pixels rating") };
    const yesNo = { order: ["yes", "no"] };
    const facets = {
      type: makeFacet(columns.type),
      base: makeFacet(columns.base, many),
      creator: makeFacet(columns.creator),
      tag: makeFacet(columns.tag, many),
      level: makeFacet(columns.level, one, { order: query.LEVELS }),
      complete: makeFacet(columns.complete, one, yesNo),
      update: makeFacet(columns.update, one, yesNo),
    };
    const model = makeFacet(columns.name);
    const lora = makeFacet(columns.lora);
    const words = makeFacet(columns.words, many);
    const { creator, tag, base } = facets;
    const fields = { "": [model, creator, tag, words, base], model: [model], lora: [lora], tag: [tag], creator: [creator] };
    return { ...makeTable(rows, columns), facets, fields, named: { model, tag, creator } };
  };

  /** The lower bound of what share of all readers would like a thing, by Wilson's score. */
  const wilson = (up, down) => {
    const n = up + down;
    if (!n) return -1;
    const [z, share] = [1.96, up / n];
    const spread = z * Math.sqrt((share * (1 - share) + (z * z) / (4 * n)) / n);
    return (share + (z * z) / (2 * n) - spread) / (1 + (z * z) / n);
  };

  const putModel = (c, row, model) => {
    const yesNo = (value) => (value ? "yes" : "no");
    const texts = {
      name: model.name, creator: model.creator, type: model.type, level: model.level, base: model.base.join(GAP),
      tag: model.tags.join(GAP), words: model.words.join(GAP), complete: yesNo(model.complete),
      update: yesNo(model.update), lora: LORAS.has(model.type.toLowerCase()) ? model.name : "",
    };
    for (const [name, key] of Object.entries(texts)) put(c[name], row, key);
    const { id, published, up, down, bytes } = model;
    const numbers = { id, created: published, likes: up, pixels: bytes, rating: wilson(up, down) };
    for (const [name, value] of Object.entries(numbers)) c[name][row] = value;
  };

  const loadModels = (table, things, first, chunk) => {
    const values = unpackAll(chunk);
    const models = [];
    for (let k = 0; k < chunk.rows; k += 1) {
      const model = Object.fromEntries(Object.entries(values).map(([name, column]) => [name, column[k]]));
      putModel(table.columns, first + k, model);
      const kind = model.type.toLowerCase();
      for (const [version, , base] of model.versions) things.ours.set(version, { name: model.name, kind, base });
      models.push(model);
    }
    return models;
  };

  // ---------------------------------------------------------------------------------------------------- sorting
  const scatter = (id) => {
    let x = Math.imul((id ^ (id / 65536)) + 0x9e3779b9, 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return (x ^ (x >>> 16)) >>> 0;
  };

  const descending = (values) => (a, b) => values[b] - values[a];

  const namesOf = (table) => {
    const { name, id } = table.columns;
    if (!name) return (a, b) => id[a] - id[b];
    const { compare } = new Intl.Collator(undefined, { numeric: true });
    return (a, b) => compare(name.keys[name.codes[a]], name.keys[name.codes[b]]);
  };

  const COMPARE = {
    newest: () => () => 0,
    oldest: ({ columns: { created, id } }) => (a, b) => (created[a] || Infinity) - (created[b] || Infinity) || id[a] - id[b],
    name: namesOf,
    size: (table) => descending(table.columns.pixels),
    rating: (table) => descending(table.columns.rating),
    likes: (table) => descending(table.columns.likes),
    random: ({ columns: { id } }, seed) => (a, b) => scatter(id[a] + seed) - scatter(id[b] + seed),
  };

  /** All living rows in an order; what is equal in it is ordered from the newest on. */
  const orderOf = (table, sort, seed) => {
    const key = sort === "random" ? `random ${seed}` : sort;
    if (!table.orders.has(key)) {
      const { created, id } = table.columns;
      const first = COMPARE[sort](table, seed);
      const compare = (a, b) => first(a, b) || created[b] - created[a] || id[b] - id[a];
      table.orders.set(key, Uint32Array.from(table.alive.keys()).filter((row) => table.alive[row]).sort(compare));
    }
    return table.orders.get(key);
  };

  return {
    LORAS, changed, loadModels, loadPictures, looks, makeModels, makePictures, makeThings, orderOf, refresh, unpack, unpackAll,
  };
});
