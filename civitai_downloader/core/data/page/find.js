"use strict";
// The bar: places, the search with its suggestions, how things are shown, and the line that says what is shown.
civitai.room("find", ["words", "dom", "query", "store", "library"], (needs) => {
  const { words, dom, query, store, library } = needs;
  const { el } = dom;
  const EARLIER = 12; // searches that are offered
  const homeOf = (state) => state.under ?? state;
  const numberOf = (count) => el("span", { class: "number" }, words.number(count));
  const cut = (text) => el("span", { class: "cut" }, text);

  // -------------------------------------------------------------------------------------------------------- places
  const collections = dom.find("#collections");
  const placeOf = (name) => dom.find(`#places [data-place="${name}"]`);

  const collectionLink = ({ id, name, count }) =>
    el("li", {}, dom.link(el("a", {}, cut(name), numberOf(count)), `#/collection/${id}`));

  const showPlaces = (state) => {
    const { images, models, collections: lists } = library.totals;
    for (const [name, count] of Object.entries({ images, models, collection: lists })) {
      const place = placeOf(name);
      dom.find(".number", place).textContent = words.number(count);
      if (homeOf(state).place === name) place.setAttribute("aria-current", "page");
      else place.removeAttribute("aria-current");
    }
    placeOf("collection").hidden = lists === 0;
  };

  collections.addEventListener("beforetoggle", () => dom.fill(collections, library.collections.map(collectionLink)));
  dom.on(collections, "click", "a", () => collections.hidePopover());

  // Where styles cannot place a menu at its button, it is placed when it opens: under it, towards the middle.
  const placeMenu = ({ target: menu }) => {
    const { left, right, bottom } = dom.find(`[popovertarget="${menu.id}"]`).getBoundingClientRect();
    const wide = document.documentElement.clientWidth;
    const sides = left + right < wide ? `auto auto ${left}px` : `${wide - right}px auto auto`;
    menu.style.inset = `${bottom + 4}px ${sides}`;
  };

  if (!CSS.supports("anchor-name", "--menu")) {
    for (const menu of document.querySelectorAll(".menu[popover]")) menu.addEventListener("beforetoggle", placeMenu);
  }

  // -------------------------------------------------------------------------------------------------------- search
  const field = dom.find("#q");
  const box = dom.find("#suggestions");
  const erase = dom.find('[data-do="erase"]');
  const newest = store.latest();
  let offered = []; // what the options stand for: whole queries or suggestions
  let chosen = -1;

  const choose = (index) => {
    chosen = index;
    [...box.children].forEach((option, at) => option.setAttribute("aria-selected", at === index));
    if (index < 0) field.removeAttribute("aria-activedescendant");
    else field.setAttribute("aria-activedescendant", box.children[index].id);
    box.children[index]?.scrollIntoView({ block: "nearest" });
  };

  const optionOf = ({ whole, value, field: of, count }, index) =>
    el("li", { role: "option", id: `option-${index}`, "aria-selected": "false" }, cut(whole ?? value),
      of && el("span", { class: "quiet" }, words.say(`field.${of}`)), count !== undefined && numberOf(count));

  const offer = (options) => {
    offered = options;
    dom.fill(box, options.map(optionOf));
    box.hidden = options.length === 0;
    field.setAttribute("aria-expanded", !box.hidden);
    choose(-1);
  };

  const termNow = () => query.termAt(field.value, field.selectionStart ?? field.value.length);

  const suggest = () => {
    const term = termNow();
    const found = term.text ? library.suggest(term) : Promise.resolve([]);
    newest(found, (list) => offer(document.activeElement === field ? list : []));
  };

  const earlier = () => offer(store.searches().slice(0, EARLIER).map((whole) => ({ whole })));

  const typed = () => {
    erase.hidden = !field.value;
    store.type(field.value);
  };

  const write = (text, caret = text.length) => {
    field.value = text;
    field.setSelectionRange(caret, caret);
    typed();
  };

  const accept = (index) => {
    const { whole, ...suggestion } = offered[index];
    if (whole === undefined) {
      const { q, caret } = query.complete(field.value, termNow(), suggestion);
      write(q, caret);
    } else write(whole);
    offer([]);
  };

  const closeBox = (event) => {
    if (box.hidden) return;
    event.preventDefault();
    event.stopPropagation();
    offer([]);
  };

  const move = (by) => (event) => {
    event.preventDefault();
    if (box.hidden && !field.value) earlier();
    else if (box.hidden) suggest();
    const from = chosen < 0 && by < 0 ? 0 : chosen;
    if (!box.hidden) choose((from + by + offered.length) % offered.length);
  };

  const enter = () => {
    if (chosen >= 0) accept(chosen);
    if (field.value.trim()) store.searched(field.value.trim());
    offer([]);
  };

  const keys = { ArrowDown: move(1), ArrowUp: move(-1), Enter: enter, Escape: closeBox };
  field.placeholder = words.say("find.search");
  field.addEventListener("keydown", (event) => event.isComposing || keys[event.key]?.(event));
  field.addEventListener("input", () => {
    typed();
    suggest();
  });
  field.addEventListener("blur", () => offer([]));
  box.addEventListener("pointerdown", (event) => event.preventDefault());
  dom.on(box, "click", "[role=option]", (line) => accept([...box.children].indexOf(line)));

  const showQuery = ({ q }) => {
    const isTyping = document.activeElement === field && field.value.trim() === q.trim();
    if (!isTyping && field.value !== q) field.value = q;
    erase.hidden = !field.value;
  };

  // ------------------------------------------------------------------------------------------------------ controls
  const control = (selector) => dom.find(selector, dom.find("#controls"));
  const [size, cover, themes] = [".size", ".cover-all", "#themes"].map(control);
  const [sort, level] = ["sort", "level"].map((doing) => control(`[data-do="${doing}"]`));
  const optionsOf = (entries) => entries.map(([value, text]) => el("option", { value }, text));
  const rated = query.LEVELS.slice(0, -1);
  const from = (each) => words.say(each === rated.at(-1) ? "find.cover-from" : "find.cover-more", { level: each });
  dom.fill(sort, optionsOf(query.SORTS.map((name) => [name, words.say(`sort.${name}`)])));
  dom.fill(level, optionsOf([...rated.map((each) => [each, from(each)]), ["", words.say("find.cover-none")]]));
  size.addEventListener("input", () => store.setting("size", Number(size.value)));

  const showControls = ({ settings, view, sort: order, covering, across = 7 }) => {
    for (const name of query.VIEWS) control(`[data-do="view-${name}"]`).setAttribute("aria-pressed", view === name);
    dom.fill(cover, dom.icon(covering ? "covered" : "open")).setAttribute("aria-pressed", covering);
    const title = words.say("find.across", { n: across });
    Object.assign(size, { value: settings.size, disabled: view === "list", title, ariaValueText: title });
    sort.value = order;
    level.value = settings.cover;
    for (const item of themes.querySelectorAll("button"))
      item.setAttribute("aria-checked", item.dataset.theme === settings.theme);
  };

  // -------------------------------------------------------------------------------------------------------- status
  const status = dom.find("#status");
  const heading = dom.find("#heading");
  const newestTitle = store.latest();

  const titleOf = async ({ place, ids }) => {
    if (place !== "collection") return words.say(place === "models" ? "place.models" : "place.images");
    return (await library.collection(ids[0]))?.name ?? words.say("place.collections");
  };

  const showTitle = (state) => {
    const { place } = homeOf(state);
    heading.hidden = place === "model";
    heading.classList.toggle("unseen", place !== "collection");
    if (heading.hidden) return;
    newestTitle(titleOf(homeOf(state)), (text) => {
      heading.textContent = text;
      document.title = `${text} – ${words.say("title")}`;
    });
  };

  const lower = (text) => text.slice(0, 1).toLowerCase() + text.slice(1);

  const tellShown = ({ shown, sort: by, loaded, ready }) => {
    const counted = words.say(`count.${shown.table}`, { n: shown.total });
    const said = words.say("find.status", { counted, order: lower(words.say(`sort.${by}`)) });
    const partly = words.say("find.searchable", { n: loaded.done, of: loaded.of });
    status.dataset.count = shown.total;
    status.textContent = ready ? said : `${said} · ${partly}`;
  };

  const showStatus = (state) => {
    if (state.shown) tellShown(state);
    document.documentElement.toggleAttribute("data-ready", state.ready);
  };

  store.watch(["place", "under"], showPlaces);
  store.watch(["place", "ids", "under", "collections"], showTitle);
  store.watch(["q"], showQuery);
  store.watch(["view", "sort", "settings", "covering", "across"], showControls);
  store.watch(["shown", "sort", "loaded", "ready"], showStatus);

  const theme = (item) => {
    store.setting("theme", item.dataset.theme);
    themes.hidePopover();
  };

  const search = () => {
    field.focus();
    field.select();
  };

  const actions = {
    search,
    theme,
    erase: () => {
      write("");
      search();
    },
    sort: () => store.go({ sort: sort.value }, "replace"),
    level: () => store.setting("cover", level.value),
    ...Object.fromEntries(query.VIEWS.map((view) => [`view-${view}`, () => store.go({ view }, "replace")])),
  };

  return { actions };
});
