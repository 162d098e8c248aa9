"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const { PAGE, rooms } = require("./harness.js");

const { words } = rooms(["words"]);
const texts = Object.entries(words.TABLE);
const places = (text) => [...new Set(text.match(/\{\w+\}/g) ?? [])].sort();

test("every text is there in every language, with the same places to fill", () => {
  for (const [key, all] of texts) {
    assert.equal(all.length, words.LANGUAGES.length, key);
    for (const text of all) {
      assert.ok(text.trim(), key);
      for (const form of text.split(" | ")) assert.deepEqual(places(form), places(all[0].split(" | ")[0]), `${key}: ${form}`);
    }
  }
});

test("only English has a plural, and it has two forms", () => {
  for (const [key, [english, ...others]] of texts) {
    assert.ok(english.split(" | ").length <= 2, key);
    for (const text of others) assert.ok(!text.includes(" | "), key);
    if (english.includes(" | ")) assert.ok(english.includes("{n}"), key);
  }
});

test("Japanese and Korean texts are not left in English", () => {
  const letters = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;
  const same = texts.filter(([key, [english, ...others]]) => !key.startsWith("key-name.") && /[a-z]{3}/.test(english.replace(/\{\w+\}/g, "")) && others.some((text) => !letters.test(text)));
  assert.deepEqual(same.map(([key]) => key), []);
});

test("every text that a script or the page names is there", () => {
  const scripts = fs.readdirSync(PAGE).filter((name) => /\.(js|html)$/.test(name) && name !== "words.js");
  const source = scripts.map((name) => fs.readFileSync(path.join(PAGE, name), "utf-8")).join("\n");
  for (const [, key] of source.matchAll(/\b(?:say\(|data-word(?:-label)?=)"([^"]+)"/g)) assert.ok(words.has(key), key);
});

test("numbers, places and plurals are filled in, and what is filled in is not looked into", () => {
  const say = (key, values, language = "en") => words.textIn(language, key, values);
  assert.equal(say("count.images", { n: 1 }), "1 picture");
  assert.equal(say("count.images", { n: 0 }), "0 pictures");
  assert.equal(say("count.images", { n: 100000 }), "100,000 pictures");
  assert.equal(say("count.images", { n: 1 }, "ko"), "이미지 1개");
  assert.equal(say("trouble.search", { reason: "{reason} $&" }), "This browser cannot search here: {reason} $&.");
  assert.throws(() => words.say("no such text"));
});

test("sizes, dates and lengths are written as people write them", () => {
  const sizes = [[0, "0 byte"], [999, "999 byte"], [1500, "1.5 kB"], [37861176, "37.9 MB"], [6.9e9, "6.9 GB"], [2e12, "2 TB"]];
  for (const [size, text] of sizes) assert.equal(words.bytes(size), text);
  assert.equal(words.date("2026-03-05T23:59:00Z"), "Mar 5, 2026");
  assert.equal(words.date(1757274006745), "Sep 7, 2025");
  assert.deepEqual([words.date(0), words.date(""), words.date("never")], ["", "", ""]);
  assert.equal(words.month("2026-03"), "March 2026");
  assert.deepEqual([5, 65.4, 3605].map(words.seconds), ["0:05", "1:05", "1:00:05"]);
});
