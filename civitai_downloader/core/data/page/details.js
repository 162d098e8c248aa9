"use strict";
// What is known of a picture, beside it in the viewer: prompts, what it was made with, its file, its post.
civitai.room("details", ["words", "dom", "query", "store", "library", "board", "grid"], (needs) => {
  const { words, dom, query, store, library, board, grid } = needs;
  const { el } = dom;
  const isKnown = (value) => value !== null && value !== undefined && value !== "";
  const tell = (key, values) => words.say(`viewer.${key}`, values);
  const quiet = (text) => el("span", { class: "quiet" }, text);
  const block = (title, ...inside) => el("section", {}, el("h3", {}, tell(title)), inside);
  const folded = (title, ...inside) => el("details", {}, el("summary", {}, tell(title)), inside);
  const copies = (...parts) => el("p", { class: "copies" }, parts);

  const copier = (doing, text) => {
    if (!text) return null;
    const named = dom.button(doing, `viewer.${doing}`, "copy", { class: "plain", title: null, data: { copy: text } });
    named.append(tell(doing));
    return named;
  };

  const outside = (key, url) =>
    url && dom.link(el("a", { target: "_blank", rel: "noopener noreferrer" }, tell(key)), url);

  const prose = (text, field, tone = "") =>
    el("p", { class: `prose ${tone}` }, dom.marked(text, query.marks(text, query.parse(store.state.q), field)));

  const termsOf = (entries) => entries.map(([term, ...said]) => [el("dt", {}, term), el("dd", {}, said)]);

  // A1111 puts a value in quotes that would end or begin a field.
  const quoted = (value) => (/[,:\n]/.test(value) ? JSON.stringify(String(value)) : value);

  // The text block that A1111 writes into its pictures and reads in its prompt field.
  const parameters = ({ raw_prompt: prompt, negative_prompt: negative, ...more }) => {
    const { steps, sampler, cfg_scale: scale, seed, size, model } = more;
    const fields = { Steps: steps, Sampler: sampler, "CFG scale": scale, Seed: seed, Size: size, Model: model };
    const given = Object.entries(fields).filter(([, value]) => isKnown(value));
    const line = given.map(([field, value]) => `${field}: ${quoted(value)}`).join(", ");
    return [prompt, negative && `Negative prompt: ${negative}`, line].filter(Boolean).join("\n");
  };

  const promptBlock = (details) => {
    const { raw_prompt: raw, prompt: cleaned, prompt_with_clothes: clothed } = details;
    const text = raw ? prose(raw, "prompt") : el("p", { class: "quiet" }, tell("no-prompt"));
    const buttons = { "copy-prompt": raw, "copy-cleaned": cleaned, "copy-parameters": parameters(details) };
    const others = Object.entries({ cleaned, clothed }).filter(([, other]) => other && other !== raw);
    const rest = others.map(([title, other]) => folded(title, prose(other, "prompt")));
    return block("prompt", text, copies(Object.entries(buttons).map((each) => copier(...each))), rest);
  };

  const negativeBlock = ({ negative_prompt: text }) =>
    text && block("negative", prose(text, "negative", "quiet"), copies(copier("copy-negative", text)));

  const madeLine = ({ name: model, version, type, weight, file, href }) => {
    const title = href ? dom.link(el("a", {}, model || version), href) : model || version;
    const weights = isKnown(weight) ? words.number(weight) : "";
    const facts = board.dotted(type, weights, file ? "" : words.say("models.not-here"));
    return el("li", {}, el("span", {}, title, model && version ? quiet(` ${version}`) : null), quiet(facts));
  };

  const madeBlock = ({ made, loras }, triggers) => {
    if (!made.length) return null;
    const lines = el("ul", { class: "made" }, made.map(madeLine));
    return block("made", lines, copies(copier("copy-loras", loras.join(" ")), copier("copy-words", triggers)));
  };

  // The trigger words of what is here of all that a picture was made with.
  const triggerWords = async ({ made, model_versions: ids }) => {
    const here = made.filter(({ model, file }) => model && file);
    const models = [...new Set(here.map(({ model }) => model))];
    const pages = await Promise.all(models.map((model) => library.modelDetails(model).catch(() => null)));
    const isUsed = (id, version) =>
      ids.includes(version.id) || here.some((each) => each.model === id && each.version === version.name);
    const used = pages.flatMap((page) => page?.versions.filter((version) => isUsed(page.id, version)) ?? []);
    return [...new Set(used.flatMap((version) => version.words))].join(", ");
  };

  const FACTS = ["sampler", "steps", "cfg_scale", "seed", "size", "model"];

  const factsBlock = (details) => {
    const { tools, techniques, seed } = details;
    const used = [...(tools ?? []), ...techniques].join(", ");
    const copySeed = dom.button("copy-seed", "viewer.copy-seed", "copy", { class: "plain", data: { copy: seed } });
    const known = FACTS.filter((key) => isKnown(details[key]));
    const rows = known.map((key) => [tell(key), String(details[key]), key === "seed" && copySeed]);
    if (used) rows.push([tell("tools-used"), used]);
    return rows.length > 0 && block("parameters", el("dl", {}, termsOf(rows)));
  };

  const fileBlock = (details, { url }) => {
    const path = grid.plainPath(url);
    const also = (details?.also ?? []).map((folder) => tell("also", { folder: grid.plainPath(folder) }));
    const links = [outside("txt", details?.txt), outside("page", details?.page)];
    const folders = also.map((text) => el("p", { class: "path" }, text));
    return block("file", el("p", { class: "mono path" }, path), folders, copies(copier("copy-path", path), links));
  };

  // The rest of what the `.txt` of a picture says, by its own names.
  const fieldsBlock = (details, { hash }) => {
    const { id, url, page, post_id, created_at, type, nsfw_level, model_versions } = details;
    const created = created_at ? new Date(created_at).toISOString() : "";
    const fields = { id, url, page, post_id, created_at: created, type, nsfw_level, model_versions, hash };
    const given = Object.entries(fields).map(([field, value]) => [field, String(value ?? "")]);
    const list = el("dl", { class: "mono" }, termsOf(given.filter(([, value]) => value)));
    return el("section", {}, folded("fields", list));
  };

  const headline = (picture) => {
    const { creator, likes } = picture;
    const picks = [{ facet: "creator", value: creator, not: false }];
    const list = { place: "images", ids: [], q: "", sort: "newest", view: store.state.view, picks };
    const who = creator ? dom.link(el("a", {}, creator), query.write(list)) : tell("unknown");
    const said = board.dotted(grid.facts(picture), likes > 0 ? tell("likes", { n: likes }) : "");
    return el("header", {}, el("h2", {}, who), el("p", { class: "quiet" }, said));
  };

  const postTile = (current) => (picture) => {
    const { id, kind, level } = picture;
    const covered = store.covered(level, id);
    const sign = covered ? "covered" : kind === "video" ? "play" : "";
    const thumb = () => dom.source(el("img", { alt: "", decoding: "async" }), board.still(picture));
    const aria = { label: grid.nameOf(picture), current: id === current };
    const tile = el("a", { data: { post: id }, aria }, sign ? dom.icon(sign) : thumb());
    return el("li", {}, dom.link(tile, store.href({ place: "image", ids: [id] })));
  };

  const postBlock = async ({ id, post }) => {
    const { rows } = post ? await library.post(post) : { rows: [] };
    if (rows.length < 2) return null;
    const tiles = rows.map(library.picture).map(postTile(id));
    return el("section", {}, el("h3", {}, tell("post", { n: tiles.length })), el("ol", { class: "post" }, tiles));
  };

  const fill = (side, picture, { details, post, triggers }) => {
    const lacking = details?.whole ? null : el("section", { class: "warn" }, tell("no-details"));
    const blocks = [promptBlock, negativeBlock, (known) => madeBlock(known, triggers), factsBlock];
    const known = details && blocks.map((blockOf) => blockOf(details));
    const rest = [fileBlock(details, picture), details && fieldsBlock(details, picture)];
    dom.fill(side, headline(picture), post, lacking, known, rest);
    side.scrollTop = 0;
  };

  // Everything is there before anything is shown: nothing moves under the mouse.
  const gather = async (picture) => {
    const details = await library.details(picture.id).catch(() => null);
    const post = await postBlock(picture).catch(() => null);
    return { details, post, triggers: details ? await triggerWords(details) : "" };
  };

  const newest = store.latest();

  /** Fills the column beside a picture. What cannot be read is left out. */
  const show = (side, picture) => newest(gather(picture), (found) => fill(side, picture, found));

  return { show };
});
