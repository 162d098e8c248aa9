"use strict";
// What of the data is here: the manifest, the columns of what is loaded, and details, which come when they are wanted.
civitai.room("stock", ["rooms", "columns"], ({ rooms, columns }) => {
  const FORMAT = 2;
  const KEPT_SHARDS = 12;
  const manifest = rooms.given("manifest");
  const usable = manifest?.format === FORMAT;
  const given = usable ? manifest : { totals: {}, newest: { rows: 0, from: [] } };
  const { things = [], newest } = given;
  const totals = { images: given.totals.pictures ?? 0, models: 0, collections: 0, ...given.totals };

  /** The text of a data file; rejected with "missing" or "cut". */
  const text = (name) => rooms.chunk(`.page/data/${name}.js`, name);
  const parsed = async (name) => JSON.parse(await text(name));

  const placed = (chunks = []) => {
    let end = 0;
    return chunks.map((chunk) => ({ ...chunk, first: end, end: (end += chunk.rows) }));
  };

  const pictures = placed(given.pictures);
  const models = placed(given.models);
  const chunkAt = (chunks, row) => chunks.find(({ first, end }) => first <= row && row < end);

  // ------------------------------------------------------------------------------------------------------ pictures
  const shardOf = new Uint16Array(pictures.at(-1)?.end ?? 0);
  pictures.forEach(({ first, end }, k) => shardOf.fill(k, first, end));
  const ratios = new Float32Array(shardOf.length);
  const parts = []; // what the worker made of each chunk
  const early = newest.rows ? columns.looks(newest) : { id: [] }; // until then there are the newest
  const rowIn = ([name, k]) => pictures.find((chunk) => chunk.name === name).first + k;
  const firstRows = Uint32Array.from(newest.from, rowIn);
  firstRows.forEach((row, k) => (ratios[row] = early.width[k] / early.height[k]));

  /** Keeps what the worker made of a chunk of pictures. */
  const keepPictures = ({ first, dead }, part) => {
    for (const k of dead) part.id[k] = 0;
    parts[shardOf[first]] = part;
    part.width.forEach((width, k) => (ratios[first + k] = width / part.height[k]));
  };

  const at = (row) => {
    const part = parts[shardOf[row]];
    return part ? [part, row - pictures[shardOf[row]].first] : [early, firstRows.indexOf(row)];
  };

  const join = (folder, name) => (folder ? `${folder}/${name}` : name);

  /** What is shown of a picture; null if it is not loaded. */
  const picture = (row) => {
    const [part, k] = at(row);
    if (k < 0) return null;
    const of = (name) => part[name].texts[part[name].codes[k]];
    const [id, folder, thumb] = [part.id[k], of("folder"), of("thumb")];
    part.hashes ??= part.hash.split(" ");
    return {
      row, id, kind: of("kind"), width: part.width[k], height: part.height[k], level: of("level"),
      url: join(folder, `${id}${of("ext")}`), txt: part.txt[k] ? join(folder, `${id}.txt`) : null,
      thumb: thumb ? `.page/thumbs/${String(id % 100).padStart(2, "0")}/${id}${thumb}` : null, hash: part.hashes[k],
      created: part.created[k], post: part.post[k] || null, likes: part.likes[k], creator: of("creator"),
    };
  };

  /** Width divided by height for each of some rows; 1 if unknown. */
  const ratiosOf = (rows) => {
    const found = new Float32Array(rows.length);
    for (let k = 0; k < rows.length; k += 1) found[k] = ratios[rows[k]] || 1;
    return found;
  };

  /** The row of a picture's id, or -1. */
  const rowOf = (id) => {
    const shard = parts.findIndex((part) => part?.id.includes(id));
    return shard < 0 ? firstRows[early.id.indexOf(id)] ?? -1 : pictures[shard].first + parts[shard].id.indexOf(id);
  };

  // -------------------------------------------------------------------------------------------------------- models
  const modelRows = [];
  const modelOfVersion = new Map();

  /** Keeps what the worker made of a chunk of models. */
  const keepModels = ({ first, dead }, answer) => {
    answer.forEach((each, k) => {
      if (dead.includes(k)) return;
      modelRows[first + k] = each;
      for (const [version] of each.versions) modelOfVersion.set(version, each);
    });
  };

  /** The row of a model's id, or -1. */
  const modelRow = (id) => modelRows.findIndex((model) => model?.id === id);

  const previewOf = (preview) => {
    if (!preview || preview.path) return preview && { ...preview, url: preview.path };
    return picture(rowOf(preview.id));
  };

  /** What is shown of a model; null if it is not loaded. */
  const model = (row) => {
    const raw = modelRows[row];
    if (!raw) return null;
    const here = raw.versions.filter((version) => version[4]).length;
    return { ...raw, row, here, versions: raw.versions.length, likes: raw.up, preview: previewOf(raw.preview) };
  };

  // ------------------------------------------------------------------------------------------------------- details
  const shards = new Map();

  // One promise a shard; the oldest are forgotten.
  const shard = (name, load) => {
    const promise = shards.get(name) ?? load(name);
    shards.delete(name);
    shards.set(name, promise);
    promise.catch(() => shards.delete(name));
    if (shards.size > KEPT_SHARDS) shards.delete(shards.keys().next().value);
    return promise;
  };

  const bothOf = async (name) => {
    const [hot, more] = await Promise.all([parsed(name), parsed(`${name}.more`).catch(() => ({ columns: {} }))]);
    return columns.unpackAll({ rows: hot.rows, columns: { ...hot.columns, ...more.columns } });
  };

  /** The hot columns of a picture's chunk, and the others. */
  const pictureShard = (row) => shard(pictures[shardOf[row]].name, bothOf);

  /** All that is known of a model. */
  const modelDetails = async (id) => {
    const row = modelRow(id);
    if (row < 0) throw new Error("missing");
    const { name, rows, first } = chunkAt(models, row);
    const { details } = columns.unpackAll({ rows, ...(await shard(`${name}.more`, parsed)) });
    return { ...model(row), ...details[row - first] };
  };

  // What is left of a raw prompt: all of it, another text, or what stands between the cuts.
  const cut = (raw, clean) => {
    if (clean === 1) return raw;
    if (!Array.isArray(clean)) return clean;
    let end = 0;
    const runs = clean.map((length) => (raw ?? "").slice(end, (end += length)));
    return runs.filter((_, k) => k % 2 === 0).join("");
  };

  const fileOf = (details, version) => {
    const files = details?.versions.find((each) => each.id === version)?.files ?? [];
    const here = files.filter((file) => file.path);
    return (here.find((each) => each.primary) ?? here[0])?.name ?? null;
  };

  const madeOf = async ([kind, name, version, id, other], weight) => {
    const raw = modelOfVersion.get(id);
    const details = raw ? await modelDetails(raw.id).catch(() => null) : null;
    const known = raw?.versions.find((each) => each[0] === id);
    return {
      name: raw?.name || name || String(id || ""), version: known?.[1] || version, type: raw?.type || kind, weight,
      model: raw?.id ?? (other || null), file: fileOf(details, id), href: raw ? `#/model/${raw.id}` : null,
      lora: columns.LORAS.has(kind || raw?.type.toLowerCase()),
    };
  };

  const loraTag = ({ file, weight }) => `<lora:${file.replace(/\.[^.]+$/, "")}:${weight ?? 1}>`;

  // A key is 16 bytes in base64url; addresses have it as a UUID.
  const uuid = (key) => {
    const bytes = [...globalThis.atob(key.replaceAll("-", "+").replaceAll("_", "/"))];
    const digits = bytes.map((byte) => byte.charCodeAt(0).toString(16).padStart(2, "0")).join("");
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  };

  const SAME = "tools also sampler steps cfg_scale seed size".split(" ");

  /** All that is known of a picture; `whole` unless a data file with a part of it is gone or damaged. */
  const details = async (id) => {
    const row = rowOf(id);
    if (row < 0) throw new Error("missing");
    const values = await pictureShard(row);
    const of = (name) => values[name]?.[row - pictures[shardOf[row]].first] ?? null;
    const web = (name) => (of(name) ?? "").replaceAll("{id}", id).replaceAll("{key}", uuid(of("key") ?? ""));
    const raw = of("prompt");
    const [checkpoint, ...used] = of("made").map((place) => things[place]);
    const made = await Promise.all(used.map((thing, k) => madeOf(thing, of("weights")?.[k] ?? null)));
    return {
      ...Object.fromEntries(SAME.map((name) => [name, of(name)])),
      id, url: web("url"), page: web("page"), post_id: of("post"), created_at: of("created"), type: of("kind"),
      nsfw_level: of("level"), model_versions: of("model_versions") ?? [], techniques: of("techniques") ?? [],
      raw_prompt: raw, prompt: cut(raw, of("clean")), negative_prompt: of("negative"),
      prompt_with_clothes: cut(raw, of("clothes") === 0 ? of("clean") : of("clothes")),
      model: checkpoint?.[1] ?? null, txt: picture(row).txt, made,
      loras: made.filter((each) => each.lora && each.file).map(loraTag), whole: "steps" in values,
    };
  };

  /** Fetches what a picture's details need. */
  const prepare = (row) => void pictureShard(row).catch(() => null);

  const rowsIn = async ({ name, dead }) => columns.rowsOf(await parsed(name)).filter((_, k) => !dead.includes(k));

  // Collections and posts are few: what can be read of them is read once, when somebody asks.
  const allOf = (chunks = []) => {
    let promise = null;
    const load = async () => (await Promise.all(chunks.map((chunk) => rowsIn(chunk).catch(() => [])))).flat();
    return () => (promise ??= load());
  };

  return {
    collections: allOf(given.collections), posts: allOf(given.posts), details, firstRows, keepModels, keepPictures,
    model, modelDetails, modelRow, models, picture, pictures, prepare, ratiosOf, rowOf, text, things, totals, usable,
  };
});
