"use strict";
// The one state of the page, who is told of its changes, and how it stands in the address and in the browser's memory.
civitai.room("store", ["rooms", "words", "dom", "query"], ({ rooms, words, dom, query }) => {
  const ADDRESS = ["place", "ids", "q", "sort", "view", "picks"];
  const KEPT_SEARCHES = 50;
  const PACE = 100; // milliseconds: browsers refuse an address that changes hundreds of times in ten seconds
  const USUAL = { size: 3, cover: "R", theme: "", facets: true, keys: true };

  const now = () => query.read(location.hash);

  let state = Object.freeze({
    ...now(),
    under: null,
    depth: 0,
    shown: null,
    counts: null, // of the values of facets, as they belong to what is shown
    loaded: { done: 0, of: 0 }, // pictures that can be searched, of all
    ready: false,
    focus: null,
    covering: true,
    uncovered: new Set(),
    seed: Math.floor(Math.random() * 1e6),
    settings: { ...USUAL, ...rooms.recall("settings", {}) },
  });

  // ------------------------------------------------------------------------------------------------- subscribers
  const watchers = [];
  const askers = [];
  let isAwaited = false;

  // A view that fails is reported as any error is, and keeps no other view from what is new.
  const hand = (watcher) => {
    const { news } = watcher;
    watcher.news = new Set();
    try {
      watcher.handler(state, news);
    } catch (error) {
      globalThis.reportError(error);
    }
  };

  const tell = () => {
    isAwaited = false;
    watchers.filter(({ news }) => news.size).forEach(hand);
  };

  // A task of its own for all, so that what a frame has to do is no longer than drawing takes.
  const note = (watcher, keys) => {
    for (const key of keys) watcher.news.add(key);
    if (!keys.length || isAwaited) return;
    setTimeout(tell);
    isAwaited = true;
  };

  /** Changes the state at once; subscribers hear of it in the next task. */
  const set = (patch) => {
    const news = Object.keys(patch).filter((key) => patch[key] !== state[key]);
    state = Object.freeze({ ...state, ...patch });
    for (const watcher of watchers) note(watcher, news.filter((key) => watcher.keys.includes(key)));
    for (const { keys, handler } of askers) if (news.some((key) => keys.includes(key))) queueMicrotask(handler);
  };

  /** Calls `handler(state, changed)` in the next task and whenever one of the keys has changed. */
  const watch = (keys, handler) => {
    const watcher = { keys, handler, news: new Set() };
    watchers.push(watcher);
    note(watcher, keys);
  };

  /** Calls `handler()` as soon as one of the keys has changed: for what has to be asked for, and shows nothing. */
  const ask = (keys, handler) => askers.push({ keys, handler });

  // --------------------------------------------------------------------------------------------------- the address
  let timer = 0;
  let written = -PACE;
  let known = location.hash; // the address that the state has taken over, or has written itself

  /** Returns the address of the state with something changed in it, for a link. */
  const href = (patch = {}) => query.write({ ...state, ...patch });

  const writeAddress = () => {
    clearTimeout(timer);
    timer = 0;
    written = performance.now();
    const { under, depth } = state;
    history.replaceState(under && { under: query.write(under), depth }, "", href());
    known = location.hash;
  };

  // The list over which the viewer lies, and how many steps ago it was left.
  const beneath = (address, steps) => {
    if (address.place !== "image") return { under: null, depth: 0 };
    const kept = history.state?.under ? query.read(history.state.under) : null;
    const { place, ids } = kept ?? state.under ?? (state.place === "image" ? { place: "images", ids: [] } : state);
    return { under: { ...address, place, ids }, depth: kept ? history.state.depth : state.depth + steps };
  };

  // Takes over an address; what did not change stays the same object.
  const enter = (address, steps) => {
    const told = JSON.stringify;
    const news = ADDRESS.filter((key) => told(address[key]) !== told(state[key])).map((key) => [key, address[key]]);
    const beyond = beneath(address, steps);
    set({ ...Object.fromEntries(news), ...beyond });
    if (beyond.under || !steps) timer ||= setTimeout(writeAddress, Math.max(0, written + PACE - performance.now()));
    document.documentElement.dataset.place = address.place;
  };

  /** Changes the address; `how` ("push" or "replace") says whether that is a step for Back. */
  const go = (patch, how = "push") => {
    const address = query.read(href(patch));
    const url = query.write(address);
    if (url === href()) return;
    if (how === "push" && timer) writeAddress();
    if (how === "push") {
      history.pushState(null, "", url);
      known = location.hash;
    }
    enter(address, how === "push" ? 1 : 0);
  };

  // Events may come late: when more was typed, the address that they tell of is no longer news.
  const follow = () => {
    if (location.hash === known) return;
    known = location.hash;
    const address = now();
    if (query.write(address) === href()) return;
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

  // ------------------------------------------------------------------------------------------ what is remembered
  const remember = (key, value) => {
    if (!rooms.remember(key, value)) dom.trouble("storage", words.say("trouble.storage"));
  };

  const recalled = (key, isGood) => {
    const list = rooms.recall(key, []);
    return Array.isArray(list) ? list.filter(isGood) : [];
  };

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
  const searches = () => recalled("searches", (q) => typeof q === "string");

  const searched = (q) => {
    if (q.trim()) remember("searches", [q, ...searches().filter((old) => old !== q)].slice(0, KEPT_SEARCHES));
  };

  /** The presets: `{name, address}`. */
  const presets = () => recalled("presets", (each) => typeof each?.name === "string" && each.address);

  const others = (name) => presets().filter((each) => each.name !== name);

  /** Remembers what is shown now under a name. */
  const savePreset = (name) => remember("presets", [...others(name), { name, address: href() }]);
  const dropPreset = (name) => remember("presets", others(name));

  /** Returns `(promise, then)`, which hands on an answer only if nothing newer was asked through it. */
  const latest = () => {
    let newest = 0;
    return async (promise, then) => {
      const mine = (newest += 1);
      const answer = await promise;
      if (mine === newest) then(answer);
    };
  };

  // Who follows a link comes back to what was typed last.
  const keepTyped = () => timer && writeAddress();

  globalThis.addEventListener("click", keepTyped, true);
  globalThis.addEventListener("popstate", follow);
  globalThis.addEventListener("hashchange", follow);
  remember("opened", Date.now()); // a browser that keeps nothing says so at once
  if (location.hash) enter(now(), 0);

  return {
    ask, close, covered, dropPreset, go, href, latest, pick, presets, savePreset, searched, searches, set, setting,
    type, watch,
    get state() {
      return state;
    },
  };
});
