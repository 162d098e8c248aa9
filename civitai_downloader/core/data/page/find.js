"use strict";
// The bar: places, the search with its suggestions, how things are shown, and the line that says what is shown.
civitai.room("find", ["words", "dom", "query", "store", "library"], (needs) => {
  const { words, dom, query, store, library } = needs;
  const { el, button } = dom;
  const narrow = globalThis.matchMedia("(max-width: 999px)");

  // -------------------------------------------------------------------------------------------------------- places
  const nav = dom.find("#places");
  const place = (name) => {
    const count = el("span", { class: "number" });
    return dom.link(el("a", { data: { place: name } }, words.say(`place.${name}`), " ", count), `#/${name}`);
  };
  const gathered = el("ul", { id: "collections", class: "menu", popover: "auto" });
  const collections = el(
    "button",
    { type: "button", class: "plain", popovertarget: "collections", "aria-haspopup": "true", hidden: true },
    words.say("place.collections"), " ", el("span", { class: "number" }),
  );
  nav.append(place("images"), place("models"), collections, gathered);

  const collectionLink = ({ id, name: text, count }) => {
    const number = el("span", { class: "number" }, words.number(count));
    return el("li", {}, dom.link(el("a", {}, el("span", { class: "cut" }, text), number), `#/collection/${id}`));
  };

  const showPlaces = (state) => {
    const { images, models } = library.totals;
    const home = state.under ?? state;
    const current = (link, is) => (is ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current"));
    for (const [name, count] of [["images", images], ["models", models]]) {
      const link = dom.find(`[data-place="${name}"]`, nav);
      dom.find(".number", link).textContent = words.number(count);
      current(link, home.place === name);
    }
    current(collections, home.place === "collection");
    collections.hidden = library.totals.collections === 0;
    dom.find(".number", collections).textContent = words.number(library.totals.collections);
  };

  // A popover stands at the window's corner unless it is told where.
  const under = (menu, opener, end = false) => {
    const box = opener.getBoundingClientRect();
    menu.style.top = `${box.bottom + 4}px`;
    menu.style.left = end ? "auto" : `${Math.max(8, box.left)}px`;
    menu.style.right = end ? `${Math.max(8, document.documentElement.clientWidth - box.right)}px` : "auto";
  };
  gathered.addEventListener("beforetoggle", () => {
    under(gathered, collections);
    dom.fill(gathered, library.collections.map(collectionLink));
  });
  dom.on(gathered, "click", "a", () => gathered.hidePopover());

  // -------------------------------------------------------------------------------------------------------- search
  const field = el("input", {
    type: "search", id: "q", autocomplete: "off", spellcheck: "false", enterkeyhint: "search", role: "combobox",
    placeholder: words.say("find.search"),
    aria: { label: words.say("find.search"), expanded: "false", controls: "suggestions", autocomplete: "list" },
  });
  const box = el("ul", { id: "suggestions", class: "menu", role: "listbox", hidden: true, aria: { label: words.say("find.suggestions") } });
  const erase = button("erase", "find.erase", "close", { class: "plain icons erase", hidden: true });
  dom.find("#search").append(dom.icon("search"), field, erase, box);
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

  const offer = (options) => {
    offered = options;
    dom.fill(box, options.map(optionOf));
    box.hidden = options.length === 0;
    field.setAttribute("aria-expanded", !box.hidden);
    choose(-1);
  };

  const optionOf = ({ whole, value, field: of, count }, index) =>
    el(
      "li",
      { role: "option", id: `option-${index}`, "aria-selected": "false" },
      el("span", { class: "cut" }, whole ?? value),
      of ? el("span", { class: "quiet" }, words.say(`field.${of}`)) : null,
      count === undefined ? null : el("span", { class: "number" }, words.number(count)),
    );

  const termNow = () => query.termAt(field.value, field.selectionStart ?? field.value.length);

  const suggest = () => {
    const term = termNow();
    if (!term.text) return newest(Promise.resolve([]), offer);
    return newest(library.suggest(term), offer);
  };

  const earlier = () => offer(store.searches().slice(0, 12).map((search) => ({ whole: search })));

  const write = (text, caret = text.length) => {
    field.value = text;
    field.setSelectionRange(caret, caret);
    typed();
  };

  const typed = () => {
    erase.hidden = !field.value;
    store.type(field.value);
  };

  const accept = (index) => {
    const { whole, ...suggestion } = offered[index];
    const completed = () => query.complete(field.value, termNow(), suggestion);
    const { q, caret } = whole === undefined ? completed() : { q: whole };
    write(q, caret);
    offer([]);
  };

  const closeBox = (event) => {
    if (box.hidden) return;
    event.preventDefault();
    event.stopPropagation();
    offer([]);
  };

  const move = (by, event) => {
    event.preventDefault();
    if (box.hidden && !field.value) earlier();
    else if (box.hidden) suggest();
    const from = chosen < 0 && by < 0 ? 0 : chosen;
    if (offered.length && !box.hidden) choose((from + by + offered.length) % offered.length);
  };

  const enter = () => {
    if (chosen >= 0) accept(chosen);
    if (field.value.trim()) store.searched(field.value.trim());
    offer([]);
  };

  const [down, up] = [1, -1].map((by) => (event) => move(by, event));
  const keys = { ArrowDown: down, ArrowUp: up, Enter: enter, Escape: closeBox };
  field.addEventListener("keydown", (event) => event.isComposing || keys[event.key]?.(event));
  field.addEventListener("input", () => {
    typed();
    suggest();
  });
  field.addEventListener("blur", () => offer([]));
  box.addEventListener("pointerdown", (event) => event.preventDefault());
  dom.on(box, "click", "[role=option]", (line) => accept([...box.children].indexOf(line)));

  const showQuery = (state) => {
    if (document.activeElement !== field && field.value !== state.q) field.value = state.q;
    else if (field.value.trim() !== state.q.trim()) field.value = state.q;
    erase.hidden = !field.value;
  };

  // ------------------------------------------------------------------------------------------------------ controls
  const chooser = (doing, label, options) =>
    el("select", { data: { do: doing }, title: words.say(label), aria: { label: words.say(label) } },
      options.map(([value, text]) => el("option", { value }, text)));
  const size = el("input", { type: "range", min: 0, max: 6, step: 1, class: "size", aria: { label: words.say("find.size") } });
  const views = el("div", { class: "joined", role: "group", "aria-label": words.say("find.view") },
    query.VIEWS.map((view) => button(`view-${view}`, `view.${view}`, view)));
  const sort = chooser("sort", "find.sort", query.SORTS.map((name) => [name, words.say(`sort.${name}`)]));
  const rated = query.LEVELS.slice(0, -1);
  const levels = rated.map((level, index) => [level, words.say(index + 1 < rated.length ? "find.cover-more" : "find.cover-from", { level })]);
  const level = chooser("level", "find.level", [...levels, ["", words.say("find.cover-none")]]);
  const themes = el("ul", { id: "themes", class: "menu", popover: "auto" },
    ["", "light", "dark"].map((name) => el("li", {}, button("theme", `theme.${name || "system"}`, "", { role: "menuitemradio", data: { theme: name } }))));
  const more = button("themes", "find.theme", "theme", { class: "plain icons theme", popovertarget: "themes" });
  const cover = button("cover", "key.cover", "covered", { class: "plain icons cover-all" });
  dom.find("#controls").append(size, views, sort, level, cover,
    more, themes, button("help", "key.help", "help", { class: "plain icons" }));
  themes.addEventListener("beforetoggle", () => under(themes, more, true));
  size.addEventListener("input", () => store.setting("size", Number(size.value)));

  const press = (doing, pressed) => dom.find(`[data-do="${doing}"]`).setAttribute("aria-pressed", pressed);

  const showControls = (state) => {
    const { settings, view } = state;
    for (const name of query.VIEWS) press(`view-${name}`, view === name);
    dom.fill(cover, dom.icon(state.covering ? "covered" : "open"));
    cover.setAttribute("aria-pressed", state.covering);
    Object.assign(size, { value: settings.size, disabled: view === "list", title: words.say("find.across", { n: state.across ?? 7 }) });
    size.setAttribute("aria-valuetext", size.title);
    sort.value = state.sort;
    level.value = settings.cover;
    for (const item of themes.querySelectorAll("button")) item.setAttribute("aria-checked", item.dataset.theme === (settings.theme ?? ""));
  };

  // -------------------------------------------------------------------------------------------------------- status
  const status = dom.find("#status");
  const heading = dom.find("#heading");

  const titleOf = async ({ place: where, ids }) => {
    if (where !== "collection") return words.say(where === "models" ? "place.models" : "place.images");
    return (await library.collection(ids[0]))?.name ?? words.say("place.collections");
  };

  const newestTitle = store.latest();
  const showTitle = (state) => {
    const home = state.under ?? state;
    heading.hidden = home.place === "model";
    heading.classList.toggle("unseen", home.place !== "collection");
    if (heading.hidden) return;
    newestTitle(titleOf(home), (text) => {
      heading.textContent = text;
      document.title = `${text} – ${words.say("title")}`;
    });
  };

  const lower = (text) => text.slice(0, 1).toLowerCase() + text.slice(1);

  const showStatus = ({ shown, sort: order, loaded, ready }) => {
    if (!shown) return;
    status.dataset.count = shown.total;
    const counted = words.say(`count.${shown.table}`, { n: shown.total });
    const part = ready ? "" : words.say("find.searchable", { n: loaded.done, of: loaded.of });
    status.textContent = words.say("find.status", { counted, order: lower(words.say(`sort.${order}`)) }) + (part && ` · ${part}`);
  };

  store.watch(["place", "ids", "under", "loaded", "ready"], (state) => {
    showPlaces(state);
    showTitle(state);
  });
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
      field.focus();
    },
    sort: () => store.go({ sort: sort.value }, "replace"),
    level: () => store.setting("cover", level.value),
    ...Object.fromEntries(query.VIEWS.map((view) => [`view-${view}`, () => store.go({ view }, "replace")])),
  };

  return { actions, narrow, under };
});
