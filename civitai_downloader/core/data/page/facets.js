"use strict";
// What narrows the list: facets, ranges, chips, presets, and what to give up when nothing is left.
civitai.room("facets", ["words", "dom", "query", "store", "library"], (needs) => {
  const { words, dom, query, store, library } = needs;
  const { el, button } = dom;
  const FEW = 8;
  const TRANSLATED = new Set(["kind", "complete", "update", "prompt", "aspect", "level"]);
  const [aside, filters, chips, nothing] = ["#facets", ".filters", "#chips", "#empty"].map((name) => dom.find(name));
  const sides = new Map(); // of the table that is shown: facet → {side, values, search, more}
  const typed = new Map(); // facet that shows all its values → what is looked for in them
  const facetName = (facet) => words.say(`facet.${facet}`);

  /** What a facet's value is called. */
  const named = (facet, value) => {
    const open = query.range(value);
    if (open) return words.say(open.from && open.to ? "find.between" : open.from ? "find.from" : "find.to", open);
    if (TRANSLATED.has(facet) && words.has(`value.${value}`)) return words.say(`value.${value}`);
    return facet === "date" && /^\d{4}-\d\d$/.test(value) ? words.month(value) : value;
  };

  // A button that says more than one text.
  const key = (data, props, ...inside) => el("button", { type: "button", ...props, data }, inside);
  const cut = (text, not = false) => el(not ? "s" : "span", { class: "cut" }, text);
  const number = (count) => el("span", { class: "number" }, words.number(count));

  // A line to press, with something else to do at its end.
  const line = (pick, data, icon, title, pressed = null) => {
    const aria = { label: title, pressed };
    const other = key(data, { class: "plain exclude", aria, title }, icon ? dom.icon(icon) : null);
    return el("li", { class: "value" }, pick, other);
  };

  const pickOf = (facet, value) => store.state.picks.find((pick) => pick.facet === facet && pick.value === value);

  const valueLine = (facet) => {
    const tick = el("span", { class: "tick" });
    const pick = key({ do: "pick", facet }, { class: "plain pick" }, [tick, cut(""), " ", number(0)]);
    return line(pick, { do: "exclude", facet }, "", "");
  };

  const write = (node, facet, { value, count, not }) => {
    const [pick, exclude] = node.children;
    const name = named(facet, value);
    const title = words.say("find.exclude", { name });
    Object.assign(pick.dataset, { value, count });
    pick.title = name;
    pick.setAttribute("aria-pressed", not === false);
    dom.fill(pick.firstChild, not === false && dom.icon("check")); // hundreds of pictures that nobody sees take time
    if ((pick.children[1].localName === "s") === Boolean(not)) pick.children[1].textContent = name;
    else pick.children[1].replaceWith(cut(name, not));
    pick.lastChild.textContent = words.number(count);
    exclude.dataset.value = value;
    exclude.title = title;
    exclude.setAttribute("aria-label", title);
    exclude.setAttribute("aria-pressed", not === true);
  };

  // A line that says something already gets another number, or another value.
  const renewed = (old, facet, each) => {
    const node = old?.node ?? valueLine(facet);
    const { value, count, not } = each;
    if (old?.value !== value || old.not !== not) write(node, facet, each);
    else if (old.count !== count) {
      node.firstChild.dataset.count = count;
      node.firstChild.lastChild.textContent = words.number(count);
    }
    return { ...each, node };
  };

  const drawn = new WeakMap(); // the list of a facet → its lines by their values

  const drawLines = (list, facet, values) => {
    const before = drawn.get(list) ?? new Map();
    const shown = values.map((each) => ({ ...each, not: pickOf(facet, each.value)?.not }));
    const free = new Map(before);
    for (const { value } of shown) free.delete(value);
    const spare = [...free.values()];
    const lines = shown.map((each) => renewed(before.get(each.value) ?? spare.pop(), facet, each));
    drawn.set(list, new Map(lines.map((each) => [each.value, each])));
    dom.renew(list, lines.map(({ node }) => node));
  };

  // Whatever is drawn anew, the keyboard stays where it was.
  const keepFocus = (root, draw) => {
    const { do: doing, facet, value } = root.contains(document.activeElement) ? document.activeElement.dataset : {};
    draw();
    const isIt = ({ dataset }) => dataset.do === doing && dataset.facet === facet && dataset.value === value;
    if (doing) [...root.querySelectorAll("[data-do]")].find(isIt)?.focus({ preventScroll: true });
  };

  const fieldset = (facet) => {
    const name = facetName(facet);
    const aria = { label: words.say("find.among-of", { facet: name }) };
    const placeholder = words.say("find.among");
    const search = el("input", { type: "text", hidden: true, placeholder, data: { search: facet }, aria });
    const values = el("ul", { class: "values" });
    const more = key({ do: "all", facet }, { class: "plain more", hidden: true });
    const parts = [el("legend", {}, name), search, values, more, RANGES[facet] && rangeOf(facet)];
    return { side: el("fieldset", { data: { side: facet } }, parts), values, search, more };
  };

  const draw = (facet, distinct, shown) => {
    const { side: box, values, search, more } = sides.get(facet);
    const open = typed.has(facet);
    keepFocus(values, () => drawLines(values, facet, shown));
    search.hidden = !open;
    more.hidden = distinct <= FEW;
    more.textContent = words.say(open ? "find.fewer" : "find.all", { n: distinct });
    more.setAttribute("aria-expanded", open);
    box.hidden = distinct === 0 && !RANGES[facet];
  };

  const drawFacet = (facet) => {
    const { values = [], distinct = 0 } = store.state.counts.facets[facet] ?? {};
    const isShown = ({ value }, index) => index < FEW || TRANSLATED.has(facet) || pickOf(facet, value);
    if (!typed.has(facet)) return draw(facet, distinct, values.filter(isShown));
    if (!typed.get(facet) && distinct <= values.length) return draw(facet, distinct, values);
    return library.values(facet, typed.get(facet)).then((all) => typed.has(facet) && draw(facet, distinct, all));
  };

  const lookAmong = ({ dataset: { search: facet }, value }) => {
    typed.set(facet, value);
    drawFacet(facet);
  };

  // The first or last day of a year, month or day, as a field for dates wants it.
  const dayOf = (value, isLast) => {
    const [year, month, day] = value.split("-").map(Number);
    if (!year || day) return value;
    const end = isLast ? Date.UTC(year, month || 12, 0) : Date.UTC(year, (month || 1) - 1, 1);
    return new Date(end).toISOString().slice(0, 10);
  };

  const RANGES = { date: { type: "date" }, resolution: { type: "number", min: 0, step: "any" } };

  const rangeOf = (facet) => {
    const label = (end) => words.say(`find.${end}-of`, { facet: facetName(facet) });
    const input = (end) => el("input", { ...RANGES[facet], data: { range: facet, end }, aria: { label: label(end) } });
    return el("div", { class: "range" }, input("from"), el("span", { "aria-hidden": "true" }, "–"), input("to"));
  };

  const rangePick = (facet) => store.state.picks.find((pick) => pick.facet === facet && query.range(pick.value));
  const ends = (facet) => [...aside.querySelectorAll(`[data-range="${facet}"]`)];

  const ranged = ({ dataset: { range: facet } }) => {
    const [from, to] = ends(facet).map(({ value }) => value);
    const before = rangePick(facet);
    if (from || to) store.pick(facet, `${from}..${to}`, { only: true });
    else if (before) store.pick(facet, before.value);
  };

  const showRanges = () => {
    for (const facet of Object.keys(RANGES)) {
      const known = query.range(rangePick(facet)?.value ?? "") ?? { from: "", to: "" };
      for (const input of ends(facet).filter((each) => each !== document.activeElement)) {
        const { end } = input.dataset;
        input.value = facet === "date" ? dayOf(known[end], end === "to") : known[end];
      }
    }
  };

  const presetName = dom.find("#preset-name");

  const presetLine = ({ name, address }) => {
    const pick = key({ do: "preset", preset: name, address }, { class: "plain pick" }, cut(name));
    return line(pick, { do: "drop-preset", name }, "close", words.say("find.drop-preset", { name }));
  };

  const showPresets = () => dom.fill(dom.find("#presets"), store.presets().map(presetLine));

  const keepPreset = (event) => {
    if (event.key === "Escape") event.stopPropagation();
    if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    if (event.key === "Enter" && presetName.value.trim()) store.savePreset(presetName.value.trim());
    Object.assign(presetName, { hidden: true, value: "" });
    showPresets();
    presetName.nextElementSibling.focus();
  };

  const chip = ({ facet, value, not }, index) => {
    const title = `${facetName(facet)}: ${named(facet, value)}`;
    const props = { class: "chip", title, aria: { label: words.say("find.drop", { name: title }) } };
    return key({ do: "unpick", chip: index }, props, cut(named(facet, value), not), dom.icon("close"));
  };

  const showChips = ({ picks, q }) => {
    const clear = picks.length || q ? button("clear", "find.clear", "", { class: "plain" }) : null;
    dom.fill(chips, picks.map(chip), clear);
    dom.find(".number", filters).textContent = picks.length ? words.number(picks.length) : "";
  };

  // The search is dropped by -1, a choice by its place.
  const without = ({ q, picks }, index) => ({ q: index < 0 ? "" : q, picks: picks.filter((_, at) => at !== index) });

  const offer = async (state, index) => {
    const { place, ids } = state.under ?? state;
    const scope = ids.length ? { [place]: ids[0] } : null;
    const { total } = await library.find({ table: state.shown.table, scope, ...without(state, index) });
    const pick = state.picks[index];
    const text = words.say("find.without", { name: pick ? named(pick.facet, pick.value) : `“${state.q}”`, n: total });
    return total > 0 && el("li", {}, key({ do: "without", index }, {}, text));
  };

  const showNothing = () => {
    const command = "civitai-downloader models.txt";
    const isEmpty = library.totals.images + library.totals.models === 0;
    const copy = button("copy-command", "find.copy-command", "copy", { class: "plain icons", data: { copy: command } });
    dom.fill(nothing, el("h2", {}, words.say("find.nothing")),
      el("p", {}, words.say(isEmpty ? "find.nothing-yet" : "find.nothing-of-this")),
      isEmpty && el("p", { class: "command" }, el("code", {}, command), copy));
  };

  const newest = store.latest();
  const showEmpty = (state) => {
    const { shown, q, picks, ready } = state;
    const mayCome = !ready && library.totals.images + library.totals.models > 0;
    nothing.hidden = !shown || shown.total > 0 || mayCome;
    if (nothing.hidden) return dom.fill(nothing);
    if (!q && !picks.length) return showNothing();
    const offers = [...(q ? [-1] : []), ...picks.keys()].map((index) => offer(state, index));
    const title = el("h2", {}, words.say("find.none"));
    return newest(Promise.all(offers), (all) => dom.fill(nothing, title, el("ul", {}, all)));
  };

  let table = "";

  const build = (name) => {
    table = name;
    sides.clear();
    for (const facet of query.FACETS[table]) sides.set(facet, fieldset(facet));
    dom.fill(dom.find("#sides"), [...sides.values()].map(({ side }) => side));
  };

  const drawAll = ({ counts }) => {
    if (!counts) return;
    if (counts.table !== table) build(counts.table);
    for (const facet of sides.keys()) drawFacet(facet);
    showRanges();
  };

  // A column where there is room for it, or else a drawer, which the browser opens and closes as any popover.
  const narrow = globalThis.matchMedia("(max-width: 999px)");
  const showColumn = () => {
    const { facets } = store.state.settings;
    if (narrow.matches) filters.setAttribute("popovertarget", "facets");
    else filters.removeAttribute("popovertarget");
    document.documentElement.dataset.filters = facets ? "open" : "closed";
    filters.setAttribute("aria-expanded", narrow.matches ? aside.matches(":popover-open") : facets);
  };

  const shutDrawer = () => aside.hidePopover();

  presetName.placeholder = words.say("find.preset-name");
  showPresets();
  store.watch(["counts", "picks"], drawAll);
  store.watch(["picks", "q"], showChips);
  store.watch(["shown", "picks", "ready"], showEmpty);
  store.watch(["settings"], showColumn);
  store.watch(["place"], shutDrawer);
  aside.addEventListener("toggle", showColumn);
  for (const change of [shutDrawer, showColumn]) narrow.addEventListener("change", change);
  presetName.addEventListener("keydown", keepPreset);
  dom.on(aside, "change", "[data-range]", ranged);
  dom.on(aside, "input", "[data-search]", lookAmong);

  const all = ({ dataset: { facet } }) => {
    const { search } = sides.get(facet);
    if (!typed.delete(facet)) typed.set(facet, "");
    search.value = "";
    drawFacet(facet);
    if (typed.has(facet)) search.focus();
  };

  const actions = {
    all,
    pick: ({ dataset: { facet, value } }) => store.pick(facet, value),
    exclude: ({ dataset: { facet, value } }) => store.pick(facet, value, { not: true }),
    unpick: ({ dataset: { chip: index } }) => store.go(without(store.state, Number(index))),
    without: ({ dataset: { index } }) => store.go(without(store.state, Number(index))),
    clear: () => store.go({ q: "", picks: [] }),
    filters: () => narrow.matches || store.setting("facets", !store.state.settings.facets),
    "save-preset": () => {
      presetName.hidden = false;
      presetName.focus();
    },
    preset: ({ dataset }) => store.go(query.read(dataset.address)),
    "drop-preset": ({ dataset: { name } }) => {
      store.dropPreset(name);
      showPresets();
    },
  };

  return { actions };
});
