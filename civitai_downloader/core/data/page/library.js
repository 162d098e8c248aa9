"use strict";
// The data: what the manifest names is loaded, handed to the worker, and kept as columns; details come on demand.
civitai.room("library", ["rooms", "words", "dom", "query", "columns", "store"], (needs) => {
  const { rooms, words, dom, query, columns, store } = needs;
  const FORMAT = 1;
  const LANES = 4;
  const KEPT_SHARDS = 8;
  const AHEAD = 2;
  const PATIENCE = 1500;
  const EMPTY = { rows: 0, columns: {}, things: [], from: [] };

  const manifest = rooms.manifest();
  const usable = manifest?.format === FORMAT;
  const given = usable ? manifest : { totals: {}, newest: EMPTY };
  const { pictures: images = 0, models: modelCount = 0, collections: lists = 0 } = given.totals;
  const totals = { images, models: modelCount, collections: lists, made: given.made ?? "" };

  const url = (name) => `.page/data/${name}.js`;
  const parsed = async (name) => JSON.parse(await rooms.chunk(url(name), name));

  // --------------------------------------------------------------------------------------------------- the worker
  const calls = new Map();
  let port = null;

  const hear = ({ data: { number, answer, error } }) => {
    const { done, fail } = calls.get(number);
    calls.delete(number);
    if (error) fail(new Error(error));
    else done(answer);
  };

  const silent = (event) => dom.trouble("search", words.say("trouble.search", { reason: event.message ?? "" }));

  const connect = () => {
    try {
      port = rooms.worker(["query", "columns", "worker"]);
      port.addEventListener("message", hear);
      port.addEventListener("error", silent);
    } catch (error) {
      silent(error);
    }
  };

  let asked = 0;
  const ask = (what, data = {}) =>
    new Promise((done, fail) => {
      asked += 1;
      calls.set(asked, { done, fail });
      port?.postMessage({ number: asked, ask: what, ...data });
    });

  // -------------------------------------------------------------------------------------------------- the columns
  const placed = (chunks = []) => {
    let first = 0;
    return chunks.map((chunk) => ({ ...chunk, first: (first += chunk.rows) - chunk.rows }));
  };

  const pictures = placed(given.pictures);
  const models = placed(given.models);
  const rowsOf = (chunks) => chunks.reduce((sum, { rows }) => sum + rows, 0);
  const shardOf = new Uint16Array(rowsOf(pictures));
  pictures.forEach(({ first, rows }, k) => shardOf.fill(k, first, first + rows));
  const dead = pictures.map((chunk) => new Set(chunk.dead));

  const parts = [];
  const first = columns.looks(given.newest.rows, columns.unpackAll(given.newest));
  const firstChunk = new Map(pictures.map((chunk) => [chunk.name, chunk.first]));
  const firstRows = given.newest.from.map(([name, k]) => (firstChunk.get(name) ?? 0) + k);
  const modelRows = [];
  const modelOfVersion = new Map();

  const at = (row) => {
    const shard = shardOf[row];
    if (parts[shard]) return [parts[shard], row - pictures[shard].first];
    return [first, firstRows.indexOf(row)];
  };

  const textAt = ({ texts, codes }, k) => texts[codes[k]];
  const join = (folder, name) => (folder ? `${folder}/${name}` : name);

  /** What is shown of a picture; null if it is not loaded. */
  const picture = (row) => {
    const [part, k] = at(row);
    if (k < 0 || row >= shardOf.length) return null;
    const [id, folder, thumb] = [part.id[k], textAt(part.folder, k), textAt(part.thumb, k)];
    part.hashes ??= part.hash.split(" ");
    return {
      row, id, kind: textAt(part.kind, k), width: part.width[k], height: part.height[k], level: query.LEVELS[part.level[k]],
      url: join(folder, `${id}${textAt(part.ext, k)}`), txt: part.txt[k] ? join(folder, `${id}.txt`) : null,
      thumb: thumb ? `.page/thumbs/${String(id % 100).padStart(2, "0")}/${id}${thumb}` : null, hash: part.hashes[k],
      created: part.created[k], post: part.post[k] || null, likes: part.likes[k], creator: textAt(part.creator, k),
    };
  };

  /** Width divided by height; 1 if unknown. */
  const ratio = (row) => {
    const [part, k] = at(row);
    return part.width[k] / part.height[k] || 1;
  };

  /** The row of a picture's id, or -1. */
  const rowOf = (id) => {
    for (const [shard, part] of parts.entries()) {
      for (let k = part ? part.id.indexOf(id) : -1; k >= 0; k = part.id.indexOf(id, k + 1)) {
        if (!dead[shard].has(k)) return pictures[shard].first + k;
      }
    }
    return firstRows[first.id.indexOf(id)] ?? -1;
  };

  /** The row of a model's id, or -1. */
  const modelRow = (id) => modelRows.findIndex((model) => model?.id === id);

  const previewOf = (preview) => {
    if (!preview || preview.path) return preview && { ...preview, url: preview.path };
    return picture(rowOf(preview.id));
  };

  /** What is shown of a model; null if it is not loaded. */
  const model = (row) => {
    const raw = modelRows[row];
    if (!raw) return null;
    const here = raw.versions.filter((version) => version[4]).length;
    return { ...raw, row, here, versions: raw.versions.length, likes: raw.up, preview: previewOf(raw.preview) };
  };

  // ---------------------------------------------------------------------------------------------------- loading
  const missing = { pictures: 0, models: 0 };

  const tell = () => {
    const gone = missing.pictures;
    dom.trouble("chunks", gone ? words.say("trouble.chunks", { n: gone }) : "");
    dom.trouble("models", missing.models ? words.say("trouble.models") : "");
  };

  const take = async (table, chunk, keep) => {
    const living = chunk.rows - chunk.dead.length;
    try {
      const text = await rooms.chunk(url(chunk.name), chunk.name);
      keep(await ask("load", { table, first: chunk.first, dead: chunk.dead, text }));
      return living;
    } catch {
      missing[table === "models" ? "models" : "pictures"] += living;
      tell();
      return 0;
    }
  };

  const keepModels = (chunk) => (answer) => {
    answer.forEach((each, k) => {
      if (chunk.dead.includes(k)) return;
      modelRows[chunk.first + k] = each;
      for (const [version] of each.versions) modelOfVersion.set(version, chunk.first + k);
    });
  };

  const keepPictures = (k) => (part) => (parts[k] = part);

  const loadOne = async (job) => {
    const living = await take(job.table, job.chunk, job.keep);
    const { loaded } = store.state;
    const key = job.table === "models" ? "models" : "done";
    store.set({ loaded: { ...loaded, [key]: loaded[key] + living, missing: missing.pictures } });
    question();
  };

  const loadAll = async () => {
    const jobs = models.map((chunk) => ({ table: "models", chunk, keep: keepModels(chunk) }));
    jobs.push(...pictures.map((chunk, k) => ({ table: "images", chunk, keep: keepPictures(k) })).reverse());
    const lane = async () => {
      for (let job = jobs.shift(); job; job = jobs.shift()) await loadOne(job);
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  };

  // --------------------------------------------------------------------------------------------------- questions
  const scopeOf = async ({ place, ids: [id] }) => {
    if (place === "collection") return { ids: (await collection(id))?.items ?? [] };
    if (place !== "model") return null;
    const details = await modelDetails(id).catch(() => null);
    const raw = modelRows[modelRow(id)];
    const versions = details?.versions ?? [];
    return {
      versions: raw?.versions.map(([version]) => version) ?? [], folder: raw?.folder ?? "",
      ids: versions.flatMap((version) => version.images),
    };
  };

  /**
   * Asks which rows are shown.
   * @param {{table: string, q: string, sort: string, picks: object[], scope: object|null}} what
   * @returns {Promise<{table: string, rows: Uint32Array, total: number, counts: object}>}
   */
  const find = (what) => ask("find", { q: "", sort: "newest", picks: [], scope: null, seed: store.state.seed, ...what });

  const current = async () => {
    const { under, ...state } = store.state;
    const list = under ?? state;
    const pictureList = under && query.table(list.place) === "models" ? { ...list, place: "images", ids: [], picks: [] } : list;
    const { q, sort, picks } = pictureList;
    return { table: query.table(pictureList.place), q, sort, picks, scope: await scopeOf(pictureList) };
  };

  let complete = false;
  let again = false;
  let running = null;
  let lastAnswer = performance.now();

  const answerAll = async () => {
    while (again) {
      again = false;
      const shown = await find(await current());
      lastAnswer = performance.now();
      if (!again) store.set({ shown });
    }
  };

  // One question is out at a time, and the newest waits for it; while data are coming, all wait for a while.
  const question = () => {
    const due = complete || performance.now() - lastAnswer > PATIENCE;
    if (!port || !due) return null;
    again = true;
    running ??= answerAll().catch(silent).finally(() => (running = null));
    return running;
  };

  /** More values of a facet, with counts as they are now. */
  const values = async (facet, text) => ask("values", { ...(await current()), facet, text });

  /** What may be meant by what is being typed (`query.termAt`). */
  const suggest = (term) => ask("suggest", { table: query.table(store.state.place), term });

  // ----------------------------------------------------------------------------------------------------- details
  const shards = new Map();

  // One promise a shard; the oldest are forgotten.
  const shard = (name, load) => {
    const promise = shards.get(name) ?? load(name);
    shards.delete(name);
    shards.set(name, promise);
    promise.catch(() => shards.delete(name));
    if (shards.size > KEPT_SHARDS) shards.delete(shards.keys().next().value);
    return promise;
  };

  const bothOf = async (name) => {
    const [hot, more] = await Promise.all([parsed(name), parsed(`${name}.more`).catch(() => null)]);
    const rest = more ? columns.unpackAll({ ...more, rows: hot.rows }) : {};
    return { things: hot.things, ...columns.unpackAll(hot), ...rest };
  };

  const pictureShard = (row) => shard(pictures[shardOf[row]].name, bothOf);

  const cut = (raw, clean) => {
    if (clean === 1) return raw;
    if (!Array.isArray(clean)) return clean ?? null;
    let [from, text] = [0, ""];
    clean.forEach((length, k) => {
      if (k % 2 === 0) text += raw.slice(from, from + length);
      from += length;
    });
    return text;
  };

  const fileOf = (details, version) => {
    const files = details?.versions.find((each) => each.id === version)?.files ?? [];
    const here = files.filter((file) => file.path);
    const file = here.find((each) => each.primary) ?? here[0];
    return file ? file.name : null;
  };

  const madeOf = async ([kind, name, version, id, model, base], weight) => {
    const row = modelOfVersion.get(id);
    const raw = modelRows[row];
    const details = raw ? await modelDetails(raw.id).catch(() => null) : null;
    const known = raw?.versions.find((each) => each[0] === id);
    return {
      name: raw?.name || name || String(id || ""), version: known?.[1] || version, type: raw?.type || kind, weight,
      base: base || known?.[2] || "", model: raw?.id ?? (model || null), file: fileOf(details, id),
      href: raw ? `#/model/${raw.id}` : null, lora: columns.LORAS.has(kind || raw?.type.toLowerCase()),
    };
  };

  const loraTag = ({ file, weight }) => `<lora:${file.replace(/\.[^.]+$/, "")}:${weight ?? 1}>`;

  const described = async (v, k, shown) => {
    const made = await Promise.all(v.used[k].map(([thing, weight]) => madeOf(v.things[thing], weight)));
    const of = (name) => v[name]?.[k] ?? null;
    const web = (name) => (of(name) ?? "").replace("{id}", shown.id).replace("{key}", of("key") ?? "");
    const raw = v.prompt[k];
    return {
      id: shown.id, url: web("url"), page: web("page"), post_id: of("post"), username: of("creator"), created_at: v.created[k],
      width: of("width"), height: of("height"), type: of("kind"), nsfw_level: of("level"), likes: of("likes"),
      model_versions: of("model_versions") ?? [], tools: of("tools"), techniques: of("techniques") ?? [], raw_prompt: raw,
      prompt: cut(raw, of("clean")), prompt_with_clothes: cut(raw, of("clothes")), negative_prompt: of("negative"),
      sampler: of("sampler"), steps: of("steps"), cfg_scale: of("cfg_scale"), seed: of("seed"), size: of("size"),
      model: of("checkpoint"), txt: shown.txt, path: shown.url, also: of("also"), made,
      loras: made.filter((each) => each.lora && each.file).map(loraTag),
    };
  };

  const lookAhead = (row) => {
    const { shown } = store.state;
    const place = shown?.table === "images" ? shown.rows.indexOf(row) : -1;
    if (place >= 0) shown.rows.subarray(place + 1, place + 1 + AHEAD).forEach((next) => pictureShard(next).catch(() => null));
  };

  /** All that is known of a picture. */
  const details = async (id) => {
    const row = rowOf(id);
    if (row < 0) throw new Error("missing");
    const v = await pictureShard(row);
    lookAhead(row);
    return described(v, row - pictures[shardOf[row]].first, picture(row));
  };

  /** All that is known of a model. */
  const modelDetails = async (id) => {
    const row = modelRow(id);
    const chunk = models.find(({ first: begin, rows }) => row >= begin && row < begin + rows);
    if (!chunk) throw new Error("missing");
    const { columns: { details: list } } = await shard(`${chunk.name}.more`, parsed);
    return { ...model(row), ...columns.unpack(list, chunk.rows)[row - chunk.first] };
  };

  // ------------------------------------------------------------------------------------- collections and posts
  const once = (load) => {
    let promise = null;
    return () => (promise ??= load());
  };

  const rowsIn = async (chunk) => {
    const { rows, columns: packed } = await parsed(chunk.name);
    const values_ = columns.unpackAll({ rows, columns: packed });
    const list = Array.from({ length: rows }, (_, k) => k).filter((k) => !chunk.dead.includes(k));
    return list.map((k) => Object.fromEntries(Object.entries(values_).map(([name, column]) => [name, column[k]])));
  };

  const allOf = (chunks = []) => once(async () => (await Promise.all(chunks.map((chunk) => rowsIn(chunk).catch(() => [])))).flat());

  /** The site's collections: `{id, name, username, description, items}`. */
  const collections = allOf(given.collections);
  const posts = allOf(given.posts);
  const collection = async (id) => (await collections()).find((each) => each.id === Number(id));

  /** A post as it is known: its words, and the rows of its pictures in the author's order. */
  const post = async (id) => {
    const known = (await posts()).find((each) => each.id === id);
    const ids = known?.images ?? [];
    const { rows } = await find({ table: "images", sort: "name", scope: { post: id, ids } });
    const place = (row) => (ids.indexOf(picture(row)?.id) + 1 || Infinity);
    return { ...known, id, rows: [...rows].sort((a, b) => place(a) - place(b) || a - b) };
  };

  // ------------------------------------------------------------------------------------------------------- start
  const plain = ({ place, q, sort, picks }) => place === "images" && !q && !picks.length && sort === "newest";

  const showFirst = () => {
    if (!location.hash && !totals.images && totals.models) store.go({ place: "models" }, "replace");
    if (!plain(store.state.under ?? store.state)) return;
    store.set({ shown: { table: "images", rows: Uint32Array.from(firstRows), total: totals.images, counts: {} } });
  };

  const QUESTION = ["place", "ids", "q", "sort", "picks", "seed"];

  const finish = async () => {
    complete = true;
    await question();
    store.set({ ready: true });
    requestAnimationFrame(() => (document.documentElement.dataset.ready = ""));
    ask("tags");
  };

  /** Loads everything. */
  const start = async () => {
    if (!usable) dom.trouble("manifest", words.say("trouble.manifest"));
    store.set({ loaded: { done: 0, of: totals.images, models: 0, missing: 0 } });
    showFirst();
    connect();
    ask("open", { images: rowsOf(pictures), models: rowsOf(models) });
    store.watch(QUESTION, (_, changed) => QUESTION.some((key) => changed.has(key)) && question());
    await loadAll();
    await finish();
  };

  return {
    collection, collections, details, find, model, modelDetails, modelRow, picture, post, ratio, rowOf, start, suggest,
    totals, values,
  };
});
