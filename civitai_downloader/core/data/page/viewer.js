"use strict";
// One picture or video over everything else, with all that is known of it.
civitai.room("viewer", ["words", "dom", "query", "alike", "store", "library", "grid", "gestures"], (needs) => {
  const { words, dom, query, alike, store, library, grid, gestures } = needs;
  const { el, button } = dom;
  const PACE = 5000; // milliseconds of a picture in the slide show
  const PAN = 80;

  const dialog = dom.find("#viewer");
  const canvas = el("canvas", { class: "hash", width: 16, height: 24 });
  const frame = el("div", { class: "frame" }, canvas);
  const told = el("div", { class: "told", hidden: true });
  const stageNode = el("div", { class: "stage" }, frame, told);
  const side = el("aside", { class: "details", aria: { label: words.say("viewer.details") } });
  const counter = el("p", { class: "counter", "aria-live": "polite" });
  const zoomText = el("output", { class: "zoom" });
  const tool = (doing, icon, props) => button(doing, `key.${doing}`, icon, { class: "icons plain", ...props });
  const tools = el(
    "div",
    { class: "tools", role: "toolbar", aria: { label: words.say("viewer.tools") } },
    counter, tool("zoom-out", "zoom-out"), zoomText, tool("zoom-in", "zoom-in"),
    tool("slideshow", "play", { "aria-pressed": "false" }), tool("details", "details", { "aria-pressed": "true" }), tool("close", "close"),
  );
  stageNode.append(tool("previous", "previous"), tool("next", "next"));
  dialog.append(tools, stageNode, side);
  dialog.setAttribute("role", "dialog");

  let picture = null;
  let medium = null; // the img or video
  let ahead = new Map(); // id → img that is loading or loaded
  let timer = 0;
  let playing = false;

  const isOpen = () => dialog.open;
  const covered = () => store.covered(picture.level, picture.id);

  // ---------------------------------------------------------------------------------------------------- the picture
  const sizes = () => {
    const natural = { width: medium?.naturalWidth || medium?.videoWidth || picture.width, height: medium?.naturalHeight || medium?.videoHeight || picture.height };
    const { clientWidth: stageWidth, clientHeight: stageHeight } = stageNode;
    const { width, height } = natural.width && natural.height ? natural : { width: stageWidth, height: stageHeight };
    const fit = Math.min(stageWidth / width, stageHeight / height);
    return { width: width * fit, height: height * fit, stageWidth, stageHeight, actual: 1 / fit / globalThis.devicePixelRatio };
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

  const stage = new gestures.Stage(stageNode, { frame: sizes, show, step: (way) => step(way), close: () => store.close() });

  const imageOf = ({ id, url }) => {
    const image = ahead.get(id) ?? el("img", { alt: words.say("grid.picture", { id: String(id) }), decoding: "sync", draggable: false });
    if (!image.getAttribute("src")) dom.source(image, url);
    return image;
  };

  const videoOf = ({ url }) => {
    const video = el("video", { controls: true, loop: !playing, playsinline: true });
    video.muted = true;
    dom.source(video, url);
    return video;
  };

  const tell = (icon, ...said) => {
    told.hidden = false;
    dom.fill(told, dom.icon(icon), said);
  };

  const mount = () => {
    medium?.remove();
    if (medium?.matches("video")) dom.source(medium, "");
    medium = null;
    told.hidden = true;
    paintHash();
    if (covered()) tell("covered", el("p", {}, grid.levelName(picture.level)), button("uncover", "viewer.uncover"));
    else {
      medium = picture.kind === "video" ? videoOf(picture) : imageOf(picture);
      medium.addEventListener(medium.matches("video") ? "loadedmetadata" : "load", () => stage.zoomed || stage.reset(), { once: true });
      medium.addEventListener("error", () => tell("missing", el("p", {}, words.say("grid.gone", { name: grid.fileName(picture) }))), { once: true });
      frame.append(medium);
      if (medium.matches("video")) medium.play().catch(() => {});
    }
    stage.reset();
  };

  const paintHash = () => {
    const pixels = picture.hash ? alike.pixels(picture.hash, 16, 24) : null;
    canvas.hidden = !pixels;
    if (pixels) canvas.getContext("2d").putImageData(new ImageData(pixels, 16, 24), 0, 0);
  };

  // ------------------------------------------------------------------------------------------------------- the list
  const list = () => (store.state.shown?.table === "images" ? store.state.shown.rows : []);
  const indexOf = (row) => list().indexOf(row);
  const near = (by) => {
    const at = indexOf(picture.row);
    return at < 0 ? null : library.picture(list()[at + by] ?? -1);
  };

  const preload = () => {
    const wanted = [1, 2, -1].map(near).filter((other) => other?.kind === "image" && !store.covered(other.level, other.id));
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
    dom.find('[data-do="previous"]', dialog).disabled = at < 1;
    dom.find('[data-do="next"]', dialog).disabled = at < 0 || at + 1 >= list().length;
  };

  // ---------------------------------------------------------------------------------------------------- slide show
  const wait = () => {
    clearTimeout(timer);
    if (!playing || !isOpen()) return;
    if (!near(1)) return void slideshow(false);
    if (medium?.matches("video")) medium.addEventListener("ended", () => playing && step(1), { once: true });
    else timer = setTimeout(() => step(1), PACE);
  };

  const slideshow = (on) => {
    playing = on;
    const opener = dom.find('[data-do="slideshow"]', dialog);
    opener.setAttribute("aria-pressed", on);
    dom.fill(opener, dom.icon(on ? "pause" : "play"));
    if (medium?.matches("video")) medium.loop = !on;
    wait();
  };

  // -------------------------------------------------------------------------------------------------- what is known
  const toList = (facet, value) => dom.link(el("a", {}, value), query.write({ place: "images", ids: [], q: "", sort: "newest", view: "grid", picks: [{ facet, value, not: false }] }));
  const marked = (text, name) => dom.marked(text, query.marks(text, query.parse(store.state.q), name));
  const copier = (doing, text) => (text ? button(doing, `viewer.${doing}`, "copy", { class: "plain", data: { copy: text } }) : null);
  const labelled = (node) => {
    if (node) node.append(words.say(`viewer.${node.dataset.do}`));
    return node;
  };
  const block = (title, ...inside) => el("section", {}, el("h3", {}, title), inside);

  // A1111 puts a value in quotes that would end or begin a field.
  const quoted = (value) => (/[,:\n]/.test(String(value)) ? JSON.stringify(String(value)) : String(value));

  /** The text block that A1111 writes into its pictures and reads from its prompt field. */
  const parameters = ({ raw_prompt: prompt, negative_prompt: negative, ...known }) => {
    const named = [["Steps", known.steps], ["Sampler", known.sampler], ["CFG scale", known.cfg_scale], ["Seed", known.seed], ["Size", known.size], ["Model", known.model]];
    const fields = named.filter(([, value]) => value !== null && value !== undefined && value !== "");
    const line = fields.map(([name, value]) => `${name}: ${quoted(value)}`).join(", ");
    return [prompt, negative ? `Negative prompt: ${negative}` : "", line].filter(Boolean).join("\n");
  };

  const prompts = (details) => {
    const { raw_prompt: raw, prompt: cleaned, negative_prompt: negative } = details;
    const both = el("p", { class: "copies" }, labelled(copier("copy-prompt", raw)), labelled(copier("copy-cleaned", cleaned)), labelled(copier("copy-parameters", raw || details.seed ? parameters(details) : "")));
    return [
      block(words.say("viewer.prompt"), raw ? el("p", { class: "prose" }, marked(raw, "prompt")) : el("p", { class: "quiet" }, words.say("viewer.no-prompt")), both),
      negative ? block(words.say("viewer.negative"), el("p", { class: "prose quiet" }, marked(negative, "negative")), el("p", { class: "copies" }, labelled(copier("copy-negative", negative)))) : null,
    ];
  };

  const made = (details) => {
    if (!details.made.length) return null;
    const line = ({ name, version, type, weight, file, href }) =>
      el("li", { class: file ? "here" : "" },
        el("span", {}, href ? dom.link(el("a", {}, name || version), href) : name || version, version && name ? el("span", { class: "quiet" }, ` ${version}`) : null),
        el("span", { class: "quiet" }, [type, weight === null || weight === undefined ? "" : words.number(weight), file ? "" : words.say("models.not-here")].filter(Boolean).join(" · ")));
    return block(words.say("viewer.made"), el("ul", { class: "made" }, details.made.map(line)),
      el("p", { class: "copies" }, labelled(copier("copy-loras", details.loras.join(" "))), el("span", { class: "trigger" })));
  };

  const facts = (details) => {
    const rows = ["sampler", "steps", "cfg_scale", "seed", "size", "model"].filter((key) => details[key] !== null && details[key] !== undefined && details[key] !== "");
    const row = (key) => [el("dt", {}, words.say(`viewer.${key}`)), el("dd", { class: key === "seed" ? "mono" : "" }, String(details[key]), key === "seed" ? copier("copy-seed", String(details.seed)) : null)];
    const tools = [...(details.tools ?? []), ...(details.techniques ?? [])];
    const more = tools.length ? [el("dt", {}, words.say("viewer.tools-used")), el("dd", {}, tools.join(", "))] : [];
    return rows.length || more.length ? el("section", {}, el("h3", {}, words.say("viewer.parameters")), el("dl", {}, rows.map(row), more)) : null;
  };

  const fileBlock = (details) => {
    const path = grid.plainPath(picture.url);
    const outside = (key, url) => (url ? Object.assign(dom.link(el("a", {}, words.say(key)), url), { target: "_blank", rel: "noopener noreferrer" }) : null);
    return block(words.say("viewer.file"), el("p", { class: "mono path" }, path),
      el("p", { class: "copies" }, labelled(copier("copy-path", path)), details.txt ? outside("viewer.txt", details.txt) : null, outside("viewer.page", details.page)));
  };

  const headline = (details) => {
    const likes = details.likes ? words.say("viewer.likes", { n: details.likes }) : "";
    const who = details.username ? toList("creator", details.username) : words.say("viewer.unknown");
    return el("header", {}, el("h2", {}, who), el("p", { class: "quiet" }, [grid.facts(picture), likes].filter(Boolean).join(" · ")));
  };

  const postOf = async (id, place) => {
    const { rows } = id ? await library.post(id) : { rows: [] };
    if (rows.length < 2 || picture?.post !== id) return;
    const thumb = (other) => {
      const hidden = store.covered(other.level, other.id);
      const link = dom.link(el("a", { data: { post: other.id }, "aria-label": words.say("grid.picture", { id: String(other.id) }), "aria-current": other.id === picture.id ? "true" : null }, hidden || other.kind === "video" ? dom.icon(hidden ? "covered" : "play") : el("img", { alt: "", loading: "lazy", decoding: "async" })), `#/image/${other.id}`);
      const image = dom.maybeFind("img", link);
      if (image) dom.source(image, other.thumb ?? other.url);
      return el("li", {}, link);
    };
    dom.fill(place, el("h3", {}, words.say("viewer.post", { n: rows.length })), el("ol", { class: "post" }, [...rows].map(library.picture).filter(Boolean).map(thumb)));
  };

  const triggers = async (details, place) => {
    const models = [...new Set(details.made.filter(({ model, file }) => model && file).map(({ model }) => model))];
    const pages = await Promise.all(models.map((model) => library.modelDetails(model).catch(() => null)));
    const used = new Set(details.made.map(({ version }) => version));
    const ids = new Set(details.model_versions ?? []);
    const versions = pages.filter(Boolean).flatMap((page) => page.versions).filter(({ id, name, here }) => here && (ids.has(id) || used.has(name)));
    const text = [...new Set(versions.flatMap((version) => version.words))].join(", ");
    if (text) place.replaceWith(labelled(copier("copy-words", text)));
  };

  const newest = store.latest();
  const describe = ({ id, post }) =>
    newest(library.details(id), (details) => {
      if (!details) return;
      const posted = el("section", {});
      dom.fill(side, headline(details), posted, prompts(details), made(details), facts(details), fileBlock(details));
      side.scrollTop = 0;
      postOf(post, posted);
      const place = dom.maybeFind(".trigger", side);
      if (place) triggers(details, place);
    });

  // ---------------------------------------------------------------------------------------------------------- life
  const open = () => {
    if (dialog.open) return;
    dialog.showModal();
    dom.find(".stage", dialog).tabIndex = -1;
    stageNode.focus();
  };

  const shut = () => {
    if (!dialog.open) return;
    slideshow(false);
    medium?.remove();
    [picture, medium, ahead] = [null, null, new Map()];
    delete dialog.dataset.image;
    dialog.close();
  };

  const showImage = (state) => {
    if (state.place !== "image") return shut();
    const found = library.picture(library.rowOf(state.ids[0]));
    if (!found) return undefined;
    const same = picture?.id === found.id && Boolean(medium) === !store.covered(found.level, found.id);
    picture = found;
    dialog.dataset.image = found.id;
    dialog.setAttribute("aria-label", words.say(found.kind === "video" ? "grid.video" : "grid.picture", { id: String(found.id) }));
    open();
    showPlace();
    if (same) return undefined;
    mount();
    describe(found);
    preload();
    return wait();
  };

  const showSide = ({ settings }) => {
    const on = settings.details ?? globalThis.innerWidth >= 1000;
    side.hidden = !on;
    dialog.toggleAttribute("data-details", on);
    dom.find('[data-do="details"]', dialog).setAttribute("aria-pressed", on);
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

  const copy = ({ dataset }) => void dom.copy(dataset.copy);
  const copyAction = (doing) => (element) => {
    if (!isOpen()) return false;
    const source = element?.dataset.copy === undefined ? dom.maybeFind(`[data-do="${doing}"]`, side) : element;
    return source ? copy(source) : undefined;
  };
  const here = (act) => (element, event) => (isOpen() ? void act(element, event) : false);
  const COPIES = ["copy-prompt", "copy-cleaned", "copy-negative", "copy-parameters", "copy-seed", "copy-loras", "copy-path", "copy-words"];
  const GROUNDS = ["black", "grey", "white"];
  const actions = {
    ...Object.fromEntries(COPIES.map((doing) => [doing, copyAction(doing)])),
    next: here(() => step(1)),
    previous: here(() => step(-1)),
    close: here(() => store.close()),
    "zoom-in": here(() => stage.zoom(1)),
    "zoom-out": here(() => stage.zoom(-1)),
    actual: here(() => stage.toggle()),
    slideshow: here(() => slideshow(!playing)),
    details: here(() => store.setting("details", side.hidden)),
    ground: here(() => store.setting("ground", GROUNDS[(GROUNDS.indexOf(dialog.dataset.ground) + 1) % GROUNDS.length])),
    uncover: here(() => store.set({ uncovered: new Set([...store.state.uncovered, picture.id]) })),
    cover: here(() => (covered() ? store.set({ uncovered: new Set([...store.state.uncovered, picture.id]) }) : store.set({ covering: !store.state.covering }))),
  };

  return { actions, isOpen, parameters };
});
