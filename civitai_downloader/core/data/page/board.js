"use strict";
// What the walls of pictures and of models have in common: a list of links with a picture at rest, or its cover.
civitai.room("board", ["words", "dom", "alike", "store", "wall"], ({ words, dom, alike, store, wall }) => {
  const { el } = dom;
  const LINE = 64; // pixels of a line of the list
  const RELAID = ["shown", "place", "view", "settings"];

  const levelName = (level) => (level === "unrated" ? words.say("value.unrated") : level);

  /** Parts of a sentence that are there, with dots between them. */
  const dotted = (...parts) => parts.filter(Boolean).join(" · ");

  /** The file that shows a picture or a video at rest, or null. */
  const still = ({ thumb, kind, url }) => thumb ?? (kind === "video" ? null : url);

  const hash = () => el("canvas", { class: "hash", width: 16, height: 24 });

  /** What a picture at rest is drawn with, from the bottom up: `below` is seen without it, `above` lies on it. */
  const layers = (below, ...above) => [
    hash(),
    below,
    el("img", { alt: "", decoding: "async", draggable: "false" }),
    above,
    el("span", { class: "cover", hidden: true }, dom.icon("covered"), el("span", { class: "cover-level" })),
  ];

  /** Draws what is there at once of a picture, which may be null: its BlurHash, and its cover. */
  const draw = (node, picture, covered) => {
    alike.paint(dom.find(".hash", node), picture?.hash);
    dom.find(".cover", node).hidden = !covered;
    dom.find(".cover-level", node).textContent = covered ? levelName(picture.level) : "";
    if (covered) dom.find("img", node).removeAttribute("src");
  };

  /** Loads a picture into its layers, unless it is covered. */
  const load = (node, picture, covered) => {
    const url = picture && !covered ? still(picture) : null;
    const image = dom.find("img", node);
    if (url && image.getAttribute("src") !== url) dom.source(image, url);
  };

  /**
   * A board of a table ("images" or "models") in a section. A face knows its things: `kind` ("image" or "model");
   * `thing(row)`; `picture(thing)` that is drawn of it, or null; `layout(rows, width, view)`, which also says how
   * many are `across`; `make()` a node with a link; `paint(node, thing, covered)`; where wanted `load(node, thing)`, `drop(node)`, and
   * `lost(node, thing)` when its file is gone.
   */
  const board = (section, table, face) => {
    const { kind } = face;
    const list = el("ul", { class: `wall ${table}`, role: "list", aria: { label: words.say(`find.${table}`) } });
    section.append(list);
    let rows = []; // what the layout is made of, until there is another layout

    const thing = (index) => face.thing(rows[index]);
    const ownKey = (id) => (kind === "model" ? -id : id); // ids of models must not uncover pictures
    const covered = (each) => {
      const picture = face.picture(each);
      return Boolean(picture) && store.covered(picture.level, ownKey(each.id));
    };
    const homeOf = (state) => state.under ?? state;
    const isShown = (state) =>
      state.shown?.table === table && (homeOf(state).place === "models") === (table === "models");

    const layout = (width) => {
      const { shown, view } = store.state;
      if (isShown(store.state)) ({ rows } = shown);
      if (view === "list") return wall.even(rows.length, { width, columns: 1, height: LINE, gap: 0 });
      const made = face.layout(rows, width, view);
      store.set({ across: made.across });
      return made;
    };

    const drop = (node) => {
      node.firstElementChild.removeAttribute(`data-${kind}`);
      dom.find("img", node).removeAttribute("src");
      face.drop?.(node);
    };

    const paint = (node, index) => {
      const each = thing(index);
      const link = node.firstElementChild;
      if (link.dataset[kind] !== String(each.id)) drop(node);
      link.dataset[kind] = each.id;
      dom.link(link, store.href({ place: kind, ids: [each.id] }));
      draw(node, face.picture(each), covered(each));
      link.toggleAttribute("data-covered", covered(each));
      face.paint(node, each, covered(each));
    };

    const loadAt = (node, index) => {
      const each = thing(index);
      load(node, face.picture(each), covered(each));
      face.load?.(node, each);
    };

    const indexOf = (node) => node.closest("[aria-posinset]").getAttribute("aria-posinset") - 1;

    // A thumbnail that is gone leaves the file itself.
    const failed = (image) => {
      const each = thing(indexOf(image));
      const picture = face.picture(each);
      const [src, file] = [image.getAttribute("src"), still({ ...picture, thumb: null })];
      image.removeAttribute("src");
      if (src && src === picture?.thumb && file) dom.source(image, file);
      else if (src) face.lost?.(image.closest("li"), each);
    };

    const uncover = (link, event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      store.set({ uncovered: new Set([...store.state.uncovered, ownKey(Number(link.dataset[kind]))]) });
    };

    const tiles = new wall.Wall(list, {
      layout, make: face.make, paint, load: loadAt, drop,
      key: (index) => rows[index],
      reached: (index) => store.set({ focus: thing(index)?.id ?? null }),
    });

    // Who comes back from a page of one thing stands where that was left.
    const isBack = (state) => {
      const { activeElement, body } = document;
      const unset = activeElement === body || activeElement.id === "main";
      return unset && section.hidden && homeOf(state).place !== "model";
    };

    const show = (state, changed) => {
      const back = isBack(state);
      section.hidden = !isShown(state);
      if (section.hidden) return;
      list.dataset.view = state.view;
      if (RELAID.some((key) => changed.has(key))) tiles.show(store.href(homeOf(state)));
      else tiles.repaint();
      if (back && tiles.current >= 0) tiles.focus(tiles.current);
    };

    list.addEventListener("error", (event) => event.target.matches("img") && failed(event.target), true);
    dom.on(list, "click", "a[data-covered]", uncover);
    store.watch([...RELAID, "covering", "uncovered"], show);

    return {
      list, covered,
      isShown: () => !section.hidden,
      load: (node) => loadAt(node, indexOf(node)),
      thingOf: (node) => thing(indexOf(node)),
      focus: (row, where) => tiles.focus(rows.indexOf(row), where),
      skip: () => (section.hidden ? false : tiles.focus(Math.max(0, tiles.current))),
    };
  };

  return { board, dotted, draw, hash, layers, levelName, load, still };
});
