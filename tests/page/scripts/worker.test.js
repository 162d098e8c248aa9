"use strict";
// The worker's answers are those of the plainest filter that can be written.
const assert = require("node:assert/strict");
const test = require("node:test");
const { anyOf, chance, manyOf, rooms } = require("./harness.js");
const { LEVELS, NAMES, WORDS, library } = require("./data.js");

const { query, worker } = rooms(["query", "columns", "worker"]);

/** A worker without a thread: `ask` returns the answer, or throws its error. */
const makeWorker = () => {
  const port = { postMessage: (message) => (port.last = message) };
  worker.serve(port);
  return (ask, data = {}) => {
    port.onmessage({ data: structuredClone({ number: 1, ask, ...data }) });
    if (port.last.error) throw new Error(port.last.error);
    return port.last.answer;
  };
};

const loaded = (made) => {
  const ask = makeWorker();
  ask("open", { things: made.things, images: made.pictures.length, models: made.models.length });
  for (const table of ["models", "images"]) for (const chunk of made.chunks[table]) ask("load", { table, ...chunk });
  return ask;
};

// ------------------------------------------------------------------------------------------------ the plain filter
const fold = (text) => query.fold(text);
const LORAS = ["lora", "locon", "dora"];

const namesByVersion = (made) => {
  const known = new Map();
  for (const { versions, name, type } of made.models) for (const [id, , base] of versions) known.set(id, { name, kind: type.toLowerCase(), base });
  for (const [kind, name, , id, , base] of made.things) if (name && id && !known.has(id)) known.set(id, { name, kind, base });
  return known;
};

const pictureFacts = (row, known) => {
  const things = row.uses.map(([kind, name, , id, , base]) => {
    const other = known.get(id) ?? {};
    return { kind: kind || other.kind, name: other.name || name || (id ? String(id) : ""), base: base || other.base };
  });
  const named = (test) => [...new Set(things.filter(test).map(({ name }) => name))].filter(Boolean);
  const isLora = ({ kind }) => LORAS.includes(kind);
  const model = named((thing) => !isLora(thing));
  const pixels = row.width ? (row.width * row.height) / 1e6 : null;
  const day = row.created ? new Date(row.created).toISOString().slice(0, 10) : "";
  const known_ = (text) => (text ? [text] : []);
  const shape = Math.sign(row.width - row.height) + 1;
  return {
    kind: [row.kind], creator: known_(row.creator), base: [...new Set(things.map(({ base }) => base))].filter(Boolean),
    model: model.length ? model : known_(row.checkpoint), lora: named(isLora), sampler: known_(row.sampler),
    tool: [...new Set(row.tools)], level: [row.level], prompt: [row.prompt ? "yes" : "no"], pixels, day,
    date: day ? [day.slice(0, 4), day.slice(0, 7)] : [], aspect: row.width ? [["portrait", "square", "landscape"][shape]] : [],
    texts: {
      prompt: [row.prompt ?? ""], negative: [row.negative ?? ""], creator: [row.creator], sampler: [row.sampler], tag: [],
      model: [...model, row.checkpoint], lora: named(isLora),
    },
    whole: ["prompt", "negative", "model", "lora", "tag", "creator"],
  };
};

const modelFacts = (row) => ({
  type: [row.type], base: row.base, creator: [row.creator], tag: [...new Set(row.tags)], level: [row.level],
  complete: [row.complete ? "yes" : "no"], update: [row.update ? "yes" : "no"],
  texts: {
    model: [row.name], creator: [row.creator], tag: row.tags, words: row.words, base: row.base, prompt: [], negative: [],
    sampler: [], lora: LORAS.includes(row.type.toLowerCase()) ? [row.name] : [],
  },
  whole: ["model", "creator", "tag", "words", "base"],
});

const hasTerm = (row, facts, { field, text }) => {
  if (field === "id") return String(row.id) === text;
  const fields = field ? [field] : facts.whole;
  return fields.some((name) => facts.texts[name].some((each) => fold(each).includes(text)));
};

const within = (facet, value, facts) => {
  const [from, to] = value.split("..");
  if (facet === "date") {
    const begin = facts.day.slice(0, from.length);
    if (to === undefined) return facts.day !== "" && begin === from;
    return facts.day !== "" && facts.day >= from && facts.day.slice(0, to.length) <= (to || "9");
  }
  return facts.pixels !== null && facts.pixels >= Number(from) && facts.pixels <= (to ? Number(to) : Infinity);
};

const isOf = (facet, value, facts) =>
  facet === "date" || facet === "resolution" ? within(facet, value, facts) : facts[facet].includes(value);

const passes = (facts, picks) => {
  for (const facet of new Set(picks.map((pick) => pick.facet))) {
    const own = picks.filter((pick) => pick.facet === facet);
    const any = own.filter(({ not }) => !not);
    if (any.length && !any.some(({ value }) => isOf(facet, value, facts))) return false;
    if (own.some(({ value, not }) => not && isOf(facet, value, facts))) return false;
  }
  return true;
};

const plain = (made, { table, q, picks, scope }) => {
  const known = namesByVersion(made);
  const all = table === "models" ? made.models.map((row) => [row, modelFacts(row)]) : made.pictures.map((row) => [row, pictureFacts(row, known)]);
  const { groups } = query.parse(q);
  return all.filter(
    ([row, facts]) =>
      !row.dead &&
      groups.every((group) => group.some((term) => hasTerm(row, facts, term) !== term.not)) &&
      passes(facts, picks) &&
      (!scope || scope.ids?.includes(row.id) || row.post === scope.post || row.uses.some(([, , , version]) => scope.versions?.includes(version))),
  );
};

// --------------------------------------------------------------------------------------------------- the questions
const VALUES = {
  images: {
    kind: ["image", "video"], creator: NAMES, base: ["SD 1.5", "Pony"], model: [...NAMES, "Pony XL 1", "900000", "ponyV6"],
    lora: [...NAMES, "SDXL 2"], sampler: ["Euler a", "nothing"], tool: ["ComfyUI", "Krita"], level: LEVELS,
    date: ["2025", "2026-01", "2025-12-05..2026-02", "2026-02..", "..2025-11", "2026-01-01..2026-01-31"],
    resolution: ["0.5..1", "1..1.3", "..0.5", "8..", "1..1", "2..4"], aspect: ["portrait", "square", "landscape"], prompt: ["yes", "no"],
  },
  models: {
    type: ["LORA", "Checkpoint"], base: ["SD 1.5", "SDXL 1.0"], creator: NAMES, tag: WORDS, level: LEVELS, complete: ["yes", "no"], update: ["yes", "no"],
  },
};

const anyTerm = (next) => {
  const field = anyOf(next, ["", "", "", "", "prompt:", "negative:", "model:", "lora:", "creator:", "sampler:", "tag:"]);
  const text = anyOf(next, [...WORDS, "a", "ca", "po", "xl", "det", '"long hair"', "9", "é", '"xl 1"']);
  return `${next(4) ? "" : "-"}${next(30) ? field : "id:"}${text}`;
};

const anyQuestion = (next) => {
  const table = next(3) ? "images" : "models";
  const picks = [];
  for (let n = next(4); n > 0; n -= 1) {
    const facet = anyOf(next, Object.keys(VALUES[table]));
    const value = anyOf(next, VALUES[table][facet]);
    if (!picks.some((pick) => pick.facet === facet && pick.value === value)) picks.push({ facet, value, not: !next(3) });
  }
  const terms = Array.from({ length: next(4) }, () => anyTerm(next));
  const scope = table === "images" && !next(6) ? { post: 1 + next(9), ids: [7, 14], versions: [10, 21] } : null;
  return { table, q: terms.join(anyOf(next, [" ", " ", " OR "])), picks, scope, sort: anyOf(next, query.SORTS), seed: 5 };
};

test("an answer is what the plain filter finds, on any library and question", () => {
  for (let seed = 0; seed < 6; seed += 1) {
    const next = chance(seed);
    const made = library(next, { pictures: 160, models: 24, size: 50 });
    const ask = loaded(made);
    for (let k = 0; k < 250; k += 1) {
      const question = anyQuestion(next);
      const { rows, total } = ask("find", question);
      const list = question.table === "models" ? made.models : made.pictures;
      const found = [...rows].map((row) => list[row].id).sort((a, b) => a - b);
      assert.deepEqual(found, plain(made, question).map(([row]) => row.id), JSON.stringify(question));
      assert.equal(total, found.length);
    }
  }
});

test("a value's count is what would be shown if it alone were chosen in its facet", () => {
  for (let seed = 10; seed < 13; seed += 1) {
    const next = chance(seed);
    const made = library(next, { pictures: 90, models: 20, size: 40 });
    const ask = loaded(made);
    for (let k = 0; k < 25; k += 1) {
      const question = anyQuestion(next);
      const { facets: counts } = ask("counts", question);
      assert.deepEqual(Object.keys(counts), query.FACETS[question.table]);
      for (const [facet, { values }] of Object.entries(counts)) {
        for (const { value } of question.picks.filter((pick) => pick.facet === facet)) {
          assert.ok(values.some((each) => each.value === value), `${value} is chosen and must be listed`);
        }
        for (const { value, count } of values) {
          const picks = [...question.picks.filter((pick) => pick.facet !== facet), { facet, value, not: false }];
          assert.equal(count, plain(made, { ...question, picks }).length, `${facet} ${value} ${JSON.stringify(question)}`);
        }
      }
    }
  }
});

test("every value that any thing has is among the counts, or found by its name", () => {
  const made = library(chance(20), { pictures: 120, models: 20, size: 40 });
  const ask = loaded(made);
  const known = namesByVersion(made);
  const names = new Set(made.pictures.filter(({ dead }) => !dead).flatMap((row) => pictureFacts(row, known).model));
  const question = { table: "images", q: "", picks: [], scope: null, sort: "newest" };
  for (const name of names) {
    const found = ask("values", { ...question, facet: "model", text: name.slice(0, 4).toUpperCase() });
    assert.ok(found.some(({ value, count }) => value === name && count > 0), name);
  }
});

const SORTED = {
  newest: (a, b) => b.created - a.created || b.id - a.id,
  oldest: (a, b) => (a.created || Infinity) - (b.created || Infinity) || a.id - b.id,
  name: (a, b) => a.id - b.id,
  size: (a, b) => (b.width * b.height || -1) - (a.width * a.height || -1) || b.created - a.created || b.id - a.id,
  likes: (a, b) => (b.likes ?? -1) - (a.likes ?? -1) || b.created - a.created || b.id - a.id,
};

test("pictures stand in the order that was asked for", () => {
  const made = library(chance(30), { pictures: 200, models: 4, size: 60 });
  const ask = loaded(made);
  for (const [sort, compare] of Object.entries(SORTED)) {
    const { rows } = ask("find", { table: "images", q: "", picks: [], scope: null, sort });
    const expected = made.pictures.filter(({ dead }) => !dead).sort(compare).map(({ id }) => id);
    assert.deepEqual([...rows].map((row) => made.pictures[row].id), expected, sort);
  }
});

test("a random order stays while it is narrowed, and is another one with another seed", () => {
  const ask = loaded(library(chance(31), { pictures: 200, models: 4, size: 60 }));
  const rows = (q, seed) => [...ask("find", { table: "images", q, picks: [], scope: null, sort: "random", seed }).rows];
  const all = rows("", 1);
  const some = new Set(rows("cat", 1));
  assert.deepEqual(all.filter((row) => some.has(row)), [...some]);
  assert.notDeepEqual(all, rows("", 2));
  assert.notDeepEqual(all, [...all].sort((a, b) => a - b));
});

test("models are sorted by names as people sort them, by what readers liked, and by bytes", () => {
  const made = library(chance(32), { pictures: 1, models: 3, size: 60 });
  const better = { up: 500, down: 5 };
  const few = { up: 3, down: 0 };
  const worse = { up: 500, down: 400 };
  const rows = [["Model 10", better, 5], ["model 9", few, 7], ["Änderung", worse, 6]].map(([name, votes, bytes], k) => ({ ...made.models[k], name, bytes, ...votes }));
  const columns = Object.fromEntries(Object.keys(rows[0]).map((name) => [name, rows.map((row) => row[name])]));
  const ask = makeWorker();
  ask("open", { things: [], images: 0, models: 3 });
  ask("load", { table: "models", first: 0, dead: [], text: JSON.stringify({ rows: 3, columns }) });
  const by = (sort) => [...ask("find", { table: "models", q: "", picks: [], scope: null, sort }).rows];
  assert.deepEqual(by("name"), [2, 1, 0]);
  assert.deepEqual(by("rating"), [0, 2, 1]);
  assert.deepEqual(by("size"), [1, 2, 0]);
});

test("suggestions name tags of prompts, and models, creators and the like, with their counts", () => {
  const next = chance(33);
  const made = library(next, { pictures: 300, models: 10, size: 100 });
  const ask = loaded(made);
  const suggest = (field, text, table = "images") => ask("suggest", { table, term: { field, text } });
  const known = namesByVersion(made);
  const living = made.pictures.filter(({ dead }) => !dead);
  const creators = suggest("creator", "dé");
  assert.deepEqual(creators, [{ field: "creator", value: "Détail", count: living.filter(({ creator }) => creator === "Détail").length }]);
  for (const { field, value, count } of suggest("", "pon")) {
    assert.equal(count, living.filter((row) => pictureFacts(row, known)[field].includes(value)).length, `${field} ${value}`);
  }
  assert.deepEqual(suggest("", ""), []);
  assert.ok(suggest("", "pon", "models").every(({ field }) => ["model", "tag", "creator"].includes(field)));
});

test("tags of prompts are suggested once they are counted", async () => {
  const rows = ["a cat, (red dress:1.2), <lora:x:1>", "red dress, a cat", "A CAT", "once"];
  const made = library(chance(34), { pictures: 4, models: 1, size: 10 });
  const chunk = JSON.parse(made.chunks.images[0].text);
  const ask = makeWorker();
  ask("open", { things: made.things, images: 4, models: 1 });
  ask("load", { table: "images", first: 0, dead: [], text: JSON.stringify({ ...chunk, columns: { ...chunk.columns, prompt: rows } }) });
  ask("rest");
  await new Promise((done) => setTimeout(done, 400));
  const suggest = (field, text) => ask("suggest", { table: "images", term: { field, text } }).filter((each) => each.field === field);
  assert.deepEqual(suggest("prompt", "re"), [{ field: "prompt", value: "red dress", count: 2 }]);
  assert.deepEqual(suggest("prompt", "cat"), [{ field: "prompt", value: "a cat", count: 3 }]);
  assert.deepEqual(suggest("prompt", "once"), []);
});

test("what cannot be understood is answered with an error, and the next question is answered", () => {
  const ask = loaded(library(chance(35), { pictures: 5, models: 1, size: 10 }));
  assert.throws(() => ask("load", { table: "images", first: 0, dead: [], text: "{" }));
  assert.equal(ask("counts", { table: "images", q: "", picks: [], scope: null, sort: "newest" }).facets.kind.values.length, 2);
});

test("a library of nothing has no rows", () => {
  const ask = makeWorker();
  ask("open", { things: [], images: 0, models: 0 });
  for (const table of ["images", "models"]) {
    assert.equal(ask("find", { table, q: "cat", picks: [], scope: null, sort: "random" }).total, 0);
    assert.deepEqual(ask("suggest", { table, term: { field: "", text: "a" } }), []);
  }
});
