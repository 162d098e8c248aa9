"use strict";
// The pictures: as a wall of whole pictures, as lines, or small.
civitai.room("grid", ["words", "dom", "query", "alike", "store", "library", "wall"], (needs) => {
  const { words, dom, query, alike, store, library, wall } = needs;
  const { el } = dom;
  const HEIGHTS = [120, 150, 180, 220, 280, 360, 480];
  const COMPACT = [72, 88, 104, 120, 144, 176, 220];
  const LINE = 64;
  const PHONE = 600;

  const section = dom.find("#grid");
  const list = el("ul", { class: "wall", role: "list", aria: { label: words.say("find.images") } });
  section.append(list);
  const still = globalThis.matchMedia("(prefers-reduced-motion: reduce)");

  const rows = () => store.state.shown?.rows ?? [];
  const shown = () => store.state.shown?.table === "images" && store.state.place !== "models";
  const partOf = (node, name) => dom.find(`.${name}`, node);

  // ------------------------------------------------------------------------------------------------------- layouts
  const target = (width, view) => {
    const heights = view === "compact" ? COMPACT : HEIGHTS;
    return Math.round(heights[store.state.settings.size] * (width < PHONE ? 0.82 : 1));
  };

  const across = (layout) => Math.max(1, Math.round(layout.count / Math.max(1, layout.rows)));

  /** How many pictures stand in a row, about, if there are enough of them. */
  const perRow = (width, view) => Math.max(1, Math.round(width / (0.8 * target(width, view))));

  const layout = (width) => {
    const { view } = store.state;
    const all = rows();
    if (view === "list") return wall.even(all.length, { width, columns: 1, height: LINE, gap: 0 });
    const sizes = { width, target: target(width, view), gap: view === "compact" ? 2 : 4 };
    const made = wall.justified(all.length, (index) => library.ratio(all[index]), sizes);
    const full = made.rows > 3 ? across(made) : perRow(width, view);
    if (store.state.across !== full) store.set({ across: full });
    return made;
  };

  // --------------------------------------------------------------------------------------------------------- tiles
  const make = () => {
    const link = el(
      "a",
      { class: "tile-link", draggable: "false" },
      el("canvas", { class: "hash", width: 16, height: 24 }),
      el("img", { alt: "", decoding: "async", draggable: "false" }),
      el("span", { class: "badge", hidden: true }, dom.icon("play")),
      el("span", { class: "cover", hidden: true }, dom.icon("covered"), el("span", { class: "cover-level" })),
      el("span", { class: "lost", hidden: true }, dom.icon("missing"), el("span", { class: "lost-name" })),
      el("span", { class: "foot" }, el("span", { class: "foot-name cut" }), el("span", { class: "foot-facts cut" })),
    );
    return el("li", { class: "tile" }, link);
  };

  const levelName = (level) => (level === "unrated" ? words.say("value.unrated") : level);
  const fileName = ({ url }) => plainPath(url).split("/").at(-1);

  /** The path of a file of this folder, as its names are written. */
  const plainPath = (url) =>
    url.replace(/(?:%[0-9a-f]{2})+/gi, (bytes) => {
      try {
        return decodeURIComponent(bytes);
      } catch {
        return bytes;
      }
    });

  const facts = (picture) => {
    const size = picture.width ? `${picture.width} × ${picture.height}` : "";
    return [size, levelName(picture.level), words.date(picture.created)].filter(Boolean).join(" · ");
  };

  const nameOf = (picture, covered) => {
    const kind = words.say(picture.kind === "video" ? "grid.video" : "grid.picture", { id: String(picture.id) });
    return [kind, facts(picture), covered ? words.say("grid.covered") : ""].filter(Boolean).join(", ");
  };

  const forget = (node) => {
    stop(node);
    partOf(node, "tile-link").removeAttribute("data-image");
    dom.find("img", node).removeAttribute("src");
    delete node.dataset.gone;
    partOf(node, "lost").hidden = true;
  };

  const paint = (node, index) => {
    const picture = library.picture(rows()[index]);
    const link = partOf(node, "tile-link");
    if (link.dataset.image !== String(picture.id)) {
      forget(node);
      alike.paint(partOf(node, "hash"), picture.hash);
    }
    const covered = store.covered(picture.level, picture.id);
    link.dataset.image = picture.id;
    dom.link(link, store.href({ place: "image", ids: [picture.id] }));
    link.setAttribute("aria-label", nameOf(picture, covered));
    link.toggleAttribute("data-covered", covered);
    node.dataset.kind = picture.kind;
    node.toggleAttribute("data-odd", wall.isOdd(library.ratio(picture.row)));
    partOf(node, "badge").hidden = picture.kind !== "video" || covered;
    partOf(node, "cover").hidden = !covered;
    partOf(node, "cover-level").textContent = levelName(picture.level);
    partOf(node, "foot-name").textContent = store.state.view === "list" ? fileName(picture) : picture.creator;
    partOf(node, "foot-facts").textContent = facts(picture);
    if (covered) dom.find("img", node).removeAttribute("src");
  };

  const load = (node, index) => {
    const picture = library.picture(rows()[index]);
    if (store.state.view === "list") describe(node, picture.id);
    if (store.covered(picture.level, picture.id)) return;
    const image = dom.find("img", node);
    const url = picture.thumb ?? (picture.kind === "video" ? null : picture.url);
    if (url && image.getAttribute("src") !== url) dom.source(image, url);
  };

  // A line of the list names what its picture was asked for, with the hits of the search.
  const describe = async (node, id) => {
    const known = await library.details(id).catch(() => null);
    const text = known?.raw_prompt;
    if (!text || partOf(node, "tile-link").dataset.image !== String(id)) return;
    const cut = text.slice(0, 400);
    const tree = query.parse(store.state.q);
    dom.fill(partOf(node, "foot-name"), dom.marked(cut, query.marks(cut, tree, "prompt")));
  };

  const failed = (image) => {
    const node = image.closest(".tile");
    const picture = library.picture(library.rowOf(Number(partOf(node, "tile-link").dataset.image)));
    if (!picture || !image.getAttribute("src")) return;
    if (picture.thumb && picture.kind === "image" && image.getAttribute("src") === picture.thumb) {
      dom.source(image, picture.url);
      return;
    }
    image.removeAttribute("src");
    node.dataset.gone = "";
    const lost = partOf(node, "lost");
    lost.hidden = false;
    partOf(lost, "lost-name").textContent = words.say("grid.gone", { name: fileName(picture) });
  };

  // -------------------------------------------------------------------------------------------------------- videos
  const stop = (node) => {
    const video = dom.maybeFind("video", node);
    if (!video) return;
    video.removeAttribute("src");
    video.load();
    video.remove();
  };

  const play = (link) => {
    const node = link.closest(".tile");
    const picture = library.picture(library.rowOf(Number(link.dataset.image)));
    if (still.matches || picture?.kind !== "video" || dom.maybeFind("video", node)) return;
    if (store.covered(picture.level, picture.id)) return;
    const video = el("video", { muted: true, loop: true, playsinline: true, tabindex: -1 });
    video.muted = true;
    dom.source(video, picture.url);
    dom.find("img", node).after(video);
    video.play().catch(() => stop(node));
  };

  // ---------------------------------------------------------------------------------------------------------- life
  const wallOf = new wall.Wall(list, {
    layout,
    key: (index) => rows()[index],
    make,
    paint,
    load,
    drop: forget,
    reached: (index) => store.set({ focus: library.picture(rows()[index])?.id ?? null }),
  });

  const indexOf = (id) => rows().indexOf(library.rowOf(id));
  const listed = (state) => store.href(state.under ?? { place: state.place, ids: state.ids });

  const NEWS = ["shown", "place", "view", "settings"];
  const renew = (state, changed) => {
    section.hidden = !shown();
    if (section.hidden) return;
    list.dataset.view = state.view;
    if (NEWS.some((key) => changed.has(key))) wallOf.show(listed(state));
    else wallOf.repaint();
  };

  /** Takes the place of the viewer again: the last picture seen is there and has the focus. */
  const stand = () => {
    const index = store.state.focus === null ? -1 : indexOf(store.state.focus);
    if (shown() && index >= 0) wallOf.focus(index, "middle");
  };

  const uncover = (link, event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    store.set({ uncovered: new Set([...store.state.uncovered, Number(link.dataset.image)]) });
  };

  globalThis.history.scrollRestoration = "manual";
  list.addEventListener("error", (event) => event.target.matches("img") && failed(event.target), true);
  for (const begin of ["pointerover", "focusin"]) dom.on(list, begin, ".tile-link", play);
  for (const end of ["pointerout", "focusout"])
    dom.on(list, end, ".tile-link", (link, event) => {
      if (!link.contains(event.relatedTarget)) stop(link.closest(".tile"));
    });
  dom.on(list, "click", ".tile-link[data-covered]", uncover);
  dom.find("#viewer").addEventListener("close", stand);
  store.watch(["shown", "place", "view", "settings", "covering", "uncovered"], renew);

  const actions = {
    cover: () => store.set({ covering: !store.state.covering }),
    skip: () => (shown() ? wallOf.focus(Math.max(0, wallOf.current)) : false),
  };

  return { actions, facts, fileName, levelName, plainPath };
});
