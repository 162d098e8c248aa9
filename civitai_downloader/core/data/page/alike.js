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
  const wave = (digit) => Math.sign(digit - 9) * ((digit - 9) / 9) ** 2;

  /** The waves that a hash is made of: `across` × `down` colours of linear light, or null if it is none. */
  function waves(hash) {
    const size = number(hash.slice(0, 1));
    const across = (size % 9) + 1;
    const down = Math.floor(size / 9) + 1;
    if (hash.length !== 4 + 2 * across * down || Number.isNaN(number(hash))) return null;
    const most = (number(hash[1]) + 1) / 166;
    const mean = number(hash.slice(2, 6));
    const colours = [[mean >> 16, (mean >> 8) & 255, mean & 255].map(light)];
    for (let at = 6; at < hash.length; at += 2) {
      const value = number(hash.slice(at, at + 2));
      colours.push([Math.floor(value / 361), Math.floor(value / 19) % 19, value % 19].map((digit) => wave(digit) * most));
    }
    return { across, down, colours };
  }

  function cosines(waves, points) {
    const table = new Float64Array(waves * points);
    for (let wave = 0; wave < waves; wave++)
      for (let point = 0; point < points; point++) table[wave * points + point] = Math.cos((Math.PI * wave * point) / points);
    return table;
  }

  /** The pixels of a BlurHash as RGBA bytes, or null if it is none. */
  function pixels(hash, width, height) {
    const found = waves(String(hash));
    if (!found) return null;
    const { across, down, colours } = found;
    const out = new Uint8ClampedArray(4 * width * height).fill(255);
    const columns = cosines(across, width);
    const lines = cosines(down, height);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        let [red, green, blue] = [0, 0, 0];
        for (let j = 0; j < down; j++)
          for (let i = 0; i < across; i++) {
            const share = columns[i * width + x] * lines[j * height + y];
            const colour = colours[j * across + i];
            red += colour[0] * share;
            green += colour[1] * share;
            blue += colour[2] * share;
          }
        const at = 4 * (y * width + x);
        out[at] = shade(red);
        out[at + 1] = shade(green);
        out[at + 2] = shade(blue);
      }
    return out;
  }

  function shade(amount) {
    return BRIGHTNESS[Math.round(Math.min(1, Math.max(0, amount)) * SHADES)];
  }

  return { pixels };
});
