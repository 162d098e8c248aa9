"use strict";
// Pictures and models by chance, and the chunks that hold them.
const { anyOf, manyOf } = require("./harness.js");

const WORDS = "cat dog red dress long hair forest Straße ΣΟΦΟΣ ﬁre 고양이 ガラス <lora:x:0.8> masterpiece (best:1.2) a ab abc".split(" ");
const NAMES = ["Pony XL", "pony, xl", "-dash", "Détail", "Add Detail", "a \"quoted\" name", "日本", "SDXL"];
const BASES = ["SD 1.5", "SDXL 1.0", "Pony", ""];
const LEVELS = ["PG", "PG-13", "R", "X", "XXX", "unrated"];
const KINDS = ["checkpoint", "lora", "locon", "dora", "embed", "vae", ""];
const SIZES = [[512, 512], [832, 1216], [1216, 832], [1000, 1000], [1024, 1536], [3000, 2000], [null, null]];
const DAY = 86400000;
const PROMPTS = 4;

/** A prompt or name of a few words; sometimes none. */
const textOf = (next, most) => manyOf(next, WORDS, most).join(anyOf(next, [" ", ", ", "\n"]));

const pictureOf = (next, id) => {
  const [width, height] = anyOf(next, SIZES);
  return {
    id, width, height, folder: anyOf(next, ["", "users/a/models/M%20%5B1%5D/images", "posts/5"]), also: next(9) ? [] : ["posts/7"],
    ext: ".jpeg", kind: next(5) ? "image" : "video", txt: next(2), level: anyOf(next, LEVELS), creator: anyOf(next, [...NAMES, ""]),
    created: next(8) ? Date.UTC(2025, 10, 1) + next(200) * DAY + next(DAY) : 0, likes: next(4) ? next(50) : null, hash: next(3) ? "LEHV6nWB2yk8pyo0adR*.7kCMdnj" : "",
    post: next(2) ? 1 + next(9) : null, prompt: next(6) ? textOf(next, 9) : null, negative: next(3) ? textOf(next, PROMPTS) : null,
    sampler: anyOf(next, ["Euler a", "DPM++ 2M Karras", ""]), made: [-1],
    tools: manyOf(next, ["ComfyUI", "A1111", "Krita"], 2), thumb: "",
  };
};

const thingsOf = (next, models) =>
  Array.from({ length: 36 }, () => {
    const model = anyOf(next, models);
    const version = next(4) ? anyOf(next, model.versions)[0] : next(3) * 900000;
    return [anyOf(next, KINDS), next(2) ? anyOf(next, NAMES) : "", "v1", version, 0, anyOf(next, BASES), ""];
  });

const modelOf = (next, id) => {
  const versions = Array.from({ length: 1 + next(3) }, (_, k) => [id * 10 + k, `v${k}`, anyOf(next, BASES), next(2e12), next(2), 1, 0]);
  return {
    id, name: `${anyOf(next, NAMES)} ${next(5)}`, creator: anyOf(next, NAMES), type: anyOf(next, ["LORA", "Checkpoint", "DoRA", "Other"]),
    tags: manyOf(next, WORDS, 3), level: anyOf(next, LEVELS), folder: `users/a/models/M%20%5B${id}%5D`, base: [...new Set(versions.map((v) => v[2]))].filter(Boolean),
    published: next(5) ? next(2e12) : 0, words: manyOf(next, WORDS, 3), bytes: next(1e9), up: next(500), down: next(20), downloads: next(900),
    preview: null, versions, complete: next(2), update: next(3) ? 0 : 1, gone: "",
  };
};

// Texts in one, and beside them those that do not fit.
const joined = (values) => {
  const isPlain = (value) => typeof value === "string" && /^[\0-~]*$/.test(value);
  const others = values.map((value, k) => [k, value]).filter(([, value]) => !isPlain(value));
  return { s: values.map((value) => (isPlain(value) ? value : "")).join("\x7f"), x: others };
};

// The five forms of a column.
const packed = (next, values) => {
  const whole = values.every((value) => Number.isInteger(value));
  if (whole && next(2)) return { d: values.map((value, k) => value - (k ? values[k - 1] : 0)) };
  if (values.every((value) => typeof value === "string" && !value.includes(" ")) && next(2)) return values.join(" ");
  if (!next(3)) return next(2) ? values : joined(values);
  const texts = [...new Set(values.map((value) => JSON.stringify(value)))];
  const t = texts.map((text) => JSON.parse(text));
  return t.length === 1 && next(2) ? { t } : { t: next(2) ? t : joined(t), i: values.map((value) => texts.indexOf(JSON.stringify(value))) };
};

const chunkOf = (next, rows) => {
  const columns = {};
  for (const name of Object.keys(rows[0])) columns[name] = packed(next, rows.map((row) => row[name]));
  return { rows: rows.length, columns };
};

/** A library: its models, its pictures (with `uses`: the things of each), and chunks of both with some dead rows. */
const library = (next, { pictures, models, size }) => {
  const modelRows = Array.from({ length: models }, (_, k) => modelOf(next, k + 1));
  const chunks = { models: [], images: [] };
  for (let first = 0; first < models; first += size) {
    chunks.models.push({ first, dead: [], text: JSON.stringify(chunkOf(next, modelRows.slice(first, first + size))) });
  }
  const pictureRows = [];
  const things = [...thingsOf(next, modelRows), ...["ponyV6", "Détail"].map((name) => ["checkpoint", name, "", 0, 0, "", ""])];
  for (let first = 0; first < pictures; first += size) {
    const rows = Array.from({ length: Math.min(size, pictures - first) }, (_, k) => pictureOf(next, (first + k + 1) * 7));
    for (const row of rows) {
      const checkpoint = next(2) ? things.length - 1 - next(2) : -1;
      row.made = [checkpoint, ...manyOf(next, [...things.keys()].slice(0, -2), 3)];
    }
    const dead = rows.map((_, k) => k).filter(() => !next(15));
    chunks.images.push({ first, dead, text: JSON.stringify(chunkOf(next, rows)) });
    pictureRows.push(...rows.map((row, k) => {
      const [checkpoint, ...used] = row.made;
      return { ...row, dead: dead.includes(k), checkpoint: things[checkpoint]?.[1] ?? "", uses: used.map((thing) => things[thing]) };
    }));
  }
  return { models: modelRows, pictures: pictureRows, things, chunks };
};

module.exports = { BASES, DAY, KINDS, LEVELS, NAMES, WORDS, library };
