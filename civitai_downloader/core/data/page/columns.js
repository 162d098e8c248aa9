"use strict";
// Tables made of the data files: a code for each row and column, what can be searched in it, its facets and orders.
civitai.room("columns", ["query"], ({ query }) => {
  const LORAS = new Set(["lora", "locon", "dora"]);
  const BUCKETS = ["..0.5", "0.5..1", "1..1.5", "1.5..2", "2..4", "4..8", "8.."];
  const YES_NO = { order: ["yes", "no"] };
  const GAP = "\0"; // between texts that are one key
  const BETWEEN = "\x7f"; // between texts that stand in one
  const DAY = 86_400_000;

  // A list as it is, or texts in one and what does not fit among them; those share their memory with the one.
  const listed = (packed, made = same) => {
    if (Array.isArray(packed)) return packed.map(made);
    const list = made(packed.s).split(BETWEEN);
    for (const [k, value] of packed.x) list[k] = made(value);
    return list;
  };

  const same = (value) => value;

  // A column is written in one of five forms.
  const unpack = (column, rows) => {
    if (typeof column === "string") return column.split(" ");
    if (column.t) {
      const known = listed(column.t);
      return column.i ? column.i.map((k) => known[k]) : Array(rows).fill(known[0]);
    }
    if (!column.d) return listed(column);
    let sum = 0;
    return column.d.map((step) => (sum += step));
  };

  const unpackAll = ({ rows, columns }) =>
    Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, unpack(column, rows)]));

  /** Returns the rows of a data file, each with its values by the names of the columns. */
  const rowsOf = (chunk) => {
    const columns = Object.entries(unpackAll(chunk));
    return columns[0][1].map((_, k) => Object.fromEntries(columns.map(([name, values]) => [name, values[k]])));
  };

  // A column has a code for each row; what has the same key has the same code, and one value.
  const makeColumn = (rows) => ({ codes: new Uint32Array(rows), values: [], index: new Map() });

  const one = (value) => [value];
  const joined = (list) => list.join(GAP);
  const yesNo = (is) => (is ? "yes" : "no");

  // Puts in what has a code for each of a list; a text that a chunk has once is looked up once.
  const fill = ({ codes }, first, rows, packed, codesOf) => {
    const [list, places] = packed.t ? [listed(packed.t), packed.i] : [unpack(packed, rows), null];
    const known = codesOf(list);
    if (packed.t && !places) codes.fill(known[0], first, first + rows);
    else for (let k = 0; k < rows; k += 1) codes[first + k] = known[places ? places[k] : k];
  };

  const put = (column, first, rows, packed, keyOf = same, valueOf = keyOf) => {
    const { index, values } = column;
    const code = (value) => {
      const key = keyOf(value);
      const known = index.get(key);
      if (known !== undefined) return known;
      index.set(key, values.length);
      return values.push(valueOf(value)) - 1;
    };
    fill(column, first, rows, packed, (list) => list.map(code));
  };

  // What can be searched: texts, and for each text the codes that have it (null: code and text are one).
  const makeText = (column) => ({ column, texts: column.values, codesOf: null, cache: new Map(), stamp: -1 });

  /**
   * A facet: `keysOf` a value of a column gives keys, and each of them has a name. `has` judges names that are ranges,
   * `order` lists all there can be.
   */
  const makeFacet = (column, keysOf = one, { nameOf = same, has = null, order = null, latest = false } = {}) => ({
    ...makeText(column), keysOf, nameOf, has, order, latest, codesOf: [], names: [], index: new Map(),
  });

  // The codes of each name, by a look at every value; keys are many, so that each is named once.
  const codesByName = ({ column: { values }, keysOf, nameOf, order }) => {
    const index = new Map((order ?? []).map((name) => [name, []]));
    const known = new Map();
    const codesFor = (key) => {
      const name = nameOf(key);
      const codes = index.get(name) ?? [];
      index.set(name, codes);
      known.set(key, codes);
      return codes;
    };
    for (let code = 0; code < values.length; code += 1) {
      for (const key of keysOf(values[code])) {
        const codes = known.get(key) ?? codesFor(key);
        if (codes[codes.length - 1] !== code) codes.push(code);
      }
    }
    index.delete("");
    return index;
  };

  // Names stand in their fixed order, or in that of the alphabet.
  const nameAll = (facet) => {
    const index = codesByName(facet);
    const names = [...index.keys()];
    if (!facet.order) names.sort();
    return { index, names, texts: names.map(query.fold), codesOf: names.map((name) => index.get(name)), totals: null };
  };

  /** Works out what has changed since rows were added. */
  const refresh = (source, { stamp }) => {
    if (source.stamp === stamp) return source;
    source.cache.clear();
    return Object.assign(source, source.codesOf ? nameAll(source) : {}, { stamp });
  };

  const makeTable = (rows, texts, numbers) => {
    const named = (names, make) => names.split(" ").map((name) => [name, make(rows)]);
    const columns = Object.fromEntries([
      ...named(texts, makeColumn), ...named(numbers, (length) => new Float64Array(length)),
    ]);
    return { rows, columns, alive: new Uint8Array(rows), stamp: 0, orders: new Map(), found: new Map() };
  };

  const fillNumbers = ({ columns }, first, numbers) => {
    for (const [name, list] of Object.entries(numbers)) columns[name].set(list, first);
  };

  // --------------------------------------------------------------------------------------------------- pictures
  const textOf = (day) => new Date(day * DAY).toISOString().slice(0, 10);
  const datesOf = (day) => (day ? [textOf(day).slice(0, 4), textOf(day).slice(0, 7)] : []);

  const isDay = (value, number) => {
    if (!number) return false;
    const [span, day] = [query.range(value), textOf(number)];
    if (!span) return `${day}-`.startsWith(`${value}-`);
    return day >= span.from && (!span.to || day.slice(0, span.to.length) <= span.to);
  };

  const isSize = (value, size) => {
    const { from, to } = query.range(value) ?? { from: value, to: value };
    const pixels = size ? (size[0] * size[1]) / 1e6 : NaN;
    return pixels >= Number(from) && (!to || pixels <= Number(to));
  };

  const bucketsOf = (size) => BUCKETS.filter((value) => isSize(value, size));

  const shapeOf = (size) => {
    const shapes = ["portrait", "square", "landscape"];
    return size ? [shapes[Math.sign(size[0] - size[1]) + 1]] : [];
  };

  /** What pictures were made with: names come from the models that are here, or from any picture that names them. */
  const makeThings = (rows) => {
    const list = rows.map(([kind, name, , version, , base]) => ({ kind, name, version, base }));
    const telling = list.filter(({ name, version }) => name && version).reverse();
    return { list, known: new Map(telling.map((thing) => [thing.version, thing])), named: [], stamp: -1 };
  };

  const nameThing = (things, { kind, name, version, base }) => {
    const known = things.known.get(version);
    return {
      name: known?.name || name || (version ? String(version) : ""),
      isLora: LORAS.has(kind || known?.kind),
      base: base || known?.base || "",
    };
  };

  const NOTHING = { name: "", isLora: false, base: "" };

  const namedThings = (things, { stamp }) => {
    if (things.stamp !== stamp) things.named = things.list.map((thing) => nameThing(things, thing));
    things.stamp = stamp;
    return things.named;
  };

  // What a picture was made with begins with the checkpoint that its prompt names, or with -1.
  const pictureFacets = (c, thing) => {
    const isModel = (k, at) => at > 0 && !thing(k).isLora && thing(k).name !== "";
    const modelsIn = (made) => (made.some(isModel) ? made.slice(1) : made.slice(0, 1));
    return {
      kind: makeFacet(c.kind, one, { order: ["image", "video"] }),
      creator: makeFacet(c.creator),
      base: makeFacet(c.made, same, { nameOf: (k) => thing(k).base }),
      model: makeFacet(c.made, modelsIn, { nameOf: (k) => (thing(k).isLora ? "" : thing(k).name) }),
      lora: makeFacet(c.made, same, { nameOf: (k) => (thing(k).isLora ? thing(k).name : "") }),
      sampler: makeFacet(c.sampler),
      tool: makeFacet(c.tool, same),
      level: makeFacet(c.level, one, { order: query.LEVELS }),
      date: makeFacet(c.day, datesOf, { has: isDay, latest: true }),
      resolution: makeFacet(c.size, bucketsOf, { has: isSize, order: BUCKETS }),
      aspect: makeFacet(c.size, shapeOf, { order: ["portrait", "square", "landscape"] }),
      prompt: makeFacet(c.known, one, YES_NO),
    };
  };

  const makePictures = (rows, things) => {
    const texts = "prompt negative creator sampler level kind tool tag day size made known folder also";
    const table = makeTable(rows, texts, "id created likes pixels post rating");
    const c = table.columns;
    const thing = (k) => namedThings(things, table)[k] ?? NOTHING;
    table.facets = pictureFacets(c, thing);
    const { model, lora, creator, sampler } = table.facets;
    const [prompt, negative, tag] = [makeText(c.prompt), makeText(c.negative), makeFacet(c.tag, same)];
    const checkpoint = makeFacet(c.made, (made) => made.slice(0, 1), { nameOf: (k) => thing(k).name });
    table.fields = {
      "": [prompt, negative, model, checkpoint, lora, tag, creator],
      prompt: [prompt], negative: [negative], model: [model, checkpoint], lora: [lora], tag: [tag], creator: [creator],
      sampler: [sampler],
    };
    table.named = { model, lora, tag, creator, sampler };
    return table;
  };

  const folded = (text) => (text ? query.fold(text) : "");

  // Values that are many and seldom the same: each has a code of its own in its chunk.
  const append = (column, first, rows, packed) => {
    const start = column.values.length;
    fill(column, first, rows, packed, (list) => list.map((value, k) => column.values.push(value) && start + k));
  };

  const coded = (packed, rows) => {
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

  /** Adds a chunk of pictures to a table, and returns what the page itself must know of them. */
  const loadPictures = (table, _, first, { rows, columns: packed }) => {
    const shown = looks({ rows, columns: packed });
    const { id, created, likes, post, width, height } = shown;
    const sizes = Array.from(width, (wide, k) => (wide && height[k] ? [wide, height[k]] : null));
    const add = (name, values, ...keys) => put(table.columns[name], first, rows, values, ...keys);
    for (const name of ["creator", "sampler", "level", "kind", "folder"]) add(name, packed[name]);
    const { prompt } = packed;
    append(table.columns.made, first, rows, packed.made);
    const texts = prompt.t ? { ...prompt, t: listed(prompt.t, folded) } : listed(prompt, folded);
    append(table.columns.prompt, first, rows, texts);
    add("negative", packed.negative, folded);
    const { codes, values } = table.columns.prompt;
    add("known", Array.from(codes.subarray(first, first + rows), (code) => yesNo(values[code])));
    add("day", packed.created, (time) => Math.floor(time / DAY));
    add("tool", packed.tools, joined, same);
    add("also", packed.also, joined, same);
    add("tag", { t: [[]] }, joined, same);
    add("size", sizes, (size) => (size ? size[0] * 1e6 + size[1] : 0), same);
    const pixels = sizes.map((size) => (size ? size[0] * size[1] : -1));
    fillNumbers(table, first, { id, created, likes, post, pixels });
    return shown;
  };

  // ----------------------------------------------------------------------------------------------------- models
  const makeModels = (rows) => {
    const texts = "name creator type base tags level words complete update lora";
    const table = makeTable(rows, texts, "id created likes pixels rating");
    const c = table.columns;
    const [type, creator] = [makeFacet(c.type), makeFacet(c.creator)];
    const [base, tag] = [makeFacet(c.base, same), makeFacet(c.tags, same)];
    table.facets = {
      type, base, creator, tag, level: makeFacet(c.level, one, { order: query.LEVELS }),
      complete: makeFacet(c.complete, one, YES_NO), update: makeFacet(c.update, one, YES_NO),
    };
    const [model, lora, words] = [makeFacet(c.name), makeFacet(c.lora), makeFacet(c.words, same)];
    table.fields = {
      "": [model, creator, tag, words, base], model: [model], lora: [lora], tag: [tag], creator: [creator],
    };
    table.named = { model, tag, creator };
    return table;
  };

  /** The lower bound of what share of all readers would like a thing, by Wilson's score. */
  const wilson = ({ up, down }) => {
    const n = up + down;
    if (!n) return -1;
    const [z, share] = [1.96, up / n];
    const spread = z * Math.sqrt((share * (1 - share) + (z * z) / (4 * n)) / n);
    return (share + (z * z) / (2 * n) - spread) / (1 + (z * z) / n);
  };

  /** Adds a chunk of models to a table, and returns them. */
  const loadModels = (table, things, first, chunk) => {
    const models = rowsOf(chunk);
    const { id, published, up, bytes } = unpackAll(chunk);
    const add = (name, values, ...keys) => put(table.columns[name], first, chunk.rows, values, ...keys);
    for (const name of ["name", "creator", "type", "level"]) add(name, chunk.columns[name]);
    for (const name of ["base", "tags", "words"]) add(name, chunk.columns[name], joined, same);
    for (const name of ["complete", "update"]) add(name, chunk.columns[name], yesNo);
    add("lora", models, ({ type, name }) => (LORAS.has(type.toLowerCase()) ? name : ""));
    fillNumbers(table, first, { id, created: published, likes: up, pixels: bytes, rating: models.map(wilson) });
    for (const { name, type, versions } of models) {
      for (const [version, , base] of versions) things.known.set(version, { name, kind: type.toLowerCase(), base });
    }
    return models;
  };

  // ---------------------------------------------------------------------------------------------------- sorting
  const scatter = (id) => {
    let x = Math.imul((id ^ (id / 65536)) + 0x9e3779b9, 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return (x ^ (x >>> 16)) >>> 0;
  };

  const byName = ({ columns: { name, id } }) => {
    if (!name) return (a, b) => id[a] - id[b];
    const { compare } = new Intl.Collator(undefined, { numeric: true });
    return (a, b) => compare(name.values[name.codes[a]], name.values[name.codes[b]]);
  };

  const descending = (column) => (table) => (a, b) => table.columns[column][b] - table.columns[column][a];

  const COMPARE = {
    newest: () => () => 0,
    oldest: ({ columns: { created: at, id } }) => (a, b) => (at[a] || Infinity) - (at[b] || Infinity) || id[a] - id[b],
    name: byName,
    size: descending("pixels"),
    rating: descending("rating"),
    likes: descending("likes"),
    random: ({ columns: { id } }, seed) => (a, b) => scatter(id[a] + seed) - scatter(id[b] + seed),
  };

  const kept = ({ orders }, key, make) => {
    if (!orders.has(key)) orders.set(key, make());
    return orders.get(key);
  };

  /** All rows that count, as they stand in the data. */
  const living = (table) =>
    kept(table, "living", () => {
      const rows = [];
      for (let row = 0; row < table.rows; row += 1) if (table.alive[row]) rows.push(row);
      return Uint32Array.from(rows);
    });

  /** All rows that count in an order; what is equal in it is ordered from the newest on. */
  const orderOf = (table, sort, seed) =>
    kept(table, `${sort} ${sort === "random" ? seed : ""}`, () => {
      const { created, id } = table.columns;
      const first = COMPARE[sort](table, seed);
      return living(table).slice().sort((a, b) => first(a, b) || created[b] - created[a] || id[b] - id[a]);
    });

  return {
    LORAS, living, loadModels, loadPictures, looks, makeModels, makePictures, makeThings, orderOf, refresh, rowsOf,
    unpackAll,
  };
});
