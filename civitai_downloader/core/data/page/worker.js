"use strict";
// Answers to questions about the tables. It runs in a worker, or in a test without one.
civitai.room("worker", ["query", "columns"], ({ query, columns }) => {
  const KEPT_HITS = 16;
  const MOST = { counts: 50, values: 200, suggestions: 12 };
  const TAG_LENGTH = { least: 2, most: 40 };
  const BREATH = 8;

  // -------------------------------------------------------------------------------------------------- the search
  const keep = (cache, text, found) => {
    cache.set(text, found);
    if (cache.size > KEPT_HITS) cache.delete(cache.keys().next().value);
    return found;
  };

  const usedBy = (column, rows) => {
    const found = new Uint8Array(column.values.length);
    const { codes } = column;
    for (let i = 0; i < rows.length; i += 1) found[codes[rows[i]]] = 1;
    return found;
  };

  const among = (source, candidates, text) => candidates.filter((k) => source.texts[k].includes(text));

  const amongAll = (source, wanted, text) => {
    const found = [];
    for (let k = 0; k < source.texts.length; k += 1) {
      if (wanted?.[k] !== 0 && source.texts[k].includes(text)) found.push(k);
    }
    return Uint32Array.from(found);
  };

  /**
   * Which texts of a source hold a text. A search that begins as an earlier one did looks only at what that found,
   * and a long list is looked through only where rows are left.
   */
  const hitsOf = (source, text, rows, all) => {
    const known = [...source.cache.keys()].filter((each) => text.includes(each)).sort((a, b) => b.length - a.length)[0];
    if (known === text) return source.cache.get(text);
    if (known) return keep(source.cache, text, among(source, source.cache.get(known), text));
    if (source.codesOf || rows.length > all / 2) return keep(source.cache, text, amongAll(source, null, text));
    return amongAll(source, usedBy(source.column, rows), text);
  };

  const markCodes = (ok, source, hits) => {
    for (const k of hits) {
      if (!source.codesOf) ok[k] = 1;
      else for (const code of source.codesOf[k]) ok[code] = 1;
    }
  };

  /** For each column in which a text was found, which of its values have it. */
  const valuesWith = (table, { field, text }, rows) => {
    const found = new Map();
    for (const source of table.fields[field] ?? []) {
      const hits = hitsOf(columns.refresh(source, table.stamp), text, rows, table.rows);
      if (!hits.length) continue;
      if (!found.has(source.column)) found.set(source.column, new Uint8Array(source.column.values.length));
      markCodes(found.get(source.column), source, hits);
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
    return hit;
  };

  const groupHits = (table, group, rows) => {
    const hit = new Uint8Array(table.rows);
    for (const term of group) {
      const found = termHits(table, term, rows);
      const no = term.not ? 1 : 0;
      for (let i = 0; i < rows.length; i += 1) hit[rows[i]] |= found[rows[i]] ^ no;
    }
    return hit;
  };

  // What is known already comes first, then what is likely to be rare; what is excluded comes last.
  const weight = (table, [term]) => {
    const known = table.fields[term.field]?.[0]?.cache.has(term.text) ? 1000 : 0;
    return (term.field === "id" ? 2000 : known + term.text.length) - (term.not ? 5000 : 0);
  };

  const searched = (table, q, rows) => {
    const { groups } = query.parse(q);
    for (const group of groups.sort((a, b) => weight(table, b) - weight(table, a))) {
      const hit = groupHits(table, group, rows);
      rows = rows.filter((row) => hit[row]);
    }
    return rows;
  };

  // ---------------------------------------------------------------------------------------------------- the scope
  const inFolder = (folder) => (path) => `${path}/`.startsWith(`${folder}/`);
  const hasVersion = (things, versions) => ({ used: list }) => list.some((k) => versions.has(things.list[k].version));
  const codesOf = (column, test) => Uint8Array.from(column.values, (value) => (test(value) ? 1 : 0));

  /** Keeps the pictures of a post, a collection or a model: any of what the scope names. */
  const scoped = (table, things, scope, rows) => {
    if (!scope) return rows;
    const { id, post, folder, also, used: made } = table.columns;
    const ids = new Set(scope.ids);
    const inside = scope.folder ? inFolder(scope.folder) : () => false;
    const here = codesOf(folder, inside);
    const copied = codesOf(also, (paths) => paths.some(inside));
    const named = codesOf(made, scope.versions ? hasVersion(things, new Set(scope.versions)) : () => false);
    const fits = (row) => ids.has(id[row]) || (scope.post && post[row] === scope.post);
    const lists = [[here, folder], [copied, also], [named, made]];
    return rows.filter((row) => fits(row) || lists.some(([ok, { codes }]) => ok[codes[row]]));
  };

  // --------------------------------------------------------------------------------------------------- the facets
  const has = (facet, value) => {
    if (facet.has) return codesOf(facet.column, (each) => facet.has(value, each));
    const ok = new Uint8Array(facet.column.values.length);
    for (const code of facet.codesOf[facet.index.get(value)] ?? []) ok[code] = 1;
    return ok;
  };

  const allowed = (facet, picks) => {
    const ok = new Uint8Array(facet.column.values.length);
    const wanted = picks.filter((pick) => !pick.not);
    if (!wanted.length) ok.fill(1);
    for (const { value } of wanted) has(facet, value).forEach((yes, code) => (ok[code] |= yes));
    for (const { value } of picks.filter((pick) => pick.not)) {
      has(facet, value).forEach((yes, code) => (ok[code] &= 1 - yes));
    }
    return ok;
  };

  const refuse = (table, facet, picks, rows, refusals, mark) => {
    const ok = allowed(columns.refresh(facet, table.stamp), picks);
    const { codes } = facet.column;
    for (let i = 0; i < rows.length; i += 1) if (!ok[codes[rows[i]]]) refusals[rows[i]] |= mark;
  };

  /** Which rows all facets let through, and which each of them alone refuses: its counts leave out its own choice. */
  const sifted = (table, picks, rows) => {
    const refusals = new Uint16Array(table.rows);
    const facets = Object.entries(table.facets);
    facets.forEach(([name, facet], k) => {
      const own = picks.filter((pick) => pick.facet === name);
      if (own.length) refuse(table, facet, own, rows, refusals, 1 << k);
    });
    if (!picks.length) return { passing: rows, refused: facets.map(() => []) };
    const alone = (k) => rows.filter((row) => refusals[row] === 1 << k);
    return { passing: rows.filter((row) => !refusals[row]), refused: facets.map((_, k) => alone(k)) };
  };

  const addUp = (counts, { codes }, rows) => {
    for (let i = 0; i < rows.length; i += 1) counts[codes[rows[i]]] += 1;
  };

  const perCode = (facet, ...lists) => {
    const counts = new Uint32Array(facet.column.values.length);
    for (const rows of lists) addUp(counts, facet.column, rows);
    return counts;
  };

  const perName = (facet, counts) =>
    Uint32Array.from(facet.codesOf, (codes) => {
      let sum = 0;
      for (let i = 0; i < codes.length; i += 1) sum += counts[codes[i]];
      return sum;
    });

  const countOf = (facet, counts, value) => {
    const ok = has(facet, value);
    return counts.reduce((sum, count, code) => sum + count * ok[code], 0);
  };

  const byCount = (totals, names) => (a, b) => totals[b] - totals[a] || (names[a] < names[b] ? -1 : 1);

  const counted = (facet, counts, picks, most, text = "") => {
    const totals = perName(facet, counts);
    let order = [...totals.keys()].filter((k) => facet.texts[k].includes(text));
    if (facet.latest) order.sort((a, b) => (facet.names[a] < facet.names[b] ? 1 : -1));
    else if (!facet.order) order = order.sort(byCount(totals, facet.names)).slice(0, most);
    const values = order.map((k) => ({ value: facet.names[k], count: totals[k] }));
    const listed = new Set(values.map(({ value }) => value));
    const chosen = picks.map(({ value }) => value).filter((value) => !listed.has(value));
    values.push(...chosen.map((value) => ({ value, count: countOf(facet, counts, value) })));
    return { values, distinct: facet.names.length };
  };

  const countsOf = (table, picks, { passing, refused }) => {
    const entries = Object.entries(table.facets).map(([name, facet], k) => {
      const own = picks.filter((pick) => pick.facet === name);
      const counts = perCode(columns.refresh(facet, table.stamp), passing, refused[k]);
      return [name, counted(facet, counts, own, MOST.counts)];
    });
    return Object.fromEntries(entries);
  };

  // ------------------------------------------------------------------------------------------------- the questions
  const narrowed = (state, { table: name, q, scope }) => {
    const table = state[name];
    return { table, rows: searched(table, q, scoped(table, state.things, scope, columns.living(table))) };
  };

  const inOrder = (order, rows, most) => {
    const here = new Uint8Array(most);
    for (let i = 0; i < rows.length; i += 1) here[rows[i]] = 1;
    return order.filter((row) => here[row]);
  };

  /** Which rows are shown, in their order, and how many each value of a facet would show. */
  const find = (state, question) => {
    const { table, rows } = narrowed(state, question);
    const parts = sifted(table, question.picks, rows);
    const order = columns.orderOf(table, question.sort, question.seed ?? 0);
    const shown = inOrder(order, parts.passing, table.rows);
    return { table: question.table, rows: shown, total: shown.length, counts: countsOf(table, question.picks, parts) };
  };

  /** More values of one facet, with their counts. */
  const values = (state, { facet: name, text, ...question }) => {
    const { table, rows } = narrowed(state, question);
    const facet = columns.refresh(table.facets[name], table.stamp);
    const { passing, refused } = sifted(table, question.picks, rows);
    const own = refused[Object.keys(table.facets).indexOf(name)];
    return counted(facet, perCode(facet, passing, own), [], MOST.values, query.fold(text)).values;
  };

  // ----------------------------------------------------------------------------------------------- the suggestions
  const tagsOf = (prompt) =>
    prompt
      .split(/[,\n\r]|\bbreak\b|<[^>]*>/)
      .map((tag) => tag.replace(/^[\s([{]+|(?::[\d.]+)?[\s)\]}]+$/g, ""))
      .filter((tag) => tag.length >= TAG_LENGTH.least && tag.length <= TAG_LENGTH.most);

  const HASHES = 1 << 22;

  const hashOf = (text) => {
    let hash = 0;
    for (let i = 0; i < text.length; i += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
    return hash & (HASHES - 1);
  };

  // Goes through all prompts bit by bit between questions, so that none has to wait for all of them.
  const eachTag = async ({ values: prompts }, rows, see) => {
    let pause = performance.now();
    for (let code = 0; code < prompts.length; code += 1) {
      for (const tag of new Set(tagsOf(prompts[code]))) see(tag, rows[code]);
      if (performance.now() - pause < BREATH) continue;
      await new Promise((done) => setTimeout(done, 0));
      pause = performance.now();
    }
  };

  /** Counts the tags of prompts. Most come once and would fill the memory: so hashes are counted before texts. */
  const countTags = async (state) => {
    const { prompt } = state.images.columns;
    const rows = perCode({ column: prompt }, columns.living(state.images));
    const often = new Uint8Array(HASHES);
    await eachTag(prompt, rows, (tag, n) => (often[hashOf(tag)] = Math.min(often[hashOf(tag)] + n, 2)));
    const counts = new Map();
    await eachTag(prompt, rows, (tag, n) => often[hashOf(tag)] > 1 && counts.set(tag, (counts.get(tag) ?? 0) + n));
    state.tags = [...counts].filter(([, count]) => count > 1).sort((a, b) => b[1] - a[1]);
  };

  const begins = (name, text) => name.startsWith(text) || name.includes(` ${text}`);

  const namesLike = (table, field, text) => {
    const facet = columns.refresh(table.named[field], table.stamp);
    facet.totals ??= perName(facet, perCode(facet, columns.living(table)));
    const found = facet.names.map((value, k) => ({ field, value, count: facet.totals[k], folded: facet.texts[k] }));
    return found.filter(({ folded, count }) => count && begins(folded, text));
  };

  const tagsLike = (state, text) => {
    const found = [];
    for (const [value, count] of state.tags) {
      if (begins(value, text)) found.push({ field: "", value, count });
      if (found.length === MOST.suggestions) break;
    }
    return found;
  };

  /** What might be meant by what stands in the search so far. */
  const suggest = (state, { table: name, term: { field, text } }) => {
    const table = state[name];
    const fields = Object.keys(table.named).filter((known) => !field || known === field);
    const found = text ? fields.flatMap((known) => namesLike(table, known, text)) : [];
    if (text && name === "images" && (!field || field === "prompt")) {
      found.push(...tagsLike(state, text).map((tag) => ({ ...tag, field })));
    }
    const best = found.sort((a, b) => b.count - a.count).slice(0, MOST.suggestions);
    return best.map(({ field: known, value, count }) => ({ field: known, value, count }));
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
    for (const each of [state.images, state.models]) columns.changed(each);
    return made;
  };

  const ASKED = { open, load, find, values, suggest, tags: (state) => void countTags(state) };

  /** Answers what comes in at a port: `{number, ask, …}` becomes `{number, answer}` or `{number, error}`. */
  const serve = (port) => {
    const state = {};
    port.onmessage = ({ data: { number, ask, ...rest } }) => {
      try {
        port.postMessage({ number, answer: ASKED[ask](state, rest) });
      } catch (error) {
        port.postMessage({ number, error: error.message });
      }
    };
  };

  return { serve };
});
