"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const { PAGE, rooms } = require("./harness.js");

const TEXTS = JSON.parse(fs.readFileSync(path.join(PAGE, "..", "page.json"), "utf-8"));

/** The room for a reader of these languages. */
const wordsFor = (...languages) => {
  Object.defineProperty(globalThis, "navigator", { value: { languages }, configurable: true });
  return rooms(["words"], { rooms: { given: (name) => (name === "words" ? TEXTS : null) } }).words;
};

const words = wordsFor("fr", "en-GB", "ko");
const [english, ...others] = Object.values(TEXTS);
const keys = Object.keys(english);
const places = (text) => [...new Set(text.match(/\{\w+\}/g) ?? [])].sort();

test("every text is there in every language, with the same places to fill", () => {
  assert.deepEqual(Object.keys(TEXTS), ["en", "ja", "ko"]);
  for (const texts of Object.values(TEXTS)) {
    assert.deepEqual(Object.keys(texts), keys);
    for (const [key, text] of Object.entries(texts)) {
      assert.ok(text.trim(), key);
      for (const form of text.split(" | ")) assert.deepEqual(places(form), places(english[key].split(" | ")[0]), `${key}: ${form}`);
    }
  }
});

test("only English has a plural, and it has two forms", () => {
  for (const key of keys) {
    assert.ok(english[key].split(" | ").length <= 2, key);
    for (const texts of others) assert.ok(!texts[key].includes(" | "), key);
    if (english[key].includes(" | ")) assert.ok(english[key].includes("{n}"), key);
  }
});

test("Japanese and Korean texts are not left in English", () => {
  const letters = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;
  const isName = (key) => key.startsWith("key-name.") || !/[a-z]{3}/.test(english[key].replace(/\{\w+\}/g, ""));
  assert.deepEqual(keys.filter((key) => !isName(key) && others.some((texts) => !letters.test(texts[key]))), []);
});

test("the reader's first language that the page has is spoken, or else English", () => {
  const languages = [["ko-KR", "en"], ["JA"], ["fr", "ja"], ["constructor"], []];
  assert.deepEqual(languages.map((each) => wordsFor(...each).language), ["ko", "ja", "ja", "en", "en"]);
});

test("every text that a script or the page names is there", () => {
  const scripts = fs.readdirSync(PAGE).filter((name) => /\.(js|html)$/.test(name) && name !== "words.js");
  const source = scripts.map((name) => fs.readFileSync(path.join(PAGE, name), "utf-8")).join("\n");
  for (const [, key] of source.matchAll(/\b(?:say\(|data-word(?:-label)?=)"([^"]+)"/g)) assert.ok(words.has(key), key);
});

test("numbers, places and plurals are filled in, and what is filled in is not looked into", () => {
  assert.equal(words.say("count.images", { n: 1 }), "1 picture");
  assert.equal(words.say("count.images", { n: 0 }), "0 pictures");
  assert.equal(words.say("count.images", { n: 100000 }), "100,000 pictures");
  assert.equal(wordsFor("ko").say("count.images", { n: 1 }), "이미지 1개");
  assert.equal(words.say("trouble.search", { reason: "{reason} $&" }), "This browser cannot search here: {reason} $&.");
  assert.throws(() => words.say("no such text"));
});

test("sizes, dates and lengths are written as people write them", () => {
  const sizes = [[0, "0 bytes"], [1, "1 byte"], [999, "999 bytes"], [1500, "1.5 kB"], [37861176, "37.9 MB"], [6.9e9, "6.9 GB"], [2e12, "2 TB"]];
  for (const [size, text] of sizes) assert.equal(words.bytes(size), text);
  assert.deepEqual(["ja", "ko"].map((name) => wordsFor(name).bytes(472)), ["472 バイト", "472바이트"]);
  assert.equal(words.date("2026-03-05T23:59:00Z"), "Mar 5, 2026");
  assert.equal(words.date(1757274006745), "Sep 7, 2025");
  assert.deepEqual([words.date(0), words.date(""), words.date("never")], ["", "", ""]);
  assert.equal(words.month("2026-03"), "March 2026");
});
