"use strict";
// A browser, imitated as far as the store and the library look at it.
const { rooms } = require("./harness.js");
const timer = setTimeout;

/** A window with a history; `begin(hash)` opens the page there and returns what a test needs. */
const begin = (hash = "", kept = {}) => {
  const entries = [{ hash, state: null }];
  const heard = {};
  const world = { at: 0, tasks: [], said: [], entries };
  const told = () => ["popstate", "hashchange"].forEach((name) => heard[name]?.());
  globalThis.location = { get hash() { return entries[world.at].hash; } };
  globalThis.history = {
    get state() { return entries[world.at].state; },
    pushState: (state, _, url) => {
      entries.splice(world.at + 1, Infinity, { hash: url, state });
      world.at += 1;
    },
    replaceState: (state, _, url) => (entries[world.at] = { hash: url, state: structuredClone(state) }),
    go: (steps) => {
      world.at += steps;
      told();
    },
  };
  globalThis.document = { documentElement: { dataset: {} } };
  globalThis.setTimeout = (then, ...time) => (time.length ? timer(then, ...time) : world.tasks.push(then));
  globalThis.addEventListener = (name, then) => (heard[name] = then);
  world.told = told;
  world.task = () => world.tasks.splice(0).forEach((then) => then());
  world.settled = () => {
    while (world.tasks.length) world.task();
  };
  world.link = (url) => {
    entries.splice(world.at + 1, Infinity, { hash: url, state: null });
    history.go(1);
  };
  world.settle = () => new Promise((done) => setTimeout(done, 250));
  world.given = {
    rooms: {
      recall: (key, fallback) => kept[key] ?? fallback,
      remember: (key, value) => (world.refuses ? false : ((kept[key] = structuredClone(value)), true)),
      show: (theme) => (world.theme = theme),
    },
    words: { say: (key, values) => `${key} ${values?.n ?? ""}`.trim() },
    dom: { trouble: (name, text) => text && world.said.push(`${name}: ${text}`) },
  };
  world.kept = kept;
  world.store = rooms(["query", "store"], world.given).store;
  return world;
};

module.exports = { begin };
