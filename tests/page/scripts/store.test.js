"use strict";
// The state and its address, in a browser that is imitated as far as the store looks at it.
const assert = require("node:assert/strict");
const test = require("node:test");
const { begin } = require("./browser.js");

test("the address at the start is the state", () => {
  const { store } = begin("#/images?q=cat&level=-X&sort=likes");
  assert.equal(store.state.q, "cat");
  assert.deepEqual(store.state.picks, [{ facet: "level", value: "X", not: true }]);
  assert.equal(store.href({ sort: "newest" }), "#/images?q=cat&level=-X");
});

test("choosing a facet and opening something are steps for Back, typing is not", async () => {
  const { store, entries, settle } = begin("#/images");
  store.type("c");
  store.type("cat");
  await settle();
  assert.deepEqual(entries.map(({ hash }) => hash), ["#/images?q=cat"]);
  store.pick("kind", "video");
  store.go({ place: "model", ids: [5] });
  assert.deepEqual(entries.map(({ hash }) => hash), ["#/images?q=cat", "#/images?q=cat&kind=video", "#/model/5?q=cat&kind=video"]);
  history.go(-1);
  assert.equal(store.state.place, "images");
  history.go(-1);
  assert.deepEqual([store.state.q, store.state.picks], ["cat", []]);
});

test("what is typed just before a step is in the address to which Back returns", () => {
  const { store, entries } = begin("#/images");
  store.type("cat");
  store.pick("kind", "video");
  assert.deepEqual(entries.map(({ hash }) => hash), ["#/images?q=cat", "#/images?q=cat&kind=video"]);
});

test("an event that comes late takes back nothing that was typed meanwhile", async () => {
  const world = begin("#/models");
  world.link("#/images");
  world.store.type("d");
  world.told();
  await world.settle();
  world.store.type("dr");
  world.store.type("dress");
  world.told();
  assert.equal(world.store.state.q, "dress");
  await world.settle();
  assert.equal(world.entries[1].hash, "#/images?q=dress");
  history.go(-1);
  assert.deepEqual([world.store.state.place, world.store.state.q], ["models", ""]);
});

test("the address changes at most ten times a second", async () => {
  const world = begin("#/images");
  let times = 0;
  const replace = history.replaceState;
  history.replaceState = (...words) => {
    times += 1;
    replace(...words);
  };
  for (let k = 1; k <= 300; k += 1) world.store.type("x".repeat(k));
  await world.settle();
  assert.ok(times <= 3, `${times} times`);
  assert.equal(world.entries[0].hash, `#/images?q=${"x".repeat(300)}`);
});

test("a value is chosen, excluded, taken back, or chosen alone", () => {
  const { store } = begin();
  const picks = () => store.state.picks.map(({ facet, value, not }) => `${not ? "-" : ""}${facet}:${value}`);
  store.pick("kind", "video");
  store.pick("level", "R", { not: true });
  assert.deepEqual(picks(), ["kind:video", "-level:R"]);
  store.pick("kind", "video", { not: true });
  assert.deepEqual(picks(), ["-level:R", "-kind:video"]);
  store.pick("level", "R", { not: true });
  assert.deepEqual(picks(), ["-kind:video"]);
  store.pick("date", "2026..");
  store.pick("date", "2025..2026", { only: true });
  assert.deepEqual(picks(), ["-kind:video", "date:2025..2026"]);
});

test("the viewer lies over the list from which it was opened, and closing returns there", async () => {
  const world = begin("#/model/5");
  const { store } = world;
  world.link("#/image/7");
  assert.deepEqual([store.state.under.place, store.state.under.ids, store.state.depth], ["model", [5], 1]);
  store.go({ ids: [8] }, "replace");
  store.go({ ids: [9] }, "replace");
  await world.settle();
  assert.deepEqual(world.entries.map(({ hash }) => hash), ["#/model/5", "#/image/9"]);
  world.link("#/image/10");
  assert.equal(store.state.depth, 2);
  store.close();
  assert.deepEqual([world.at, store.state.place, store.state.under], [0, "model", null]);
  history.go(1);
  assert.deepEqual([store.state.ids, store.state.under.place], [[9], "model"]);
});

test("a viewer that was opened by its address closes onto the pictures, with their query", () => {
  const { store, entries } = begin("#/image/7?q=cat");
  assert.deepEqual([store.state.under.place, store.state.under.q], ["images", "cat"]);
  store.close();
  assert.deepEqual([store.state.place, store.state.q, entries.at(-1).hash], ["images", "cat", "#/images?q=cat"]);
});

test("after a reload the viewer still lies over its list", async () => {
  const world = begin("#/collection/3");
  world.link("#/image/7");
  await world.settle();
  const { under, depth } = world.entries[1].state;
  assert.deepEqual([under, depth], ["#/collection/3", 1]);
});

test("an address that was set shows its state, and the query in it narrows what lies under the viewer", () => {
  const world = begin("#/images?q=cat");
  world.link("#/image/7?q=dog&kind=video");
  const { under } = world.store.state;
  assert.deepEqual([under.place, under.q, under.picks.length], ["images", "dog", 1]);
});

test("subscribers hear once a task what has changed, and for the first time in any case", () => {
  const world = begin();
  const heard = [];
  world.store.watch(["q", "sort"], (state, changed) => heard.push([state.q, [...changed]]));
  world.settled();
  world.store.set({ q: "a" });
  world.store.set({ q: "ab", focus: 5 });
  world.settled();
  world.store.set({ focus: 6 });
  world.settled();
  assert.deepEqual(heard, [["", ["q", "sort"]], ["ab", ["q"]]]);
});

test("a subscriber that fails keeps no other from what is new", () => {
  const world = begin();
  const heard = [];
  const thrown = [];
  globalThis.reportError = (error) => thrown.push(error);
  world.store.watch(["q"], () => assert.fail("broken"));
  world.store.watch(["q"], (state) => heard.push(state.q));
  world.settled();
  world.store.set({ q: "cat" });
  world.settled();
  assert.deepEqual([heard, thrown.length], [["", "cat"], 2]);
  assert.match(thrown[0].message, /broken/);
});

test("the last fifty searches are kept, the newest first, each once", () => {
  const { store, kept } = begin();
  for (let k = 0; k < 60; k += 1) store.searched(`search ${k}`);
  store.searched("search 30");
  store.searched("  ");
  assert.equal(kept.searches.length, 50);
  assert.deepEqual(store.searches().slice(0, 3), ["search 30", "search 59", "search 58"]);
});

test("what the browser kept in another shape is left alone", () => {
  const { store } = begin("", { searches: "no list", presets: [null, { name: 5 }, { name: "a", address: "#/images" }], settings: 7 });
  assert.deepEqual(store.searches(), []);
  assert.deepEqual(store.presets().map(({ name }) => name), ["a"]);
  assert.equal(store.state.settings.cover, "R");
});

test("a preset is a name for an address, and saving it again replaces it", () => {
  const { store } = begin("#/images?q=cat");
  store.savePreset("cats");
  store.type("black cat");
  store.savePreset("cats");
  assert.deepEqual(store.presets(), [{ name: "cats", address: "#/images?q=black%20cat" }]);
  store.dropPreset("cats");
  assert.deepEqual(store.presets(), []);
});

test("a browser that keeps nothing is said once to do so, and everything else goes on", () => {
  const world = begin();
  world.refuses = true;
  world.store.setting("size", 5);
  world.store.searched("cat");
  assert.deepEqual([...new Set(world.said)], ["storage: trouble.storage"]);
  assert.equal(world.store.state.settings.size, 5);
});

test("pictures are covered from a level on, one by one uncovered, and all at once", () => {
  const { store } = begin();
  const covered = () => ["PG", "PG-13", "R", "X", "XXX", "unrated"].filter((level) => store.covered(level, 7));
  assert.deepEqual(covered(), ["R", "X", "XXX"]);
  store.setting("cover", "PG-13");
  assert.deepEqual(covered(), ["PG-13", "R", "X", "XXX"]);
  store.setting("cover", "none");
  assert.deepEqual(covered(), []);
  store.setting("cover", "X");
  store.set({ uncovered: new Set([7]) });
  assert.deepEqual([covered(), store.covered("X", 8)], [[], true]);
  store.set({ covering: false });
  assert.equal(store.covered("X", 8), false);
});

test("an older answer than the newest question is dropped", async () => {
  const { store } = begin();
  const latest = store.latest();
  const answers = [];
  const first = {};
  const slow = latest(new Promise((done) => (first.done = done)), (answer) => answers.push(answer));
  const quick = latest(Promise.resolve("second"), (answer) => answers.push(answer));
  await quick;
  first.done("first");
  await slow;
  assert.deepEqual(answers, ["second"]);
});
