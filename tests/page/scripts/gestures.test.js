"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const { rooms } = require("./harness.js");

const { gestures } = rooms(["gestures"]);
const WHOLE = { scale: 1, x: 0, y: 0 };
// A picture of 400 × 600 on a stage of 800 × 600; 1:1 is twice that.
const FRAME = { width: 400, height: 600, stageWidth: 800, stageHeight: 600, actual: 2 };
const near = (a, b) => Math.abs(a - b) < 1e-9;

test("zooming keeps the point under the mouse where it is", () => {
  const view = gestures.zoomed({ scale: 3, x: 0, y: 0 }, 2, { x: 50, y: -100 }, FRAME);
  assert.equal(view.scale, 6);
  assert.ok(near((50 - view.x) / 6, 50 / 3) && near((-100 - view.y) / 6, -100 / 3));
});

test("zoom ends at the whole picture and at four times its pixels", () => {
  assert.deepEqual(gestures.zoomed(WHOLE, 0.1, { x: 9, y: 9 }, FRAME), WHOLE);
  assert.equal(gestures.zoomed(WHOLE, 1000, { x: 0, y: 0 }, FRAME).scale, 8);
});

test("an enlarged picture is moved until its edge is reached, and a whole one not at all", () => {
  assert.deepEqual(gestures.moved(WHOLE, 500, 500, FRAME), WHOLE);
  assert.deepEqual(gestures.moved({ scale: 3, x: 0, y: 0 }, 500, -5000, FRAME), { scale: 3, x: 200, y: -600 });
});

test("a swipe means the next one, the one before, or the end", () => {
  const swipes = [
    [[-80, 10], 1], [[80, -10], -1], [[-80, 70], null], [[20, 0], null], [[10, 200], "close"], [[10, -200], null],
    [[0, 0], null],
  ];
  for (const [[x, y], meant] of swipes) assert.equal(gestures.swiped({ x: 0, y: 0 }, { x, y }), meant, `${x} ${y}`);
});
