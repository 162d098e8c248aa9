"use strict";
// The pictures: as a wall of whole pictures, as lines, or small.
civitai.room("grid", ["words", "dom", "query", "store", "library", "wall", "board"], (needs) => {
  const { words, dom, query, store, library, wall, board } = needs;
  const { el } = dom;
  const HEIGHTS = [120, 150, 180, 220, 280, 360, 480];
  const COMPACT = [72, 88, 104, 120, 144, 176, 220];
  const PHONE = 600;
  const still = globalThis.matchMedia("(prefers-reduced-motion: reduce)");
  const part = (node, name) => dom.find(`.${name}`, node);

  /** The path of a file of this folder, as its names are written. */
  const plainPath = (url) =>
    url.replace(/(?:%[0-9a-f]{2})+/gi, (bytes) => {
      try {
        return decodeURIComponent(bytes);
      } catch {
        return bytes;
      }
    });

  const fileName = ({ url }) => plainPath(url).split("/").at(-1);

  /** Size, level and date of a picture, as far as they are known. */
  const facts = ({ width, height, level, created }) =>
    board.dotted(width ? `${width} × ${height}` : "", board.levelName(level), words.date(created));

  /** What a picture is called by those who cannot see it. */
  const nameOf = ({ kind, id }) => words.say(kind === "video" ? "grid.video" : "grid.picture", { id: String(id) });

  const layout = (rows, width, view) => {
    const heights = view === "compact" ? COMPACT : HEIGHTS;
    const target = Math.round(heights[store.state.settings.size] * (width < PHONE ? 0.82 : 1));
    const sizes = { width, target, gap: view === "compact" ? 2 : 4 };
    const made = wall.justified(library.ratiosOf(rows), sizes);
    const across = made.rows > 3 ? made.count / made.rows : width / (0.8 * target); // few rows say little
    return { ...made, across: Math.max(1, Math.round(across)) };
  };

  // Stands where a picture would.
  const showSign = (node, icon, text) => {
    dom.fill(part(node, "sign"), dom.icon(icon), el("span", { class: "sign-text", text })).hidden = false;
  };

  const paint = (node, picture, covered) => {
    const bare = picture.kind === "video" && !covered && !picture.thumb && !picture.hash;
    const said = [nameOf(picture), facts(picture), covered ? words.say("grid.covered") : ""];
    node.firstElementChild.setAttribute("aria-label", said.filter(Boolean).join(", "));
    node.toggleAttribute("data-odd", wall.isOdd(picture.width / picture.height || 1));
    part(node, "badge").hidden = picture.kind !== "video" || covered || bare;
    part(node, "foot-name").textContent = store.state.view === "list" ? fileName(picture) : picture.creator;
    part(node, "foot-facts").textContent = facts(picture);
    if (bare) showSign(node, "play", fileName(picture));
    part(node, "sign").hidden = covered || !(bare || node.dataset.gone === "");
  };

  const drop = (node) => {
    stop(node);
    delete node.dataset.gone;
  };

  // A line of the list names what its picture was asked for, with the hits of the search.
  const load = async (node, { id }) => {
    if (store.state.view !== "list") return;
    const text = (await library.details(id).catch(() => null))?.raw_prompt?.slice(0, 400);
    if (!text || node.firstElementChild.dataset.image !== String(id)) return;
    dom.fill(part(node, "foot-name"), dom.marked(text, query.marks(text, query.parse(store.state.q), "prompt")));
  };

  const lost = (node, picture) => {
    if (picture.kind === "video") return showSign(node, "play", fileName(picture));
    node.dataset.gone = "";
    return showSign(node, "missing", words.say("grid.gone", { name: fileName(picture) }));
  };

  const tiles = new board.Board(dom.find("#grid"), {
    table: "images", kind: "image", template: "tile", thing: library.picture, picture: (picture) => picture,
    layout, paint, load, drop, lost,
  });

  const stop = (node) => {
    const video = dom.maybeFind("video", node);
    if (!video) return;
    video.removeAttribute("src");
    video.load();
    video.remove();
  };

  const play = (link) => {
    const picture = tiles.thingOf(link);
    if (still.matches || picture?.kind !== "video" || dom.maybeFind("video", link) || tiles.covers(picture)) return;
    const video = el("video", { muted: true, loop: true, playsinline: true, tabindex: -1 });
    video.muted = true;
    dom.source(video, picture.url);
    dom.find("img", link).after(video);
    video.play().catch(() => stop(link));
  };

  const left = (link, { relatedTarget }) => link.contains(relatedTarget) || stop(link);

  for (const begin of ["pointerover", "focusin"]) dom.on(tiles.list, begin, ".tile-link", play);
  for (const end of ["pointerout", "focusout"]) dom.on(tiles.list, end, ".tile-link", left);

  // The last picture seen is there and has the focus, unless it is the one that was opened here.
  const stand = () => {
    const { focus } = store.state;
    if (document.activeElement.dataset.image === String(focus) || focus === null || !tiles.isShown) return;
    tiles.focus(library.rowOf(focus));
  };

  globalThis.history.scrollRestoration = "manual";
  dom.find("#viewer").addEventListener("close", stand);

  const actions = { cover: () => store.set({ covering: !store.state.covering }), skip: () => tiles.skip() };

  return { actions, facts, fileName, nameOf, plainPath };
});
