"use strict";
// What narrows the list: facets, ranges, chips, presets, and what to give up when nothing is left.
civitai.room("facets", ["words", "dom", "query", "store", "library", "find"], (needs) => {
  const { words, dom, query, store, library, find } = needs;
  const { el, button } = dom;
  const FEW = 8;
  const RANGES = {
    date: { type: "date", first: (value) => dayOf(value, 0), last: (value) => dayOf(value, 1) },
    resolution: { type: "number", first: (value) => value, last: (value) => value },
  };
  const TRANSLATED = new Set(["kind", "complete", "update", "prompt", "aspect", "level"]);

  const aside = dom.find("#facets");
  const chips = dom.find("#chips");
  const nothing = dom.find("#empty");
  const opened = new Set(); // facets that show all their values
  const typed = new Map(); // what is looked for in them
  const sides = new Map(); // the fieldsets of a table, by facet

  // -------------------------------------------------------------------------------------------------------- values
  /** What a facet's value is called. */
  const named = (facet, value) => {
    const open = query.range(value);
    if (open) return words.say(open.from && open.to ? "find.between" : open.from ? "find.from" : "find.to", open);
    if (TRANSLATED.has(facet) && words.has(`value.${value}`)) return words.say(`value.${value}`);
    if (facet === "date" && /^\d{4}-\d\d$/.test(value)) return words.month(value);
    return value;
  };

  const pickOf = (facet, value) => store.state.picks.find((pick) => pick.facet === facet && pick.value === value);

  const valueLine = (facet, { value, count }) => {
    const pick = pickOf(facet, value);
    const name = named(facet, value);
    const data = { facet, value };
    return el(
      "li",
      { class: "value" },
      el(
        "button",
        {
          type: "button", class: "plain pick", title: name, data: { do: "pick", ...data, count },
          "aria-pressed": String(Boolean(pick && !pick.not)),
        },
        dom.icon("check"),
        el(pick?.not ? "s" : "span", { class: "cut" }, name),
        " ",
        el("span", { class: "number" }, words.number(count)),
      ),
      el(
        "button",
        {
          type: "button", class: "plain exclude", data: { do: "exclude", ...data }, "aria-pressed": String(Boolean(pick?.not)),
          "aria-label": words.say("find.exclude", { name }), title: words.say("find.exclude", { name }),
        },
        dom.icon("minus"),
      ),
    );
  };

  // Whatever is drawn anew, the keyboard stays where it was.
  const keepFocus = (root, draw) => {
    const { do: doing, facet, value } = root.contains(document.activeElement) ? document.activeElement.dataset : {};
    draw();
    if (!doing) return;
    const all = [...root.querySelectorAll(`[data-do="${doing}"]`)];
    all.find((node) => node.dataset.facet === facet && node.dataset.value === value)?.focus({ preventScroll: true });
  };

  const fieldset = (facet) => {
    const values = el("ul", { class: "values" });
    const search = el("input", {
      type: "text", hidden: true, data: { search: facet }, placeholder: words.say("find.among"), aria: { label: words.say("find.among-of", { facet: words.say(`facet.${facet}`) }) },
    });
    const more = el("button", { type: "button", class: "plain more", hidden: true, data: { do: "all", facet } });
    const side = el("fieldset", { data: { side: facet } }, el("legend", {}, words.say(`facet.${facet}`)), search, values, more);
    if (RANGES[facet]) side.append(rangeOf(facet));
    return { side, values, search, more };
  };

  const draw = (facet, known, values) => {
    const { side, values: list, search, more } = sides.get(facet);
    const open = opened.has(facet);
    keepFocus(list, () => dom.fill(list, values.map((value) => valueLine(facet, value))));
    search.hidden = !open;
    more.hidden = known.distinct <= FEW;
    more.textContent = words.say(open ? "find.fewer" : "find.all", { n: known.distinct });
    more.setAttribute("aria-expanded", open);
    side.hidden = known.distinct === 0 && !RANGES[facet];
  };

  const few = (facet, { values }) => {
    if (values.length <= FEW || TRANSLATED.has(facet)) return values;
    const chosen = values.filter(({ value }, index) => index < FEW || pickOf(facet, value));
    return chosen;
  };

  const drawFacet = (facet, counts) => {
    const known = counts[facet] ?? { values: [], distinct: 0 };
    if (!opened.has(facet)) return draw(facet, known, few(facet, known));
    if (!typed.get(facet) && known.distinct <= known.values.length) return draw(facet, known, known.values);
    return library.values(facet, typed.get(facet) ?? "").then((values) => opened.has(facet) && draw(facet, known, values));
  };

  // -------------------------------------------------------------------------------------------------------- ranges
  /** The first or last day of a year, month or day, as a field for dates wants it. */
  const dayOf = (value, last) => {
    const [year, month, day] = value.split("-").map(Number);
    if (!year) return "";
    const end = last ? Date.UTC(year, month || 12, 0) : Date.UTC(year, (month || 1) - 1, 1);
    return day ? value : new Date(end).toISOString().slice(0, 10);
  };

  const rangeOf = (facet) => {
    const label = (end) => words.say(`find.${end}-of`, { facet: words.say(`facet.${facet}`) });
    const input = (end) =>
      el("input", { type: RANGES[facet].type, min: facet === "resolution" ? 0 : null, step: "any", data: { range: facet, end }, aria: { label: label(end) } });
    return el("div", { class: "range" }, input("from"), el("span", { "aria-hidden": "true" }, "–"), input("to"));
  };

  const ends = (facet) => ["from", "to"].map((end) => dom.find(`[data-range="${facet}"][data-end="${end}"]`, aside));

  const ranged = (input) => {
    const facet = input.dataset.range;
    const [from, to] = ends(facet).map(({ value }) => value);
    const before = store.state.picks.find((pick) => pick.facet === facet && query.range(pick.value));
    if (from || to) store.pick(facet, `${from}..${to}`, { only: true });
    else if (before) store.pick(facet, before.value, {});
  };

  const showRanges = (state) => {
    for (const facet of Object.keys(RANGES).filter((name) => sides.has(name))) {
      const pick = state.picks.find(({ facet: name, value }) => name === facet && query.range(value));
      const known = pick ? query.range(pick.value) : { from: "", to: "" };
      ends(facet).forEach((input, index) => {
        const value = index ? RANGES[facet].last(known.to) : RANGES[facet].first(known.from);
        if (input !== document.activeElement) input.value = value;
      });
    }
  };

  // ------------------------------------------------------------------------------------------------------- presets
  const presets = el("ul", { class: "values" });
  const presetName = el("input", { type: "text", hidden: true, maxlength: 80, placeholder: words.say("find.preset-name"), aria: { label: words.say("find.preset-name") } });
  const saving = button("save-preset", "find.save-preset", "", { class: "plain more" });
  const presetSide = el("fieldset", { class: "presets" }, el("legend", {}, words.say("find.presets")), presets, presetName, saving);

  const presetLine = ({ name }) =>
    el(
      "li",
      { class: "value" },
      el("button", { type: "button", class: "plain pick", data: { do: "preset", preset: name } }, el("span", { class: "cut" }, name)),
      el("button", { type: "button", class: "plain exclude", data: { do: "drop-preset", name }, "aria-label": words.say("find.drop-preset", { name }), title: words.say("find.drop-preset", { name }) }, dom.icon("close")),
    );

  const showPresets = () => dom.fill(presets, store.presets().map(presetLine));

  const keepPreset = (event) => {
    if (event.key === "Escape") event.stopPropagation();
    if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    if (event.key === "Enter" && presetName.value.trim()) store.savePreset(presetName.value.trim());
    presetName.hidden = true;
    presetName.value = "";
    showPresets();
    saving.focus();
  };
  presetName.addEventListener("keydown", keepPreset);

  // --------------------------------------------------------------------------------------------------------- chips
  const chip = (pick, index) => {
    const name = `${words.say(`facet.${pick.facet}`)}: ${named(pick.facet, pick.value)}`;
    return el(
      "button",
      { type: "button", class: "chip", data: { do: "unpick", chip: index }, "aria-label": words.say("find.drop", { name }), title: name },
      el(pick.not ? "s" : "span", { class: "cut" }, named(pick.facet, pick.value)),
      dom.icon("close"),
    );
  };

  const showChips = ({ picks, q }) => {
    const clear = picks.length || q ? button("clear", "find.clear", "", { class: "plain" }) : null;
    dom.fill(chips, picks.map(chip), clear);
    const open = dom.find('[data-do="filters"]');
    dom.find(".number", open).textContent = picks.length ? words.number(picks.length) : "";
  };

  // --------------------------------------------------------------------------------------------------------- empty
  const without = (state, index) => ({ ...state, q: index < 0 ? "" : state.q, picks: state.picks.filter((_, at) => at !== index) });

  const scopeOf = ({ place, ids }) => (place === "model" || place === "collection" ? { [place]: ids[0] } : undefined);

  const offer = async (state, index) => {
    const home = state.under ?? state;
    const { q, picks } = without(state, index);
    const found = await library.find({ table: state.shown.table, q, sort: state.sort, picks, scope: scopeOf(home) });
    const pick = state.picks[index];
    const name = pick ? named(pick.facet, pick.value) : `“${state.q}”`;
    const text = words.say("find.without", { name, n: found.total });
    return found.total ? el("li", {}, el("button", { type: "button", data: { do: "without", index } }, text)) : null;
  };

  const command = (text) => el("p", { class: "command" }, el("code", {}, text), button("copy-command", "find.copy-command", "copy", { class: "plain icons", data: { command: text } }));

  const newest = store.latest();
  const showEmpty = (state) => {
    const { shown, q, picks, ready } = state;
    const { images, models } = library.totals;
    nothing.hidden = !shown || shown.total > 0 || (!ready && images + models > 0);
    if (nothing.hidden) return dom.fill(nothing);
    if (!q && !picks.length) return showNothing(images + models > 0);
    const wholes = [...(q ? [-1] : []), ...picks.keys()].map((index) => offer(state, index));
    const title = el("h2", {}, words.say("find.none"));
    return newest(Promise.all(wholes), (offers) => dom.fill(nothing, title, el("ul", {}, offers)));
  };

  const showNothing = (elsewhere) => {
    const said = el("p", {}, words.say(elsewhere ? "find.nothing-of-this" : "find.nothing-yet"));
    dom.fill(nothing, el("h2", {}, words.say("find.nothing")), said, elsewhere ? null : command("civitai-downloader models.txt"));
  };

  // --------------------------------------------------------------------------------------------------------- column
  const filters = el("button", { type: "button", class: "filters", data: { do: "filters" }, "aria-controls": "facets" }, dom.icon("filter"), el("span", {}, words.say("facets.label")), el("span", { class: "number" }));
  dom.find(".bar").prepend(filters);
  const shut = button("filters-close", "find.close-filters", "close", { class: "plain icons shut" });
  let table = "";

  const build = (name) => {
    if (table === name) return;
    table = name;
    sides.clear();
    for (const facet of query.FACETS[name]) sides.set(facet, fieldset(facet));
    dom.fill(aside, shut, [...sides.values()].map(({ side }) => side), presetSide);
    showPresets();
  };

  const drawAll = (state) => {
    if (!state.shown) return;
    build(state.shown.table);
    for (const facet of sides.keys()) drawFacet(facet, state.shown.counts);
    showRanges(state);
  };

  let drawer = false;
  const open = () => (find.narrow.matches ? drawer : store.state.settings.facets);

  const showColumn = () => {
    aside.hidden = !open();
    document.documentElement.dataset.filters = open() ? "open" : "closed";
    filters.setAttribute("aria-expanded", open());
  };

  const setDrawer = (value) => {
    drawer = value;
    showColumn();
    (value ? dom.maybeFind("button", aside) : filters)?.focus();
  };

  store.watch(["shown", "picks"], drawAll);
  store.watch(["picks", "q"], showChips);
  store.watch(["shown", "picks", "ready"], showEmpty);
  store.watch(["settings"], showColumn);
  store.watch(["place"], () => drawer && setDrawer(false));
  find.narrow.addEventListener("change", () => setDrawer(false));
  dom.on(aside, "change", "[data-range]", ranged);
  dom.on(aside, "input", "[data-search]", (input) => {
    typed.set(input.dataset.search, input.value);
    drawFacet(input.dataset.search, store.state.shown.counts);
  });
  aside.addEventListener("keydown", (event) => event.key === "Escape" && drawer && setDrawer(false));
  dom.on(document, "pointerdown", ".columns", (_, event) => drawer && !aside.contains(event.target) && setDrawer(false));

  const all = ({ dataset: { facet } }) => {
    if (!opened.delete(facet)) opened.add(facet);
    typed.delete(facet);
    sides.get(facet).search.value = "";
    drawFacet(facet, store.state.shown.counts);
    if (opened.has(facet)) sides.get(facet).search.focus();
  };

  const toWithout = ({ dataset }) => {
    const { q, picks } = without(store.state, Number(dataset.index));
    store.go({ q, picks });
  };

  const actions = {
    all,
    pick: ({ dataset: { facet, value } }) => store.pick(facet, value, {}),
    exclude: ({ dataset: { facet, value } }) => store.pick(facet, value, { not: true }),
    unpick: ({ dataset }) => {
      const { facet, value, not } = store.state.picks[Number(dataset.chip)];
      store.pick(facet, value, { not });
    },
    clear: () => store.go({ q: "", picks: [] }),
    without: toWithout,
    filters: () => (find.narrow.matches ? setDrawer(!drawer) : store.setting("facets", !store.state.settings.facets)),
    "filters-close": () => setDrawer(false),
    "save-preset": () => {
      presetName.hidden = false;
      presetName.focus();
    },
    preset: ({ dataset }) => store.go(query.read(store.presets().find(({ name }) => name === dataset.preset).address)),
    "drop-preset": ({ dataset }) => {
      store.dropPreset(dataset.name);
      showPresets();
    },
    "copy-command": ({ dataset }) => dom.copy(dataset.command),
  };

  return { actions, named };
});
