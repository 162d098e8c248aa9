"use strict";
// Loading what the manifest names, and asking the worker: whenever the state's question changes, its answer is shown.
civitai.room("library", ["rooms", "words", "dom", "query", "store", "stock"], (needs) => {
  const { rooms, words, dom, query, store, stock } = needs;
  const LANES = 4;
  const AHEAD = 2;
  const PATIENCE = 1500;

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
      const text = await stock.text(chunk.name);
      keep(await ask("load", { table, first: chunk.first, dead: chunk.dead, text }));
      return living;
    } catch {
      missing[table === "models" ? "models" : "pictures"] += living;
      tell();
      return 0;
    }
  };

  const loadOne = async (job) => {
    const living = await take(job.table, job.chunk, job.keep);
    const { loaded } = store.state;
    const key = job.table === "models" ? "models" : "done";
    store.set({ loaded: { ...loaded, [key]: loaded[key] + living, missing: missing.pictures } });
    question();
  };

  const loadAll = async () => {
    const jobs = stock.models.map((chunk) => ({ table: "models", chunk, keep: stock.keepModels(chunk) }));
    jobs.push(...stock.pictures.map((chunk) => ({ table: "images", chunk, keep: stock.keepPictures(chunk) })).reverse());
    const lane = async () => {
      for (let job = jobs.shift(); job; job = jobs.shift()) await loadOne(job);
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  };

  // --------------------------------------------------------------------------------------------------- questions
  const scopeOf = async ({ place, ids: [id] }) => {
    if (place === "collection") return { ids: (await collection(id))?.items ?? [] };
    if (place !== "model") return null;
    const details = await stock.modelDetails(id).catch(() => null);
    const versions = details?.versions ?? [];
    return {
      versions: versions.map((version) => version.id), folder: details?.folder ?? "",
      ids: versions.flatMap((version) => version.images),
    };
  };

  /** Returns the answer to a question: `{table, rows, total, counts}`. */
  const find = (what) =>
    ask("find", { q: "", sort: "newest", picks: [], scope: null, seed: store.state.seed, ...what });

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

  // ------------------------------------------------------------------------------------- collections and posts
  let collections = [];

  /** One of the site's collections: `{id, name, username, description, items}`. */
  const collection = async (id) => (await stock.collections()).find((each) => each.id === Number(id));

  const nameCollections = async () => {
    collections = (await stock.collections()).map(({ id, name, items }) => ({ id, name, count: items.length }));
    store.set({ loaded: { ...store.state.loaded } });
  };

  /** A post as it is known: its words, and the rows of its pictures in the author's order. */
  const post = async (id) => {
    const known = (await stock.posts()).find((each) => each.id === id);
    const ids = known?.images ?? [];
    const { rows } = await find({ table: "images", sort: "name", scope: { post: id, ids } });
    const place = (row) => (ids.indexOf(stock.picture(row)?.id) + 1 || Infinity);
    return { ...known, id, rows: [...rows].sort((a, b) => place(a) - place(b) || a - b) };
  };

  // ------------------------------------------------------------------------------------------------------- start
  const plain = ({ place, q, sort, picks }) => place === "images" && !q && !picks.length && sort === "newest";

  const showFirst = () => {
    if (!location.hash && !stock.totals.images && stock.totals.models) store.go({ place: "models" }, "replace");
    if (!plain(store.state.under ?? store.state)) return;
    store.set({ shown: { table: "images", rows: stock.firstRows, total: stock.totals.images, counts: {} } });
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
    if (!stock.usable) dom.trouble("manifest", words.say("trouble.manifest"));
    store.set({ loaded: { done: 0, of: stock.totals.images, models: 0, missing: 0 } });
    showFirst();
    connect();
    nameCollections();
    ask("open", { things: stock.things, images: stock.rowsOf(stock.pictures), models: stock.rowsOf(stock.models) });
    store.watch(QUESTION, (_, changed) => QUESTION.some((key) => changed.has(key)) && question());
    await loadAll();
    await finish();
  };

  const lookAhead = (row) => {
    const { shown } = store.state;
    const place = shown?.table === "images" ? shown.rows.indexOf(row) : -1;
    if (place >= 0) shown.rows.subarray(place + 1, place + 1 + AHEAD).forEach(stock.prepare);
  };

  /** All that is known of a picture; what comes after it in the list is fetched ahead. */
  const details = async (id) => {
    const found = await stock.details(id);
    lookAhead(stock.rowOf(id));
    return found;
  };

  const { model, modelDetails, modelRow, picture, ratio, rowOf, totals } = stock;
  return {
    collection, details, find, model, modelDetails, modelRow, picture, post, ratio, rowOf, start, suggest, totals,
    values,
    get collections() {
      return collections;
    },
  };
});
