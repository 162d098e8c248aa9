"use strict";
// One picture or video over everything else.
civitai.room("viewer", ["words", "dom", "alike", "store", "library", "grid", "gestures", "details"], (needs) => {
  const { words, dom, alike, store, library, grid, gestures, details } = needs;
  const { el, button } = dom;
  const PACE = 5000; // milliseconds of a picture in the slide show
  const PAN = 80;

  const dialog = dom.find("#viewer");
  const canvas = el("canvas", { class: "hash", width: 16, height: 24 });
  const frame = el("div", { class: "frame" }, canvas);
  const told = el("div", { class: "told", hidden: true });
  const stageNode = el("div", { class: "stage", tabindex: -1 }, frame, told);
  const side = el("aside", { class: "details", aria: { label: words.say("viewer.details") } });
  const counter = el("p", { class: "counter", "aria-live": "polite" });
  const zoomText = el("output", { class: "zoom" });
  const tool = (doing, icon = doing) => button(doing, `key.${doing}`, icon, { class: "icons plain" });
  const [slides, opener] = [tool("slideshow", "play"), tool("details")];
  const [before, after] = [tool("previous"), tool("next")];
  const bar = el("div", { class: "tools", role: "toolbar", aria: { label: words.say("viewer.tools") } });
  bar.append(counter, tool("zoom-out"), zoomText, tool("zoom-in"), slides, opener, tool("close"));
  stageNode.append(before, after);
  dialog.append(bar, stageNode, side);
  dialog.setAttribute("role", "dialog");

  let picture = null;
  let medium = null; // the img or video
  let ahead = new Map(); // id → the img of a neighbour
  let described = null; // a promise: the column beside it is filled
  let timer = 0;
  let playing = false;

  const isOpen = () => dialog.open;
  const isVideo = () => medium?.matches("video") ?? false;
  const covered = () => store.covered(picture.level, picture.id);
  const uncover = () => store.set({ uncovered: new Set([...store.state.uncovered, picture.id]) });

  // ---------------------------------------------------------------------------------------------------- the picture
  const sizes = () => {
    const { clientWidth: stageWidth, clientHeight: stageHeight } = stageNode;
    const width = medium?.naturalWidth || medium?.videoWidth || picture.width || stageWidth;
    const height = medium?.naturalHeight || medium?.videoHeight || picture.height || stageHeight;
    const fit = Math.min(stageWidth / width, stageHeight / height);
    const actual = 1 / fit / globalThis.devicePixelRatio;
    return { width: width * fit, height: height * fit, stageWidth, stageHeight, actual };
  };

  const show = ({ scale, x, y }) => {
    if (!picture) return;
    const { width, height, actual } = sizes();
    dom.put(frame, "width", `${width}px`);
    dom.put(frame, "height", `${height}px`);
    dom.put(frame, "transform", `translate(-50%, -50%) translate(${x}px, ${y}px) scale(${scale})`);
    stageNode.toggleAttribute("data-zoomed", scale > 1);
    zoomText.textContent = words.say("viewer.zoom", { n: Math.round((scale / actual) * 100) });
  };

  const hands = { frame: sizes, show, step: (way) => step(way), close: () => store.close() };
  const stage = new gestures.Stage(stageNode, hands);

  const imageOf = ({ id, url }) => {
    const alt = words.say("grid.picture", { id: String(id) });
    return ahead.get(id) ?? dom.source(el("img", { alt, decoding: "sync", draggable: "false" }), url);
  };

  const videoOf = ({ url }) => {
    const video = dom.source(el("video", { controls: true, loop: !playing, playsinline: true }), url);
    video.muted = true;
    video.play().catch(() => {}); // the reader has the controls
    return video;
  };

  const tell = (icon, ...said) => {
    told.hidden = false;
    dom.fill(told, dom.icon(icon), said);
  };

  const tellGone = () => tell("missing", el("p", {}, words.say("grid.gone", { name: grid.fileName(picture) })));
  const tellCovered = () => tell("covered", el("p", {}, grid.levelName(picture.level)), button("cover", "viewer.uncover"));

  const unmount = () => {
    medium?.remove();
    if (isVideo()) dom.source(medium, "");
    medium = null;
    told.hidden = true;
  };

  const uncovered = () => {
    const fresh = picture.kind === "video" ? videoOf(picture) : imageOf(picture);
    const sized = () => medium === fresh && !stage.zoomed && stage.reset();
    for (const known of ["load", "loadedmetadata"]) fresh.addEventListener(known, sized, { once: true });
    fresh.addEventListener("error", () => medium === fresh && tellGone(), { once: true });
    if (fresh.complete && !fresh.naturalWidth) tellGone();
    frame.append(fresh);
    return fresh;
  };

  const mount = () => {
    unmount();
    alike.paint(canvas, picture.hash);
    if (covered()) tellCovered();
    else medium = uncovered();
    stage.reset();
  };

  // ------------------------------------------------------------------------------------------------------- the list
  const list = () => (store.state.shown?.table === "images" ? store.state.shown.rows : []);
  const indexOf = (row) => list().indexOf(row);
  const near = (by) => {
    const at = indexOf(library.rowOf(store.state.ids[0]));
    return at < 0 ? null : library.picture(list()[at + by] ?? -1);
  };

  const preload = () => {
    const open = (other) => other?.kind === "image" && !store.covered(other.level, other.id);
    const wanted = [1, 2, -1].map(near).filter(open);
    ahead = new Map(wanted.map((other) => [other.id, imageOf(other)]));
  };

  const step = (way) => {
    const next = picture && near(way);
    if (!next) return;
    store.set({ focus: next.id });
    store.go({ place: "image", ids: [next.id] }, "replace");
  };

  const showPlace = () => {
    const at = indexOf(picture.row);
    counter.textContent = at < 0 ? "" : words.say("viewer.position", { at: at + 1, n: list().length });
    before.disabled = at < 1;
    after.disabled = at < 0 || at + 1 >= list().length;
  };

  // ---------------------------------------------------------------------------------------------------- slide show
  const wait = () => {
    clearTimeout(timer);
    if (!playing || !isOpen()) return;
    if (!near(1)) return void slideshow(false);
    if (isVideo()) medium.addEventListener("ended", () => playing && step(1), { once: true });
    else timer = setTimeout(() => step(1), PACE);
  };

  const slideshow = (on) => {
    playing = on;
    slides.setAttribute("aria-pressed", on);
    dom.fill(slides, dom.icon(on ? "pause" : "play"));
    if (isVideo()) medium.loop = !on;
    wait();
  };

  // ---------------------------------------------------------------------------------------------------------- life
  const open = () => {
    if (dialog.open) return;
    dialog.showModal();
    stageNode.focus();
  };

  const shut = () => {
    if (!dialog.open) return;
    slideshow(false);
    unmount();
    const { id } = picture;
    [picture, ahead] = [null, new Map()];
    delete dialog.dataset.image;
    dialog.close(); // gives the focus back to what had it, and that is not the last picture seen
    store.set({ focus: id });
  };

  const showImage = (state) => {
    if (state.place !== "image") return shut();
    const found = library.picture(library.rowOf(state.ids[0]));
    if (!found) return state.ready && dom.announce(words.say("viewer.unknown-image"));
    const same = picture?.id === found.id && Boolean(medium) === !store.covered(found.level, found.id);
    const another = picture?.id !== found.id;
    picture = found;
    open();
    showPlace();
    if (another) present(found);
    return same || enter();
  };

  const present = ({ id, kind }) => {
    dialog.dataset.image = id;
    dialog.setAttribute("aria-label", words.say(kind === "video" ? "grid.video" : "grid.picture", { id: String(id) }));
    described = details.show(side, picture);
  };

  const enter = () => {
    mount();
    preload();
    wait();
  };

  const showSide = ({ settings }) => {
    const on = settings.details ?? globalThis.innerWidth >= 1000;
    side.hidden = !on;
    dialog.toggleAttribute("data-details", on);
    opener.setAttribute("aria-pressed", on);
    dialog.dataset.ground = settings.ground ?? "black";
    if (picture && !stage.zoomed) stage.reset();
  };

  const pan = (event) => {
    const ways = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (!event.shiftKey || !ways[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    stage.move(...ways[event.key].map((way) => way * PAN));
  };

  dialog.addEventListener("keydown", pan);
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    store.close();
  });
  new ResizeObserver(() => picture && !stage.zoomed && stage.reset()).observe(stageNode);
  store.watch(["place", "ids", "shown", "uncovered", "covering", "settings", "loaded"], showImage);
  store.watch(["settings"], showSide);

  // A key may be faster than the details.
  const copyOf = async (doing) => {
    await described;
    const source = dom.maybeFind(`[data-do="${doing}"]`, side);
    if (source) dom.copy(source.dataset.copy);
  };
  const here = (act) => (element, event) => (isOpen() ? void act(element, event) : false);
  const COPIES = "prompt cleaned negative parameters seed loras path words".split(" ").map((what) => `copy-${what}`);
  const GROUNDS = ["black", "grey", "white"];
  const nextGround = () => GROUNDS[(GROUNDS.indexOf(dialog.dataset.ground) + 1) % GROUNDS.length];
  const actions = {
    ...Object.fromEntries(COPIES.map((doing) => [doing, here(() => copyOf(doing))])),
    next: here(() => step(1)),
    previous: here(() => step(-1)),
    close: here(() => store.close()),
    "zoom-in": here(() => stage.zoom(1)),
    "zoom-out": here(() => stage.zoom(-1)),
    actual: here(() => stage.toggle()),
    slideshow: here(() => slideshow(!playing)),
    details: here(() => store.setting("details", side.hidden)),
    ground: here(() => store.setting("ground", nextGround())),
    cover: here(() => (covered() ? uncover() : store.set({ covering: !store.state.covering }))),
  };

  return { actions, isOpen };
});
