"use strict";
// What is searched for, as people write it and as the address keeps it. It knows neither document nor data.
civitai.room("query", [], () => {
  const FIELDS = ["prompt", "negative", "model", "lora", "tag", "creator", "id", "sampler"];
  const PLACES = { images: 0, models: 0, image: 1, model: 1, collection: 1 }; // how many ids belong to a place
  const SORTS = ["newest", "oldest", "name", "size", "rating", "likes", "random"];
  const VIEWS = ["grid", "list", "compact"];
  const LEVELS = ["PG", "PG-13", "R", "X", "XXX", "unrated"];
  const FACETS = {
    models: "type base creator tag level complete update".split(" "),
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

  const fold = (text) => (/[\u0080-\uffff]/.test(text) ? folded(text) : text.toLowerCase());

  const TOKEN = new RegExp(`(-?)(?:(${FIELDS.join("|")}):)?(?:"([^"]*)"?|(\\S*))`, "gi");

  /** Cuts a query into what people have written, with positions. */
  const tokens = (q) => {
    const found = [...q.matchAll(TOKEN)].filter(([whole]) => whole);
    return found.map(({ index: from, 0: whole, 1: minus, 2: field = "", 3: phrase, 4: word }) => ({
      from, to: from + whole.length, not: minus === "-", field: field.toLowerCase(), text: phrase ?? word,
      or: whole === "OR",
    }));
  };

  /** Returns `{groups: [[{field, text, not}, …], …]}`: all groups must match, and in a group any term. */
  const parse = (q) => {
    const groups = [];
    let joins = false;
    for (const { or, field, text, not } of tokens(q).filter((token) => token.text)) {
      if (!or && !joins) groups.push([]);
      if (!or) groups.at(-1).push({ field, text: fold(text), not });
      joins = or && groups.length > 0;
    }
    return { groups };
  };

  // Characters that can unite under NFKC stay together: a letter with its marks, and the parts of a Korean syllable.
  const UNIT = /.[\p{M}\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\ud7b0-\ud7ff\uff9e-\uffdc]*/gsu;

  /** Folds a text unit by unit; `starts[i]` and `ends[i]` are where the folded character i comes from. */
  const traced = (text) => {
    const [starts, ends] = [[], []];
    let whole = "";
    for (const { 0: unit, index } of text.matchAll(UNIT)) {
      whole += fold(unit);
      while (starts.length < whole.length) {
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
    const [plain] = value.split('"').sort((a, b) => b.length - a.length);
    const [first, ...more] = tokens(plain);
    const safe = first && !more.length && !first.or && (field ? !/\s/.test(plain) : first.text === plain);
    return (field ? `${field}:` : "") + (safe ? plain : `"${plain}"`);
  };

  /** Puts a suggestion in the place of what is being written; returns `{q, caret}`. */
  const complete = (q, { from, to, not }, { field, value }) => {
    const before = `${q.slice(0, from)}${not ? "-" : ""}${quoted(field, value)} `;
    return { q: before + q.slice(to).trimStart(), caret: before.length };
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
    const names = text.split(",").map(decode);
    if (place === "collection") return names.filter((name) => /^(\d{1,15}|mine-[\w-]+)$/.test(name));
    return names.filter((name) => /^\d{1,15}$/.test(name)).map(Number);
  };

  const readPlace = (path) => {
    const [, name = "", rest = ""] = /^#\/([a-z]+)(?:\/(.*))?$/s.exec(path) ?? [];
    const place = Object.hasOwn(PLACES, name) ? name : "images";
    const ids = readIds(place, rest).slice(0, PLACES[place]);
    return ids.length === PLACES[place] ? { place, ids } : { place: place === "model" ? "models" : "images", ids };
  };

  const readPicks = (facet, text) => {
    const parts = text.split(",").filter((part) => part && part !== "-");
    return parts.map((part) => ({ facet, value: decode(part.replace(/^-/, "")), not: part.startsWith("-") }));
  };

  const unique = (picks) => {
    const first = ({ facet, value }) => picks.find((pick) => pick.facet === facet && pick.value === value);
    return picks.filter((pick) => first(pick) === pick);
  };

  const oneOf = (list, value) => (list.includes(value) ? value : list[0]);

  /** Reads an address, as in `location.hash`: `{place, ids, q, sort, view, picks: [{facet, value, not}, …]}`. */
  const read = (hash) => {
    const [, path, parts] = /^([^?]*)\??(.*)$/s.exec(hash);
    const { place, ids } = readPlace(path);
    const given = { q: "", sort: "", view: "" };
    const picks = [];
    for (const part of parts.split("&")) {
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
    const facets = {};
    for (const pick of picks) (facets[pick.facet] ??= []).push(writePick(pick));
    const parts = Object.entries(facets).map(([facet, values]) => `${facet}=${values.join(",")}`);
    if (view !== VIEWS[0]) parts.unshift(`view=${view}`);
    if (sort !== SORTS[0]) parts.unshift(`sort=${sort}`);
    if (q) parts.unshift(`q=${encode(q)}`);
    return `#/${[place, ...ids].join("/")}${parts.length ? "?" : ""}${parts.join("&")}`;
  };

  /** Reads a value `A..B`, with either end open; null if it is no range. */
  const range = (value) => {
    const [, from, to] = /^([\d.-]*?)\.\.([\d.-]*)$/.exec(value) ?? [];
    return from || to ? { from, to } : null;
  };

  return { FACETS, LEVELS, SORTS, VIEWS, complete, fold, marks, parse, range, read, table, termAt, traced, write };
});
