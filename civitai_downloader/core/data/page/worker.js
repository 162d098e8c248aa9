"use strict";
// Answers to questions about the tables. It runs in a worker, or in a test without one.
civitai.room("worker", ["query", "columns"], ({ query, columns }) => {
  const KEPT_HITS = 16;
  const MOST = { counts: 50, values: 200, suggestions: 12 };
  const TAG_LENGTH = { least: 2, most: 40 };
  const BREATH = 4; // milliseconds of counting tags at a time
  const CALM = 300; // milliseconds without a question before what nobody waits for is done
  const HASHES = 1 << 22;

  // -------------------------------------------------------------------------------------------------- the search
  const keep = (cache, text, found) => {
    cache.set(text, found);
    if (cache.size > KEPT_HITS) cache.delete(cache.keys().next().value);
    return found;
  };

  const marked = (size, places) => {
    const marks = new Uint8Array(size);
    for (let i = 0; i < places.length; i += 1) marks[places[i]] = 1;
    return marks;
  };

  // As `filter`, which is slow for typed arrays.
  const only = (list, test) => {
    const found = new Uint32Array(list.length);
    let n = 0;
    for (let i = 0; i < list.length; i += 1) if (test(list[i])) found[n++] = list[i];
    return found.slice(0, n);
  };

  const amongAll = (texts, text, wanted = null) => {
    const found = [];
    for (let k = 0; k < texts.length; k += 1) if (wanted?.[k] !== 0 && texts[k].includes(text)) found.push(k);
    return Uint32Array.from(found);
  };

  const usedBy = ({ codes, values }, rows) => {
    const used = new Uint8Array(values.length);
    for (let i = 0; i < rows.length; i += 1) used[codes[rows[i]]] = 1;
    return used;
  };

  /**
   * Which texts of a source hold a text. A search that begins as an earlier one did looks only at what that found,
   * and a long list is looked through only where rows are left.
   */
  const hitsOf = ({ texts, cache, codesOf, column }, text, rows, all) => {
    const known = [...cache.keys()].filter((each) => text.includes(each)).sort((a, b) => b.length - a.length)[0];
    if (known === text) return cache.get(text);
    if (known) return keep(cache, text, only(cache.get(known), (k) => texts[k].includes(text)));
    if (codesOf || rows.length > all / 2) return keep(cache, text, amongAll(texts, text));
    return amongAll(texts, text, usedBy(column, rows));
  };

  // For each column in which a text was found, which of its values have it.
  const valuesWith = (table, { field, text }, rows) => {
    const found = new Map();
    for (const source of table.fields[field] ?? []) {
      const { column, codesOf } = columns.refresh(source, table);
      const hits = hitsOf(source, text, rows, table.rows);
      if (!hits.length) continue;
      const ok = found.get(column) ?? new Uint8Array(column.values.length);
      for (const k of hits) {
        if (!codesOf) ok[k] = 1;
        else for (const code of codesOf[k]) ok[code] = 1;
      }
      found.set(column, ok);
    }
    return found;
  };

  const termHits = (table, term, rows) => {
    const hit = new Uint8Array(table.rows);
    const { id } = table.columns;
    if (term.field === "id") for (const row of rows) hit[row] = String(id[row]) === term.text ? 1 : 0;
    for (const [{ codes }, ok] of valuesWith(table, term, rows)) {
      for (let i = 0; i < rows.length; i += 1) hit[rows[i]] |= ok[codes[rows[i]]];
    }
    return { hit, no: Number(term.not) };
  };

  // What is known already comes first, then what is likely to be rare; what is excluded comes last.
  const weight = (table, [term]) => {
    const known = table.fields[term.field]?.[0]?.cache.has(term.text) ? 1000 : 0;
    return (term.field === "id" ? 2000 : known + term.text.length) - (term.not ? 5000 : 0);
  };

  const fitting = (table, group, rows) => {
    const terms = group.map((term) => termHits(table, term, rows));
    const [{ hit, no }] = terms;
    const any = (row) => terms.some((term) => term.hit[row] !== term.no);
    return only(rows, terms.length > 1 ? any : (row) => hit[row] !== no);
  };

  // Whoever types the last of several words has already what the others found among all rows.
  const searched = (table, q, rows) => {
    const { groups } = query.parse(q);
    const all = columns.living(table);
    let known = rows === all ? "" : null;
    for (const group of groups.sort((a, b) => weight(table, b) - weight(table, a))) {
      known = known === null ? null : known + JSON.stringify(group);
      const found = table.found.get(known) ?? fitting(table, group, rows);
      rows = known === null ? found : keep(table.found, known, found);
    }
    return rows;
  };

  /** Keeps the pictures of a post, a collection or a model: any of what the scope names. */
  const scoped = (table, things, scope, rows) => {
    if (!scope) return rows;
    const { id, post, folder, also, made } = table.columns;
    const [ids, versions] = [new Set(scope.ids), new Set(scope.versions)];
    const inside = (path) => Boolean(scope.folder) && `${path}/`.startsWith(`${scope.folder}/`);
    const isNamed = (places) => places.some((k, at) => at > 0 && versions.has(things.list[k].version));
    const tests = [[folder, inside], [also, (paths) => paths.some(inside)], [made, isNamed]];
    const lists = tests.map(([{ codes, values }, test]) => ({ codes, ok: values.map(test) }));
    const fits = (row) => ids.has(id[row]) || (scope.post && post[row] === scope.post);
    return only(rows, (row) => fits(row) || lists.some(({ codes, ok }) => ok[codes[row]]));
  };

  // --------------------------------------------------------------------------------------------------- the facets
  /** The values of a facet's column that a name stands for. */
  const codesNamed = ({ has, index, column: { values } }, name) =>
    has ? [...values.keys()].filter((code) => has(name, values[code])) : index.get(name) ?? [];

  const allowed = (facet, picks) => {
    const ok = new Uint8Array(facet.column.values.length).fill(picks.every(({ not }) => not) ? 1 : 0);
    for (const { value, not } of [...picks].sort((a, b) => a.not - b.not)) {
      for (const code of codesNamed(facet, value)) ok[code] = not ? 0 : 1;
    }
    return ok;
  };

  const refuse = (facet, picks, rows, refusals, bit) => {
    const ok = allowed(facet, picks);
    const { codes } = facet.column;
    for (let i = 0; i < rows.length; i += 1) if (!ok[codes[rows[i]]]) refusals[rows[i]] |= bit;
  };

  /** Which rows all facets let through, and which each of them alone refuses: its counts leave out its own choice. */
  const sifted = (table, picks, rows) => {
    if (!picks.length) return { passing: rows, refused: {}, counted: new Map() };
    const refusals = new Uint16Array(table.rows);
    const chosen = Object.keys(table.facets).filter((name) => picks.some(({ facet }) => facet === name));
    const refused = {};
    chosen.forEach((name, k) => {
      const own = picks.filter(({ facet }) => facet === name);
      refuse(columns.refresh(table.facets[name], table), own, rows, refusals, 1 << k);
    });
    chosen.forEach((name, k) => (refused[name] = only(rows, (row) => refusals[row] === 1 << k)));
    return { passing: only(rows, (row) => !refusals[row]), refused, counted: new Map() };
  };

  const perCode = ({ codes, values }, ...lists) => {
    const counts = new Uint32Array(values.length);
    for (const rows of lists) for (let i = 0; i < rows.length; i += 1) counts[codes[rows[i]]] += 1;
    return counts;
  };

  const sumOf = (counts, codes) => {
    let sum = 0;
    for (let i = 0; i < codes.length; i += 1) sum += counts[codes[i]];
    return sum;
  };

  const perName = (facet, counts) => Uint32Array.from(facet.codesOf, (codes) => sumOf(counts, codes));

  // The most frequent of these names, and of those that are as frequent the first ones: by sorting plain numbers.
  const foremost = (among, totals, most) => {
    const size = totals.length;
    const ranks = Float64Array.from(among, (k) => totals[k] * size + (size - 1 - k)).sort();
    return Array.from(ranks.subarray(-most), (rank) => size - 1 - (rank % size)).reverse();
  };

  // Facets of one column share its counts, unless there are rows that only one of them refuses.
  const codeCounts = ({ passing, refused, counted }, name, column) => {
    if (refused[name]) return perCode(column, passing, refused[name]);
    if (!counted.has(column)) counted.set(column, perCode(column, passing));
    return counted.get(column);
  };

  /** How many rows each value of a facet would show; of many values the most frequent, and those that are chosen. */
  const countsOf = (table, name, parts, { picks = [], most = MOST.counts, text = "" }) => {
    const facet = columns.refresh(table.facets[name], table);
    const { names, texts, latest, order: fixed } = facet;
    const perValue = codeCounts(parts, name, facet.column);
    const totals = perName(facet, perValue);
    const among = [...totals.keys()].filter((k) => !text || texts[k].includes(text));
    const order = fixed ? among : latest ? among.reverse() : foremost(among, totals, most);
    const values = order.map((k) => ({ value: names[k], count: totals[k] }));
    const listed = new Set(values.map(({ value }) => value));
    const further = picks.filter(({ facet: own, value }) => own === name && !listed.has(value));
    values.push(...further.map(({ value }) => ({ value, count: sumOf(perValue, codesNamed(facet, value)) })));
    return { values, distinct: names.length };
  };

  // ------------------------------------------------------------------------------------------------- the questions
  // What passes is worked out once for the question of rows and the one of counts that follows it.
  const partsOf = (state, { table: name, q, picks, scope }) => {
    const [table, asked] = [state[name], JSON.stringify([name, q, picks, scope])];
    if (state.asked !== asked) {
      const rows = searched(table, q, scoped(table, state.things, scope, columns.living(table)));
      Object.assign(state, { asked, parts: sifted(table, picks, rows) });
    }
    return state.parts;
  };

  /** Which rows are shown, in their order. */
  const find = (state, question) => {
    const { table: name, sort, seed = 0 } = question;
    const table = state[name];
    const here = marked(table.rows, partsOf(state, question).passing);
    const rows = only(columns.orderOf(table, sort, seed), (row) => here[row]);
    return { table: name, rows, total: rows.length };
  };

  /** How many of what is shown, and of what would be, each value of each facet has. */
  const counts = (state, question) => {
    const table = state[question.table];
    const parts = partsOf(state, question);
    const found = Object.keys(table.facets).map((name) => [name, countsOf(table, name, parts, question)]);
    return { table: question.table, facets: Object.fromEntries(found) };
  };

  /** More values of one facet, with their counts. */
  const values = (state, { facet, text, ...question }) => {
    const wanted = { most: MOST.values, text: query.fold(text) };
    return countsOf(state[question.table], facet, partsOf(state, question), wanted).values;
  };

  // ----------------------------------------------------------------------------------------------- the suggestions
  const tagsOf = (prompt) =>
    prompt
      .split(/[,\n\r]|\bbreak\b|<[^>]*>/)
      .map((tag) => tag.replace(/^[\s([{]+|(?::[\d.]+)?[\s)\]}]+$/g, ""))
      .filter((tag) => tag.length >= TAG_LENGTH.least && tag.length <= TAG_LENGTH.most);

  const hashOf = (text) => {
    let hash = 0;
    for (let i = 0; i < text.length; i += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
    return hash & (HASHES - 1);
  };

  const unrest = ({ heard }) => Math.max(0, heard + CALM - performance.now());

  const calm = async (state) => {
    do await new Promise((done) => setTimeout(done, unrest(state)));
    while (unrest(state));
  };

  // Goes through all prompts bit by bit while nobody asks anything, so that no question has to wait for all of them.
  const eachTag = async (state, rows, see) => {
    const { values: prompts } = state.images.columns.prompt;
    let pause = performance.now();
    for (let code = 0; code < prompts.length; code += 1) {
      for (const tag of new Set(tagsOf(prompts[code]))) see(tag, rows[code]);
      if (performance.now() - pause < BREATH) continue;
      await calm(state);
      pause = performance.now();
    }
  };

  // Counts the tags of prompts. Most come once and would fill the memory: so hashes are counted before texts.
  const countTags = async (state) => {
    const { prompt } = state.images.columns;
    const rows = perCode(prompt, columns.living(state.images));
    const often = new Uint8Array(HASHES);
    await eachTag(state, rows, (tag, n) => (often[hashOf(tag)] = Math.min(often[hashOf(tag)] + n, 2)));
    const found = new Map();
    await eachTag(state, rows, (tag, n) => often[hashOf(tag)] > 1 && found.set(tag, (found.get(tag) ?? 0) + n));
    state.tags = [...found].filter(([, count]) => count > 1).sort((a, b) => b[1] - a[1]);
  };

  /** Does what nobody waits for: makes what searches need, which the first of them does, and counts tags. */
  const atRest = async (state) => {
    await calm(state);
    searched(state.images, "a e", columns.living(state.images));
    await countTags(state);
  };

  const begins = (name, text) => name.startsWith(text) || name.includes(` ${text}`);

  const namesLike = (table, field, text) => {
    const facet = columns.refresh(table.named[field], table);
    facet.totals ??= perName(facet, perCode(facet.column, columns.living(table)));
    const found = [...facet.names.keys()].filter((k) => facet.totals[k] && begins(facet.texts[k], text));
    return found.map((k) => ({ field, value: facet.names[k], count: facet.totals[k] }));
  };

  const tagsLike = ({ tags }, field, text) => {
    const found = [];
    for (const [value, count] of tags) {
      if (begins(value, text)) found.push({ field, value, count });
      if (found.length === MOST.suggestions) break;
    }
    return found;
  };

  /** What might be meant by what stands in the search so far. */
  const suggest = (state, { table: name, term: { field, text } }) => {
    if (!text) return [];
    const table = state[name];
    const fields = Object.keys(table.named).filter((known) => !field || known === field);
    const found = fields.flatMap((known) => namesLike(table, known, text));
    if (name === "images" && (!field || field === "prompt")) found.push(...tagsLike(state, field, text));
    return found.sort((a, b) => b.count - a.count).slice(0, MOST.suggestions);
  };

  // -------------------------------------------------------------------------------------------------- the protocol
  const open = (state, { images, models, things }) => {
    state.things = columns.makeThings(things);
    state.images = columns.makePictures(images, state.things);
    state.models = columns.makeModels(models);
    state.tags = [];
  };

  const load = (state, { table: name, first, dead, text }) => {
    const table = state[name];
    const chunk = JSON.parse(text);
    const made = columns[name === "models" ? "loadModels" : "loadPictures"](table, state.things, first, chunk);
    table.alive.fill(1, first, first + chunk.rows);
    for (const k of dead) table.alive[first + k] = 0;
    for (const each of [state.images, state.models]) {
      each.stamp += 1;
      each.orders.clear();
      each.found.clear();
    }
    state.asked = null;
    return made;
  };

  const ASKED = { open, load, find, counts, values, suggest, rest: (state) => void atRest(state) };

  /** Answers what comes in at a port: `{number, ask, …}` becomes `{number, answer}` or `{number, error}`. */
  const serve = (port) => {
    const state = { heard: -CALM };
    port.onmessage = ({ data: { number, ask, ...rest } }) => {
      if (ask !== "rest") state.heard = performance.now();
      try {
        port.postMessage({ number, answer: ASKED[ask](state, rest) });
      } catch (error) {
        port.postMessage({ number, error: error.message });
      }
    };
  };

  return { serve };
});
