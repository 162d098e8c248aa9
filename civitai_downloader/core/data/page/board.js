"use strict";
// What the walls of pictures and of models have in common: links with a picture at rest, or its cover.
civitai.room("board", ["words", "dom", "alike", "store", "wall"], ({ words, dom, alike, store, wall }) => {
  const LINE = 64; // pixels of a line of the list
  const RELAID = ["shown", "place", "view", "settings"];
  const levelName = (level) => (level === "unrated" ? words.say("value.unrated") : level);
  const homeOf = (state) => state.under ?? state;

  const dotted = (...parts) => parts.filter(Boolean).join(" · ");

  /** A node like the one in a template of index.html. */
  const clone = (name) => dom.find(`template.${name}`).content.firstElementChild.cloneNode(true);

  /** The file that shows a picture or a video at rest, or null. */
  const still = (picture) => picture?.thumb ?? (picture?.kind === "image" ? picture.url : null);

  /** Draws what is there at once of a picture, or of null: its BlurHash, or its cover. */
  const draw = (node, picture, covered) => {
    alike.paint(dom.find(".hash", node), picture?.hash);
    dom.find(".cover", node).hidden = !covered;
    dom.find(".cover-level", node).textContent = covered ? levelName(picture.level) : "";
    if (covered) dom.find("img", node).removeAttribute("src");
  };

  const load = (node, picture, covered) => {
    const [image, url] = [dom.find("img", node), covered ? null : still(picture)];
    if (url && image.getAttribute("src") !== url) dom.source(image, url);
  };

  /** Uncovers one picture, or by its negative id the preview of one model. */
  const uncover = (id) => store.set({ uncovered: new Set([...store.state.uncovered, id]) });

  // A list in a section. A face knows what it shows of a `table`: `kind` ("image" or "model", as in the address);
  // `thing(row)`; `picture(thing)` that is drawn of it, or null; `layout(rows, width, view)` with how many are
  // `across`; `template`; `paint(node, thing, covered)`; if wanted `load`, `lost` (node, thing) and `drop(node)`.
  class Board {
    #section;
    #face;
    #tiles;
    #rows = []; // what the layout is made of, until there is another layout
    isShown = false;

    constructor(section, face) {
      this.#section = section;
      this.#face = face;
      this.list = dom.find("ul", section);
      this.list.setAttribute("aria-label", words.say(`find.${face.table}`));
      this.list.addEventListener("error", ({ target }) => target.matches("img") && this.#failed(target), true);
      dom.on(this.list, "click", "a[data-covered]", (link, event) => this.#pressed(link, event));
      this.#tiles = new wall.Wall(this.list, {
        layout: (width) => this.#layout(width),
        key: (index) => this.#rows[index],
        make: () => clone(face.template),
        paint: (node, index) => this.#paint(node, this.#thing(index)),
        load: (node, index) => this.#load(node, this.#thing(index)),
        drop: (node) => this.#drop(node),
      });
      store.watch([...RELAID, "covering", "uncovered"], (state, changed) => this.#show(state, changed));
    }

    thingOf(node) {
      return this.#thing(node.closest("[aria-posinset]").getAttribute("aria-posinset") - 1);
    }

    covers(thing) {
      const picture = this.#face.picture(thing);
      return Boolean(picture) && store.covered(picture.level, this.#key(thing.id));
    }

    focus(row) {
      this.#tiles.focus(this.#rows.indexOf(row), "middle");
    }

    /** Gives the focus to what had it last; false if this list is not shown. */
    skip() {
      return this.isShown && this.#tiles.focus(Math.max(0, this.#tiles.current));
    }

    #thing(index) {
      return this.#face.thing(this.#rows[index]);
    }

    #key(id) {
      return this.#face.kind === "model" ? -id : id; // as in `uncover`
    }

    #fits({ shown, ...state }) {
      const { table } = this.#face;
      return shown?.table === table && (homeOf(state).place === "models") === (table === "models");
    }

    #layout(width) {
      const { shown, view } = store.state;
      if (this.#fits(store.state)) this.#rows = shown.rows;
      const count = this.#rows.length;
      if (view === "list") return wall.even(count, { width, columns: 1, height: LINE, gap: 0 });
      const made = this.#face.layout(this.#rows, width, view);
      store.set({ across: made.across });
      return made;
    }

    #paint(node, thing) {
      const { kind, picture, paint } = this.#face;
      const [link, covered] = [node.firstElementChild, this.covers(thing)];
      if (link.dataset[kind] !== String(thing.id)) this.#drop(node);
      link.dataset[kind] = thing.id;
      dom.link(link, store.href({ place: kind, ids: [thing.id] }));
      link.toggleAttribute("data-covered", covered);
      draw(node, picture(thing), covered);
      paint(node, thing, covered);
    }

    #load(node, thing) {
      load(node, this.#face.picture(thing), this.covers(thing));
      this.#face.load?.(node, thing);
    }

    #drop(node) {
      node.firstElementChild.removeAttribute(`data-${this.#face.kind}`);
      dom.find("img", node).removeAttribute("src");
      this.#face.drop?.(node);
    }

    #failed(image) {
      const thing = this.thingOf(image);
      const picture = this.#face.picture(thing);
      const [src, file] = [image.getAttribute("src"), still({ ...picture, thumb: null })];
      image.removeAttribute("src");
      if (src && src === picture?.thumb && file) dom.source(image, file); // only the thumbnail is gone
      else if (src) this.#face.lost?.(image.closest("li"), thing);
    }

    #pressed(link, event) {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      uncover(this.#key(Number(link.dataset[this.#face.kind])));
    }

    // Who comes back from the page of a model stands where that was left.
    #isBack(state) {
      const { activeElement, body } = document;
      const isFree = activeElement === body || activeElement.id === "main";
      return isFree && !this.isShown && homeOf(state).place !== "model";
    }

    #show(state, changed) {
      const isBack = this.#isBack(state);
      this.isShown = this.#fits(state);
      this.#section.hidden = !this.isShown;
      if (!this.isShown) return;
      this.list.dataset.view = state.view;
      if (RELAID.some((key) => changed.has(key))) this.#tiles.show(store.href(homeOf(state)));
      else this.#tiles.repaint();
      if (isBack) this.#tiles.focus(this.#tiles.current);
    }
  }

  dom.on(document, "click", "button[data-copy]", ({ dataset: { copy } }) => dom.copy(copy));

  return { Board, clone, dotted, draw, levelName, load, paintHash: alike.paint, still, uncover };
});
