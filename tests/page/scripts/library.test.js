"use strict";
// Loading and asking, with the worker in the same thread and the data files in a map.
const assert = require("node:assert/strict");
const test = require("node:test");
const { begin } = require("./browser.js");
const { chance, rooms } = require("./harness.js");
const { library: dataOf } = require("./data.js");

/** The worker without a thread, which answers a little later. */
const workerOf = (worker) => {
  const heard = [];
  const port = { postMessage: (data) => setTimeout(() => heard.forEach((then) => then({ data: structuredClone(data) })), 1) };
  worker.serve(port);
  return {
    asked: [],
    addEventListener: (name, then) => name === "message" && heard.push(then),
    postMessage(data) {
      this.asked.push(data.ask);
      setTimeout(() => port.onmessage({ data: structuredClone(data) }), 1);
    },
  };
};

const first = (row) => ({ rows: 1, columns: Object.fromEntries(Object.entries(row).map(([name, value]) => [name, [value]])) });

const manifestOf = (made, files) => {
  const named = (table, letter) =>
    made.chunks[table].map(({ dead, text }, k) => {
      files.set(`${letter}-${k}`, text);
      return { name: `${letter}-${k}`, rows: JSON.parse(text).rows, dead };
    });
  const living = made.pictures.filter(({ dead }) => !dead);
  const { uses, dead, checkpoint, ...row } = living[0];
  return {
    format: 2, library: "abc", made: "2026-11-26T07:01:02Z", totals: { pictures: living.length, models: made.models.length },
    pictures: named("images", "p"), models: named("models", "m"), collections: [], posts: [],
    things: made.things, newest: { ...first(row), from: [["p-0", made.pictures.findIndex((each) => !each.dead)]] },
  };
};

/** A library of 120 pictures that is opened at an address; `spoil(files, manifest)` may damage it before. */
const open = ({ hash = "#/images", seed = 1, spoil = () => {} } = {}) => {
  const world = begin(hash);
  const files = new Map();
  const made = dataOf(chance(seed), { pictures: 120, models: 10, size: 50 });
  const manifest = manifestOf(made, files);
  spoil(files, manifest);
  const { columns, query, worker } = rooms(["query", "columns", "worker"]);
  world.worker = workerOf(worker);
  Object.assign(world.given.rooms, {
    given: () => manifest,
    chunk: async (url, name) => {
      assert.equal(url, `.page/data/${name}.js`);
      if (!files.has(name)) throw new Error("missing");
      return files.get(name);
    },
    worker: () => world.worker,
  });
  const given = { ...world.given, query, columns, store: world.store };
  return { ...world, made, files, manifest, ...rooms(["stock", "library"], given) };
};

const waited = async (world, done) => {
  for (let k = 0; k < 400 && !done(world); k += 1) {
    world.settled();
    await new Promise((then) => setTimeout(then, 5));
  }
  assert.ok(done(world));
};

const isReady = (world) => world.store.state.ready;
const opened = async (how) => {
  const world = open(how);
  const done = world.library.start();
  world.settled();
  await done;
  await waited(world, isReady);
  return world;
};

test("the newest are shown before anything is loaded, and all of them once it is", async () => {
  const world = open();
  const done = world.library.start();
  assert.equal(world.store.state.shown.rows.length, 1);
  assert.equal(world.library.picture(world.store.state.shown.rows[0]).id, world.made.pictures.find(({ dead }) => !dead).id);
  await done;
  await waited(world, isReady);
  const { shown, loaded, ready } = world.store.state;
  assert.deepEqual([shown.total, loaded.done, ready], [world.manifest.totals.pictures, world.manifest.totals.pictures, true]);
  assert.deepEqual(world.said, []);
});

test("what the page shows of a picture is what its row says", async () => {
  const { library, made } = await opened();
  for (const row of made.pictures.filter(({ dead }) => !dead)) {
    const shown = library.picture(library.rowOf(row.id));
    const url = `${row.folder}${row.folder && "/"}${row.id}.jpeg`;
    const { id, url: path, width, hash, level, kind, post, creator } = shown;
    assert.deepEqual({ id, path, width, hash, level, kind, post, creator }, { id: row.id, path: url, width: row.width ?? 0, hash: row.hash, level: row.level, kind: row.kind, post: row.post, creator: row.creator });
    assert.ok(Math.abs(library.ratiosOf([shown.row])[0] - (row.width / row.height || 1)) < 1e-6);
  }
  assert.equal(library.rowOf(made.pictures.find(({ dead }) => dead).id), -1);
  assert.equal(library.model(library.modelRow(3)).name, made.models[2].name);
  assert.deepEqual([library.modelRow(99), library.model(-1), library.picture(500)], [-1, null, null]);
});

test("a search that is typed before the data are there is answered when they are", async () => {
  const world = open();
  const done = world.library.start();
  world.store.type("id:7");
  await done;
  await waited(world, () => isReady(world) && world.store.state.shown.total < 2);
  assert.ok(world.worker.asked.filter((ask) => ask === "find").length <= 2);
});

test("while an answer is on its way, only the newest of the further questions is asked, and only its answer is shown", async () => {
  const world = await opened();
  world.settled();
  const before = world.worker.asked.length;
  const answers = [];
  for (const q of ["id:7", "id:14", "id:21", "id:2"]) {
    world.store.type(q);
    world.settled();
  }
  const known = world.store.state.shown;
  await waited(world, () => {
    if (world.store.state.shown !== answers.at(-1)) answers.push(world.store.state.shown);
    return answers.at(-1).total === 0;
  });
  assert.equal(world.worker.asked.length - before, 2);
  assert.deepEqual(answers.map((each) => each === known || each.total === 0), answers.map(() => true));
});

test("chunks that are missing or cut are counted and said, and the rest is shown", async () => {
  const spoil = (files) => {
    files.delete("p-1");
    files.set("p-2", files.get("p-2").slice(0, -9));
  };
  const world = await opened({ spoil });
  const gone = world.made.pictures.filter(({ dead }, k) => !dead && k >= 50).length;
  assert.ok(world.said.includes(`images: trouble.images ${gone}`), world.said.join());
  assert.equal(world.store.state.shown.total, world.manifest.totals.pictures - gone);
});

test("models that are missing are said", async () => {
  const world = await opened({ spoil: (files) => files.delete("m-0"), hash: "#/models" });
  assert.deepEqual(world.said, ["models: trouble.models 10"]);
  assert.equal(world.store.state.shown.total, 0);
});

test("data of another form are said to be so", async () => {
  const world = open({ spoil: (_, manifest) => Object.assign(manifest, { format: 1 }) });
  await world.library.start();
  await waited(world, isReady);
  assert.deepEqual([world.said, world.store.state.shown.total], [["manifest: trouble.manifest"], 0]);
});

test("a library with models only begins with them", async () => {
  const spoil = (_, manifest) => Object.assign(manifest, { pictures: [], totals: { pictures: 0, models: 10 }, newest: { rows: 0, columns: {}, things: [], from: [] } });
  const world = await opened({ spoil, hash: "" });
  assert.deepEqual([world.store.state.place, world.store.state.shown.total], ["models", 10]);
});

test("the pictures of a model are those made with it, in its folder, or among its showcase", async () => {
  const world = open({ hash: "#/model/1" });
  const versions = world.made.models[0].versions.map(([id]) => ({ id, images: [7 * 100], files: [] }));
  world.files.set("m-0.more", JSON.stringify({ rows: 10, columns: { details: world.made.models.map(() => ({ versions })) } }));
  await world.library.start();
  await waited(world, isReady);
  const ids = versions.map(({ id }) => id);
  const expected = world.made.pictures.filter((row) => !row.dead && (row.id === 700 || row.folder.startsWith("users/a/models/M%20%5B1%5D/") || row.uses.some(([, , , id]) => ids.includes(id))));
  assert.equal(world.store.state.shown.total, expected.length);
  assert.equal((await world.library.find({ table: "images", scope: { model: 1 } })).total, expected.length);
});

test("details are the fields of the picture, with cleaned prompts cut from the raw one", async () => {
  const world = open({ spoil: () => {} });
  const at = world.made.pictures.findIndex(({ dead, prompt }) => !dead && prompt?.length > 8);
  const row = world.made.pictures[at];
  const rows = JSON.parse(world.files.get(`p-${Math.floor(at / 50)}`)).rows;
  const more = { url: { t: ["https://image.test/{key}/{id}.jpeg"] }, key: { t: ["AAECAwQFBgcICQoL_-3-_w"] }, page: { t: [""] }, clean: { t: [[2, 3, 1]] }, clothes: { t: [0] }, weights: { t: [[0.8]] }, seed: { t: ["123456789012345678901"] } };
  world.files.set(`p-${Math.floor(at / 50)}.more`, JSON.stringify({ rows, hashes: [], columns: more }));
  await world.library.start();
  await waited(world, isReady);
  const found = await world.library.details(row.id);
  assert.equal(found.raw_prompt, row.prompt);
  assert.equal(found.prompt, row.prompt.slice(0, 2) + row.prompt.slice(5, 6));
  assert.equal(found.prompt_with_clothes, found.prompt);
  assert.deepEqual([found.url, found.seed, found.negative_prompt], [`https://image.test/00010203-0405-0607-0809-0a0bffedfeff/${row.id}.jpeg`, "123456789012345678901", row.negative]);
  assert.deepEqual(found.made.map(({ weight }) => weight), row.uses.map((_, k) => (k ? null : 0.8)));
  await assert.rejects(world.library.details(999999));
});

test("details are still those of the hot columns when the rest is gone", async () => {
  const world = await opened();
  const row = world.made.pictures.find(({ dead, prompt }) => !dead && prompt);
  const found = await world.library.details(row.id);
  assert.deepEqual([found.raw_prompt, found.prompt, found.seed, found.whole], [row.prompt, null, null, false]);
});

test("a post stands in its author's order, and without its words in the order of ids", async () => {
  const spoil = (files, manifest) => {
    files.set("o-0", JSON.stringify({ rows: 2, columns: { id: [4, 5], title: ["A", "B"], text: ["", ""], tags: [[], []], username: ["u", "u"], published: [0, 0], version: [0, 0], images: [[14, 7, 999], []] } }));
    manifest.posts = [{ name: "o-0", rows: 2, dead: [1] }];
  };
  const world = await opened({ spoil });
  const idsOf = async (id) => (await world.library.post(id)).rows.map((row) => world.library.picture(row).id);
  const living = world.made.pictures.filter(({ dead }) => !dead);
  const listed = [14, 7].filter((id) => living.some((row) => row.id === id));
  const others = living.filter(({ post, id }) => post === 4 && !listed.includes(id)).map(({ id }) => id);
  assert.deepEqual(await idsOf(4), [...listed, ...others]);
  assert.deepEqual(await idsOf(5), living.filter(({ post }) => post === 5).map(({ id }) => id));
  assert.equal((await world.library.post(4)).title, "A");
});

test("a collection shows what is here of it", async () => {
  const spoil = (files, manifest) => {
    files.set("c-0", JSON.stringify({ rows: 1, columns: { id: [3], name: ["Best"], username: ["u"], description: [""], items: [[7, 14, 21, 5]] } }));
    manifest.collections = [{ name: "c-0", rows: 1, dead: [] }];
  };
  const world = await opened({ spoil, hash: "#/collection/3" });
  const here = world.made.pictures.filter(({ dead, id }) => !dead && [7, 14, 21].includes(id));
  assert.equal(world.store.state.shown.total, here.length);
  await waited(world, () => world.library.collections.length === 1);
  assert.deepEqual(world.library.collections, [{ id: 3, name: "Best", count: 4 }]);
});
