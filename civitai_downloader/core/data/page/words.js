"use strict";
// The page's texts in the reader's language, and numbers, sizes and dates as its readers write them.
civitai.room("words", ["rooms"], ({ rooms }) => {
  const all = rooms.given("words");
  const preferred = (globalThis.navigator?.languages ?? []).map((name) => name.slice(0, 2).toLowerCase());
  const language = preferred.find((name) => Object.hasOwn(all, name)) ?? "en";
  const texts = all[language];
  const numbers = new Intl.NumberFormat(language);
  const plurals = new Intl.PluralRules(language);
  const days = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" });
  const months = new Intl.DateTimeFormat(language, { year: "numeric", month: "long", timeZone: "UTC" });
  const lists = new Intl.ListFormat(language, { type: "conjunction" });
  const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

  const has = (key) => Object.hasOwn(texts, key);
  const number = (value) => numbers.format(value);
  const list = (words) => lists.format(words);

  /** Returns a text with the values for its `{name}`s; " | " stands between singular and plural, which `n` decides. */
  const say = (key, values = {}) => {
    if (!has(key)) throw new Error(`There is no text "${key}".`);
    const [one, more = one] = texts[key].split(" | ");
    const shown = (value) => (typeof value === "number" ? number(value) : value);
    return (plurals.select(values.n ?? 1) === "one" ? one : more).replace(/\{(\w+)\}/g, (whole, name) =>
      name in values ? shown(values[name]) : whole,
    );
  };

  /** Returns a size, as in "1.4 GB"; the unit is a thousand times the one before it. */
  const bytes = (size) => {
    const power = Math.min(Math.floor(Math.log10(Math.max(size, 1)) / 3), UNITS.length - 1);
    const unitDisplay = power ? "short" : "long"; // the short form knows no plural: "472 byte"
    const form = { style: "unit", unit: UNITS[power], unitDisplay, maximumSignificantDigits: 3 };
    return new Intl.NumberFormat(language, form).format(size / 1000 ** power);
  };

  const formatted = (format) => (value) => {
    const time = value ? new Date(value).getTime() : NaN;
    return Number.isNaN(time) ? "" : format.format(time);
  };

  // A day is given in milliseconds or ISO 8601, a month as in "2026-03"; what is none becomes "".
  return { bytes, date: formatted(days), has, language, list, month: formatted(months), number, say };
});
