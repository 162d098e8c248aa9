"use strict";
// The namespace `civitai`, and what must be there before the first paint. Everything else is a room of its own.
{
  const factories = new Map();
  const made = new Map();
  const texts = new Map();
  const broken = [];

  /** Makes a room of `needs` (names of rooms above it); what its factory returns is what others may use. */
  const room = (name, needs, factory) => {
    const given = {};
    for (const need of needs) {
      if (!made.has(need)) throw new Error(`The script "${name}" needs "${need}", which is not there.`);
      given[need] = made.get(need);
    }
    factories.set(name, { needs, factory });
    made.set(name, Object.freeze(factory(given)));
  };

  /** What a data file calls with its name and its content as JSON text. */
  const chunk = (name, text) => texts.set(name, text);

  globalThis.civitai = Object.freeze({ room, chunk });

  room("rooms", [], () => {
    const root = document.documentElement;
    const OURS = /^(?:\.page\/(?:[\w-]+\/)*[\w-]+(?:\.[\w-]+)*\.js|user-data\.js)(?:\?v=[\w.-]+)?$/;

    const checked = (url) => {
      if (OURS.test(url) || url.startsWith("blob:")) return url;
      throw new TypeError(`"${url}" is not a script of this page.`);
    };
    const policy = globalThis.trustedTypes?.createPolicy("civitai", { createScriptURL: checked });
    const scriptUrl = (url) => (policy ? policy.createScriptURL(url) : checked(url));

    // What fails before the page has started is said by index.html itself: nothing else may be there to say it.
    const count = (what) => {
      broken.push(what);
      if (!made.has("main")) root.dataset.broken = broken.length;
    };
    const countError = ({ target, message }) => {
      if (target === globalThis) count(message);
      else if (target.matches?.("script:not([data-file])")) count(target.src);
    };
    globalThis.addEventListener("error", countError, true);

    /** Loads a script of the page or `user-data.js`; rejected with "missing" if there is no such file. */
    const load = (url) =>
      new Promise((done, fail) => {
        const script = document.createElement("script");
        script.dataset.file = "";
        const end = (then) => {
          script.remove();
          then();
        };
        script.addEventListener("load", () => end(done), { once: true });
        script.addEventListener("error", () => end(() => fail(new Error("missing"))), { once: true });
        script.src = scriptUrl(url);
        document.head.append(script);
      });

    /** Returns the JSON text of a data file; rejected with "missing", or with "cut" if the file makes no call. */
    const chunkOf = async (url, name) => {
      await load(url);
      const text = texts.get(name);
      texts.delete(name);
      if (text === undefined) throw new Error("cut");
      return text;
    };

    /** The source of rooms that touch no document, the last of which serves. */
    const source = (names) => {
      const lines = names.map((name) => `rooms.${name} = (${factories.get(name).factory})(rooms);`);
      return ['"use strict";', "const rooms = {};", ...lines, `rooms.${names.at(-1)}.serve(self);`].join("\n");
    };

    /** Starts a worker from rooms that are loaded already; the last of them has `serve(port)`. */
    const worker = (names) => {
      const blob = new Blob([source(names), "\n//# sourceURL=worker.js"], { type: "text/javascript" });
      const url = URL.createObjectURL(blob);
      const started = new Worker(scriptUrl(url));
      started.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
      return started;
    };

    let known;

    /** What the file `manifest.js` said, which is loaded before the other scripts; null if it is gone or damaged. */
    const manifest = () => {
      if (known !== undefined) return known;
      try {
        known = JSON.parse(texts.get("manifest") ?? "null");
      } catch {
        known = null;
      }
      return known;
    };

    // All pages from disk may share one storage: settings are for all of them, the rest is for one library.
    const named = (key) => (key === "settings" ? "civitai.settings" : `civitai.${manifest()?.library ?? ""}.${key}`);

    /** Returns what was remembered in this browser, or the fallback. */
    const recall = (key, fallback) => {
      try {
        return JSON.parse(localStorage.getItem(named(key))) ?? fallback;
      } catch {
        return fallback;
      }
    };

    /** Remembers a value; false if the browser refuses. */
    const remember = (key, value) => {
      try {
        localStorage.setItem(named(key), JSON.stringify(value));
        return true;
      } catch {
        return false;
      }
    };

    const show = (name) => {
      if (name === "light" || name === "dark") root.dataset.theme = name;
      else delete root.dataset.theme;
    };
    show(recall("settings", {})?.theme);

    return { load, chunk: chunkOf, manifest, worker, source, recall, remember, show, broken };
  });
}
