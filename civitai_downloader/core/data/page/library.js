"use strict";
// Loading what the manifest names, and asking the worker: whenever the state's question changes, its answer is shown.
civitai.room("library", ["rooms", "words", "dom", "query", "store", "stock"], (needs) => {
  const { rooms, words, dom, query, store, stock } = needs;
  const LANES = 4;
  const AHEAD = 2;
  const PATIENCE = 1500; // milliseconds between two answers while data are coming
  const PACE = 250; // milliseconds between two words about how many have come

  // --------------------------------------------------------------------------------------------------- the worker
  const calls = new Map();
  let port = null;
  let asked = 0;

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

  const ask = (what, data = {}) =>
    new Promise((done, fail) => {
      asked += 1;
      calls.set(asked, { done, fail });
      port?.postMessage({ number: asked, ask: what, ...data });
    });

  // ----------------------------------------------------------------------------------------------------- questions
  /** One of the site's collections: `{id, name, username, description, items}`. */
  const collection = async (id) => (await stock.collections()).find((each) => each.id === Number(id));

  // To the worker a model is its versions, its folder and its showcase, and a collection a list of ids.
  const scopeOf = async (scope) => {
    if (scope?.collection) return { ids: (await collection(scope.collection))?.items ?? [] };
    if (!scope?.model) return scope;
    const { versions = [], folder = "" } = await stock.modelDetails(scope.model).catch(() => ({}));
    const ids = versions.flatMap(({ images }) => images);
    return { versions: versions.map(({ id }) => id), folder, ids };
  };

  const askTable = async (what, question) => ask(what, { ...question, scope: await scopeOf(question.scope) });

  /** Returns `{table, rows, total}`; the scope is null, `{model}`, `{collection}` or `{post, ids}`, by ids. */
  const find = (question) => askTable("find", { ...USUAL, seed: store.state.seed, ...question });

  const USUAL = { q: "", sort: "newest", picks: [], scope: null };

  // Under a viewer that was opened from models lie all pictures.
  const current = () => {
    const { under, ...state } = store.state;
    const { place, ids, q, sort, picks } = under ?? state;
    if (under && place === "models") return { table: "images", q, sort, picks: [], scope: null };
    return { table: query.table(place), q, sort, picks, scope: ids.length ? { [place]: ids[0] } : null };
  };

  let complete = false;
  let again = false;
  let asking = ""; // what was asked last
  let running = null;
  let lastAnswer = performance.now();

  const answerAll = async () => {
    while (again) {
      again = false;
      const wanted = current();
      asking = JSON.stringify(wanted);
      const [shown, counts] = await Promise.all([find(wanted), askTable("counts", wanted)]);
      lastAnswer = performance.now();
      if (!again) store.set({ shown, counts });
    }
  };

  // One question is out at a time, and the newest waits for it; while data are coming, all wait for a while.
  const question = () => {
    const due = complete || performance.now() - lastAnswer > PATIENCE;
    const isNew = again || JSON.stringify(current()) !== asking;
    if (!port || !due || !isNew) return running;
    again = true;
    running ??= answerAll().catch(silent).finally(() => (running = null));
    return running;
  };

  /** More values of a facet, with counts as they are now. */
  const values = (facet, text) => askTable("values", { ...current(), facet, text });

  /** What may be meant by what is being typed (`query.termAt`). */
  const suggest = (term) => ask("suggest", { table: query.table(store.state.place), term });

  // ------------------------------------------------------------------------------------------------------- loading
  const tables = {
    images: { chunks: [...stock.pictures].reverse(), keep: stock.keepPictures, loaded: 0, missing: 0 },
    models: { chunks: stock.models, keep: stock.keepModels, loaded: 0, missing: 0 },
  };

  let told = -PACE;
  const tellLoaded = () => {
    if (!complete && performance.now() - told < PACE) return;
    told = performance.now();
    store.set({ loaded: { done: tables.images.loaded, of: stock.totals.images } });
  };

  const loadChunk = async (name, chunk) => {
    const table = tables[name];
    const living = chunk.rows - chunk.dead.length;
    try {
      const text = await stock.text(chunk.name);
      table.keep(chunk, await ask("load", { table: name, first: chunk.first, dead: chunk.dead, text }));
      table.loaded += living;
    } catch {
      table.missing += living;
      dom.trouble(name, words.say(`trouble.${name}`, { n: table.missing }));
    }
    asking = "";
    tellLoaded();
    question();
  };

  const loadAll = async () => {
    const jobs = ["models", "images"].flatMap((name) => tables[name].chunks.map((chunk) => [name, chunk]));
    const lane = async () => {
      while (jobs.length) await loadChunk(...jobs.shift());
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  };

  const collections = [];
  const nameCollections = async () => {
    collections.push(...(await stock.collections()).map(({ id, name, items }) => ({ id, name, count: items.length })));
    store.set({ collections });
  };

  // Before anything is loaded there are the newest.
  const showFirst = () => {
    const { images, models } = stock.totals;
    if (!location.hash && !images && models) store.go({ place: "models" }, "replace");
    const { place, q, sort, picks } = store.state.under ?? store.state;
    if (place !== "images" || q || picks.length || sort !== "newest") return;
    store.set({ shown: { table: "images", rows: stock.firstRows, total: images }, counts: { table: "images", facets: {} } });
  };

  /** Loads everything. */
  const start = async () => {
    if (!stock.usable) dom.trouble("manifest", words.say("trouble.manifest"));
    tellLoaded();
    showFirst();
    connect();
    nameCollections();
    const [images, models] = [stock.pictures, stock.models].map((chunks) => chunks.at(-1)?.end ?? 0);
    ask("open", { things: stock.things, images, models });
    store.ask(["place", "ids", "q", "sort", "picks"], question);
    await loadAll();
    complete = true;
    tellLoaded();
    await question();
    store.set({ ready: true });
    ask("rest");
  };

  // ------------------------------------------------------------------------------------------- details and posts
  /** All that is known of a picture; what comes after it in the list is fetched ahead. */
  const details = async (id) => {
    const found = await stock.details(id);
    const { shown } = store.state;
    const place = shown?.table === "images" ? shown.rows.indexOf(stock.rowOf(id)) : -1;
    if (place >= 0) shown.rows.subarray(place + 1, place + 1 + AHEAD).forEach(stock.prepare);
    return found;
  };

  /** A post as it is known: its words, and the rows of its pictures in the author's order. */
  const post = async (id) => {
    const known = (await stock.posts()).find((each) => each.id === id);
    const ids = known?.images ?? [];
    const { rows } = await find({ table: "images", sort: "name", scope: { post: id, ids } });
    const place = (row) => ids.indexOf(stock.picture(row)?.id) + 1 || Infinity;
    return { ...known, id, rows: [...rows].sort((a, b) => place(a) - place(b) || a - b) };
  };

  const { model, modelDetails, modelRow, picture, ratiosOf, rowOf, totals } = stock;
  return {
    collection, collections, details, find, model, modelDetails, modelRow, picture, post, ratiosOf, rowOf, start,
    suggest, totals, values,
  };
});
