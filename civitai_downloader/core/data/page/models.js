"use strict";
// The models: their cards, and a page for each of them.
civitai.room("models", ["words", "dom", "store", "library", "wall", "board", "grid"], (needs) => {
  const { words, dom, store, library, wall, board, grid } = needs;
  const { el, button } = dom;
  const WIDTHS = [132, 152, 176, 208, 256, 320, 420];
  const FOOT = { grid: 56, compact: 28 };
  const FEW = 6; // versions, which are all unfolded
  const LEAVES = 20; // pictures through which the mouse leafs
  const AWAY = { target: "_blank", rel: "noopener noreferrer" };
  const part = (node, name) => dom.find(`.${name}`, node);
  const quiet = (...children) => el("span", { class: "quiet" }, children);

  const layout = (rows, width, view) => {
    const least = WIDTHS[store.state.settings.size] * (view === "compact" ? 0.6 : 1);
    const gap = view === "compact" ? 8 : 12;
    const columns = Math.max(2, Math.floor((width + gap) / (least + gap)));
    const height = Math.round(((width - gap * (columns - 1)) / columns) * (4 / 3)) + FOOT[view];
    return { ...wall.even(rows.length, { width, columns, height, gap }), across: columns };
  };

  const versions = ({ here, versions: n }) => words.say("models.versions", { here, n });
  const bases = ({ base }) => (base.length > 1 ? `${base[0]} +${base.length - 1}` : base[0]);
  const goneSince = (date) => words.say("models.gone", { date: words.date(date) });

  const news = ({ gone, update }) => (gone ? goneSince(gone) : update ? words.say("models.newer") : "");

  const paint = (node, model) => {
    Object.assign(part(node, "card-name"), { textContent: model.name, title: model.name });
    part(node, "card-facts").textContent = board.dotted(model.type, bases(model), versions(model));
    part(node, "card-news").textContent = news(model);
  };

  const cards = new board.Board(dom.find("#models"), {
    table: "models", kind: "model", template: "card", thing: library.model, picture: ({ preview }) => preview,
    layout, paint,
  });
  dom.on(cards.list, "pointermove", ".card-link", (link, event) => leaf(link, event));
  dom.on(cards.list, "pointerout", ".card-link", (link, event) => unleaf(link, event));

  // Moving the mouse across a card leafs through the model's pictures.
  const leaves = new Map(); // model → a promise of its pictures
  const leavesOf = async (model) => {
    const { rows } = await library.find({ table: "images", sort: "likes", scope: { model } });
    return [...rows.slice(0, LEAVES)].map(library.picture);
  };

  const leaf = async (link, { pointerType, clientX }) => {
    const id = Number(link.dataset.model);
    if (link.hasAttribute("data-covered") || pointerType === "touch") return;
    if (!leaves.has(id)) leaves.set(id, leavesOf(id));
    const open = (picture) => picture.kind === "image" && !store.covered(picture.level, picture.id);
    const pictures = (await leaves.get(id)).filter(open);
    const { left, width } = link.getBoundingClientRect();
    const at = Math.floor(((clientX - left) / width) * pictures.length);
    if (link.matches(":hover") && pictures[at]) board.load(link, pictures[at], false);
  };

  const unleaf = (link, { relatedTarget }) => {
    if (link.contains(relatedTarget) || link.hasAttribute("data-covered")) return;
    dom.find("img", link).removeAttribute("src");
    board.load(link, cards.thingOf(link).preview, false);
  };

  const copier = (doing, wordKey, copy) => button(doing, wordKey, "copy", { class: "plain icons", data: { copy } });

  const wordsOf = ({ words: all }) => {
    const title = words.say("models.copy-word");
    const copyOne = (text) =>
      button("copy-word", "models.copy-word", "", { class: "word", text, title, data: { copy: text } });
    const copyAll = copier("copy-words", "models.copy-words", all.join(", "));
    return all.length > 0 && el("p", { class: "words" }, all.map(copyOne), copyAll);
  };

  const fileLine = ({ name, path, size }) => {
    const plain = path ? grid.plainPath(path) : "";
    const cells = [
      el("span", { class: "mono cut", title: plain || name }, name),
      el("span", { class: "number" }, size ? words.bytes(size) : ""),
      path ? copier("copy-path", "viewer.copy-path", plain) : quiet(words.say("models.not-here")),
    ];
    return el("li", { class: path ? "file" : "file quiet" }, cells);
  };

  const isHere = ({ files }) => files.some(({ path }) => path);

  const versionBox = (version, _, all) => {
    const here = isHere(version);
    const state = version.gone ? goneSince(version.gone) : here ? "" : words.say("models.not-here");
    const said = board.dotted(version.base, words.date(version.published), state);
    const box = { class: "version", open: here || all.length <= FEW, data: { version: version.id } };
    const title = el("summary", {}, el("h3", {}, version.name), quiet(said));
    return el("details", box, title, wordsOf(version), el("ul", { class: "files" }, version.files.map(fileLine)));
  };

  const page = dom.find("#model");

  // What the sanitiser of the writer leaves.
  const ENTITIES = { "&lt;": "<", "&gt;": ">", "&amp;": "&" };
  const BLOCK = /<(?:br|hr|\/(?:p|li|dd|h\d|tr|pre|blockquote|div))>/g;

  const described = ({ description }) => {
    if (!description) return null;
    const box = el("div", { class: "description", lang: "" });
    const lines = description.replace(BLOCK, "\n").replace(/<[^>]*>/g, "");
    dom.html(box, description, lines.replace(/&(?:lt|gt|amp);/g, (entity) => ENTITIES[entity]).trim());
    for (const link of box.querySelectorAll("a[href]")) Object.assign(link, AWAY);
    const unfold = button("unfold", "models.unfold", "", { class: "plain more", hidden: true });
    return el("section", { class: "about", aria: { label: words.say("models.about") } }, box, unfold);
  };

  const newsOf = ({ gone, versions: all }) => {
    const ours = Math.max(...all.filter(isHere).map(({ published }) => published));
    const isNewer = (version) => !isHere(version) && !version.gone && version.published > ours && ours > 0;
    const newer = all.filter(isNewer);
    const names = words.list(newer.map(({ name }) => name));
    return [
      gone && el("p", { class: "warn" }, words.say("models.gone-long", { date: words.date(gone) })),
      newer.length > 0 && el("p", { class: "good" }, words.say("models.newer-long", { n: newer.length, names })),
    ];
  };

  const toList = (facet, value) => {
    const picks = [{ facet, value, not: false }];
    return dom.link(el("a", {}, value), store.href({ place: "models", ids: [], q: "", picks }));
  };

  const showPortrait = () => {
    const box = dom.maybeFind(".portrait", page);
    const model = library.model(Number(page.dataset.row));
    if (box) board.draw(box, model.preview, cards.covers(model));
    if (box) board.load(box, model.preview, cards.covers(model));
  };

  const head = (model, details) => {
    const site = details.url && dom.link(el("a", AWAY, words.say("models.site")), details.url);
    const by = model.creator && [words.say("models.by"), " ", toList("creator", model.creator), " · "];
    const bytes = model.bytes ? words.bytes(model.bytes) : "";
    const known = board.dotted(model.type, model.base.join(", "), versions(model), bytes, details.licence);
    const lines = [known, [by, site]].map((said) => el("p", { class: "quiet" }, said));
    const tags = el("p", { class: "tags" }, model.tags.map((tag) => toList("tag", tag)));
    const said = el("div", {}, el("h1", {}, model.name), lines, tags, newsOf(details));
    return el("header", {}, el("div", { class: "portrait" }, part(board.clone("card"), "preview")), said);
  };

  const fillPage = (model, details) => {
    const label = words.say("models.versions-title");
    const side = el("section", { aria: { label } }, el("h2", {}, label), details.versions.map(versionBox));
    const halves = el("div", { class: "halves" }, side, described(details));
    dom.fill(page, head(model, details), halves, el("h2", {}, words.say("models.pictures")));
    document.title = `${model.name} – ${words.say("title")}`;
    showPortrait();
    const about = dom.maybeFind(".description", page);
    if (about) about.nextElementSibling.hidden = about.scrollHeight <= about.clientHeight + 4;
    if (document.activeElement === document.body) dom.find("#main").focus({ preventScroll: true });
  };

  const newest = store.latest();
  const showPage = (state) => {
    const { place, ids } = state.under ?? state;
    const row = place === "model" ? library.modelRow(ids[0]) : -1;
    page.hidden = place !== "model";
    if (row < 0) return dom.fill(page, state.ready && !page.hidden && el("p", {}, words.say("models.unknown")));
    if (page.dataset.row === String(row) && page.hasChildNodes()) return showPortrait();
    page.dataset.row = row;
    const model = library.model(row);
    const bare = { versions: [], gone: model.gone };
    return newest(library.modelDetails(model.id).catch(() => bare), (details) => fillPage(model, details));
  };

  store.watch(["place", "ids", "under", "ready", "loaded", "covering", "uncovered", "settings"], showPage);

  const unfold = (opener) => {
    opener.hidden = true;
    opener.previousElementSibling.dataset.whole = "";
  };

  return { actions: { unfold, skip: () => cards.skip() } };
});
