"use strict";
// What is known of a picture, beside it in the viewer: prompts, what it was made with, its file, its post.
civitai.room("details", ["words", "dom", "query", "store", "library", "grid"], (needs) => {
  const { words, dom, query, store, library, grid } = needs;
  const { el } = dom;

  const known = (value) => value !== null && value !== undefined && value !== "";
  const block = (title, ...inside) => el("section", {}, el("h3", {}, words.say(`viewer.${title}`)), inside);

  const copier = (doing, text) => {
    if (!text) return null;
    const named = dom.button(doing, `viewer.${doing}`, "copy", { class: "plain", title: null, data: { copy: text } });
    named.append(words.say(`viewer.${doing}`));
    return named;
  };

  const copies = (...parts) => el("p", { class: "copies" }, parts);

  const outside = (key, url) => {
    if (!url) return null;
    return dom.link(el("a", { target: "_blank", rel: "noopener noreferrer" }, words.say(`viewer.${key}`)), url);
  };

  const marked = (text, field) => dom.marked(text, query.marks(text, query.parse(store.state.q), field));

  // ------------------------------------------------------------------------------------------------------- prompts
  // A1111 puts a value in quotes that would end or begin a field.
  const quoted = (value) => (/[,:\n]/.test(String(value)) ? JSON.stringify(String(value)) : String(value));

  /** The text block that A1111 writes into its pictures and reads in its prompt field. */
  const parameters = ({ raw_prompt: prompt, negative_prompt: negative, ...more }) => {
    const { steps, sampler, cfg_scale: scale, seed, size, model } = more;
    const fields = { Steps: steps, Sampler: sampler, "CFG scale": scale, Seed: seed, Size: size, Model: model };
    const given = Object.entries(fields).filter(([, value]) => known(value));
    const line = given.map(([field, value]) => `${field}: ${quoted(value)}`).join(", ");
    return [prompt ?? "", negative ? `Negative prompt: ${negative}` : "", line].filter(Boolean).join("\n");
  };

  const promptBlock = (details) => {
    const { raw_prompt: raw, prompt: cleaned } = details;
    const hidden = el("p", { class: "quiet" }, words.say("viewer.no-prompt"));
    const text = raw ? el("p", { class: "prose" }, marked(raw, "prompt")) : hidden;
    const block1111 = copier("copy-parameters", parameters(details));
    const buttons = copies(copier("copy-prompt", raw), copier("copy-cleaned", cleaned), block1111);
    const clothed = folded("clothed", details.prompt_with_clothes, raw);
    return block("prompt", text, buttons, folded("cleaned", cleaned, raw), clothed);
  };

  // What the word lists have left of a prompt is folded up.
  const folded = (title, text, raw) => {
    if (!text || text === raw) return null;
    return el("details", {}, el("summary", {}, words.say(`viewer.${title}`)), el("p", { class: "prose" }, marked(text, "prompt")));
  };

  const negativeBlock = ({ negative_prompt: text }) => {
    if (!text) return null;
    return block("negative", el("p", { class: "prose quiet" }, marked(text, "negative")), copies(copier("copy-negative", text)));
  };

  // ----------------------------------------------------------------------------------------------------- made with
  const madeLine = ({ name: model, version, type, weight, file, href }) => {
    const title = href ? dom.link(el("a", {}, model || version), href) : model || version;
    const weights = known(weight) ? words.number(weight) : "";
    const facts = [type, weights, file ? "" : words.say("models.not-here")].filter(Boolean).join(" · ");
    const named = model && version ? el("span", { class: "quiet" }, ` ${version}`) : null;
    return el("li", {}, el("span", {}, title, named), el("span", { class: "quiet" }, facts));
  };

  const madeBlock = ({ made, loras }) => {
    if (!made.length) return null;
    const lines = el("ul", { class: "made" }, made.map(madeLine));
    return block("made", lines, copies(copier("copy-loras", loras.join(" ")), el("span", { class: "trigger" })));
  };

  /** The trigger words of what is here of all that a picture was made with. */
  const triggerWords = async ({ made, model_versions: ids }) => {
    const here = made.filter(({ model, file }) => model && file);
    const models = [...new Set(here.map(({ model }) => model))];
    const pages = await Promise.all(models.map((model) => library.modelDetails(model).catch(() => null)));
    const named = (model, version) => here.some((each) => each.model === model && each.version === version);
    const used = pages.filter(Boolean).flatMap(({ id, versions }) =>
      versions.filter((version) => ids.includes(version.id) || named(id, version.name)),
    );
    return [...new Set(used.flatMap((version) => version.words))].join(", ");
  };

  // ---------------------------------------------------------------------------------------------- facts, file, post
  const FACTS = ["sampler", "steps", "cfg_scale", "seed", "size", "model"];

  const copySeed = (seed) => {
    const data = { copy: String(seed) };
    return dom.button("copy-seed", "viewer.copy-seed", "copy", { class: "plain", data });
  };

  const factsBlock = (details) => {
    const used = [...(details.tools ?? []), ...details.techniques].join(", ");
    const row = (key, value) => [
      el("dt", {}, words.say(`viewer.${key}`)),
      el("dd", {}, String(value), key === "seed" ? copySeed(value) : null),
    ];
    const rows = FACTS.filter((key) => known(details[key])).map((key) => row(key, details[key]));
    if (used) rows.push(row("tools-used", used));
    return rows.length ? block("parameters", el("dl", {}, rows)) : null;
  };

  const fileBlock = ({ also = [], txt, page }, { url }) => {
    const path = grid.plainPath(url);
    const other = (folder) => words.say("viewer.also", { folder: grid.plainPath(folder) });
    const others = (also ?? []).map((folder) => el("p", { class: "path" }, other(folder)));
    const links = [outside("txt", txt), outside("page", page)];
    return block("file", el("p", { class: "mono path" }, path), others, copies(copier("copy-path", path), links));
  };

  // The rest of what the `.txt` of a picture says, by its own names.
  const fieldsBlock = (details, { hash }) => {
    const { id, url, page, post_id, created_at, type, nsfw_level, model_versions } = details;
    const created = created_at ? new Date(created_at).toISOString() : "";
    const fields = { id, url, page, post_id, created_at: created, type, nsfw_level, model_versions, hash };
    const given = Object.entries(fields).map(([field, value]) => [field, String(value ?? "")]);
    const rows = given.filter(([, value]) => value).map(([field, value]) => [el("dt", {}, field), el("dd", {}, value)]);
    const title = el("summary", {}, words.say("viewer.fields"));
    return el("section", {}, el("details", {}, title, el("dl", { class: "mono" }, rows)));
  };

  const headline = ({ username, likes }, picture) => {
    const picks = [{ facet: "creator", value: username, not: false }];
    const list = { place: "images", ids: [], q: "", sort: "newest", view: store.state.view, picks };
    const who = username ? dom.link(el("a", {}, username), query.write(list)) : words.say("viewer.unknown");
    const liked = likes > 0 ? words.say("viewer.likes", { n: likes }) : "";
    const said = [grid.facts(picture), liked].filter(Boolean).join(" · ");
    return el("header", {}, el("h2", {}, who), el("p", { class: "quiet" }, said));
  };

  const postTile = (picture, current) => {
    const covered = store.covered(picture.level, picture.id);
    const sign = covered ? "covered" : picture.kind === "video" ? "play" : "";
    const thumb = () => dom.source(el("img", { alt: "", decoding: "async" }), picture.thumb ?? picture.url);
    const aria = { label: words.say("grid.picture", { id: String(picture.id) }), current: picture.id === current };
    const tile = el("a", { data: { post: picture.id }, aria }, sign ? dom.icon(sign) : thumb());
    return el("li", {}, dom.link(tile, store.href({ place: "image", ids: [picture.id] })));
  };

  const postBlock = async ({ id, post }) => {
    const { rows } = post ? await library.post(post) : { rows: [] };
    const pictures = rows.map(library.picture).filter(Boolean);
    if (pictures.length < 2) return null;
    const tiles = pictures.map((picture) => postTile(picture, id));
    const title = el("h3", {}, words.say("viewer.post", { n: tiles.length }));
    return el("section", {}, title, el("ol", { class: "post" }, tiles));
  };

  // --------------------------------------------------------------------------------------------------------- shown
  const newest = store.latest();
  const newestPost = store.latest();
  const newestWords = store.latest();

  const fill = (side, picture, details) => {
    const post = el("section", {});
    const gone = details?.whole ? null : el("section", { class: "warn" }, words.say("viewer.no-details"));
    const parts = details ? [promptBlock, negativeBlock, madeBlock, factsBlock].map((make) => make(details)) : [];
    const rest = details ? fieldsBlock(details, picture) : null;
    const head = headline({ username: picture.creator, likes: picture.likes }, picture);
    dom.fill(side, head, post, gone, parts, fileBlock(details ?? {}, picture), rest);
    side.scrollTop = 0;
    newestPost(postBlock(picture), (found) => found && post.replaceWith(found));
    if (!details?.made.length) return;
    const place = dom.find(".trigger", side);
    newestWords(triggerWords(details), (text) => place.replaceWith(copier("copy-words", text) ?? ""));
  };

  /** Fills the column beside a picture. What cannot be read is left out. */
  const show = (side, picture) => {
    const found = library.details(picture.id).catch(() => null);
    return newest(found, (details) => fill(side, picture, details));
  };

  return { parameters, show };
});
