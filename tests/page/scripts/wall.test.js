"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const { anyOf, chance, rooms } = require("./harness.js");

const { wall } = rooms(["wall"], { dom: {} });
const SIZES = { width: 1000, target: 200, gap: 4 };
const SHAPES = [0.1, 0.5, 0.68, 1, 1.46, 2, 9];

const randomShapes = (seed, count) => {
  const next = chance(seed);
  return Array.from({ length: count }, () => anyOf(next, SHAPES));
};
const laid = (shapes, sizes = SIZES) => wall.justified(shapes, sizes);
const allBoxes = (layout) => Array.from({ length: layout.rows }, (_, row) => layout.boxes(row)).flat();

test("every picture has one box, in order, and boxes do not touch each other", () => {
  for (let seed = 1; seed <= 50; seed += 1) {
    const shapes = randomShapes(seed, 1 + (seed * 7) % 120);
    const boxes = allBoxes(laid(shapes));
    assert.deepEqual(boxes.map(({ index }) => index), shapes.map((_, index) => index));
    boxes.slice(1).forEach((box, at) => {
      const before = boxes[at];
      assert.ok(box.y > before.y + before.height || box.x > before.x + before.width, `${seed}: ${at}`);
    });
  }
});

test("rows are filled to the edge, and the last one is not stretched", () => {
  const layout = laid(randomShapes(3, 200));
  for (let row = 0; row + 1 < layout.rows; row += 1) {
    const last = layout.boxes(row).at(-1);
    assert.ok(Math.abs(last.x + last.width - SIZES.width) <= 4, `row ${row} ends at ${last.x + last.width}`);
  }
  const [only] = laid([1]).boxes(0);
  assert.deepEqual([only.width, only.height], [200, 200]);
});

test("a picture keeps its shape, unless it is too narrow or too wide for any row", () => {
  for (const box of allBoxes(laid(Array(40).fill(0.75)))) assert.ok(Math.abs(box.width / box.height - 0.75) < 0.02);
  assert.deepEqual([0.1, 0.3, 1, 4, 9].map(wall.isOdd), [true, false, false, false, true]);
});

test("a row is about as tall as it was asked for", () => {
  const layout = laid(randomShapes(5, 500).map((shape) => Math.max(0.5, Math.min(2, shape))));
  for (const { height } of allBoxes(layout)) assert.ok(height > 120 && height < 300, height);
});

test("places are found again", () => {
  const layout = laid(randomShapes(9, 300));
  for (const box of allBoxes(layout)) {
    assert.deepEqual(layout.box(box.index), box);
    assert.equal(layout.rowAt(box.y + 1), layout.rowOf(box.index));
  }
  const last = layout.box(299);
  assert.equal(layout.height, last.y + last.height);
});

test("nothing is laid out without a box", () => {
  assert.deepEqual([laid([]).rows, laid([]).height], [0, 0]);
  const none = wall.even(0, { width: 100, columns: 3, height: 50, gap: 4 });
  assert.deepEqual([none.rows, none.height], [0, 0]);
});

test("even boxes share a width", () => {
  const layout = wall.even(7, { width: 308, columns: 3, height: 50, gap: 4 });
  assert.deepEqual([layout.rows, layout.height], [3, 158]);
  assert.deepEqual(layout.boxes(1)[1], { index: 4, x: 104, y: 54, width: 100, height: 50 });
});

test("keys lead through a grid and stop at its ends", () => {
  const layout = wall.even(10, { width: 300, columns: 3, height: 100, gap: 0 });
  const steps = [
    [4, "ArrowRight", 5], [4, "ArrowLeft", 3], [4, "ArrowUp", 1], [4, "ArrowDown", 7], [4, "Home", 0], [4, "End", 9],
    [0, "ArrowLeft", 0], [0, "ArrowUp", 0], [9, "ArrowRight", 9], [9, "ArrowDown", 9], [8, "ArrowDown", 9],
    [1, "PageDown", 7], [7, "PageUp", 1], [4, "a", null], [4, "toString", null],
  ];
  for (const [from, key, to] of steps) assert.equal(wall.stepped(layout, from, key, 200), to, `${from} ${key}`);
});

test("a page that is smaller than a row still leads on", () => {
  const layout = wall.even(10, { width: 300, columns: 3, height: 100, gap: 0 });
  assert.equal(wall.stepped(layout, 4, "PageDown", 10), 7);
  assert.equal(wall.stepped(layout, 4, "PageUp", 10), 1);
});
