"use strict";
// Fingers, mouse and wheel become zoom, movement and swipes of one picture on a stage.
civitai.room("gestures", [], () => {
  const WHOLE = Object.freeze({ scale: 1, x: 0, y: 0 });
  const STEP = 1.5;
  const SWIPE = 56; // pixels
  const OWN = "button, a, summary, video[controls]"; // what answers a press itself

  const between = (value, least, most) => Math.min(most, Math.max(least, value));
  const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
  const middle = (a, b) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });

  // A picture covers as much of the stage as it can: no edge comes further in than it must.
  const kept = ({ scale, x, y }, frame) => {
    const free = (size, stage) => Math.max(0, (size * scale - stage) / 2);
    const [wide, tall] = [free(frame.width, frame.stageWidth), free(frame.height, frame.stageHeight)];
    return { scale, x: between(x, -wide, wide), y: between(y, -tall, tall) };
  };

  /**
   * Returns the view after zooming around a point of the stage, whose middle is 0, 0.
   * @param {{scale: number, x: number, y: number}} view scale 1 shows the whole picture
   * @param {{width, height, stageWidth, stageHeight, actual}} frame `actual` is the scale of 1:1
   */
  const zoomed = (view, factor, point, frame) => {
    const scale = between(view.scale * factor, 1, Math.max(4, frame.actual * 4));
    const along = (from, at) => at - ((at - from) * scale) / view.scale;
    return kept({ scale, x: along(view.x, point.x), y: along(view.y, point.y) }, frame);
  };

  const moved = (view, dx, dy, frame) => kept({ scale: view.scale, x: view.x + dx, y: view.y + dy }, frame);

  /** Returns what a finger meant that went over a whole picture: 1, -1, "close" or null. */
  const swiped = (from, to) => {
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    if (Math.abs(dx) > SWIPE && Math.abs(dx) > 1.5 * Math.abs(dy)) return dx < 0 ? 1 : -1;
    return dy > 2 * SWIPE && dy > 2 * Math.abs(dx) ? "close" : null;
  };

  /** A stage: of its hands, `frame()` gives sizes, `show(view)` draws, `step(±1)` and `close()` go elsewhere. */
  class Stage {
    #node;
    #hands;
    #view = WHOLE;
    #points = new Map();
    #from = null;

    constructor(node, hands) {
      this.#node = node;
      this.#hands = hands;
      node.addEventListener("pointerdown", (event) => this.#press(event));
      node.addEventListener("pointermove", (event) => this.#drag(event));
      for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, (event) => this.#release(event));
      node.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
      node.addEventListener("dblclick", (event) => event.target.closest(OWN) || this.toggle(this.#place(event)));
    }

    get zoomed() {
      return this.#view.scale > 1;
    }

    reset() {
      this.#set(WHOLE);
    }

    /** Zooms in or out by one step. */
    zoom(way, point = { x: 0, y: 0 }) {
      this.#set(zoomed(this.#view, STEP ** way, point, this.#hands.frame()));
    }

    /** Shows the whole picture, or a pixel of it as a pixel of the screen. */
    toggle(point = { x: 0, y: 0 }) {
      const frame = this.#hands.frame();
      if (this.zoomed) this.reset();
      else this.#set(zoomed(this.#view, Math.max(1.5, frame.actual), point, frame));
    }

    move(dx, dy) {
      this.#set(moved(this.#view, dx, dy, this.#hands.frame()));
    }

    #set(view) {
      this.#view = view;
      this.#hands.show(view);
    }

    #place({ clientX, clientY }) {
      const { left, top, width, height } = this.#node.getBoundingClientRect();
      return { x: clientX - left - width / 2, y: clientY - top - height / 2 };
    }

    #press(event) {
      if (event.button || event.target.closest(OWN)) return;
      this.#node.setPointerCapture(event.pointerId);
      this.#points.set(event.pointerId, this.#place(event));
      const alone = this.#points.size === 1 && !this.zoomed && event.pointerType !== "mouse";
      this.#from = alone ? this.#place(event) : null;
    }

    #drag(event) {
      const old = this.#points.get(event.pointerId);
      if (!old) return;
      const now = this.#place(event);
      const other = [...this.#points].find(([id]) => id !== event.pointerId)?.[1];
      this.#points.set(event.pointerId, now);
      if (other) this.#pinch(old, now, other);
      else if (this.zoomed) this.move(now.x - old.x, now.y - old.y);
    }

    #pinch(old, now, other) {
      const frame = this.#hands.frame();
      const [before, after] = [middle(old, other), middle(now, other)];
      const factor = distance(now, other) / Math.max(1, distance(old, other));
      this.#from = null;
      this.#set(moved(zoomed(this.#view, factor, before, frame), after.x - before.x, after.y - before.y, frame));
    }

    #release(event) {
      if (!this.#points.delete(event.pointerId) || !this.#from) return;
      const meant = event.type === "pointerup" ? swiped(this.#from, this.#place(event)) : null;
      this.#from = null;
      if (meant === "close") this.#hands.close();
      else if (meant) this.#hands.step(meant);
    }

    #wheel(event) {
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode ? 16 : 1);
      const factor = Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002));
      this.#set(zoomed(this.#view, factor, this.#place(event), this.#hands.frame()));
    }
  }

  return { Stage, moved, swiped, zoomed };
});
