"use strict";
// What is searched for, as people write it and as the address keeps it. It knows neither document nor data.
civitai.room("query", [], () => {
  const FIELDS = ["prompt", "negative", "model", "lora", "tag", "creator", "id", "sampler"];
  const PLACES = { images: 0, models: 0, image: 1, model: 1, collection: 1 };
  const SORTS = ["newest", "oldest", "name", "size", "rating", "likes", "random"];
  const VIEWS = ["grid", "list", "compact"];
  const LEVELS = ["PG", "PG-13", "R", "X", "XXX", "unrated"];
  const FACETS = {
    models: ["type", "base", "creator", "tag", "level", "complete", "update"],
    images: "kind creator base model lora sampler tool level date resolution aspect prompt".split(" "),
  };

  // Case folding, which the language lacks: upper case unites what lower case keeps apart (ß and ss, both sigmas).
  const folded = (text) =>
    text
      .normalize("NFKC")
      .toLowerCase()
      .replace(/[\u0080-\u0130\u0132-\u{10ffff}]+/gu, (part) => part.toUpperCase().toLowerCase())
      .replaceAll("ς", "σ")
      .normalize("NFKC");

  /** Returns a text after NFKC and case folding. */
  const fold = (text) => (/[\u0080-\uffff]/.test(text) ? folded(text) : text.toLowerCase());

  // -------------------------------------------------------------------------------------------- the search language
  const TOKEN = new RegExp(`(-?)(?:(${FIELDS.join("|")}):)?(?:"([^"]*)"?|([^\\s]*))`, "iy");

  /** Cuts a query into what people have written, with positions. */
  const tokens = (q) => {
    const found = [];
    for (let at = 0; at < q.length; ) {
      TOKEN.lastIndex = at;
      const [whole, minus, field = "", phrase, word = ""] = TOKEN.exec(q);
      if (whole) {
        const text = phrase ?? word;
        const or = whole === "OR";
        found.push({ from: at, to: at + whole.length, not: minus === "-", field: field.toLowerCase(), text, or });
      }
      at += whole.length || 1;
    }
    return found;
  };

  /** Returns `{groups: [[{field, text, not}, …], …]}`: all groups must match, and in a group any term. */
  const parse = (q) => {
    const groups = [];
    let joins = false;
    for (const token of tokens(q)) {
      if (token.or) joins = groups.length > 0;
      else if (token.text) {
        const term = { field: token.field, text: fold(token.text), not: token.not };
        if (joins) groups.at(-1).push(term);
        else groups.push([term]);
        joins = false;
      }
    }
    return { groups };
  };

  /** Whether a query asks for nothing. */
  const empty = (tree) => tree.groups.length === 0;

  // Characters that can unite under NFKC stay together: a letter with its marks, and the parts of a Korean syllable.
  const UNIT = /.[\p{M}\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\ud7b0-\ud7ff\uff9e-\uffdc]*/gsu;

  /** Folds a text unit by unit; `starts[i]` and `ends[i]` are where the folded character i comes from. */
  const traced = (text) => {
    const starts = [];
    const ends = [];
    let whole = "";
    for (const { 0: unit, index } of text.matchAll(UNIT)) {
      const part = fold(unit);
      whole += part;
      for (let i = 0; i < part.length; i += 1) {
        starts.push(index);
        ends.push(index + unit.length);
      }
    }
    return { whole, starts, ends };
  };

  const merged = (spans) => {
    const joined = [];
    for (const [from, to] of spans.sort((a, b) => a[0] - b[0])) {
      const last = joined.at(-1);
      if (last && from <= last[1]) last[1] = Math.max(last[1], to);
      else joined.push([from, to]);
    }
    return joined;
  };

  /** Returns where a text, which is a `field` of the search language, hits a query: `[[from, to], …]` in order. */
  const marks = (text, tree, field) => {
    const wanted = tree.groups.flat().filter((term) => !term.not && (!term.field || term.field === field));
    if (!wanted.length) return [];
    const { whole, starts, ends } = traced(text);
    const spans = [];
    for (const { text: part } of wanted) {
      for (let at = whole.indexOf(part); at >= 0; at = whole.indexOf(part, at + part.length)) {
        spans.push([starts[at], ends[at + part.length - 1]]);
      }
    }
    return merged(spans);
  };

  /** Returns what stands at the caret: `{from, to, not, field, text}`, its text folded. */
  const termAt = (q, caret) => {
    const token = tokens(q).find(({ from, to }) => from < caret && caret <= to);
    if (!token || token.or) return { from: caret, to: caret, not: false, field: "", text: "" };
    return { ...token, text: fold(token.text) };
  };

  const quoted = (field, value) => {
    const plain = value.split('"').reduce((best, part) => (part.length > best.length ? part : best), "");
    const [first, ...more] = tokens(plain);
    const safe = first && !more.length && !first.or && (field ? !/\s/.test(plain) : first.text === plain);
    return (field ? `${field}:` : "") + (safe ? plain : `"${plain}"`);
  };

  /** Puts a suggestion in the place of what is being written; returns `{q, caret}`. */
  const complete = (q, term, { field, value }) => {
    const before = `${q.slice(0, term.from)}${term.not ? "-" : ""}${quoted(field, value)} `;
    return { q: before + q.slice(term.to).trimStart(), caret: before.length };
  };

  // -------------------------------------------------------------------------------------------------- the address
  const encode = (text) => encodeURIComponent(text.replace(/[\ud800-\udfff]/gu, "\ufffd"));

  const decode = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  };

  /** Whether a place shows models or pictures: the name of the table. */
  const table = (place) => (place === "models" ? "models" : "images");

  const readIds = (place, text) => {
    const names = text.split(",").map(decode).filter(Boolean);
    if (place === "collection") return names.filter((name) => /^(\d{1,15}|mine-[\w-]+)$/.test(name));
    return names.filter((name) => /^\d{1,15}$/.test(name)).map(Number);
  };

  const readPicks = (facet, text) =>
    text
      .split(",")
      .filter((part) => part && part !== "-")
      .map((part) => ({ facet, value: decode(part.replace(/^-/, "")), not: part.startsWith("-") }));

  const oneOf = (list, value) => (list.includes(value) ? value : list[0]);

  const unique = (picks) => {
    const seen = new Map();
    for (const pick of picks) {
      const key = `${pick.facet}=${pick.value}`;
      if (!seen.has(key)) seen.set(key, pick);
    }
    return [...seen.values()];
  };

  const readPlace = (path) => {
    const [, name = "", rest = ""] = /^#\/([a-z]+)(?:\/([^?]*))?$/.exec(path) ?? [];
    const place = Object.hasOwn(PLACES, name) ? name : "images";
    const ids = PLACES[place] ? readIds(place, rest) : [];
    if (!PLACES[place] || ids.length) return { place, ids: ids.slice(0, PLACES[place]) };
    return { place: place === "model" ? "models" : "images", ids: [] };
  };

  /** Reads an address, as in `location.hash`: `{place, ids, q, sort, view, picks: [{facet, value, not}, …]}`. */
  const read = (hash) => {
    const cut = hash.indexOf("?");
    const { place, ids } = readPlace(cut < 0 ? hash : hash.slice(0, cut));
    const given = { q: "", sort: "", view: "" };
    const picks = [];
    for (const part of cut < 0 ? [] : hash.slice(cut + 1).split("&")) {
      const [, name, value] = /^([^=]*)=?(.*)$/s.exec(part);
      if (Object.hasOwn(given, name)) given[name] = decode(value);
      else if (FACETS[table(place)].includes(name)) picks.push(...readPicks(name, value));
    }
    const { q, sort, view } = given;
    return { place, ids, q, sort: oneOf(SORTS, sort), view: oneOf(VIEWS, view), picks: unique(picks) };
  };

  const writePick = ({ value, not }) => (not ? "-" : "") + encode(value).replace(/^-/, "%2D");

  /** Writes an address; the other way round of `read`. What is usual is left out. */
  const write = ({ place, ids, q, sort, view, picks }) => {
    const parts = [];
    if (q) parts.push(`q=${encode(q)}`);
    if (sort !== SORTS[0]) parts.push(`sort=${sort}`);
    if (view !== VIEWS[0]) parts.push(`view=${view}`);
    for (const facet of new Set(picks.map((pick) => pick.facet))) {
      const values = picks.filter((pick) => pick.facet === facet);
      parts.push(`${facet}=${values.map(writePick).join(",")}`);
    }
    const path = [place, ...(ids.length ? [ids.map(String).map(encode).join(",")] : [])].join("/");
    return `#/${path}${parts.length ? "?" : ""}${parts.join("&")}`;
  };

  /** Reads a value `A..B`, with either end open; null if it is no range. */
  const range = (value) => {
    const [, from, to] = /^([\d.-]*?)\.\.([\d.-]*)$/.exec(value) ?? [];
    return from === undefined || !(from || to) ? null : { from, to };
  };

  return {
    FACETS, LEVELS, SORTS, VIEWS, complete, empty, fold, marks, parse, range, read, table, termAt, traced, write,
  };
});
