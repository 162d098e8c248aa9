"use strict";
// A BlurHash becomes the few blurred pixels that it stands for.
civitai.room("alike", [], () => {
  const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";
  const VALUE = new Map([...DIGITS].map((digit, value) => [digit, value]));
  const SHADES = 4096;
  const BRIGHTNESS = Uint8ClampedArray.from({ length: SHADES + 1 }, (_, step) => {
    const light = step / SHADES;
    return 255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055);
  });

  const number = (text) => [...text].reduce((sum, digit) => sum * 83 + (VALUE.get(digit) ?? NaN), 0);
  const light = (byte) => (byte <= 10 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4);
  const swing = (digit) => Math.sign(digit - 9) * ((digit - 9) / 9) ** 2;

  const shade = (amount) => BRIGHTNESS[Math.round(Math.min(1, Math.max(0, amount)) * SHADES)];

  /** The waves that a hash is made of: `across` × `down` colours of linear light, or null if it is none. */
  const waves = (hash) => {
    const size = number(hash.slice(0, 1));
    const across = (size % 9) + 1;
    const down = Math.floor(size / 9) + 1;
    if (hash.length !== 4 + 2 * across * down || Number.isNaN(number(hash))) return null;
    const most = (number(hash[1]) + 1) / 166;
    const mean = number(hash.slice(2, 6));
    const colours = [[mean >> 16, (mean >> 8) & 255, mean & 255].map(light)];
    for (let at = 6; at < hash.length; at += 2) {
      const value = number(hash.slice(at, at + 2));
      const digits = [Math.floor(value / 361), Math.floor(value / 19) % 19, value % 19];
      colours.push(digits.map((digit) => swing(digit) * most));
    }
    return { across, down, colours };
  };

  const tables = new Map();
  const cosines = (count, points) => {
    const wave = (_, at) => Math.cos((Math.PI * Math.floor(at / points) * (at % points)) / points);
    const key = `${count} ${points}`;
    if (!tables.has(key)) tables.set(key, Float64Array.from({ length: count * points }, wave));
    return tables.get(key);
  };

  /** What a line has of each wave across: three sums for each of them. */
  const lineOf = ({ across, down, colours }, lines, height, y) => {
    const sums = new Float64Array(3 * across);
    for (let j = 0; j < down; j += 1)
      for (let i = 0; i < across; i += 1)
        for (let channel = 0; channel < 3; channel += 1)
          sums[3 * i + channel] += colours[j * across + i][channel] * lines[j * height + y];
    return sums;
  };

  /** Returns the pixels of a BlurHash as RGBA bytes, or null if it is none. */
  const pixels = (hash, width, height) => {
    const found = waves(String(hash));
    if (!found) return null;
    const { across, down } = found;
    const out = new Uint8ClampedArray(4 * width * height).fill(255);
    const [columns, lines] = [cosines(across, width), cosines(down, height)];
    for (let y = 0; y < height; y += 1) {
      const sums = lineOf(found, lines, height, y);
      for (let at = 0; at < 4 * width; at += 1) {
        if ((at & 3) === 3) continue;
        let total = 0;
        for (let i = 0; i < across; i += 1) total += sums[3 * i + (at & 3)] * columns[i * width + (at >> 2)];
        out[4 * width * y + at] = shade(total);
      }
    }
    return out;
  };

  /** Draws a picture's BlurHash on its canvas, or hides that. */
  const paint = (canvas, hash) => {
    const { width, height } = canvas;
    const found = hash ? pixels(hash, width, height) : null;
    canvas.hidden = !found;
    if (found) canvas.getContext("2d").putImageData(new ImageData(found, width, height), 0, 0);
  };

  return { paint, pixels };
});
