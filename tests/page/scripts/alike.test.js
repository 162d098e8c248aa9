"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const { rooms } = require("./harness.js");

const { alike } = rooms(["alike"]);

test("a hash of one colour is that colour everywhere", () => {
  // Size 1 x 1, and #ff8000 as four digits to the base of 83.
  const pixels = alike.pixels("00TNfQ", 3, 2);
  assert.equal(pixels.length, 24);
  for (let at = 4; at < 24; at += 1) assert.equal(pixels[at], pixels[at - 4]);
  assert.deepEqual([pixels[0], pixels[3]], [255, 255]);
});

test("a hash of several waves changes from place to place, and never leaves a byte", () => {
  const pixels = alike.pixels("UHB{Y{9#NHxZ~UEQRkxZ%LxFE4bb-oxY9vxY", 16, 24);
  assert.equal(pixels.length, 16 * 24 * 4);
  assert.ok(new Set(pixels).size > 20);
});

test("what is no hash has no pixels", () => {
  for (const text of ["", "U", "00", "UHB{Y{9#", `UHB{Y{9#NHxZ~UEQRkxZ%LxFE4bb-oxY9v"Y`, "x".repeat(40), "日本語のハッシュ"])
    assert.equal(alike.pixels(text, 4, 4), null, text);
});
