"use strict";
// The models: their cards, and a page for each of them.
civitai.room("models", ["words", "dom", "alike", "store", "library", "wall", "grid"], (needs) => {
  const { words, dom, alike, store, library, wall, grid } = needs;
  const { el, button } = dom;
  const WIDTHS = [132, 152, 176, 208, 256, 320, 420];
  const FOOT = { grid: 56, compact: 28 };
  const LINE = 64;
  const AWAY = { target: "_blank", rel: "noopener noreferrer" };

  const section = dom.find("#models");
  const page = dom.find("#model");
  const list = el("ul", { class: "wall cards", role: "list", aria: { label: words.say("find.models") } });
  section.append(list);

  const rows = () => store.state.shown?.rows ?? [];
  const part = (node, name) => dom.find(`.${name}`, node);
  const separated = (parts) => parts.filter(Boolean).join(" · ");

  // --------------------------------------------------------------------------------------------------------- cards
  const layout = (width) => {
    const { view, settings } = store.state;
    const count = rows().length;
    if (view === "list") return wall.even(count, { width, columns: 1, height: LINE, gap: 0 });
    const least = WIDTHS[settings.size] * (view === "compact" ? 0.6 : 1);
    const gap = view === "compact" ? 8 : 12;
    const columns = Math.max(2, Math.floor((width + gap) / (least + gap)));
    if (store.state.across !== columns) store.set({ across: columns });
    const height = Math.round(((width - gap * (columns - 1)) / columns) * (4 / 3)) + FOOT[view];
    return wall.even(count, { width, columns, height, gap });
  };

  const make = () =>
    el(
      "li",
      { class: "card" },
      el(
        "a",
        { class: "card-link", draggable: "false" },
        el(
          "span",
          { class: "preview" },
          el("canvas", { class: "hash", width: 16, height: 24 }),
          el("span", { class: "none" }, dom.icon("model")),
          el("img", { alt: "", decoding: "async", draggable: "false" }),
          el("span", { class: "cover", hidden: true }, dom.icon("covered"), el("span", { class: "cover-level" })),
        ),
        el("span", { class: "card-name" }),
        el("span", { class: "card-facts cut quiet" }),
        el("span", { class: "card-news cut" }),
      ),
    );

  const versions = ({ here, versions: all }) => words.say("models.versions", { here, n: all });
  const bases = ({ base }) => (base.length > 1 ? `${base[0]} +${base.length - 1}` : base[0]);
  const facts = (model) => separated([model.type, bases(model), versions(model)]);

  const news = (model) => {
    if (model.gone) return ["warn", words.say("models.gone", { date: words.date(model.gone) })];
    return model.update ? ["good", words.say("models.newer")] : ["", ""];
  };

  const coveredIn = (model) => Boolean(model.preview) && store.covered(model.preview.level, -model.id);

  const paint = (node, index) => {
    const model = library.model(rows()[index]);
    const link = part(node, "card-link");
    if (link.dataset.model !== String(model.id)) drop(node);
    link.dataset.model = model.id;
    dom.link(link, store.href({ place: "model", ids: [model.id] }));
    const [tone, text] = news(model);
    const covered = coveredIn(model);
    link.toggleAttribute("data-covered", covered);
    part(node, "card-name").textContent = model.name;
    part(node, "card-name").title = model.name;
    part(node, "card-facts").textContent = facts(model);
    part(node, "card-news").textContent = text;
    part(node, "card-news").className = `card-news cut ${tone}`;
    part(node, "cover").hidden = !covered;
    part(node, "cover-level").textContent = covered ? grid.levelName(model.preview.level) : "";
    part(node, "none").hidden = covered || Boolean(model.preview?.hash);
    if (covered) dom.find("img", node).removeAttribute("src");
    alike.paint(part(node, "hash"), model.preview?.hash);
  };

  const load = (node, index) => {
    const model = library.model(rows()[index]);
    const url = model.preview?.kind === "image" && !coveredIn(model) ? model.preview.url : "";
    if (url) dom.source(dom.find("img", node), url);
  };

  const drop = (node) => {
    dom.find("img", node).removeAttribute("src");
    leaves.delete(node);
  };

  const wallOf = new wall.Wall(list, {
    layout,
    key: (index) => rows()[index],
    make,
    paint,
    load,
    drop,
    reached: (index) => store.set({ focus: library.model(rows()[index])?.id ?? null }),
  });

  // Moving the mouse across a card leafs through the model's pictures, one change a frame.
  const leaves = new Map();
  const gather = async (node, id) => {
    if (leaves.has(node)) return;
    leaves.set(node, []);
    const found = await library.find({ table: "images", q: "", sort: "likes", picks: [], scope: { model: id } });
    const seen = [...found.rows.slice(0, 60)].map(library.picture);
    const open = seen.filter(({ kind, level, id: picture }) => kind === "image" && !store.covered(level, picture));
    if (leaves.has(node)) leaves.set(node, open.slice(0, 12));
  };

  let turning = 0;
  const leaf = (link, event) => {
    const node = link.closest(".card");
    if (link.hasAttribute("data-covered") || event.pointerType === "touch") return;
    gather(node, Number(link.dataset.model));
    cancelAnimationFrame(turning);
    turning = requestAnimationFrame(() => {
      const open = leaves.get(node) ?? [];
      const box = part(node, "preview").getBoundingClientRect();
      const at = Math.floor(((event.clientX - box.left) / box.width) * open.length);
      const picture = open[Math.min(open.length - 1, Math.max(0, at))];
      if (picture) dom.source(dom.find("img", node), picture.thumb ?? picture.url);
    });
  };

  const unleaf = (link, event) => {
    if (link.contains(event.relatedTarget)) return;
    cancelAnimationFrame(turning);
    const row = library.modelRow(Number(link.dataset.model));
    const index = rows().indexOf(row);
    dom.find("img", link).removeAttribute("src");
    if (index >= 0) load(link.closest(".card"), index);
  };

  // ---------------------------------------------------------------------------------------------------- one's page
  const toList = (facet, value) =>
    dom.link(el("a", {}, value), store.href({ place: "models", ids: [], q: "", picks: [{ facet, value, not: false }] }));

  const word = (text) => button("copy-word", "models.copy-word", "", { class: "word", text, title: words.say("models.copy-word"), data: { copy: text } });

  const wordsOf = ({ words: all }) => {
    const data = { copy: all.join(", ") };
    const copyAll = button("copy-words", "models.copy-words", "copy", { class: "plain icons", data });
    return all.length ? el("p", { class: "words" }, all.map(word), copyAll) : null;
  };

  const fileLine = (file) =>
    el(
      "li",
      { class: file.path ? "file" : "file quiet" },
      el("span", { class: "mono cut", title: file.path ? grid.plainPath(file.path) : file.name }, file.name),
      el("span", { class: "number" }, file.size ? words.bytes(file.size) : ""),
      file.path
        ? button("copy-path", "viewer.copy-path", "copy", { class: "plain icons", data: { copy: grid.plainPath(file.path) } })
        : el("span", { class: "quiet" }, words.say("models.not-here")),
    );

  const goneSince = (date) => words.say("models.gone", { date: words.date(date) });

  const versionBox = (version, _, all) => {
    const here = isHere(version);
    const open = here || all.length <= 6;
    const state = version.gone ? goneSince(version.gone) : here ? "" : words.say("models.not-here");
    const said = separated([version.base, version.published ? words.date(version.published) : "", state]);
    return el(
      "details",
      { class: "version", open, data: { version: version.id } },
      el("summary", {}, el("h3", {}, version.name), el("span", { class: "quiet" }, said)),
      wordsOf(version),
      el("ul", { class: "files" }, version.files.map(fileLine)),
    );
  };

  const described = ({ description }) => {
    const box = el("div", { class: "description", lang: "" });
    if (!description) return null;
    dom.html(box, description, description.replace(/<[^>]*>/g, " "));
    for (const link of box.querySelectorAll("a[href]")) Object.assign(link, AWAY);
    for (const media of box.querySelectorAll("img, video, audio, iframe, object, embed")) media.remove();
    const unfold = button("unfold", "models.unfold", "", { class: "plain more", hidden: true });
    return el("section", { class: "about", aria: { label: words.say("models.about") } }, box, unfold);
  };

  const isHere = ({ files }) => files.some(({ path }) => path);

  const newerThanOurs = ({ versions: all }) => {
    const ours = Math.max(...all.filter(isHere).map(({ published }) => published));
    return all.filter((version) => !isHere(version) && !version.gone && version.published > ours && ours > 0);
  };

  const newsOf = (details) => {
    const newer = newerThanOurs(details);
    const names = words.list(newer.map((version) => version.name));
    return [
      details.gone ? el("p", { class: "warn" }, words.say("models.gone-long", { date: words.date(details.gone) })) : null,
      newer.length ? el("p", { class: "good" }, words.say("models.newer-long", { n: newer.length, names })) : null,
    ];
  };

  const head = (model, details) => {
    const known = [model.type, model.base.join(", "), versions(model), model.bytes ? words.bytes(model.bytes) : ""];
    const site = dom.link(el("a", AWAY, words.say("models.site")), details.url);
    const by = model.creator ? [words.say("models.by"), " ", toList("creator", model.creator), " · "] : null;
    return el(
      "header",
      {},
      el("h1", {}, model.name),
      el("p", { class: "quiet" }, separated([...known, details.licence])),
      el("p", { class: "quiet" }, by, details.url ? site : null),
      el("p", { class: "tags" }, model.tags.map((tag) => toList("tag", tag))),
      newsOf(details),
    );
  };

  const fillPage = (model, details) => {
    const title = words.say("models.versions-title");
    const boxes = details.versions.map(versionBox);
    const side = el("section", { class: "versions", aria: { label: title } }, el("h2", {}, title), boxes);
    const halves = el("div", { class: "halves" }, side, described(details));
    dom.fill(page, head(model, details), halves, el("h2", {}, words.say("models.pictures")));
    document.title = `${model.name} – ${words.say("title")}`;
    const about = dom.maybeFind(".description", page);
    if (about) dom.find('[data-do="unfold"]', page).hidden = about.scrollHeight <= about.clientHeight + 4;
    if (document.activeElement === document.body) dom.find("#main").focus({ preventScroll: true });
  };

  const newest = store.latest();
  const showPage = (state) => {
    const home = state.under ?? state;
    const row = home.place === "model" ? library.modelRow(home.ids[0]) : -1;
    page.hidden = home.place !== "model";
    if (row < 0) return dom.fill(page, state.ready && !page.hidden ? el("p", {}, words.say("models.unknown")) : null);
    if (page.dataset.row === String(row) && page.hasChildNodes()) return page;
    page.dataset.row = row;
    const model = library.model(row);
    const bare = { description: "", versions: [], url: "", licence: "", gone: model.gone };
    return newest(library.modelDetails(model.id).catch(() => bare), (details) => fillPage(model, details));
  };

  const showCards = (state) => {
    const home = state.under ?? state;
    const back = section.hidden && (document.activeElement === document.body || document.activeElement.id === "main");
    section.hidden = home.place !== "models" || state.shown?.table !== "models";
    if (section.hidden) return;
    list.dataset.view = state.view;
    wallOf.show(store.href(home));
    if (back && wallOf.current >= 0) wallOf.focus(wallOf.current);
  };

  const uncover = (link, event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    store.set({ uncovered: new Set([...store.state.uncovered, -Number(link.dataset.model)]) });
  };

  list.addEventListener("error", (event) => event.target.matches("img") && event.target.removeAttribute("src"), true);
  dom.on(list, "click", ".card-link[data-covered]", uncover);
  dom.on(list, "pointermove", ".card-link", leaf);
  dom.on(list, "pointerout", ".card-link", unleaf);
  store.watch(["shown", "place", "view", "settings", "covering", "uncovered"], showCards);
  store.watch(["place", "ids", "under", "ready", "loaded"], showPage);

  const copy = ({ dataset }) => (dataset.copy === undefined ? false : void dom.copy(dataset.copy));
  const actions = {
    "copy-word": copy,
    "copy-words": copy,
    "copy-path": copy,
    unfold: (opener) => {
      opener.hidden = true;
      dom.find(".description", page).dataset.whole = "";
    },
    skip: () => (section.hidden ? false : wallOf.focus(Math.max(0, wallOf.current))),
  };

  return { actions };
});
