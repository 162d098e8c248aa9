"use strict";
// Loads rooms of the page without a browser, and makes random things that a test can repeat.
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const PAGE = path.join(__dirname, "..", "..", "..", "civitai_downloader", "core", "data", "page");

/**
 * Makes the rooms of these names, in this order.
 * @param {string[]} names
 * @param {object} given rooms that a test imitates
 */
const rooms = (names, given = {}) => {
  const made = { ...given };
  const room = (name, needs, factory) => {
    const missing = needs.filter((need) => !(need in made));
    if (missing.length) throw new Error(`${name} needs ${missing}`);
    made[name] = factory(made);
  };
  for (const name of names) {
    const source = fs.readFileSync(path.join(PAGE, `${name}.js`), "utf-8");
    vm.runInThisContext(`(civitai) => {${source}\n}`, { filename: `${name}.js` })({ room });
  }
  return made;
};

/** Returns a function that yields numbers from 0 up to `below`, the same ones for the same seed. */
const chance = (seed) => (below) => {
  seed = (seed + 0x6d2b79f5) | 0;
  let x = Math.imul(seed ^ (seed >>> 15), seed | 1);
  x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
  return ((x ^ (x >>> 14)) >>> 0) % below;
};

const anyOf = (next, list) => list[next(list.length)];
const manyOf = (next, list, most) => Array.from({ length: next(most + 1) }, () => anyOf(next, list));

module.exports = { PAGE, anyOf, chance, manyOf, rooms };
