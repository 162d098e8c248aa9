"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const { anyOf, chance, manyOf, rooms } = require("./harness.js");

const { query } = rooms(["query"]);

// A term as people would write it plainly: `-` before it if it is excluded, its field, its folded text.
const plain = ({ groups }) =>
  groups.map((group) => group.map(({ field, text, not }) => `${not ? "-" : ""}${field}:${text}`).join(" | "));

const QUERIES = [
  ["", []],
  ["   ", []],
  ["cat", [":cat"]],
  ["cat dog", [":cat", ":dog"]],
  ["Cat　ＤＯＧ", [":cat", ":dog"]],
  ["-cat", ["-:cat"]],
  ["-", []],
  ["--x", ["-:-x"]],
  ["a-b", [":a-b"]],
  ['"red dress" cat', [":red dress", ":cat"]],
  ['-"red dress"', ["-:red dress"]],
  ['"red dress', [":red dress"]],
  ['""', []],
  ['"', []],
  ["a OR b", [":a | :b"]],
  ["x a OR b y", [":x", ":a | :b", ":y"]],
  ["a OR b OR c d", [":a | :b | :c", ":d"]],
  ["a or b", [":a", ":or", ":b"]],
  ["OR a", [":a"]],
  ["a OR", [":a"]],
  ["a OR OR b", [":a | :b"]],
  ['a "OR" b', [":a", ":or", ":b"]],
  ["a OR -b", [":a | -:b"]],
  ["model:pony lora:detail", ["model:pony", "lora:detail"]],
  ["MODEL:Pony", ["model:pony"]],
  ['model:"Pony Diffusion" x', ["model:pony diffusion", ":x"]],
  ['-lora:"Add Detail"', ["-lora:add detail"]],
  ["-tag:a OR creator:b", ["-tag:a | creator:b"]],
  ["model:", []],
  ["model: x", [":x"]],
  ["a OR model: b", [":a | :b"]],
  ["prompt:a negative:b sampler:c id:12 tag:d creator:e", ["prompt:a", "negative:b", "sampler:c", "id:12", "tag:d", "creator:e"]],
  ["models:x", [":models:x"]],
  ["<lora:x:0.8>", [":<lora:x:0.8>"]],
  ["lora:x:0.8", ["lora:x:0.8"]],
  ['say"hi" x', [':say"hi"', ":x"]],
  ['"a"b', [":a", ":b"]],
  ["prompt:-x", ["prompt:-x"]],
  ["Straße STRASSE", [":strasse", ":strasse"]],
  ["ΣΟΦΟΣ σοφος", [":σοφοσ", ":σοφοσ"]],
  ["ﬁn ½ ㌔", [":fin", ":1⁄2", ":キロ"]],
];

test("a query is understood in every form", () => {
  for (const [q, expected] of QUERIES) assert.deepEqual(plain(query.parse(q)), expected, q);
});

test("any text at all is a query", () => {
  const next = chance(1);
  const signs = [..."abc \"-:OR　\t", "OR", " OR ", "model:", "\ud800", "é", "가", "-\""];
  for (let k = 0; k < 3000; k += 1) {
    const q = manyOf(next, signs, 12).join("");
    for (const group of query.parse(q).groups) {
      assert.ok(group.length);
      for (const term of group) assert.ok(term.text, q);
    }
  }
});

const LETTERS = [
  "a", "B", "ß", "ẞ", "ﬁ", "İ", "ı", "Σ", "ς", "é", "é", "ｶ", "ﾞ", "カ", "゙", "가", "ᄀ", "ᅡ", "ᆨ", "ㄱ", "ㅏ", "ㄳ", "각", "½", "Å", "Å",
  "ᾳ", "ǰ", "ŉ", "😀", "👩‍🎨", " ", "\n", "क", "ि", "़", "①", "㌔", "ͅ", "\u0345", "\ud800", "ﬄ", "ǆ", "Ꭰ", "ꭰ",
];

test("a text folded piece by piece is the text folded as a whole", () => {
  const next = chance(2);
  for (let k = 0; k < 20000; k += 1) {
    const text = manyOf(next, LETTERS, 8).join("");
    assert.equal(query.traced(text).whole, query.fold(text), JSON.stringify(text));
  }
});

test("folding twice changes nothing", () => {
  const next = chance(3);
  for (let k = 0; k < 5000; k += 1) {
    const text = query.fold(manyOf(next, LETTERS, 8).join(""));
    assert.equal(query.fold(text), text);
  }
});

const marked = (text, q, field = "prompt") => {
  let [at, all] = [0, ""];
  for (const [from, to] of query.marks(text, query.parse(q), field)) {
    all += `${text.slice(at, from)}[${text.slice(from, to)}]`;
    at = to;
  }
  return all + text.slice(at);
};

test("hits are marked in the text as it is written", () => {
  const cases = [
    ["A Cat and a CATfish", "cat", "A [Cat] and a [CAT]fish"],
    ["red dress", "red dress", "[red] [dress]"],
    ["red dress", '"red dress"', "[red dress]"],
    ["aaaa", "aa", "[aaaa]"],
    ["abcd", "abc bcd", "[abcd]"],
    ["ﬁsh", "i", "[ﬁ]sh"],
    ["ＡＢＣ", "bc", "Ａ[ＢＣ]"],
    ["cafe\u0301s", "café", "[cafe\u0301]s"],
    ["ｶﾞｰﾄﾞ", "ガ", "[ｶﾞ]ｰﾄﾞ"],
    ["Straße 5", "strasse", "[Straße] 5"],
    ["고양이가", "양이", "고[양이]가"],
    ["a cat", "-cat", "a cat"],
    ["a cat", "model:cat", "a cat"],
    ["a cat", "prompt:cat", "a [cat]"],
    ["a 😀 cat", "😀", "a [😀] cat"],
    ["cat dog", "dog OR cat", "[cat] [dog]"],
    ["", "cat", ""],
  ];
  for (const [text, q, expected] of cases) assert.equal(marked(text, q), expected, `${text} / ${q}`);
});

test("every hit that is marked is one, and a text that matches has one", () => {
  const next = chance(4);
  for (let k = 0; k < 5000; k += 1) {
    const text = manyOf(next, LETTERS, 10).join("");
    const wanted = query.fold(manyOf(next, LETTERS, 2).join("")).trim();
    if (!wanted || /["\s]/.test(wanted)) continue;
    const spans = query.marks(text, { groups: [[{ field: "", text: wanted, not: false }]] }, "prompt");
    assert.equal(spans.length > 0, query.fold(text).includes(wanted), JSON.stringify([text, wanted]));
    for (const [from, to] of spans) assert.ok(query.fold(text.slice(from, to)).includes(wanted));
  }
});

test("what is being typed is found, and completed", () => {
  const cases = [
    ["ca|", { field: "", value: "cat" }, "cat |"],
    ["red ca| dog", { field: "", value: "cat" }, "red cat |dog"],
    ["-ca|", { field: "", value: "black cat" }, '-"black cat" |'],
    ["model:po|", { field: "model", value: "Pony" }, "model:Pony |"],
    ["po|", { field: "model", value: "Pony Diffusion" }, 'model:"Pony Diffusion" |'],
    ['model:"pony d|', { field: "model", value: "Pony Diffusion" }, 'model:"Pony Diffusion" |'],
    ["o|", { field: "", value: "OR" }, '"OR" |'],
    ["x|", { field: "", value: "-x" }, '"-x" |'],
    ["x|", { field: "", value: "model:x" }, '"model:x" |'],
    ["x|", { field: "", value: 'the "best" model' }, '" model" |'],
    ["a |", { field: "", value: "b" }, "a b |"],
  ];
  for (const [typed, suggestion, expected] of cases) {
    const q = typed.replace("|", "");
    const done = query.complete(q, query.termAt(q, typed.indexOf("|")), suggestion);
    assert.equal(`${done.q.slice(0, done.caret)}|${done.q.slice(done.caret)}`, expected, typed);
  }
});

const USUAL = { place: "images", ids: [], q: "", sort: "newest", view: "grid", picks: [] };

test("an address is read in every form", () => {
  const cases = [
    ["", {}],
    ["#", {}],
    ["#/", {}],
    ["#/nowhere", {}],
    ["#/__proto__", {}],
    ["#/models", { place: "models" }],
    ["#/image/12", { place: "image", ids: [12] }],
    ["#/image/12,13", { place: "image", ids: [12] }],
    ["#/image/", {}],
    ["#/image/1e3", {}],
    ["#/model/x", { place: "models" }],
    ["#/model/7?q=a", { place: "model", ids: [7], q: "a" }],
    ["#/collection/12", { place: "collection", ids: ["12"] }],
    ["#/collection/mine-a1", { place: "collection", ids: ["mine-a1"] }],
    ["#/images?q=red%20dress&sort=likes&view=list", { q: "red dress", sort: "likes", view: "list" }],
    ["#/images?q=a+b", { q: "a+b" }],
    ["#/images?q=100%", { q: "100%" }],
    ["#/images?q=a=b?c", { q: "a=b?c" }],
    ["#/images?sort=best&view=wall&x=1", {}],
    ["#/images?base=SDXL%201.0,Pony", { picks: [["base", "SDXL 1.0"], ["base", "Pony"]] }],
    ["#/images?model=a%2Cb,-c", { picks: [["model", "a,b"], ["model", "c", true]] }],
    ["#/images?model=%2Da,--b", { picks: [["model", "-a"], ["model", "-b", true]] }],
    ["#/images?level=-R,-X&kind=video", { picks: [["level", "R", true], ["level", "X", true], ["kind", "video"]] }],
    ["#/images?date=2026-01..&resolution=1..2.5", { picks: [["date", "2026-01.."], ["resolution", "1..2.5"]] }],
    ["#/images?type=LORA", {}],
    ["#/models?type=LORA&kind=video", { place: "models", picks: [["type", "LORA"]] }],
    ["#/images?tool=,-,", {}],
    ["#/images?tool=a,a&tool=-a,b", { picks: [["tool", "a"], ["tool", "b"]] }],
  ];
  for (const [hash, expected] of cases) {
    const picks = (expected.picks ?? []).map(([facet, value, not = false]) => ({ facet, value, not }));
    assert.deepEqual(query.read(hash), { ...USUAL, ...expected, picks }, hash);
  }
});

const TEXTS = ["a", "-a", "a,b", "%2C", "SDXL 1.0", "日本", "a&b=c#d?", "100%", "'\"", "..", "-", " ", "+", "é"];

test("an address that is written is read as it was", () => {
  const next = chance(5);
  for (let k = 0; k < 5000; k += 1) {
    const place = anyOf(next, ["images", "models", "image", "model", "collection"]);
    const ids = { image: [next(1e9)], model: [1 + next(99)], collection: [anyOf(next, ["12", "mine-a"])] }[place] ?? [];
    const facets = query.FACETS[query.table(place)];
    const chosen = new Map();
    for (let n = next(5); n > 0; n -= 1) {
      const pick = { facet: anyOf(next, facets), value: anyOf(next, TEXTS), not: next(2) === 1 };
      if (!chosen.has(pick.facet + pick.value)) chosen.set(pick.facet + pick.value, pick);
    }
    const order = [...new Set([...chosen.values()].map(({ facet }) => facet))];
    const picks = [...chosen.values()].sort((a, b) => order.indexOf(a.facet) - order.indexOf(b.facet));
    const address = {
      place, ids, q: manyOf(next, TEXTS, 3).join(" "), sort: anyOf(next, query.SORTS), view: anyOf(next, query.VIEWS), picks,
    };
    assert.deepEqual(query.read(query.write(address)), address);
    assert.equal(query.write(query.read(query.write(address))), query.write(address));
  }
});

test("an address with half a character in it is still an address", () => {
  assert.equal(query.write({ ...USUAL, q: "a\ud800b" }), "#/images?q=a%EF%BF%BDb");
});

test("a range has two ends, either of which may be open", () => {
  const cases = [
    ["2026-01..2026-03", { from: "2026-01", to: "2026-03" }],
    ["2026..", { from: "2026", to: "" }],
    ["..0.5", { from: "", to: "0.5" }],
    ["0.5..1", { from: "0.5", to: "1" }],
    ["..", null],
    ["2026", null],
    ["a..b", null],
  ];
  for (const [value, expected] of cases) assert.deepEqual(query.range(value), expected, value);
});
