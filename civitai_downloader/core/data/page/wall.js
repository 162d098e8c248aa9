"use strict";
// A virtual list of any length: pure layouts, and a pool of nodes for the part that can be seen.
civitai.room("wall", ["dom"], ({ dom }) => {
  const TALLEST = 15_000_000; // Firefox gives up on elements of about 17 million pixels
  const FAST = 3000; // pixels a second above which nothing is loaded
  const LOADS = 8; // pictures that begin to load in one frame
  const REST = 120; // milliseconds after which scrolling has ended
  const PAUSE = 200; // milliseconds after which a list that follows another one is there to stay
  const EDGE = 8; // pixels between what is brought into view and the edge
  const SHAPES = [0.3, 4]; // the narrowest and the widest box; what is beyond them is shown whole in one of these
  const between = (value, least, most) => Math.min(most, Math.max(least, value));

  /** Whether a picture of this shape does not fill its box. */
  const isOdd = (ratio) => between(ratio, ...SHAPES) !== ratio;

  // The last place of a rising list whose value is at most `value`.
  const lastUpTo = (list, value) => {
    let [low, high] = [0, list.length - 1];
    while (low < high) {
      const half = (low + high + 1) >> 1;
      if (list[half] <= value) low = half;
      else high = half - 1;
    }
    return low;
  };

  // A finished layout. `starts` has the first index of each row, `tops` its place; `wide(index, height)` its boxes.
  const layoutOf = ({ count, starts, tops, bottom, gap, wide }) => {
    const boxes = (row) => {
      const height = (tops[row + 1] ?? bottom) - tops[row] - gap;
      const found = [];
      let x = 0;
      for (let index = starts[row]; index < (starts[row + 1] ?? count); index += 1) {
        const width = wide(index, height);
        found.push({ index, x: Math.round(x), y: tops[row], width: Math.round(x + width) - Math.round(x), height });
        x += width + gap;
      }
      return found;
    };
    const rowOf = (index) => lastUpTo(starts, index);
    const box = (index) => boxes(rowOf(index))[index - starts[rowOf(index)]];
    const rowAt = (y) => lastUpTo(tops, y);
    return { count, rows: starts.length, height: Math.max(0, bottom - gap), boxes, box, rowOf, rowAt };
  };

  /** Whole pictures in rows about `target` pixels tall and filled to the edge, all but the last. */
  const justified = (ratios, { width, target, gap }) => {
    const [least, most] = SHAPES;
    const count = ratios.length;
    const shapes = new Float32Array(count);
    for (let index = 0; index < count; index += 1) shapes[index] = Math.min(most, Math.max(least, ratios[index]));
    const [starts, tops] = [[], []];
    let [begin, sum, bottom] = [0, 0, 0];
    const close = (end, height) => {
      starts.push(begin);
      tops.push(bottom);
      bottom += Math.max(1, Math.round(height)) + gap;
      [begin, sum] = [end, 0];
    };
    for (let index = 0; index < count; index += 1) {
      const own = shapes[index];
      const height = (width - gap * (index - begin)) / (sum + own);
      const without = height < target && index > begin ? (width - gap * (index - begin - 1)) / sum : Infinity;
      if (without - target < target - height) close(index, without);
      sum += own;
      const full = (width - gap * (index - begin)) / sum;
      if (full <= target) close(index + 1, full);
    }
    if (begin < count) close(count, Math.min(target, (width - gap * (count - begin - 1)) / sum));
    return layoutOf({ count, starts, tops, bottom, gap, wide: (index, height) => shapes[index] * height });
  };

  /** Boxes of one size, `columns` of them side by side. */
  const even = (count, { width, columns, height, gap }) => {
    const size = (width - gap * (columns - 1)) / columns;
    const lines = [...Array(Math.ceil(count / columns)).keys()];
    const [starts, tops] = [columns, height + gap].map((step) => lines.map((line) => line * step));
    return layoutOf({ count, starts, tops, bottom: lines.length * (height + gap), gap, wide: () => size });
  };

  const beside = (layout, index, row) => {
    const middle = ({ x, width }) => x + width / 2;
    const away = (box) => Math.abs(middle(box) - middle(layout.box(index)));
    return layout.boxes(row).reduce((best, box) => (away(box) < away(best) ? box : best)).index;
  };

  /** The index to which a key leads from another one; null for a key that leads nowhere. */
  const stepped = (layout, index, key, page) => {
    const row = layout.rowOf(index);
    const away = (way) => layout.rowAt(layout.box(index).y + way * page) - row || way;
    const places = new Map(Object.entries({ ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: Infinity }));
    const lines = new Map(Object.entries({ ArrowUp: -1, ArrowDown: 1, PageUp: away(-1), PageDown: away(1) }));
    if (places.has(key)) return between(places.get(key), 0, layout.count - 1);
    return lines.has(key) ? beside(layout, index, between(row + lines.get(key), 0, layout.rows - 1)) : null;
  };

  // Shows a layout in the scroll of the window. A face knows what is shown: `layout(width)`; `key(index)`; `make()` a
  // node whose first child takes the focus; `paint(node, index)`; `load(node, index)` what is slow; `drop(node)`.
  class Wall {
    #root;
    #face;
    #layout = null;
    #shown = new Map(); // key → {node, index, y, loaded}
    #spare = [];
    #current = null; // the key of what the Tab key leads to
    #address = "";
    #places = new Map(); // address → where the window stood
    #pace = { at: 0, y: 0, fast: false, rest: 0, frame: 0, load: 0, followed: 0 };

    constructor(root, face) {
      this.#root = root;
      this.#face = face;
      globalThis.addEventListener("scroll", () => this.#scrolled(), { passive: true });
      new ResizeObserver(() => this.#resized()).observe(root.parentElement);
      root.addEventListener("keydown", (event) => this.#pressed(event));
      root.addEventListener("focusin", ({ target }) => (this.#current = this.#keyOf(target)));
    }

    get current() {
      return this.#shown.get(this.#current)?.index ?? -1;
    }

    /** Shows the list of an address: the same one stays where it is, and one that was left gets its place back. */
    show(address) {
      const same = address === this.#address;
      this.#address = address;
      if (!same) this.#followed();
      this.#renew(same);
    }

    // Lists that follow each other while somebody types load nothing but the first and the last.
    #followed() {
      const now = performance.now();
      if (now - this.#pace.followed < PAUSE) this.#restAfter(PAUSE, { fast: true });
      this.#pace.followed = now;
    }

    // Loads nothing while it is fast, and all after a time.
    #restAfter(time, pace) {
      Object.assign(this.#pace, pace);
      clearTimeout(this.#pace.rest);
      this.#pace.rest = setTimeout(() => this.#drawAgain({ fast: false }), time);
    }

    /** Paints again what is shown, because something about it has changed. */
    repaint() {
      for (const entry of this.#shown.values()) entry.index = -1;
      this.#draw();
    }

    /** Brings one into view, at the edge or in the `middle`, and gives it the focus. */
    focus(index, where = "edge") {
      if (!this.#layout || index < 0 || index >= this.#layout.count) return;
      this.#reveal(this.#layout.box(index), where);
      this.#current = this.#face.key(index);
      this.#draw();
      this.#shown.get(this.#current)?.node.firstElementChild.focus({ preventScroll: true });
    }

    // Lays everything out anew; what is at the top of the window stays there if it is to `stay`.
    #renew(stay) {
      const width = this.#root.clientWidth;
      if (!width) return;
      const anchor = stay && this.#layout ? this.#anchor() : null;
      this.#layout = { ...this.#face.layout(width), width }; // from here on, keys are those of the new list
      dom.put(this.#root, "height", `${Math.min(this.#layout.height, TALLEST)}px`);
      if (anchor && anchor.index < this.#layout.count) this.#scrollTo(this.#layout.box(anchor.index).y + anchor.off);
      if (!stay) globalThis.scrollTo(0, this.#places.get(this.#address) ?? 0); // before there is much to lay out
      for (const entry of this.#shown.values()) entry.index = -1;
      this.#draw(0);
      this.#drawSoon(); // what lies beyond the window
    }

    // Draws what can be seen, and so much around it, in windows.
    #draw(around = 0.5) {
      if (!this.#layout || !this.#root.clientWidth) return;
      const view = this.#view();
      const beyond = around * view.tall;
      const boxes = this.#wanted(view.from - beyond, view.from + view.tall + beyond);
      this.#release(new Set(boxes.map(({ index }) => this.#face.key(index))));
      let next = this.#root.firstElementChild;
      for (const box of boxes) next = this.#place(box, view.shift, next);
      this.#tabStop(view);
      this.#load();
    }

    // A frame begins to load a few only: to begin takes a while, too.
    #load() {
      if (this.#pace.fast || !this.#layout) return;
      const wanting = [...this.#shown.values()].filter(({ loaded }) => !loaded);
      for (const entry of wanting.slice(0, LOADS)) {
        this.#face.load(entry.node, entry.index);
        entry.loaded = true;
      }
      if (wanting.length > LOADS) this.#pace.load ||= requestAnimationFrame(() => this.#loadMore());
    }

    #loadMore() {
      this.#pace.load = 0;
      this.#load();
    }

    #reveal(box, where) {
      const { from, tall, above } = this.#view();
      const [top, bottom] = [from + above + EDGE, from + tall - EDGE];
      if (box.y >= top && box.y + box.height <= bottom) return;
      if (where === "middle") this.#scrollTo(box.y - (tall + above - box.height) / 2);
      else if (box.y < top || box.height > bottom - top) this.#scrollTo(box.y - above - EDGE);
      else this.#scrollTo(box.y + box.height + EDGE - tall);
    }

    // Where the window stands on the layout; `shift` moves boxes of a layout that is taller than an element can be.
    #view() {
      const tall = globalThis.innerHeight;
      const scroll = -this.#root.getBoundingClientRect().top;
      const from = scroll > 0 ? scroll * this.#scale() : scroll;
      return { from, tall, above: dom.find(".bar").offsetHeight, shift: scroll - from };
    }

    #scale() {
      const [tall, { height }] = [globalThis.innerHeight, this.#layout];
      return height <= TALLEST ? 1 : (height - tall) / (TALLEST - tall);
    }

    #scrollTo(y) {
      const top = this.#root.getBoundingClientRect().top + globalThis.scrollY;
      globalThis.scrollTo(0, top + (y > 0 ? y / this.#scale() : y));
    }

    #anchor() {
      const { from, above } = this.#view();
      if (from <= 0 || !this.#layout.rows) return null;
      const [first] = this.#layout.boxes(this.#layout.rowAt(from + above));
      return { index: first.index, off: from - first.y };
    }

    #wanted(from, to) {
      const boxes = [];
      if (!this.#layout.rows || to < 0) return boxes;
      for (let row = this.#layout.rowAt(Math.max(0, from)); row < this.#layout.rows; row += 1) {
        const line = this.#layout.boxes(row);
        if (line[0].y > to) break;
        boxes.push(...line);
      }
      return this.#withFocused(boxes);
    }

    // What has the focus keeps its node, or the keys would have nowhere to start from.
    #withFocused(boxes) {
      const held = this.#entryOf(document.activeElement)?.index ?? -1;
      if (held < 0 || held >= this.#layout.count || boxes.some(({ index }) => index === held)) return boxes;
      return [...boxes, this.#layout.box(held)].sort((a, b) => a.index - b.index);
    }

    #release(wanted) {
      for (const [key, { node }] of this.#shown) {
        if (wanted.has(key)) continue;
        this.#face.drop(node);
        node.remove();
        this.#shown.delete(key);
        this.#spare.push(node);
      }
    }

    // Nodes stand in the order of what they show, for readers that go through them one by one.
    #place(box, shift, next) {
      const key = this.#face.key(box.index);
      const entry = this.#shown.get(key) ?? { node: this.#spare.pop() ?? this.#face.make(), index: -1 };
      const { node } = entry;
      entry.y = box.y;
      this.#shown.set(key, entry);
      if (node !== next) this.#root.insertBefore(node, next);
      dom.put(node, "transform", `translate(${box.x}px, ${box.y + shift}px)`);
      dom.put(node, "width", `${box.width}px`);
      dom.put(node, "height", `${box.height}px`);
      if (entry.index !== box.index) this.#paint(entry, box.index);
      return node === next ? next.nextElementSibling : next;
    }

    #paint(entry, index) {
      Object.assign(entry, { index, loaded: false });
      entry.node.setAttribute("aria-setsize", this.#layout.count);
      entry.node.setAttribute("aria-posinset", index + 1);
      this.#face.paint(entry.node, index);
    }

    #tabStop({ from, above }) {
      const entries = [...this.#shown.values()].sort((a, b) => a.index - b.index);
      const below = entries.find(({ y }) => y >= from + above);
      const stop = this.#shown.get(this.#current) ?? below ?? entries[0];
      for (const entry of entries) entry.node.firstElementChild.tabIndex = entry === stop ? 0 : -1;
    }

    #scrolled() {
      if (!this.#root.clientWidth) return;
      const [pace, now, y] = [this.#pace, performance.now(), globalThis.scrollY];
      this.#places.set(this.#address, y);
      const speed = (Math.abs(y - pace.y) / Math.max(8, now - pace.at)) * 1000;
      this.#restAfter(REST, { at: now, y, fast: speed > FAST });
      this.#drawSoon();
    }

    #drawSoon() {
      this.#pace.frame ||= requestAnimationFrame(() => this.#drawAgain({ frame: 0 }));
    }

    #drawAgain(pace) {
      Object.assign(this.#pace, pace);
      this.#draw();
    }

    #resized() {
      if (this.#layout && this.#root.clientWidth !== this.#layout.width) this.#renew(true);
    }

    #keyOf(target) {
      return [...this.#shown.keys()].find((key) => this.#shown.get(key).node.contains(target));
    }

    #entryOf(target) {
      return this.#shown.get(this.#keyOf(target));
    }

    #pressed(event) {
      const entry = this.#entryOf(event.target);
      if (!entry || event.ctrlKey || event.altKey || event.metaKey) return;
      const { tall, above } = this.#view();
      const next = stepped(this.#layout, entry.index, event.key, tall - above);
      if (next === null) return;
      event.preventDefault();
      this.focus(next);
    }
  }

  return { Wall, even, isOdd, justified, stepped };
});
