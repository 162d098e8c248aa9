"use strict";
// The only way in which rooms make elements, hand out texts and speak to the reader.
civitai.room("dom", ["words"], ({ words }) => {
  const SVG = "http://www.w3.org/2000/svg";

  const setProp = (node, name, value) => {
    if (/^(on|style$|href$|src$)/.test(name)) throw new TypeError(`"${name}" is not set here.`);
    if (name === "text") node.textContent = value;
    else if (name === "data" || name === "aria") {
      for (const [key, each] of Object.entries(value)) setProp(node, `${name}-${key}`, each);
    } else if (value !== null && value !== undefined && (value !== false || name.startsWith("aria-"))) {
      node.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : value);
    }
  };

  const shown = (children) => children.flat(Infinity).filter((child) => child !== false && (child ?? null) !== null);

  /** Makes an element. Among the attributes `text`, `data: {…}` and `aria: {…}` are understood. */
  const el = (tag, props = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) setProp(node, name, value);
    node.append(...shown(children));
    return node;
  };

  /** Makes a picture from the symbols of index.html, for sighted readers only. */
  const icon = (name) => {
    const svg = document.createElementNS(SVG, "svg");
    const use = document.createElementNS(SVG, "use");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `#i-${name}`);
    svg.append(use);
    return svg;
  };

  /** Makes a button for something to do; with an icon, its text is its name and title. */
  const button = (doing, wordKey, iconName = "", props = {}) => {
    const text = words.say(wordKey);
    const named = iconName ? { "aria-label": text, title: text } : { text };
    const node = el("button", { type: "button", ...named, ...props, data: { do: doing, ...props.data } });
    if (iconName) node.append(icon(iconName));
    return node;
  };

  /** Returns the first element that fits, or null. */
  const maybeFind = (selector, root = document) => root.querySelector(selector);

  /** Returns the first element that fits; throws if there is none. */
  const find = (selector, root = document) => {
    const node = maybeFind(selector, root);
    if (!node) throw new Error(`There is no "${selector}".`);
    return node;
  };

  /** Gives an element these children and no others. */
  const fill = (node, ...children) => {
    node.replaceChildren(...shown(children));
    return node;
  };

  const SAFE = /^(?:#|https?:\/\/|(?!\/)[^:?#\\]+$)/i;

  const point = (attribute) => (node, url) => {
    if (url && SAFE.test(url)) node.setAttribute(attribute, url);
    else node.removeAttribute(attribute);
    return node;
  };

  /** Calls `handler(element, event)` for all elements of a kind under a root, until the signal ends it. */
  const on = (root, type, selector, handler, signal) => {
    const heard = (event) => {
      const element = event.target.closest?.(selector);
      if (element && root.contains(element)) handler(element, event);
    };
    root.addEventListener(type, heard, { signal });
  };

  // ---------------------------------------------------------------------------------------- speaking to the reader
  let silence = 0;

  /** Shows a sentence for a while and has it read out, with a button if there is something to undo. */
  const announce = (text, undo = false) => {
    const notice = find("#notice");
    clearTimeout(silence);
    fill(notice, el("span", { text }), undo ? button("undo", "notice.undo") : null);
    silence = setTimeout(() => fill(notice), undo ? 10_000 : 4_000);
  };

  /** Says in one line what is wrong, once for each name; an empty text takes the line away. */
  const trouble = (name, text, action = null) => {
    const place = find("#trouble");
    maybeFind(`[data-trouble="${name}"]`, place)?.remove();
    if (text) place.append(el("p", { data: { trouble: name } }, text, action));
    place.hidden = !place.hasChildNodes();
  };

  /** Copies a text to the clipboard and says so. */
  const copy = async (text) => {
    const done = await navigator.clipboard.writeText(text).then(() => true, () => false);
    announce(words.say(done ? "notice.copied" : "notice.not-copied"));
    return done;
  };

  /** Hands out a file as a download. */
  const save = (name, data, type) => {
    const url = URL.createObjectURL(data instanceof Blob ? data : new Blob([data], { type }));
    const anchor = el("a", { download: name });
    anchor.href = url;
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  };

  /** Shows an author's markup through the browser's own sanitiser, or else the text. */
  const html = (node, markup, text) => {
    if (node.setHTML) node.setHTML(markup);
    else node.textContent = text;
  };

  /** Returns a text with its hits marked; spans as `query.marks` returns them. */
  const marked = (text, spans) => {
    const all = document.createDocumentFragment();
    let end = 0;
    for (const [from, to] of spans) {
      all.append(text.slice(end, from), el("mark", {}, text.slice(from, to)));
      end = to;
    }
    all.append(text.slice(end));
    return all;
  };

  const styles = new WeakMap();

  /** Sets a style, unless it is as it was left. */
  const put = (node, key, value) => {
    const known = styles.get(node) ?? styles.set(node, {}).get(node);
    if (known[key] === value) return;
    known[key] = value;
    node.style[key] = value;
  };

  return {
    announce, button, copy, el, fill, find, html, icon, marked, maybeFind, on, put, save, trouble,
    link: point("href"),
    source: point("src"),
  };
});
