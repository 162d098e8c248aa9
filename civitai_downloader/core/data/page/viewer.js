"use strict";
// One picture or video over everything else.
civitai.room("viewer", ["words", "dom", "store", "library", "board", "grid", "gestures", "details"], (needs) => {
  const { words, dom, store, library, board, grid, gestures, details } = needs;
  const { el, button } = dom;
  const PACE = 5000; // milliseconds of a picture in the slide show
  const PAN = 80; // pixels
  const MANY = 10; // times its own size, from which on a picture is no longer told in percent
  const GROUNDS = ["black", "grey", "white"];
  const WAYS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const dialog = dom.find("#viewer");
  const part = (selector) => dom.find(selector, dialog);
  const [stageNode, frame, canvas, told] = [".stage", ".frame", ".hash", ".told"].map(part);
  const [side, counter, zoomText] = [".details", ".counter", ".zoom"].map(part);
  const tool = (doing) => part(`[data-do="${doing}"]`);
  const [slides, opener, before, after] = ["slideshow", "details", "previous", "next"].map(tool);
  let picture = null;
  let medium = null; // the img or video
  let ahead = new Map(); // id → the img of a neighbour
  let described = null; // a promise: the column beside it is filled
  let timer = 0;
  let playing = false;
  const isOpen = () => dialog.open;
  const isVideo = () => medium?.matches("video") ?? false;
  const covered = () => store.covered(picture.level, picture.id);

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
    const times = scale / actual;
    const percent = () => words.say("viewer.zoom", { n: Math.round(times * 100) });
    zoomText.textContent = times < MANY ? percent() : `${words.number(Math.round(times))}×`;
  };

  const stage = new gestures.Stage(stageNode, { frame: sizes, show, step: (way) => step(way), close: store.close });
  const refit = () => picture && !stage.zoomed && stage.reset();

  const imageOf = (each) =>
    ahead.get(each.id) ??
    dom.source(el("img", { alt: grid.nameOf(each), decoding: "sync", draggable: "false" }), each.url);

  const videoOf = ({ url }) => {
    const video = el("video", { controls: true, autoplay: true, loop: !playing, playsinline: true });
    video.muted = true;
    return dom.source(video, url);
  };

  const tell = (icon, text, ...more) => {
    dom.fill(told, dom.icon(icon), el("p", {}, text), more).hidden = false;
  };
  const tellGone = () => tell("missing", words.say("grid.gone", { name: grid.fileName(picture) }));

  const unmount = () => {
    medium?.remove();
    if (isVideo()) dom.source(medium, "");
    medium = null;
    told.hidden = true;
  };

  const uncover = () => {
    medium = picture.kind === "video" ? videoOf(picture) : imageOf(picture);
    frame.append(medium);
    if (medium.complete && !medium.naturalWidth) tellGone();
  };

  const mount = () => {
    unmount();
    board.paintHash(canvas, picture.hash);
    if (covered()) tell("covered", board.levelName(picture.level), button("cover", "viewer.uncover"));
    else uncover();
    stage.reset();
  };

  const list = () => (store.state.shown?.table === "images" ? store.state.shown.rows : []);
  const near = (by) => {
    const at = list().indexOf(library.rowOf(store.state.ids[0])); // keys may be ahead of what is drawn
    return at < 0 ? null : library.picture(list()[at + by] ?? -1);
  };

  const preload = () => {
    const open = (other) => other?.kind === "image" && !store.covered(other.level, other.id);
    ahead = new Map([1, 2, -1].map(near).filter(open).map((other) => [other.id, imageOf(other)]));
  };

  const step = (way) => {
    const next = picture && near(way);
    if (next) store.go({ place: "image", ids: [next.id] }, "replace");
  };

  const showPlace = () => {
    const [at, n] = [list().indexOf(picture.row), list().length];
    counter.textContent = at < 0 ? "" : words.say("viewer.position", { at: at + 1, n });
    before.disabled = at < 1;
    after.disabled = at < 0 || at + 1 >= n;
  };

  const wait = () => {
    clearTimeout(timer);
    if (!playing || !isOpen()) return;
    if (!near(1)) slideshow(false);
    else if (isVideo()) medium.addEventListener("ended", () => playing && step(1), { once: true });
    else timer = setTimeout(() => step(1), PACE);
  };

  const slideshow = (on) => {
    playing = on;
    slides.setAttribute("aria-pressed", on);
    dom.fill(slides, dom.icon(on ? "pause" : "play"));
    if (isVideo()) medium.loop = !on;
    wait();
  };

  const shut = () => {
    if (!isOpen()) return;
    slideshow(false);
    unmount();
    const { id } = picture;
    [picture, ahead] = [null, new Map()];
    delete dialog.dataset.image;
    dialog.close(); // gives the focus back to what had it, and that is not the last picture seen
    store.set({ focus: id });
  };

  const present = () => {
    dialog.dataset.image = picture.id;
    dialog.setAttribute("aria-label", grid.nameOf(picture));
    described = null;
    if (isOpen()) return;
    dialog.showModal();
    stageNode.focus();
  };

  const showImage = (state) => {
    if (state.place !== "image") return shut();
    const found = library.picture(library.rowOf(state.ids[0]));
    if (!found) return state.ready && dom.announce(words.say("viewer.unknown-image"));
    const isAnother = picture?.id !== found.id;
    picture = found;
    showPlace();
    if (isAnother) present();
    if (state.ready) described ??= details.show(side, picture);
    if (!isAnother && Boolean(medium) !== covered()) return null;
    mount();
    preload();
    return wait();
  };

  const showSide = ({ settings }) => {
    const on = settings.details ?? globalThis.innerWidth >= 1000;
    side.hidden = !on;
    dialog.toggleAttribute("data-details", on);
    opener.setAttribute("aria-pressed", on);
    dialog.dataset.ground = settings.ground ?? GROUNDS[0];
    refit();
  };

  const pan = (event) => {
    if (!event.shiftKey || !WAYS[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    stage.move(...WAYS[event.key].map((way) => way * PAN));
  };

  for (const isSized of ["load", "loadedmetadata"]) frame.addEventListener(isSized, refit, true);
  frame.addEventListener("error", tellGone, true);
  dialog.addEventListener("keydown", pan);
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    store.close();
  });
  new ResizeObserver(refit).observe(stageNode);
  store.watch(["place", "ids", "shown", "uncovered", "covering", "settings", "loaded", "ready"], showImage);
  store.watch(["settings"], showSide);

  // The key may be faster than the details; the button copies without us.
  const copyPrompt = async () => {
    await described;
    dom.maybeFind('[data-do="copy-prompt"]', side)?.click();
  };
  const cover = () => (covered() ? board.uncover(picture.id) : store.set({ covering: !store.state.covering }));
  const nextGround = () => GROUNDS[(GROUNDS.indexOf(dialog.dataset.ground) + 1) % GROUNDS.length];

  const doings = {
    "copy-prompt": (pressed) => pressed || copyPrompt(),
    next: () => step(1),
    previous: () => step(-1),
    close: () => store.close(),
    "zoom-in": () => stage.zoom(1),
    "zoom-out": () => stage.zoom(-1),
    actual: () => stage.toggle(),
    slideshow: () => slideshow(!playing),
    details: () => store.setting("details", side.hidden),
    ground: () => store.setting("ground", nextGround()),
    cover,
  };
  const whileOpen = (act) => (element) => (isOpen() ? void act(element) : false);
  const actions = Object.fromEntries(Object.entries(doings).map(([doing, act]) => [doing, whileOpen(act)]));

  return { actions, isOpen };
});
