"use strict";
// Tables made of the data files: a code for each row and column, what can be searched in it, its facets and orders.
civitai.room("columns", ["query"], ({ query }) => {
  const LORAS = new Set(["lora", "locon", "dora"]);
  const BUCKETS = ["..0.5", "0.5..1", "1..1.5", "1.5..2", "2..4", "4..8", "8.."];
  const GAP = "\0"; // between texts that are one key

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
  // A column has a code for each row; what has the same key has the same code, and one value.
  const makeColumn = (rows) => ({ codes: new Uint32Array(rows), values: [], index: new Map() });

  const codeOf = (column, key, value) => {
    let code = column.index.get(key);
    if (code === undefined) {
      code = column.values.push(value) - 1;
      column.index.set(key, code);
    }
    return code;
  };

  const same = (value) => value;
  const joined = (list) => list.join(GAP);

  // A text that a chunk has once is looked up once.
  const put = (column, first, rows, packed, keyOf = same, valueOf = keyOf) => {
    const code = (value) => codeOf(column, keyOf(value), valueOf(value));
    if (!packed.t) column.codes.set(unpack(packed, rows).map(code), first);
    else column.codes.set(unpack({ t: packed.t.map(code), i: packed.i }, rows), first);
  };

  // What can be searched: texts, and for each text the codes that have it (null: code and text are one).
  const makeText = (column) => ({ column, texts: column.values, codesOf: null, cache: new Map(), stamp: -1 });
  const one = (value) => [value];

  /** A facet: names for each value of a column; `has` judges names that are ranges, `order` lists all there can be. */
  const makeFacet = (column, namesOf = one, { has = null, order = null, latest = false } = {}) => ({
    column, namesOf, has, order, latest, names: [], texts: [], codesOf: [], index: new Map(), cache: new Map(),
    stamp: -1,
  });

  const addName = (facet, name) => {
    const known = facet.index.get(name);
    if (known !== undefined) return facet.codesOf[known];
    facet.index.set(name, facet.names.push(name) - 1);
    facet.codesOf.push([]);
    return facet.codesOf.at(-1);
  };

  const nameAll = (facet) => {
    Object.assign(facet, { names: [], codesOf: [], index: new Map(), totals: null });
    facet.order?.forEach((name) => addName(facet, name));
    facet.column.values.forEach((value, code) => {
      for (const name of facet.namesOf(value)) {
        const codes = name ? addName(facet, name) : null;
        if (codes && codes.at(-1) !== code) codes.push(code);
      }
    });
    facet.texts = facet.names.map(query.fold);
  };

  /** Works out what has changed since rows were added. */
  const refresh = (source, stamp) => {
    if (source.stamp === stamp) return source;
    source.stamp = stamp;
    source.cache.clear();
    if (source.codesOf) nameAll(source);
    return source;
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
  const DAY = 86_400_000;
  const textOf = (day) => new Date(day * DAY).toISOString().slice(0, 10);
  const datesOf = (day) => (day ? [textOf(day).slice(0, 4), textOf(day).slice(0, 7)] : []);
  const pixelsOf = (size) => (size ? (size[0] * size[1]) / 1e6 : NaN);

  const isDay = (value, number) => {
    if (!number) return false;
    const [span, day] = [query.range(value), textOf(number)];
    if (!span) return `${day}-`.startsWith(`${value}-`);
    return day >= span.from && (!span.to || day.slice(0, span.to.length) <= span.to);
  };

  const isSize = (value, size) => {
    const span = query.range(value) ?? { from: value, to: value };
    const pixels = pixelsOf(size);
    return pixels >= Number(span.from) && (!span.to || pixels <= Number(span.to));
  };

  const shapeOf = (size) => {
    if (!size) return [];
    const [width, height] = size;
    if (width === height) return ["square"];
    return [width > height ? "landscape" : "portrait"];
  };

  /** What pictures were made with: names come from the models that are here, or from any picture that names them. */
  const makeThings = (rows) => {
    const list = rows.map(([kind, name, , version, , base]) => ({ kind, name, version, base }));
    const telling = list.filter(({ name, version }) => name && version).reverse();
    const heard = new Map(telling.map((thing) => [thing.version, thing]));
    return { list, ours: new Map(), heard, named: [], stamp: -1 };
  };

  const nameThing = (things, { kind, name, version, base }) => {
    const known = things.ours.get(version) ?? things.heard.get(version);
    return {
      name: known?.name || name || (version ? String(version) : ""),
      isLora: LORAS.has(kind || known?.kind),
      base: base || known?.base || "",
    };
  };

  const namedThings = (things, stamp) => {
    if (things.stamp !== stamp) things.named = things.list.map((thing) => nameThing(things, thing));
    things.stamp = stamp;
    return things.named;
  };

  const makePictures = (rows, things) => {
    const names = "prompt negative creator sampler level kind tool tag day size used known folder also";
    const c = { ...columnsNamed(rows, names), ...numbersNamed(rows, "id created likes pixels post rating") };
    const table = makeTable(rows, c);
    const madeWith = ({ used }) => used.map((k) => namedThings(things, table.stamp)[k]);
    const basesOf = (made) => madeWith(made).map(({ base }) => base);
    const lorasOf = (made) => madeWith(made).map(({ name, isLora }) => (isLora ? name : ""));
    const modelsOf = (made) => {
      const found = madeWith(made).map(({ name, isLora }) => (isLora ? "" : name));
      return found.some(Boolean) ? found : [made.checkpoint];
    };
    const buckets = (size) => BUCKETS.filter((value) => isSize(value, size));
    table.facets = {
      kind: makeFacet(c.kind, one, { order: ["image", "video"] }),
      creator: makeFacet(c.creator),
      base: makeFacet(c.used, basesOf),
      model: makeFacet(c.used, modelsOf),
      lora: makeFacet(c.used, lorasOf),
      sampler: makeFacet(c.sampler),
      tool: makeFacet(c.tool, same),
      level: makeFacet(c.level, one, { order: query.LEVELS }),
      date: makeFacet(c.day, datesOf, { has: isDay, latest: true }),
      resolution: makeFacet(c.size, buckets, { has: isSize, order: BUCKETS }),
      aspect: makeFacet(c.size, shapeOf, { order: ["portrait", "square", "landscape"] }),
      prompt: makeFacet(c.known, one, { order: ["yes", "no"] }),
    };
    const { model, lora, creator, sampler } = table.facets;
    const [prompt, negative, tag] = [makeText(c.prompt), makeText(c.negative), makeFacet(c.tag, same)];
    const checkpoint = makeFacet(c.used, (made) => [made.checkpoint]);
    table.fields = {
      "": [prompt, negative, model, checkpoint, lora, tag, creator],
      prompt: [prompt], negative: [negative], model: [model, checkpoint], lora: [lora], tag: [tag], creator: [creator],
      sampler: [sampler],
    };
    table.named = { model, lora, tag, creator, sampler };
    return table;
  };

  const folded = (text) => (text ? query.fold(text) : "");

  const putUsed = (column, first, rows, packed, things) => {
    const checkpoints = unpack(packed.checkpoint, rows).map((place) => things.list[place]?.name ?? "");
    const all = unpack(packed.used, rows).map((list, k) => ({
      checkpoint: checkpoints[k], used: list.map(([thing]) => thing),
    }));
    put(column, first, rows, all, ({ checkpoint, used }) => `${checkpoint}${GAP}${used}`, same);
  };

  const putSizes = (c, first, rows, packed) => {
    const heights = unpack(packed.height, rows);
    const sizes = unpack(packed.width, rows).map((wide, k) => (wide && heights[k] ? [wide, heights[k]] : null));
    put(c.size, first, rows, sizes, (size) => (size ? size[0] * 1e6 + size[1] : 0), same);
    c.pixels.set(sizes.map((size) => (size ? size[0] * size[1] : -1)), first);
  };

  /** Adds a chunk of pictures to a table, and returns what the page itself must know of them. */
  const loadPictures = (table, things, first, { rows, columns: packed }) => {
    const c = table.columns;
    for (const name of ["creator", "sampler", "level", "kind", "folder"]) put(c[name], first, rows, packed[name]);
    for (const name of ["prompt", "negative"]) put(c[name], first, rows, packed[name], folded);
    put(c.known, first, rows, packed.prompt, (prompt) => (prompt ? "yes" : "no"));
    put(c.day, first, rows, packed.created, (time) => Math.floor(time / DAY));
    put(c.tool, first, rows, packed.tools, joined, same);
    put(c.also, first, rows, packed.also, joined, same);
    put(c.tag, first, rows, { t: [[]] }, joined, same);
    putUsed(c.used, first, rows, packed, things);
    putSizes(c, first, rows, packed);
    const shown = looks({ rows, columns: packed });
    for (const name of ["id", "created", "likes", "post"]) c[name].set(shown[name], first);
    return shown;
  };

  const coded = (packed, rows) => {
    if (packed.i) return { texts: packed.t, codes: new Uint32Array(packed.i) };
    const column = makeColumn(rows);
    put(column, 0, rows, packed);
    return { texts: column.values, codes: column.codes };
  };

  /** What the page itself must know of pictures in order to show them; numbers that are not known are 0. */
  const looks = ({ rows, columns: packed }) => {
    const named = (names, make) => names.split(" ").map((name) => [name, make(packed[name], rows)]);
    const numbers = named("id created post width height txt", (...column) => new Float64Array(unpack(...column)));
    const texts = named("kind folder ext thumb creator level", coded);
    const likes = new Float64Array(unpack(packed.likes, rows).map((count) => count ?? -1));
    return { ...Object.fromEntries([...numbers, ...texts]), likes, hash: unpack(packed.hash, rows).join(" ") };
  };

  // ----------------------------------------------------------------------------------------------------- models
  const makeModels = (rows) => {
    const names = "name creator type base tags level words complete update lora";
    const c = { ...columnsNamed(rows, names), ...numbersNamed(rows, "id created likes pixels rating") };
    const table = makeTable(rows, c);
    const yesNo = { order: ["yes", "no"] };
    table.facets = {
      type: makeFacet(c.type),
      base: makeFacet(c.base, same),
      creator: makeFacet(c.creator),
      tag: makeFacet(c.tags, same),
      level: makeFacet(c.level, one, { order: query.LEVELS }),
      complete: makeFacet(c.complete, one, yesNo),
      update: makeFacet(c.update, one, yesNo),
    };
    const [model, lora, words] = [makeFacet(c.name), makeFacet(c.lora), makeFacet(c.words, same)];
    const { creator, tag, base } = table.facets;
    table.fields = {
      "": [model, creator, tag, words, base], model: [model], lora: [lora], tag: [tag], creator: [creator],
    };
    table.named = { model, tag, creator };
    return table;
  };

  /** The lower bound of what share of all readers would like a thing, by Wilson's score. */
  const wilson = (up, down) => {
    const n = up + down;
    if (!n) return -1;
    const [z, share] = [1.96, up / n];
    const spread = z * Math.sqrt((share * (1 - share) + (z * z) / (4 * n)) / n);
    return (share + (z * z) / (2 * n) - spread) / (1 + (z * z) / n);
  };

  const nameVersions = (things, { name, type, versions }) => {
    for (const [id, , base] of versions) things.ours.set(id, { name, kind: type.toLowerCase(), base });
  };

  /** Adds a chunk of models to a table, and returns them. */
  const loadModels = (table, things, first, { rows, columns: packed }) => {
    const c = table.columns;
    const values = unpackAll({ rows, columns: packed });
    const modelAt = (_, k) => Object.fromEntries(Object.entries(values).map(([name, column]) => [name, column[k]]));
    const models = values.id.map(modelAt);
    for (const name of ["name", "creator", "type", "level"]) put(c[name], first, rows, packed[name]);
    for (const name of ["base", "tags", "words"]) put(c[name], first, rows, packed[name], joined, same);
    for (const name of ["complete", "update"]) put(c[name], first, rows, packed[name], (is) => (is ? "yes" : "no"));
    put(c.lora, first, rows, models, ({ type, name }) => (LORAS.has(type.toLowerCase()) ? name : ""));
    const rating = models.map(({ up, down }) => wilson(up, down));
    const numbers = { id: values.id, created: values.published, likes: values.up, pixels: values.bytes, rating };
    for (const [name, list] of Object.entries(numbers)) c[name].set(list, first);
    models.forEach((model) => nameVersions(things, model));
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
    return (a, b) => compare(name.values[name.codes[a]], name.values[name.codes[b]]);
  };

  const COMPARE = {
    newest: () => () => 0,
    oldest: ({ columns: { created: at, id } }) => (a, b) => (at[a] || Infinity) - (at[b] || Infinity) || id[a] - id[b],
    name: namesOf,
    size: (table) => descending(table.columns.pixels),
    rating: (table) => descending(table.columns.rating),
    likes: (table) => descending(table.columns.likes),
    random: ({ columns: { id } }, seed) => (a, b) => scatter(id[a] + seed) - scatter(id[b] + seed),
  };

  const kept = (table, key, make) => {
    if (!table.orders.has(key)) table.orders.set(key, make());
    return table.orders.get(key);
  };

  /** All rows that count, as they stand in the data. */
  const living = (table) =>
    kept(table, "living", () => Uint32Array.from(table.alive.keys()).filter((row) => table.alive[row]));

  /** All rows that count in an order; what is equal in it is ordered from the newest on. */
  const orderOf = (table, sort, seed) =>
    kept(table, `${sort} ${sort === "random" ? seed : ""}`, () => {
      const { created, id } = table.columns;
      const first = COMPARE[sort](table, seed);
      return living(table).slice().sort((a, b) => first(a, b) || created[b] - created[a] || id[b] - id[a]);
    });

  return {
    LORAS, changed, living, loadModels, loadPictures, looks, makeModels, makePictures, makeThings, orderOf, refresh,
    unpack, unpackAll,
  };
});
