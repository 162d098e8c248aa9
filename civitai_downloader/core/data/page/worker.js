"use strict";
// Answers to questions about the tables. It runs in a worker, or in a test without one.
civitai.room("worker", ["query", "columns"], ({ query, columns }) => {
  const KEPT_HITS = 16;
  const MOST = { counts: 50, values: 200, suggestions: 12 };
  const TAG_LENGTH = { least: 2, most: 40 };
  const SLICE = 2000;

  // -------------------------------------------------------------------------------------------------- the search
  /** Which texts of a source hold a text; a search that begins as an earlier one did looks only at what that found. */
  const hitsOf = (source, text, among) => {
    const hits = new Uint8Array(source.texts.length);
    const earlier = [...source.cache.keys()].filter((known) => text.includes(known)).sort((a, b) => b.length - a.length);
    const known = earlier.length ? source.cache.get(earlier[0]) : null;
    if (known && earlier[0] === text) {
      for (const k of known) hits[k] = 1;
      return hits;
    }
    const found = [];
    const wanted = known || source.sets || !among ? null : used(source.column, among);
    const look = (k) => {
      if (source.texts[k].includes(text)) hits[found[found.push(k) - 1]] = 1;
    };
    if (known) known.forEach(look);
    else for (let k = 0; k < hits.length; k += 1) if (!wanted || wanted[k]) look(k);
    if (!wanted) keep(source.cache, text, Uint32Array.from(found));
    return hits;
  };

  const keep = (cache, text, found) => {
    cache.set(text, found);
    if (cache.size > KEPT_HITS) cache.delete(cache.keys().next().value);
  };

  const used = (column, rows) => {
    const codes = new Uint8Array(column.keys.length);
    for (const row of rows) codes[column.codes[row]] = 1;
    return codes;
  };

  const codesWith = (source, hits) =>
    source.sets ? Uint8Array.from(source.sets, (set) => (set.some((k) => hits[k]) ? 1 : 0)) : hits;

  const termHits = (table, term, rows) => {
    const hit = new Uint8Array(table.rows);
    if (term.field === "id") {
      for (const row of rows) hit[row] = String(table.columns.id[row]) === term.text ? 1 : 0;
      return hit;
    }
    const among = rows.length < table.rows / 2 ? rows : null;
    for (const source of table.fields[term.field] ?? []) {
      const ok = codesWith(source, hitsOf(columns.refresh(source, table.stamp), term.text, among));
      const { codes } = source.column;
      for (const row of rows) hit[row] |= ok[codes[row]];
    }
    return hit;
  };

  const groupHits = (table, group, rows) => {
    const hit = new Uint8Array(table.rows);
    for (const term of group) {
      const found = termHits(table, term, rows);
      const no = term.not ? 1 : 0;
      for (const row of rows) hit[row] |= found[row] ^ no;
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
  const inFolder = (table, folder) => (key) => key.split("\0").some((path) => `${path}/`.startsWith(`${folder}/`));

  const hasVersion = (things, versions) => (key) =>
    key.split("\0").slice(1).some((k) => versions.has(things.list[k].version));

  const codesOf = (column, test) => Uint8Array.from(column.keys, (key) => (test(key) ? 1 : 0));

  /** Keeps the pictures of a post, a collection or a model: any of what the scope names. */
  const scoped = (table, things, scope, rows) => {
    if (!scope) return rows;
    const { id, post, folder, used: made } = table.columns;
    const ids = new Set(scope.ids);
    const here = codesOf(folder, scope.folder ? inFolder(table, scope.folder) : () => false);
    const with_ = codesOf(made, scope.versions ? hasVersion(things, new Set(scope.versions)) : () => false);
    const fits = (row) => ids.has(id[row]) || (scope.post && post[row] === scope.post);
    return rows.filter((row) => here[folder.codes[row]] || with_[made.codes[row]] || fits(row));
  };

  // --------------------------------------------------------------------------------------------------- the facets
  const has = (facet, value) => {
    const { keys } = facet.column;
    if (facet.has) return Uint8Array.from(keys, (key) => (facet.has(value, key) ? 1 : 0));
    const code = facet.index.get(value);
    return Uint8Array.from(facet.sets, (set) => (set.includes(code) ? 1 : 0));
  };

  const allowed = (facet, picks) => {
    const ok = new Uint8Array(facet.column.keys.length);
    const wanted = picks.filter((pick) => !pick.not);
    if (!wanted.length) ok.fill(1);
    for (const { value } of wanted) has(facet, value).forEach((yes, code) => (ok[code] |= yes));
    for (const { value } of picks.filter((pick) => pick.not)) {
      has(facet, value).forEach((yes, code) => (ok[code] &= 1 - yes));
    }
    return ok;
  };

  /** For each row how many facets refuse it, and the last that did: a facet's counts leave out its own choice. */
  const refusals = (table, picks, rows) => {
    const number = new Uint8Array(table.rows);
    const last = new Uint8Array(table.rows);
    Object.entries(table.facets).forEach(([name, facet], k) => {
      const own = picks.filter((pick) => pick.facet === name);
      if (!own.length) return;
      const ok = allowed(columns.refresh(facet, table.stamp), own);
      const { codes } = facet.column;
      for (const row of rows) {
        if (ok[codes[row]]) continue;
        number[row] += 1;
        last[row] = k;
      }
    });
    return { number, last };
  };

  const perCode = (facet, k, rows, { number, last }) => {
    const counts = new Uint32Array(facet.column.keys.length);
    const { codes } = facet.column;
    for (const row of rows) if (!number[row] || (number[row] === 1 && last[row] === k)) counts[codes[row]] += 1;
    return counts;
  };

  const perValue = (facet, counts) => {
    const totals = new Uint32Array(facet.names.length);
    counts.forEach((count, code) => {
      if (count) for (const k of facet.sets[code]) totals[k] += count;
    });
    return totals;
  };

  const countOf = (facet, counts, value) => {
    const ok = has(facet, value);
    return counts.reduce((sum, count, code) => sum + count * ok[code], 0);
  };

  const byCount = (totals, names) => (a, b) => totals[b] - totals[a] || (names[a] < names[b] ? -1 : 1);

  const counted = (facet, counts, picks, most, text = "") => {
    const totals = perValue(facet, counts);
    let order = [...totals.keys()].filter((k) => facet.texts[k].includes(text));
    if (facet.latest) order.sort((a, b) => (facet.names[a] < facet.names[b] ? 1 : -1));
    else if (!facet.order) order = order.sort(byCount(totals, facet.names)).slice(0, most);
    const values = order.map((k) => ({ value: facet.names[k], count: totals[k] }));
    const listed = new Set(values.map(({ value }) => value));
    const chosen = picks.map(({ value }) => value).filter((value) => !listed.has(value));
    values.push(...chosen.map((value) => ({ value, count: countOf(facet, counts, value) })));
    return { values, distinct: facet.names.length };
  };

  const countsOf = (table, picks, rows, refused) => {
    const entries = Object.entries(table.facets).map(([name, facet], k) => {
      const own = picks.filter((pick) => pick.facet === name);
      const counts = perCode(columns.refresh(facet, table.stamp), k, rows, refused);
      return [name, counted(facet, counts, own, MOST.counts)];
    });
    return Object.fromEntries(entries);
  };

  // ------------------------------------------------------------------------------------------------- the questions
  const narrowed = (state, { table: name, q, scope }) => {
    const table = state[name];
    const living = columns.orderOf(table, "newest", 0);
    return { table, rows: searched(table, q, scoped(table, state.things, scope, living)) };
  };

  /** Which rows are shown, in their order, and how many each value of a facet would show. */
  const find = (state, question) => {
    const { table, rows } = narrowed(state, question);
    const refused = refusals(table, question.picks, rows);
    const shown = new Uint8Array(table.rows);
    for (const row of rows) shown[row] = refused.number[row] ? 0 : 1;
    const order = columns.orderOf(table, question.sort, question.seed ?? 0).filter((row) => shown[row]);
    return { table: question.table, rows: order, total: order.length, counts: countsOf(table, question.picks, rows, refused) };
  };

  /** More values of one facet, with their counts. */
  const values = (state, { facet: name, text, ...question }) => {
    const { table, rows } = narrowed(state, question);
    const facet = columns.refresh(table.facets[name], table.stamp);
    const refused = refusals(table, question.picks, rows);
    const k = Object.keys(table.facets).indexOf(name);
    return counted(facet, perCode(facet, k, rows, refused), [], MOST.values, query.fold(text)).values;
  };

  // ----------------------------------------------------------------------------------------------- the suggestions
  const tagsOf = (prompt) =>
    prompt
      .split(/[,\n\r]|\bbreak\b|<[^>]*>/)
      .map((tag) => tag.replace(/^[\s([{]+|(?::[\d.]+)?[\s)\]}]+$/g, ""))
      .filter((tag) => tag.length >= TAG_LENGTH.least && tag.length <= TAG_LENGTH.most);

  // Tags are counted bit by bit between questions, so that none has to wait for all of them.
  const countTags = (state, from, rows, counts) => {
    const { keys } = state.images.columns.prompt;
    for (let code = from; code < Math.min(from + SLICE, keys.length); code += 1) {
      for (const tag of new Set(tagsOf(keys[code]))) counts.set(tag, (counts.get(tag) ?? 0) + rows[code]);
    }
    if (from + SLICE < keys.length) setTimeout(countTags, 0, state, from + SLICE, rows, counts);
    else state.tags = [...counts].filter(([, count]) => count > 1).sort((a, b) => b[1] - a[1]);
  };

  const startTags = (state) => {
    const { codes, keys } = state.images.columns.prompt;
    const rows = new Uint32Array(keys.length);
    for (const row of columns.orderOf(state.images, "newest", 0)) rows[codes[row]] += 1;
    countTags(state, 0, rows, new Map());
  };

  const begins = (name, text) => name.startsWith(text) || name.includes(` ${text}`);

  const namesLike = (table, field, text) => {
    const facet = columns.refresh(table.named[field], table.stamp);
    const totals = perValue(facet, perCode(facet, 0, columns.orderOf(table, "newest", 0), { number: [] }));
    const found = facet.names.map((value, k) => ({ field, value, count: totals[k], folded: facet.texts[k] }));
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
  const open = (state, { images, models }) => {
    state.things = columns.makeThings();
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

  const ASKED = { open, load, find, values, suggest, tags: startTags };

  /**
   * Answers what comes in at a port: `{number, ask, …}` becomes `{number, answer}` or `{number, error}`.
   * @param {{onmessage: Function, postMessage: Function}} port
   */
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
