"use strict";
// The one state of the page, who is told of its changes, and how it stands in the address and in the browser's memory.
civitai.room("store", ["rooms", "words", "dom", "query"], ({ rooms, words, dom, query }) => {
  const ADDRESS = ["place", "ids", "q", "sort", "view", "picks"];
  const KEPT_SEARCHES = 50;
  const PACE = 100; // milliseconds: browsers refuse an address that changes hundreds of times in ten seconds
  const USUAL = { size: 3, cover: "R", theme: "", facets: true, keys: true };

  // --------------------------------------------------------------------------------------- what the browser keeps
  const remember = (key, value) => {
    if (!rooms.remember(key, value)) dom.trouble("storage", words.say("trouble.storage"));
  };

  const recallList = (key) => {
    const list = rooms.recall(key, []);
    return Array.isArray(list) ? list : [];
  };

  const addressOf = (state) => Object.fromEntries(ADDRESS.map((key) => [key, state[key]]));
  const now = () => query.read(location.hash);

  let state = Object.freeze({
    ...now(),
    under: null,
    depth: 0,
    shown: null,
    loaded: { done: 0, of: 0, models: 0, missing: 0 },
    ready: false,
    focus: null,
    covering: true,
    uncovered: new Set(),
    selected: new Set(),
    seed: Math.floor(Math.random() * 1e6),
    settings: { ...USUAL, ...rooms.recall("settings", {}) },
  });

  // ------------------------------------------------------------------------------------------------- subscribers
  const watchers = new Set();
  let changed = new Set();

  // A view that fails is reported as any error is, and keeps no other view from what is new.
  const hear = (watcher, news) => {
    watcher.fresh = false;
    try {
      watcher.handler(state, news);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  };

  const tell = () => {
    const news = changed;
    changed = new Set();
    for (const watcher of [...watchers]) {
      if (watcher.fresh || watcher.keys.some((key) => news.has(key))) hear(watcher, news);
    }
  };

  const soon = () => {
    if (!changed.size) requestAnimationFrame(tell);
  };

  /** Changes the state at once; subscribers hear of it at the next frame. */
  const set = (patch) => {
    const news = Object.keys(patch).filter((key) => patch[key] !== state[key]);
    if (!news.length) return;
    state = Object.freeze({ ...state, ...patch });
    soon();
    news.forEach((key) => changed.add(key));
  };

  /** Calls `handler(state, changed)` at the next frame and whenever a key has changed, until the signal ends it. */
  const watch = (keys, handler, signal) => {
    const watcher = { keys, handler, fresh: true };
    watchers.add(watcher);
    signal?.addEventListener("abort", () => watchers.delete(watcher), { once: true });
    soon();
    changed.add("");
  };

  // --------------------------------------------------------------------------------------------------- the address
  const same = (a, b) => query.write(a) === query.write(b);
  let timer = 0;
  let written = -PACE;

  const writeAddress = () => {
    clearTimeout(timer);
    timer = 0;
    written = performance.now();
    const { under, depth } = state;
    history.replaceState(under && { under: query.write(under), depth }, "", href());
  };

  const noteAddress = () => {
    timer ||= setTimeout(writeAddress, Math.max(0, written + PACE - performance.now()));
  };

  /** The list over which the viewer lies, and how many steps ago it was left. */
  const beneath = (address, steps) => {
    if (address.place !== "image") return { under: null, depth: 0 };
    const kept = history.state?.under ? query.read(history.state.under) : null;
    const { place, ids } = kept ?? state.under ?? (state.place === "image" ? { place: "images", ids: [] } : state);
    return { under: { ...address, place, ids }, depth: kept ? history.state.depth : state.depth + steps };
  };

  /** Takes over an address; what did not change stays the same object. */
  const enter = (address, steps) => {
    const known = JSON.stringify;
    const news = ADDRESS.filter((key) => known(address[key]) !== known(state[key]));
    const { under, depth } = beneath(address, steps);
    set({ ...Object.fromEntries(news.map((key) => [key, address[key]])), under, depth });
    if (under || !steps) noteAddress();
    document.documentElement.dataset.place = address.place;
  };

  /** Returns the address of the state with something changed in it, for a link. */
  const href = (patch = {}) => query.write({ ...addressOf(state), ...patch });

  /** Changes the address; `how` ("push" or "replace") says whether that is a step for Back. */
  const go = (patch, how = "push") => {
    const address = query.read(query.write({ ...addressOf(state), ...patch }));
    if (same(address, addressOf(state))) return;
    if (how === "push") {
      if (timer) writeAddress();
      history.pushState(null, "", query.write(address));
    }
    enter(address, how === "push" ? 1 : 0);
  };

  const follow = () => {
    const address = now();
    if (same(address, addressOf(state))) return;
    clearTimeout(timer);
    timer = 0;
    enter(address, 1);
  };

  /** Returns from the viewer to what lies under it. */
  const close = () => {
    if (!state.under) return;
    if (state.depth) history.go(-state.depth);
    else go(state.under);
  };

  /** Changes the search while it is typed. */
  const type = (q) => go({ q }, "replace");

  /** Chooses a value of a facet, or takes the choice back; `not` excludes it, `only` drops the other values. */
  const pick = (facet, value, { not = false, only = false } = {}) => {
    const is = (each) => each.facet === facet && each.value === value;
    const before = state.picks.find(is);
    const others = state.picks.filter((each) => !is(each) && !(only && each.facet === facet));
    go({ picks: before?.not === not ? others : [...others, { facet, value, not }] });
  };

  /** Drops the choices of a facet, or all. */
  const clear = (facet = "") => go({ picks: facet ? state.picks.filter((each) => each.facet !== facet) : [] });

  // ------------------------------------------------------------------------------------------ what is remembered
  /** Changes a setting and remembers it. */
  const setting = (name, value) => {
    set({ settings: { ...state.settings, [name]: value } });
    remember("settings", state.settings);
    if (name === "theme") rooms.show(value);
  };

  /** Whether a picture of this level is covered now. */
  const covered = (level, id) => {
    const from = query.LEVELS.indexOf(state.settings.cover);
    const own = level === "unrated" ? -1 : query.LEVELS.indexOf(level);
    return state.covering && from >= 0 && own >= from && !state.uncovered.has(id);
  };

  /** The last searches, newest first. */
  const searches = () => recallList("searches").filter((q) => typeof q === "string");

  /** Remembers a search. */
  const searched = (q) => {
    if (q.trim()) remember("searches", [q, ...searches().filter((old) => old !== q)].slice(0, KEPT_SEARCHES));
  };

  /** The presets by name: `{name, address}`. */
  const presets = () => recallList("presets").filter((each) => typeof each?.name === "string" && each.address);
  const others = (name) => presets().filter((each) => each.name !== name);

  /** Remembers what is shown now under a name. */
  const savePreset = (name) => {
    remember("presets", [...others(name), { name, address: href() }]);
    set({ presets: presets() });
  };

  /** Forgets a preset. */
  const dropPreset = (name) => {
    remember("presets", others(name));
    set({ presets: presets() });
  };

  /** Returns `(promise, then)`, which hands on an answer only if nothing newer was asked through it. */
  const latest = () => {
    let newest = 0;
    return async (promise, then) => {
      const mine = (newest += 1);
      const answer = await promise;
      if (mine === newest) then(answer);
    };
  };

  globalThis.addEventListener("popstate", follow);
  globalThis.addEventListener("hashchange", follow);
  remember("opened", Date.now());
  if (location.hash) enter(addressOf(state), 0);

  return {
    clear, close, covered, dropPreset, go, href, latest, pick, presets, savePreset, searched, searches, set, setting,
    type, watch,
    get state() {
      return state;
    },
  };
});
