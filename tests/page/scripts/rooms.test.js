"use strict";
// The scripts stand in one order, which is that of the tags, and each needs only what stands above it.
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const vm = require("node:vm");
const { PAGE } = require("./harness.js");

const read = (name) => fs.readFileSync(path.join(PAGE, name), "utf-8");
const tags = [...read("index.html").matchAll(/<script( defer)? src="\{\{page\}\}\/([\w-]+)\.js"/g)];
const order = tags.map(([, , name]) => name);

test("the page has a tag for each script, and only the first one stands in the way of the first paint", () => {
  const there = fs.readdirSync(PAGE).filter((name) => name.endsWith(".js")).map((name) => name.slice(0, -3));
  assert.deepEqual([...order].sort(), there.sort());
  assert.deepEqual(tags.map(([, defer]) => Boolean(defer)), order.map((_, k) => k > 0));
});

test("a script needs only scripts that stand above it, and uses all that it needs", () => {
  const [, ...others] = order;
  for (const name of others) {
    const [, own, needs] = /civitai\.room\(\s*"(\w+)",\s*\[([^\]]*)\]/.exec(read(`${name}.js`));
    assert.equal(own, name);
    for (const [, need] of needs.matchAll(/"(\w+)"/g)) {
      assert.ok(order.indexOf(need) < order.indexOf(name), `${name} needs ${need}`);
      assert.ok(order.includes(need), `${name} needs ${need}`);
    }
  }
});

/** The first script in a document that has no more than it looks at. */
const begin = ({ storage = new Map(), manifest = "null" } = {}) => {
  const scripts = [];
  const world = { errors: null, scripts, urls: [] };
  const root = { dataset: {} };
  const given = {
    document: {
      documentElement: root,
      createElement: () => {
        const heard = {};
        return { dataset: {}, heard, addEventListener: (name, then) => (heard[name] = then), remove() {} };
      },
      head: { append: (script) => scripts.push(script) },
    },
    localStorage: { getItem: (key) => storage.get(key) ?? null, setItem: (key, value) => storage.set(key, value) },
    addEventListener: (_, then) => (world.errors = then),
    trustedTypes: { createPolicy: (name, rules) => ((world.policy = name), rules) },
    URL: { createObjectURL: () => "blob:null/1", revokeObjectURL() {} },
    Worker: class {
      constructor(url) {
        world.urls.push(url);
      }
      addEventListener() {}
    },
    Blob: class {
      constructor(parts) {
        world.source = parts.join("");
      }
    },
  };
  const context = vm.createContext(given);
  vm.runInContext(read("rooms.js"), context);
  vm.runInContext(`civitai.chunk("manifest", ${JSON.stringify(manifest)})`, context);
  given.civitai = context.civitai;
  context.civitai.room("test", ["rooms"], ({ rooms }) => ((world.rooms = rooms), {}));
  return { ...world, world, root, context, storage };
};

test("only scripts of the page, the user's own file and the worker get through", () => {
  const { rooms, scripts } = begin();
  const good = [".page/data/p-0a1b2c3d4e.js", ".page/data/p-0.more.js", ".page/1a2b3c4d/grid.js?v=5", "user-data.js", "user-data.js?v=1"];
  const bad = [
    "https://example.com/x.js", "//example.com/x.js", ".page/../x.js", ".page/data/../../x.js", "x.js", "/x.js", "data:text/javascript,1",
    ".page/data/x.json", "javascript:1", ".page\\x.js", "../.page/x.js", ".page/x.js#a", ".page/data//x.js", ".page/..js", " .page/x.js",
  ];
  for (const url of good) void rooms.load(url);
  assert.deepEqual(scripts.map(({ src }) => src), good);
  return Promise.all(bad.map((url) => assert.rejects(rooms.load(url), /is not a script of this page/, url)));
});

test("a data file gives its text, is missing, or is cut", async () => {
  const { rooms, scripts, context } = begin();
  const given = rooms.chunk(".page/data/p-1.js", "p-1");
  context.civitai.chunk("p-1", "[1]");
  scripts[0].heard.load();
  assert.equal(await given, "[1]");
  const cut = rooms.chunk(".page/data/p-1.js", "p-1");
  scripts[1].heard.load();
  await assert.rejects(cut, /cut/);
  const missing = rooms.chunk(".page/data/p-2.js", "p-2");
  scripts[2].heard.error();
  await assert.rejects(missing, /missing/);
});

test("settings are those of all libraries, everything else belongs to one", () => {
  const { rooms, storage } = begin({ manifest: '{"library": "abc"}' });
  rooms.remember("settings", { theme: "dark" });
  rooms.remember("searches", ["cat"]);
  assert.deepEqual([...storage.keys()], ["civitai.settings", "civitai.abc.searches"]);
  assert.deepEqual(JSON.parse(JSON.stringify(rooms.recall("searches", []))), ["cat"]);
  assert.deepEqual(begin({ storage, manifest: '{"library": "other"}' }).rooms.recall("searches", []), []);
});

test("the theme that was chosen is there before the first paint", () => {
  assert.equal(begin({ storage: new Map([["civitai.settings", '{"theme":"dark"}']]) }).root.dataset.theme, "dark");
  assert.equal(begin({ storage: new Map([["civitai.settings", '{"theme":"<b>"}']]) }).root.dataset.theme, undefined);
});

test("a storage that refuses or holds nonsense is no error", () => {
  const refuses = { get: () => assert.fail("refused"), set: () => assert.fail("refused") };
  const { rooms } = begin({ storage: refuses });
  assert.deepEqual([rooms.recall("searches", 5), rooms.remember("searches", 6)], [5, false]);
  assert.equal(begin({ storage: new Map([["civitai.settings", "{"]]) }).rooms.recall("settings", 7), 7);
});

test("a manifest that is gone or damaged is none", () => {
  assert.equal(begin({ manifest: "{" }).rooms.manifest(), null);
  assert.equal(begin().rooms.manifest(), null);
});

test("scripts that fail are counted, data files that fail are not", () => {
  const { world, root, rooms, context } = begin();
  world.errors({ target: { matches: (selector) => selector === "script:not([data-file])", src: "grid.js" } });
  world.errors({ target: { matches: () => false } });
  world.errors({ target: vm.runInContext("globalThis", context), message: "x is not defined" });
  assert.deepEqual([...rooms.broken], ["grid.js", "x is not defined"]);
  assert.equal(root.dataset.broken, 2);
  context.civitai.room("main", [], () => ({}));
  world.errors({ target: vm.runInContext("globalThis", context), message: "later" });
  assert.deepEqual([rooms.broken.length, root.dataset.broken], [3, 2]);
});

test("a worker is made of the scripts that it needs and serves its port", () => {
  const { world, context, rooms } = begin();
  for (const name of ["query", "columns", "worker"]) vm.runInContext(read(`${name}.js`), context);
  rooms.worker(["query", "columns", "worker"]);
  const said = [];
  const port = { postMessage: (message) => said.push(message) };
  vm.runInNewContext(world.source, { self: port, performance, setTimeout });
  port.onmessage({ data: { number: 1, ask: "open", things: [], images: 0, models: 0 } });
  port.onmessage({ data: { number: 2, ask: "find", table: "images", q: "", picks: [], scope: null, sort: "newest" } });
  assert.deepEqual(said.map(({ number, error }) => [number, error]), [[1, undefined], [2, undefined]]);
  assert.equal(world.urls[0], "blob:null/1");
});
