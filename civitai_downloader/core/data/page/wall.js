"use strict";
// A virtual list of any length: pure layouts, and a pool of nodes for the part that can be seen.
civitai.room("wall", ["dom"], ({ dom }) => {
  const TALLEST = 15_000_000; // Firefox gives up on elements of about 17 million pixels
  const FAST = 3000; // pixels a second above which nothing is loaded
  const REST = 120; // milliseconds after which scrolling has ended

  const SHAPES = [0.3, 4]; // the narrowest and the widest box; what is beyond them is shown whole in one of these

  const between = (value, least, most) => Math.min(most, Math.max(least, value));

  // ------------------------------------------------------------------------------------------------------ layouts
  /** Whether a picture of this shape does not fill its box. */
  const isOdd = (ratio) => between(ratio, ...SHAPES) !== ratio;

  /** The last place of a rising list whose value is at most `value`. */
  const lastUpTo = (list, value) => {
    let [low, high] = [0, list.length - 1];
    while (low < high) {
      const half = (low + high + 1) >> 1;
      if (list[half] <= value) low = half;
      else high = half - 1;
    }
    return low;
  };

  /** A finished layout. `starts` has the first index of each row, `tops` its place; `wide(index, height)` its boxes. */
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

  /**
   * Whole pictures in rows that are filled to the edge, all but the last.
   * @param {number} count
   * @param {(index: number) => number} ratio width by height
   * @param {{width: number, target: number, gap: number}} sizes in pixels; rows are about `target` tall
   */
  const justified = (count, ratio, { width, target, gap }) => {
    const shape = (index) => between(ratio(index), ...SHAPES);
    const [starts, tops] = [[], []];
    let [begin, sum, bottom] = [0, 0, 0];
    const close = (end, height) => {
      starts.push(begin);
      tops.push(bottom);
      bottom += Math.max(1, Math.round(height)) + gap;
      [begin, sum] = [end, 0];
    };
    for (let index = 0; index < count; index += 1) {
      const without = index > begin ? (width - gap * (index - begin - 1)) / sum : Infinity;
      const height = (width - gap * (index - begin)) / (sum + shape(index));
      if (height < target && without - target < target - height) close(index, without);
      sum += shape(index);
      const full = (width - gap * (index - begin)) / sum;
      if (full <= target) close(index + 1, full);
    }
    if (begin < count) close(count, Math.min(target, (width - gap * (count - begin - 1)) / sum));
    return layoutOf({ count, starts, tops, bottom, gap, wide: (index, height) => shape(index) * height });
  };

  /** Boxes of one size, `columns` of them side by side. */
  const even = (count, { width, columns, height, gap }) => {
    const size = (width - gap * (columns - 1)) / columns;
    const lines = Array.from({ length: Math.ceil(count / columns) }, (_, line) => line);
    const starts = lines.map((line) => line * columns);
    const tops = lines.map((line) => line * (height + gap));
    return layoutOf({ count, starts, tops, bottom: lines.length * (height + gap), gap, wide: () => size });
  };

  const beside = (layout, index, row) => {
    const middle = ({ x, width }) => x + width / 2;
    const from = middle(layout.box(index));
    const away = (box) => Math.abs(middle(box) - from);
    return layout.boxes(row).reduce((best, box) => (away(box) < away(best) ? box : best)).index;
  };

  /** The index to which a key leads from another one; null for a key that leads nowhere. */
  const stepped = (layout, index, key, page) => {
    const row = layout.rowOf(index);
    const lines = (by) => beside(layout, index, between(row + by, 0, layout.rows - 1));
    const pages = (way) => lines(layout.rowAt(layout.box(index).y + way * page) - row || way);
    const steps = {
      ArrowLeft: () => index - 1,
      ArrowRight: () => index + 1,
      ArrowUp: () => lines(-1),
      ArrowDown: () => lines(1),
      Home: () => 0,
      End: () => layout.count - 1,
      PageUp: () => pages(-1),
      PageDown: () => pages(1),
    };
    return Object.hasOwn(steps, key) ? between(steps[key](), 0, layout.count - 1) : null;
  };

  // --------------------------------------------------------------------------------------------------------- nodes
  /**
   * Shows a layout in the scroll of the window. A face knows what is shown: `layout(width)`; `key(index)`; `make()` a
   * node whose first child takes the focus; `paint(node, index)`; `load(node, index)` what is slow; `drop(node)`;
   * `reached(index)` when one gets the focus.
   */
  class Wall {
    #root;
    #face;
    #layout = null;
    #shown = new Map(); // key → {node, index, y, loaded}
    #spare = [];
    #current = null; // the key of what the Tab key leads to
    #address = "";
    #places = new Map(); // address → where the window stood
    #pace = { at: 0, y: 0, fast: false, rest: 0, frame: 0 };

    constructor(root, face) {
      this.#root = root;
      this.#face = face;
      globalThis.addEventListener("scroll", () => this.#scrolled(), { passive: true });
      new ResizeObserver(() => this.#resized()).observe(root.parentElement);
      root.addEventListener("keydown", (event) => this.#pressed(event));
      root.addEventListener("focusin", (event) => this.#entered(event.target));
    }

    get layout() {
      return this.#layout;
    }

    /** Shows the list of an address: the same one stays where it is, and one that was left gets its place back. */
    show(address) {
      const same = address === this.#address;
      this.#address = address;
      this.renew(same);
      if (!same) globalThis.scrollTo(0, this.#places.get(address) ?? 0);
    }

    /** Lays everything out anew; what is at the top of the window stays there if it is to `stay`. */
    renew(stay = false) {
      const width = this.#root.clientWidth;
      if (!width) return;
      const anchor = stay && this.#layout ? this.#anchor() : null;
      this.#layout = { ...this.#face.layout(width), width };
      dom.put(this.#root, "height", `${Math.min(this.#layout.height, TALLEST)}px`);
      for (const entry of this.#shown.values()) entry.index = -1;
      if (anchor && anchor.index < this.#layout.count) this.#scrollTo(this.#layout.box(anchor.index).y + anchor.off);
      this.draw();
    }

    /** Draws what can be seen now, and loads it if the scroll is slow. */
    draw() {
      if (!this.#layout || !this.#root.clientWidth) return;
      const view = this.#view();
      const boxes = this.#wanted(view.from - view.tall / 2, view.from + 1.5 * view.tall);
      this.#release(new Set(boxes.map(({ index }) => this.#face.key(index))));
      let next = this.#root.firstElementChild;
      for (const box of boxes) next = this.#place(box, view.shift, next);
      this.#tabStop(view);
      if (!this.#pace.fast) this.#load();
    }

    /** Paints again what is shown, because something about it has changed. */
    repaint() {
      for (const entry of this.#shown.values()) entry.index = -1;
      this.draw();
    }

    /** Brings one into view, at the edge or in the `middle`. */
    reveal(index, where = "edge") {
      const box = this.#layout.box(index);
      const { from, tall, above } = this.#view();
      const [top, bottom] = [from + above + 8, from + tall - 8];
      if (box.y >= top && box.y + box.height <= bottom) return;
      if (where === "middle") this.#scrollTo(box.y - (tall + above - box.height) / 2);
      else if (box.y < top || box.height > bottom - top) this.#scrollTo(box.y - above - 8);
      else this.#scrollTo(box.y + box.height + 8 - tall);
    }

    /** Brings one into view and gives it the focus. */
    focus(index, where) {
      if (!this.#layout || index < 0 || index >= this.#layout.count) return;
      this.reveal(index, where);
      this.#current = this.#face.key(index);
      this.draw();
      this.#shown.get(this.#current)?.node.firstElementChild.focus({ preventScroll: true });
    }

    /** The one that the Tab key leads to. */
    get current() {
      return this.#shown.get(this.#current)?.index ?? -1;
    }

    // Where the window stands on the layout; `shift` moves boxes of a layout that is taller than an element can be.
    #view() {
      const tall = globalThis.innerHeight;
      const scroll = -this.#root.getBoundingClientRect().top;
      const above = dom.maybeFind(".bar")?.offsetHeight ?? 0;
      const from = scroll > 0 ? scroll * this.#scale(tall) : scroll;
      return { from, tall, above, shift: scroll - from };
    }

    #scale(tall) {
      const { height } = this.#layout;
      return height <= TALLEST ? 1 : (height - tall) / (TALLEST - tall);
    }

    #scrollTo(y) {
      const top = this.#root.getBoundingClientRect().top + globalThis.scrollY;
      globalThis.scrollTo(0, top + (y > 0 ? y / this.#scale(globalThis.innerHeight) : y));
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
      const held = this.#entryOf(document.activeElement);
      if (!held || held.index < 0 || held.index >= this.#layout.count) return boxes;
      if (boxes.some(({ index }) => index === held.index)) return boxes;
      return [...boxes, this.#layout.box(held.index)].sort((a, b) => a.index - b.index);
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
      let entry = this.#shown.get(key);
      if (!entry) {
        entry = { node: this.#spare.pop() ?? this.#face.make(), index: -1, y: 0, loaded: false };
        this.#shown.set(key, entry);
      }
      entry.y = box.y;
      const { node } = entry;
      if (node !== next) this.#root.insertBefore(node, next);
      dom.put(node, "transform", `translate(${box.x}px, ${box.y + shift}px)`);
      dom.put(node, "width", `${box.width}px`);
      dom.put(node, "height", `${box.height}px`);
      if (entry.index !== box.index) this.#paint(entry, box.index);
      return node === next ? next.nextElementSibling : next;
    }

    #paint(entry, index) {
      entry.index = index;
      entry.loaded = false;
      entry.node.setAttribute("aria-setsize", this.#layout.count);
      entry.node.setAttribute("aria-posinset", index + 1);
      this.#face.paint(entry.node, index);
    }

    #load() {
      for (const entry of this.#shown.values()) {
        if (entry.loaded) continue;
        entry.loaded = true;
        this.#face.load(entry.node, entry.index);
      }
    }

    #tabStop({ from, above }) {
      const entries = [...this.#shown.values()];
      const stop = this.#shown.get(this.#current) ?? this.#firstBelow(entries, from + above);
      for (const entry of entries) entry.node.firstElementChild.tabIndex = entry === stop ? 0 : -1;
    }

    #firstBelow(entries, y) {
      const below = entries.filter((entry) => entry.y >= y);
      const first = (best, entry) => (best && best.index < entry.index ? best : entry);
      return (below.length ? below : entries).reduce(first, null);
    }

    #scrolled() {
      if (!this.#root.clientWidth) return;
      this.#places.set(this.#address, globalThis.scrollY);
      const pace = this.#pace;
      const now = performance.now();
      const speed = (Math.abs(globalThis.scrollY - pace.y) / Math.max(8, now - pace.at)) * 1000;
      Object.assign(pace, { at: now, y: globalThis.scrollY, fast: speed > FAST });
      clearTimeout(pace.rest);
      pace.rest = setTimeout(() => this.#rested(), REST);
      if (!pace.frame) pace.frame = requestAnimationFrame(() => this.#tick());
    }

    #tick() {
      this.#pace.frame = 0;
      this.draw();
    }

    #rested() {
      this.#pace.fast = false;
      this.draw();
    }

    #resized() {
      const width = this.#root.clientWidth;
      if (this.#layout && width && width !== this.#layout.width) this.renew(true);
    }

    #entryOf(target) {
      const node = this.#root.contains(target) ? target.closest("[aria-posinset]") : null;
      return node ? [...this.#shown.values()].find((entry) => entry.node === node) : null;
    }

    #entered(target) {
      const entry = this.#entryOf(target);
      if (!entry) return;
      this.#current = this.#face.key(entry.index);
      this.#face.reached(entry.index);
    }

    #pressed(event) {
      const entry = event.ctrlKey || event.altKey || event.metaKey ? null : this.#entryOf(event.target);
      const { tall, above } = this.#view();
      const next = entry ? stepped(this.#layout, entry.index, event.key, tall - above) : null;
      if (next === null) return;
      event.preventDefault();
      this.focus(next);
    }
  }

  return { Wall, even, isOdd, justified, stepped };
});
